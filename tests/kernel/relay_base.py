# SPDX-License-Identifier: LGPL-2.1-or-later
# Copyright (C) 2026 the libcow authors
"""A relay: images, their model, and what is looked at after each step."""
import hashlib
import os
import shutil

from cases import Case, Failure
from relay_model import Snapshot, World
from snap import SECTOR, Store, exact_chunks


def read(path):
    with open(path, "rb") as f:
        return f.read()


def sha(data):
    return hashlib.sha256(data).hexdigest()


def pick(relay, wanted=lambda s: True):
    """A snapshot, rather one whose merge has begun; None if none will do."""
    some = [s for s in relay.world.snapshots.values() if wanted(s)]
    begun = [s for s in some if s.is_mixed]
    if begun and relay.rng.random() < 0.6:
        some = begun
    return relay.rng.choice(some) if some else None


class Relay(Case):
    """One origin, up to three snapshots; their files lie in its directory under
    the names of the model."""

    def __init__(self, seed, number, directory, peer):
        super().__init__(seed, number, directory, peer)
        self.steps = []  # what was done, in words
        self.nr_made = 0  # names of stores
        self.world = None

    # ---- the beginning

    def births(self):
        rng = self.rng
        cs = rng.choice((1, 1, 2, 8, 8, 8, 16, 32, 128))
        chunks = rng.randint(2, {1: 150, 2: 150, 8: 320, 16: 120, 32: 70, 128: 24}[cs])
        short = rng.randint(1, cs - 1) if cs > 1 and rng.random() < 0.6 else 0
        self.sectors = chunks * cs - short
        self.chunk_sectors, self.chunk_bytes = cs, cs * SECTOR
        data = bytearray()
        while len(data) < self.sectors * SECTOR:
            count = rng.randint(1, 256) * SECTOR
            data += bytes(count) if rng.random() < 0.3 else rng.randbytes(count)
        self.world = World(data[:self.sectors * SECTOR])
        with open(self.path("origin"), "wb") as f:
            f.write(self.world.origin)
        nr_siblings = rng.choice((0, 1, 1, 2))
        for size in [cs] + [rng.choice((cs, 1, 2, 8, 32)) for _ in range(nr_siblings)]:
            self.birth(size)
        self.geometry = "origin of %d sectors, chunks of %s" % (
            self.sectors, " ".join("%d sectors (%s, room for %d)"
                                   % (s.chunk_sectors, s.store_type, s.room() + len(s.chunks))
                                   for s in self.world.snapshots.values()))

    def cow_bytes(self, chunk_sectors):
        """Mostly what a wholly rewritten origin needs; sometimes less."""
        rng = self.rng
        chunks = -(-self.sectors // chunk_sectors)
        if rng.random() < 0.25:
            chunks = rng.randint(1, chunks)
        sectors = exact_chunks(chunks, chunk_sectors) * chunk_sectors
        return (sectors + rng.choice((0, 0, rng.randint(0, 3 * chunk_sectors)))) * SECTOR

    def birth(self, chunk_sectors):
        """A snapshot of the origin as it is: on rubbish, or a new file."""
        name = self.new_name("c")
        if self.rng.random() < 0.7:
            self.make_rubbish(name, self.cow_bytes(chunk_sectors), wiped=0)
        self.peer.create(self.path("origin"), self.path(name), chunk_sectors * SECTOR)
        snapshot = self.adopt(name, chunk_sectors, self.world.origin)
        self.append_some(snapshot)

    def append_some(self, snapshot):
        """Exceptions by the library's append."""
        chunks = -(-self.sectors // snapshot.chunk_sectors)
        most, per_area = min(chunks, snapshot.room()), snapshot.chunk_sectors * 32
        edges = [n for n in (per_area - 1, per_area, per_area + 1, 2 * per_area) if n <= most]
        count = self.rng.choice([self.rng.randint(0, most), self.rng.randint(0, most)] + edges)
        self.append(snapshot, self.rng.sample(range(chunks), count))

    def append(self, snapshot, chunks):
        batch = []
        for chunk in chunks:
            self.generation_up()
            batch.append((chunk, self.generation))
            self.world.write(snapshot, *snapshot.sectors_of(chunk), self.generation)
        if batch:
            self.peer.append(self.path("origin"), self.path(snapshot.name), [batch])

    def generation_up(self):
        self.generation = getattr(self, "generation", 0) + 1
        return self.generation

    def new_name(self, prefix):
        self.nr_made += 1
        return "%s%d" % (prefix, self.nr_made)

    def adopt(self, name, chunk_sectors, view):
        """A file that is a store now."""
        snapshot = Snapshot(name, chunk_sectors, os.path.getsize(self.path(name)), view,
                            self.rng.choice(("P", "PO")))
        self.world.snapshots[name] = snapshot
        return snapshot

    # ---- steps

    def say(self, words):
        self.steps.append(words)

    def tool(self, tool, *args, exits=(0,), **more):
        self.say("  %s %s" % (tool, " ".join(a.replace(self.directory + "/", "") for a in args)))
        done = self.peer.run(tool, *args, exits=exits, **more)
        if len(exits) > 1:
            self.say("    exit %d" % done.returncode)
        return done

    def keep_images(self):
        """As they are before a step, should it fail."""
        before = self.path("before")
        shutil.rmtree(before, ignore_errors=True)
        os.mkdir(before)
        for name in ["origin"] + list(self.world.snapshots):
            shutil.copyfile(self.path(name), os.path.join(before, name))

    def images(self):
        return {name: read(self.path(name)) for name in ["origin"] + list(self.world.snapshots)}

    def unchanged(self, what, before):
        for name, data in before.items():
            self.same("%s, which only reads: %s" % (what, name), self.path(name), data)

    def forget(self, snapshot):
        del self.world.snapshots[snapshot.name]
        os.unlink(self.path(snapshot.name))

    # ---- what must be true

    def found(self):
        """The chunks that each store on the disk has an exception for."""
        return {name: {old for old, _ in Store(self.path(name)).records}
                for name in self.world.snapshots}

    def is_torn(self, name):
        tail = Store(self.path(name)).tail
        return tail.count(0) != len(tail)

    def judge(self, when):
        """Views, siblings and usage: the disk and our tools against the model."""
        self.same(when + ": origin", self.path("origin"), self.world.origin)
        for snapshot in self.world.snapshots.values():
            self.judge_one(when + ": " + snapshot.name, snapshot)

    def judge_one(self, when, snapshot):
        path, chunk_bytes = self.path(snapshot.name), self.chunk_bytes
        self.chunk_bytes = snapshot.chunk_sectors * SECTOR  # for what is said
        store = Store(path)
        if not snapshot.may_be_torn or store.tail.count(0) == len(store.tail):
            store.verify(self.sectors)
        self.equal(when + ": size", os.path.getsize(path), snapshot.cow_bytes)
        self.equal(when + ": chunk size", store.chunk_sectors, snapshot.chunk_sectors)
        self.equal(when + ": chunks with an exception", sorted(old for old, _ in store.records),
                   sorted(snapshot.chunks))
        self.equal(when + ": usage on disk", store.status(), snapshot.status())
        self.same(when + ": view by the naive reader", store.view(self.world.origin),
                  snapshot.view)
        out = self.path("view")
        self.peer.view(self.path("origin"), path, out)
        self.same(when + ": view by snapdump", out, snapshot.view)
        os.unlink(out)
        self.judge_check(when, path, snapshot)
        self.chunk_bytes = chunk_bytes

    def judge_check(self, when, path, snapshot):
        verdict = self.peer.check(self.path("origin"), path)
        said = verdict["said"]
        self.equal(when + ": exit of snapcheck", verdict["exit"], 0)
        self.equal(when + ": usage by snapcheck", verdict["status"], snapshot.status())
        self.equal(when + ": exceptions by snapcheck", said["store"]["exceptions"],
                   len(snapshot.chunks))
        for key in ("kernel_loads", "view_trustworthy", "merge_right", "valid"):
            self.equal("%s: %s" % (when, key), said["verdict"][key], True)

    def take_over_cut(self, when, snapshot, before):
        """A merge of it was cut off: I2, I4, and what is there now."""
        now = Store(self.path(snapshot.name))
        if now.records != before[:len(now.records)]:
            raise Failure(when + ": the records left are no prefix of those before")
        has_begun = self.world.cut(snapshot, read(self.path("origin")), self.found())
        for s in self.world.snapshots.values():
            s.may_be_torn = True
        left = len(now.records)
        self.progress.append("%s with %s merged" % (
            when, "all" if not left else "some" if left < len(before) else "none"))
        self.say("  %d of %d exceptions are left" % (left, len(before)))
        return has_begun
