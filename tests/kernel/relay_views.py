# SPDX-License-Identifier: LGPL-2.1-or-later
# Copyright (C) 2026 the libcow authors
"""Exports, and stores made anew out of views, as steps of a relay (see
relay_host.py)."""
import os
import tarfile

from relay_base import pick
from relay_model import UNIT_BYTES
from snap import SECTOR, exact_chunks


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
    relay.equal("map", map_of(done.stdout), snapshot.ranges())
    relay.unchanged("an export", before)
    for name in ("tar", "manifest", "flat"):
        os.unlink(relay.path(name))
    return True


def map_of(text):
    return [tuple(map(int, line.split())) for line in text.splitlines() if line[0] != "#"]


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
