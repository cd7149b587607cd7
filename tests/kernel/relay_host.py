# SPDX-License-Identifier: LGPL-2.1-or-later
# Copyright (C) 2026 the libcow authors
"""Merges and checks by our tools, as steps of a relay. Each does something to the
images and the same to the model, or returns False: not possible now."""
import struct

import relay_cut
from relay_base import pick, read
from relay_cut import is_continued, is_left_out
from snap import SECTOR, Store

DONE, REPAIRED, REFUSED = 0, 1, 64


# ---- merges

def is_for_us(relay, snapshot):
    """A merge by the tools that is not certainly refused."""
    world, job = relay.world, snapshot.job
    if not snapshot.chunks or world.lacking(snapshot):
        return False
    if job and job.nr_siblings > len(world.others(snapshot)) and not job.is_moving:
        return False
    if is_left_out(world, snapshot):
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
    for offset, length in undo.ranges():
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
        return is_for_us(relay, s) and is_left_out(relay.world, s) is False

    snapshot = pick(relay, is_sure)
    if not snapshot:
        return False
    for _ in range(relay.rng.choice((1, 1, 2))):
        if is_sure(snapshot):
            undo = None
            if may_save_undo(snapshot) and relay.rng.random() < 0.35:
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
    if may_save_undo(snapshot) and relay.rng.random() < 0.5:
        undo = relay.new_name("u")
    # I4: once they have everything nobody need know of them.
    named = others
    if is_continued(snapshot) and world.is_covered(snapshot):
        named = [s for s in others if relay.rng.random() < 0.5]
    elif is_left_out(world, snapshot) is None:
        exits = (DONE, REFUSED)
    again = undo_again(relay, snapshot)
    if again and relay.rng.random() < 0.5:
        named = [s for s in named if s is not again]
    args = ["--sibling=" + relay.path(s.name) for s in named]
    if undo or (again and again not in named):
        args.append("--save-undo=" + relay.path(undo or again.name))
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


def undo_again(relay, snapshot):
    """The undo file that a merge under way has made, if it is still that."""
    world, job = relay.world, snapshot.job
    undo = world.snapshots.get(job.undo) if is_continued(snapshot) else None
    if not undo or undo.job or not undo.outcome or not world.is_covered(snapshot):
        return None
    return undo


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
    """It lacks what was overwritten when our merge was under way: it may have been
    left out then."""
    world = relay.world
    snapshot = pick(relay, lambda s: s.chunks and is_left_out(world, s))
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


def grow(relay):
    """Somebody uses a snapshot, in the midst of its merge perhaps."""
    snapshot = pick(relay, lambda s: s.room())
    if not snapshot:
        return False
    chunks = sorted(set(range(-(-relay.sectors // snapshot.chunk_sectors))) - snapshot.chunks)
    count = min(len(chunks), snapshot.room(), relay.rng.randint(1, 5))
    if not count:
        return False
    relay.say("  %d chunks more in %s" % (count, snapshot.name))
    relay.append(snapshot, relay.rng.sample(chunks, count))
    snapshot.may_be_torn = False
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
    relay.tool("snapcheck", "-q", "-y", relay.path("origin"), path,
               exits=(REPAIRED if is_torn else DONE,))
    if not is_torn:
        relay.same("snapcheck -y of nothing to mend", path, before)
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
    """As a move of the last record to an earlier place leaves it when it is cut off
    (I13): it stands there, too. What stood there goes to the end first."""
    store = Store(relay.path(snapshot.name))
    at, nr_behind = end_of_list(store)
    records, last = store.records, len(store.records) - 1
    # In the place where its chunk was handed out it would be no move, but a copy
    # over what is lost now.
    places = [k for k in range(last) if k // store.per_area == last // store.per_area and
              records[last][1] != 2 + k + k // store.per_area]
    if nr_behind and places and not relay.is_torn(snapshot.name):
        k = relay.rng.choice(places)
        poke(store.path, at, struct.pack("<QQ", *records[k]))
        poke(store.path, at - 16 * (last + 1 - k), struct.pack("<QQ", *records[last]))


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
