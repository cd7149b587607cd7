# SPDX-License-Identifier: LGPL-2.1-or-later
# Copyright (C) 2026 the libcow authors
"""The same random writes through the kernel's snapshot-origin with two
snapshots of different chunk sizes, and through ours (cow_copyout_write()): the
views are equal, and both go on with what the other left. Then one of them is
merged: the other stays true, and the undo file is a snapshot of the merged
origin that shows the old one."""
import os
import random
import shutil

from snap import SECTOR, Model, Store, exact_chunks
from states import equal, read, same, sha

COUNT = 40
CHUNKS = (1, 1, 2, 4, 8, 8, 16, 32, 128)


class Pair:
    """Two snapshots of one origin, made by the kernel (k) and by us (u)."""

    def __init__(self, work, tools, seed, number):
        self.tools, self.rng = tools, random.Random("%s:%d" % (seed, number))
        self.name = "origin-%d" % number
        self.directory = os.path.join(work, self.name)
        os.mkdir(self.directory)
        self.chunk_sectors = self.rng.sample(CHUNKS, 2)
        while self.chunk_sectors[0] == self.chunk_sectors[1]:
            self.chunk_sectors = self.rng.sample(CHUNKS, 2)
        self.sectors = self.rng.randint(1, 9 * max(self.chunk_sectors) + 60)
        self.make()
        self.ops = self.plan()

    def path(self, name):
        return os.path.join(self.directory, name)

    def make(self):
        """Images of both; exceptions that the snapshots have of their own."""
        origin = self.rng.randbytes(self.sectors * SECTOR)
        self.origin = Model(origin, 1)
        self.models = [Model(origin, cs) for cs in self.chunk_sectors]
        self.own = [[], []]
        for who in "ku":
            with open(self.path("origin-" + who), "wb") as f:
                f.write(origin)
        for i, cs in enumerate(self.chunk_sectors):
            chunks = -(-self.sectors // cs)
            size = exact_chunks(chunks, cs) * cs * SECTOR
            with open(self.path("cow%d-k" % i), "wb") as f:
                f.write(bytes(4096) + self.rng.randbytes(max(0, size - 4096)))
            os.truncate(self.path("cow%d-k" % i), size)
            with open(self.path("cow%d-u" % i), "wb") as f:
                f.write(self.rng.randbytes(size))
            self.tools.create(self.path("origin-u"), self.path("cow%d-u" % i), cs * SECTOR)
            mine = self.rng.sample(range(chunks), self.rng.randint(0, min(3, chunks)))
            batch = [(chunk, 100 + n) for n, chunk in enumerate(mine)]
            if batch:
                self.tools.append(self.path("origin-u"), self.path("cow%d-u" % i), [batch])
            for chunk, generation in batch:
                self.models[i].append(chunk, generation)
                self.own[i].append([chunk * cs, min(cs, self.sectors - chunk * cs), generation])

    def draw_writes(self, nr, generation):
        """To the origin; what the snapshots show stays, their exceptions grow."""
        writes = []
        for n in range(nr):
            sector = self.rng.randrange(self.sectors)
            count = self.rng.choice((1, 1, 3, self.rng.randint(1, self.sectors)))
            write = [sector, min(count, self.sectors - sector, 200), generation + n]
            self.origin.write("S", *write)
            for model in self.models:
                model.write("O", *write)
            writes.append(write)
        return writes

    def ours(self, who, writes):
        script = "".join("write %d %d %d\n" % tuple(w) for w in writes)
        self.tools.run("tests/kernel/copyout", self.path("origin-" + who),
                       *[self.path("cow%d-%s" % (i, who)) for i in (0, 1)], stdin=script)

    def look(self, who):
        """Ops: what the kernel shows of a set after loading it anew."""
        return self.load(who) + [["status", "S0"], ["status", "S1"], ["sha256", "S0"],
                                 ["sha256", "S1"], ["remove", "S0", "S1"]]

    def load(self, who):
        return [["dm", "S%d" % i, self.sectors, "snapshot",
                 "{o%s} {c%d%s} P %d" % (who, i, who, cs)]
                for i, cs in enumerate(self.chunk_sectors)]

    def through(self, who, own, writes):
        """Ops: the kernel's snapshot-origin."""
        ops = self.load(who) + [["dm", "O", self.sectors, "snapshot-origin", "{o%s}" % who]]
        ops += [["write", "S%d" % i, 1, some] for i, some in enumerate(own) if some]
        return ops + [["write", "O", 1, writes], ["remove", "O", "S0", "S1"]]

    def loops(self, who):
        return [["loop", "o" + who, self.path("origin-" + who)]] + [
            ["loop", "c%d%s" % (i, who), self.path("cow%d-%s" % (i, who))] for i in (0, 1)]

    def plan(self):
        first = self.draw_writes(self.rng.randint(1, 12), 1)
        self.ours("u", first)
        self.same_sets("after our writes", "u")
        self.shown = [sha(m.view) for m in self.models]
        self.usage = [m.status(os.path.getsize(self.path("cow%d-u" % i)))
                      for i, m in enumerate(self.models)]
        self.middle = bytes(self.origin.view)
        merged = self.merge()
        # Then each goes on with what the other made.
        self.more = self.draw_writes(self.rng.randint(1, 6), 50)
        ops = self.loops("k") + self.through("k", self.own, first)
        self.at_k = len(ops)
        ops += self.look("k") + self.loops("u")
        self.at_u = len(ops)
        ops += self.look("u") + self.through("u", [], self.more)
        self.at_more = len(ops)
        ops += self.look("u")
        self.at_merged = len(ops)
        return ops + merged

    def merge(self):
        """Snapshot 0 of our set, and ops to see what that did to others."""
        for name in ("origin", "cow0", "cow1"):
            shutil.copyfile(self.path(name + "-u"), self.path(name + "-m"))
        self.tools.run("snapmerge", "-q", "-y", "--sibling=" + self.path("cow1-m"),
                       "--save-undo=" + self.path("undo"), self.path("origin-m"),
                       self.path("cow0-m"))
        same("origin after snapshot 0 was merged", read(self.path("origin-m")),
             self.models[0].view)
        ops = [["loop", "om", self.path("origin-m")]]
        for name, path, cs in (("undo", "undo", self.chunk_sectors[0]),
                               ("other", "cow1-m", self.chunk_sectors[1])):
            ops += [["loop", "c" + name, self.path(path)],
                    ["dm", name, self.sectors, "snapshot", "{om} {c%s} P %d" % (name, cs)],
                    ["sha256", name]]
        return ops

    def same_sets(self, when, who):
        """A set on the disk against the model, by the naive reader."""
        same("%s: origin" % when, read(self.path("origin-" + who)), self.origin.view)
        for i, model in enumerate(self.models):
            store = Store(self.path("cow%d-%s" % (i, who)))
            store.verify(self.sectors)
            same("%s: view %d" % (when, i), store.view(self.origin.view), model.view)
            equal("%s: chunks of %d" % (when, i), {old for old, _ in store.records},
                  model.old_chunks)

    def judge(self, answers):
        for at, whose in ((self.at_k, "the kernel's"), (self.at_u, "our")):
            equal("usage of %s stores" % whose, answers[at + 2:at + 4], self.usage)
            equal("views of %s stores" % whose, answers[at + 4:at + 6], self.shown)
        equal("views after the kernel went on with ours",
              answers[self.at_more + 4:self.at_more + 6], self.shown)
        equal("the old origin in the undo file", answers[self.at_merged + 3], sha(self.middle))
        equal("the sibling of the merge", answers[self.at_merged + 6], self.shown[1])
        equal("writes that failed", [a for op, a in zip(self.ops, answers)
                                     if op[0] == "write" and a], [])
        self.same_sets("after the kernel went on with ours", "u")
        same("origin written by the kernel", read(self.path("origin-k")), self.middle)
        self.ours("k", self.more)
        self.same_sets("after we went on with the kernel's", "k")


def cases(work, tools, args):
    count = int(args.words[0]) if args.words else COUNT
    return [Pair(work, tools, args.seed, number) for number in range(count)]


def conclude(all_cases):
    """Were there enough?"""
    print("%d sets of two snapshots" % len(all_cases))
    return len(all_cases) >= 1
