# SPDX-License-Identifier: LGPL-2.1-or-later
# Copyright (C) 2026 the libcow authors
"""Steps of a relay that our tools take, without the kernel. Each does something
to the images and the same to the model, or returns False: not possible now."""
import os
import struct
import tarfile

import relay_cut
from relay_base import read
from relay_cut import is_continued
from relay_model import UNIT_BYTES
from snap import SECTOR, Store, exact_chunks

DONE, REPAIRED, REFUSED = 0, 1, 64


def pick(relay, wanted=lambda s: True):
    """A snapshot, rather one whose merge has begun; None if none will do."""
    some = [s for s in relay.world.snapshots.values() if wanted(s)]
    begun = [s for s in some if s.is_mixed]
    if begun and relay.rng.random() < 0.6:
        some = begun
    return relay.rng.choice(some) if some else None


# ---- merges

def is_for_us(relay, snapshot):
    """A merge by the tools that is not certainly refused."""
    world, job = relay.world, snapshot.job
    if not snapshot.chunks or world.lacking(snapshot):
        return False
    if job and job.nr_siblings > len(world.others(snapshot)) and not job.is_moving:
        return False
    if is_continued(snapshot) and not world.is_covered(snapshot):
        return False
    if snapshot.outcome and not snapshot.is_mixed:
        return takes_back(relay, snapshot) == DONE
    return True


def takes_back(relay, undo):
    """What --take-back ends with, None: not known. Each run of chunks must be
    what the merge left, or what was there before. What other snapshots made
    the kernel write to the store may lie where the digests were."""
    chunks, merged = undo.outcome
    if undo.chunks != chunks or undo.job:
        return None
    verdict = DONE
    for offset, length in ranges_of(undo):
        run = slice(offset, offset + length)
        if relay.world.origin[run] in (merged[run], undo.view[run]):
            continue
        verdict = None
        for at in range(offset, offset + length, undo.chunk_sectors * SECTOR):
            chunk = slice(at, min(at + undo.chunk_sectors * SECTOR, offset + length))
            if relay.world.origin[chunk] not in (merged[chunk], undo.view[chunk]):
                return REFUSED
    return verdict


def may_save_undo(snapshot):
    return not snapshot.is_mixed and not snapshot.outcome and not snapshot.job


def our_cut(relay):
    """snapmerge, killed or without power, perhaps again and again."""
    def is_sure(s):
        return is_for_us(relay, s) and (is_continued(s) is not None or relay.world.is_covered(s))

    snapshot = pick(relay, is_sure)
    if not snapshot:
        return False
    for _ in range(relay.rng.choice((1, 1, 2))):
        if is_sure(snapshot):
            undo = None
            if may_save_undo(snapshot) and relay.rng.random() < 0.3:
                undo = relay.new_name("u")
            relay_cut.cut(relay, snapshot, undo)
            if undo in relay.world.snapshots:
                return True
    return True


def our_merge(relay):
    """snapmerge, to its end; refused where it is to go on with a merge that was
    cut off, and a sibling or the undo file lacks what only the snapshot knows."""
    snapshot = pick(relay, lambda s: is_for_us(relay, s))
    if not snapshot:
        return False
    world, others = relay.world, relay.world.others(snapshot)
    undo, exits = None, (DONE,)
    if may_save_undo(snapshot) and relay.rng.random() < 0.4:
        undo = relay.new_name("u")
    # I4: once they have everything nobody need know of them.
    named = others
    if is_continued(snapshot) and world.is_covered(snapshot):
        named = [s for s in others if relay.rng.random() < 0.5]
    elif is_continued(snapshot) is None and not world.is_covered(snapshot):
        exits = (DONE, REFUSED)
    args = ["--sibling=" + relay.path(s.name) for s in named]
    if undo:
        args.append("--save-undo=" + relay.path(undo))
    args += relay_cut.take_back_options(snapshot)
    before = relay.images()
    done = relay.tool("snapmerge", "-q", "-y", *args, relay.path("origin"),
                      relay.path(snapshot.name), exits=exits)
    if done.returncode == REFUSED:
        relay.unchanged("snapmerge", before)
        return True
    if undo:
        relay_cut.adopt_undo(relay, snapshot, undo)
    # What was behind the end of a list is gone where something was appended.
    appended = [s for s in named if world.covering(snapshot, snapshot.chunks, s) - s.chunks]
    world.merge(snapshot)
    snapshot.outcome, snapshot.job = None, None
    for s in [snapshot] + appended:
        s.may_be_torn = False
    return True


def undo_refused(relay):
    """The undo file of a merge that is under way lacks what the snapshot got
    since."""
    world = relay.world
    snapshot = pick(relay, lambda s: s.chunks and is_continued(s) and
                    s.job.undo in world.snapshots and not world.snapshots[s.job.undo].job)
    if not snapshot:
        return False
    undo = world.snapshots[snapshot.job.undo]
    if world.covering(snapshot, snapshot.chunks, undo) <= undo.chunks:
        return False
    before = relay.images()
    relay.tool("snapmerge", "-q", "-y", "--save-undo=" + relay.path(undo.name),
               relay.path("origin"), relay.path(snapshot.name), exits=(REFUSED,))
    relay.unchanged("snapmerge", before)
    return True


def our_refusal(relay):
    """No room in a sibling: nothing is written. Then it is given up."""
    world = relay.world
    snapshot = pick(relay, lambda s: s.chunks and not s.outcome and not s.job and
                    world.lacking(s))
    if not snapshot:
        return False
    before, lacking = relay.images(), world.lacking(snapshot)
    args = ["--sibling=" + relay.path(s.name) for s in world.others(snapshot)]
    relay.tool("snapmerge", "-q", "-y", *args, relay.path("origin"), relay.path(snapshot.name),
               exits=(REFUSED,))
    relay.unchanged("snapmerge", before)
    args = ["--%s=%s" % ("drop-sibling" if s in lacking else "sibling", relay.path(s.name))
            for s in world.others(snapshot)]
    relay.tool("snapmerge", "-q", "-y", *args, relay.path("origin"), relay.path(snapshot.name))
    for s in lacking:
        relay.equal("valid, given up", Store(relay.path(s.name)).valid, 0)
        relay.tool("snapcheck", "-q", relay.path("origin"), relay.path(s.name), exits=(4,))
        relay.forget(s)
    world.merge(snapshot)
    snapshot.may_be_torn, snapshot.job = False, None
    return True


def sibling_refused(relay):
    """It has not all that is overwritten, though our merge is under way: it may
    have been left out then."""
    world = relay.world
    snapshot = pick(relay, lambda s: s.chunks and is_continued(s) and not world.is_covered(s))
    if not snapshot:
        return False
    before = relay.images()
    args = ["--sibling=" + relay.path(s.name) for s in world.others(snapshot)]
    relay.tool("snapmerge", "-q", "-y", *args, *relay_cut.take_back_options(snapshot),
               relay.path("origin"), relay.path(snapshot.name), exits=(REFUSED,))
    relay.unchanged("snapmerge", before)
    return True


def take_back_refused(relay):
    """The origin is not what the merge left: nothing is written."""
    undo = pick(relay, lambda s: s.outcome and s.chunks and not s.is_mixed and
                takes_back(relay, s) == REFUSED)
    if not undo:
        return False
    before = relay.images()
    relay.tool("snapmerge", "-q", "-y", "--take-back", relay.path("origin"),
               relay.path(undo.name), exits=(REFUSED,))
    relay.unchanged("snapmerge --take-back", before)
    return True


# ---- checks

def preen(relay):
    """snapcheck -p, of something to mend or of nothing."""
    snapshot = pick(relay)
    path = relay.path(snapshot.name)
    damage = relay.rng.choice((None, plant_stale, plant_stale, plant_twice))
    if damage:
        damage(relay, snapshot)
    before = read(path)
    is_torn = relay.is_torn(snapshot.name) or len(Store(path).records) != len(snapshot.chunks)
    relay.tool("snapcheck", "-q", "-p", relay.path("origin"), path,
               exits=(REPAIRED if is_torn else DONE,))
    if not is_torn:
        relay.same("snapcheck -p of nothing to mend", path, before)
    snapshot.may_be_torn = False
    return True


def end_of_list(store):
    """Its offset, and how many records of its area come behind it."""
    area, end = divmod(len(store.records), store.per_area)
    at = (1 + area * (store.per_area + 1)) * store.chunk_bytes + end * 16
    return at, store.per_area - end - 1


def plant_stale(relay, snapshot):
    """Behind the end, as a torn write leaves it: it must not come to life."""
    store = Store(relay.path(snapshot.name))
    at, nr_behind = end_of_list(store)
    if nr_behind:
        record = struct.pack("<QQ", relay.rng.randrange(2), 2 + len(store.records) //
                             store.per_area)
        poke(store.path, at + relay.rng.randint(1, nr_behind) * 16, record)


def plant_twice(relay, snapshot):
    """A record at the end again, as a move that was cut off leaves it (I13)."""
    store = Store(relay.path(snapshot.name))
    at, nr_behind = end_of_list(store)
    if nr_behind and store.records and not relay.is_torn(snapshot.name):
        poke(store.path, at, struct.pack("<QQ", *relay.rng.choice(store.records)))


def stale(relay):
    """The same, and nobody mends it before the next step, which may append."""
    for snapshot in list(relay.world.snapshots.values()):
        if relay.rng.random() < 0.7:
            relay.say("  behind the end of %s" % snapshot.name)
            plant_stale(relay, snapshot)
            snapshot.may_be_torn = True
    if relay.rng.random() < 0.7:
        our_merge(relay)
    return True


def poke(path, offset, data):
    with open(path, "r+b") as f:
        f.seek(offset)
        f.write(data)


# ---- exports

def exports(relay):
    """Every way out, compared with the model; nothing is written."""
    snapshot = pick(relay)
    before = relay.images()
    origin, cow = relay.path("origin"), relay.path(snapshot.name)
    relay.tool("snapdump", "-q", "--tar", "-o", relay.path("tar"), origin, cow)
    with tarfile.open(relay.path("tar")) as tar:
        relay.same("view in the tar", tar.extractfile("view.img").read(), snapshot.view)
        manifest = tar.extractfile("manifest.json").read()
    with open(relay.path("manifest"), "wb") as f:
        f.write(manifest)
    relay.tool("snapcheck", "-q", "--verify=" + relay.path("manifest"), origin, cow)
    relay.tool("snapmerge", "-q", "-y", "-o", relay.path("flat"), origin, cow)
    relay.same("snapmerge -o", relay.path("flat"), snapshot.view)
    done = relay.tool("snapdump", "-q", "--map", origin, cow)
    relay.equal("map", map_of(done.stdout), ranges_of(snapshot))
    relay.unchanged("an export", before)
    for name in ("tar", "manifest", "flat"):
        os.unlink(relay.path(name))
    return True


def map_of(text):
    return [tuple(map(int, line.split())) for line in text.splitlines() if line[0] != "#"]


def ranges_of(snapshot):
    """[(offset, length)] in bytes, joined."""
    ranges = []
    for chunk in sorted(snapshot.chunks):
        sector, count = snapshot.sectors_of(chunk)
        if ranges and sum(ranges[-1]) == sector * SECTOR:
            ranges[-1] = (ranges[-1][0], ranges[-1][1] + count * SECTOR)
        else:
            ranges.append((sector * SECTOR, count * SECTOR))
    return ranges


# ---- stores made anew

def replace(relay, old, chunk_sectors, chunks, *args, origin=None):
    """snapcreate makes a store with the view of old, which goes."""
    name = relay.new_name("c")
    relay.tool("snapcreate", "-q", "-c", str(chunk_sectors * SECTOR), origin or
               relay.path("origin"), relay.path(name), *args)
    new = relay.adopt(name, chunk_sectors, old.view)
    relay.equal("size of the new store", new.cow_bytes,
                exact_chunks(-(-relay.sectors // chunk_sectors), chunk_sectors) *
                chunk_sectors * SECTOR)
    new.chunks = chunks
    relay.forget(old)


def new_chunk_sectors(relay, snapshot):
    return relay.rng.choice((snapshot.chunk_sectors, 1, 4, 8, 32))


def recreate(relay):
    """snapcreate --from of the view, as an image or as it is."""
    snapshot = pick(relay)
    cs = new_chunk_sectors(relay, snapshot)
    chunks = relay.world.differing(snapshot.view, cs)
    if relay.rng.random() < 0.5:
        replace(relay, snapshot, cs, chunks, "--from-view=" + relay.path(snapshot.name))
        return True
    relay.tool("snapdump", "-q", "--raw", "-o", relay.path("image"), relay.path("origin"),
               relay.path(snapshot.name))
    replace(relay, snapshot, cs, chunks, "--from=" + relay.path("image"))
    os.unlink(relay.path("image"))
    return True


def import_delta(relay):
    """snapdump --delta, read by hand and by snapcreate --import."""
    snapshot = pick(relay)
    cs = new_chunk_sectors(relay, snapshot)
    suffix = relay.rng.choice(("", ".gz", ".zst"))
    tar = relay.path("delta.tar" + suffix)
    relay.tool("snapdump", "-q", "--delta", "-o", tar, relay.path("origin"),
               relay.path(snapshot.name))
    if suffix != ".zst":
        relay.same("delta, by hand", apply_delta(tar, relay.world.origin), snapshot.view)
    replace(relay, snapshot, cs,
            relay.world.differing(snapshot.view, cs, unit_bytes=UNIT_BYTES), "--import=" + tar)
    os.unlink(tar)
    return True


def apply_delta(path, origin):
    view = bytearray(origin)
    with tarfile.open(path) as tar:
        ranges = tar.extractfile("ranges.txt").read().decode()
        data = tar.extractfile("delta.img").read()
    for line in ranges.splitlines():
        if line[0] == "#":
            continue
        offset, length, kind = line.split()
        at = slice(int(offset), int(offset) + int(length))
        view[at] = data[at] if kind == "data" else bytes(int(length))
    return view


def import_tar(relay):
    """snapdump --tar goes to another disk: a new origin, of zeros or of other
    bytes, where the siblings are none of its business."""
    world = relay.world
    if any(s.is_mixed for s in world.snapshots.values()):
        return False
    snapshot = pick(relay)
    cs = new_chunk_sectors(relay, snapshot)
    tar = relay.path("view.tar")
    relay.tool("snapdump", "-q", "--tar", "-o", tar, relay.path("origin"),
               relay.path(snapshot.name))
    zeros = relay.rng.random() < 0.5
    world.origin[:] = bytes(len(world.origin)) if zeros else relay.rng.randbytes(len(world.origin))
    with open(relay.path("origin"), "wb") as f:
        f.write(b"" if zeros else world.origin)
        f.truncate(len(world.origin))
    for s in world.others(snapshot):
        relay.forget(s)
    replace(relay, snapshot, cs, world.differing(snapshot.view, cs, unit_bytes=UNIT_BYTES),
            "--import=" + tar, origin="zero:%d" % len(world.origin) if zeros else None)
    os.unlink(tar)
    while len(world.snapshots) < 2:
        relay.birth(relay.rng.choice((1, 8)))
    return True
