# SPDX-License-Identifier: LGPL-2.1-or-later
# Copyright (C) 2026 the libcow authors
"""Thin pools whose devices stand on an external origin, into which snapmerge writes: those that are named as siblings
go on showing what they showed, to the kernel and to the tools, and the kernel writes to them, takes snapshots and
deletes after that."""
import os
import random

from cases import Failure
from pools import Pool
from snap import SECTOR, pattern

NR_POOLS = 8


class Based(Pool):
    def __init__(self, number, work, tools, rng):  # pylint: disable=super-init-not-called
        self.tools, self.rng = tools, rng
        self.name = "based-%d" % number
        self.dir = os.path.join(work, self.name)
        os.mkdir(self.dir)
        self.block = rng.choice((128, 128, 256, 384))
        self.nr_data, self.tail = 100, 0
        self.shown, self.ops, self.wanted, self.generation = {}, [], {}, 0
        self.nr_kept = 0
        self.origin = bytearray(pattern(0, rng.randint(1, 6 * self.block), 999))
        self.save("origin", self.origin)
        for name, sectors in (("meta", 8 * 1024), ("data", self.block * self.nr_data)):
            with open(self.path(name), "wb") as f:
                f.truncate(sectors * SECTOR)
        tools.run("snapcreate", "-q", "--force=overwrite", "-c", "%ds" % self.block, Pool.spec(self))
        for ident in range(rng.randint(2, 5)):
            self.make(ident)
        self.check()
        for _ in range(2):
            self.merge()
            self.check()
        self.kernel()

    def save(self, name, content):
        with open(self.path(name), "wb") as f:
            f.write(content)

    def spec(self, ident=None):
        return Pool.spec(self, ident) + ("" if ident is None else ",origin=" + self.path("origin"))

    def device(self, ident, *ops):
        name = "t%d" % ident
        self.ops += [["dm", name, self.sectors(ident), "thin", "{pool} %d {o}" % ident], *ops, ["remove", name]]

    def kernel(self):
        self.ops += [["loop", "o", self.path("origin")]]
        Pool.kernel(self)
        self.ops += [["remove", "o"]]

    def step(self):
        known, rng = sorted(self.shown), self.rng
        what, ident = rng.choice(("write", "write", "snap", "delete")), rng.choice(known)
        if what == "write":
            return self.write(ident)
        if what == "snap" and len(known) < 7:
            new = max(known) + 1
            self.ops.append(["message", "pool", "create_snap %d %d" % (new, ident)])
            self.shown[new] = bytearray(self.shown[ident])
        elif what == "delete" and len(known) > 1:
            self.ops.append(["message", "pool", "delete %d" % ident])
            del self.shown[ident]
        return None

    def change(self, nr, in_guest=False):
        """Nothing: the origin and the pool change together."""

    # ------------------------------------------------------------ the tools

    def scribble(self, content):
        for _ in range(self.rng.randint(1, 4)):
            sector = self.rng.randrange(len(content) // SECTOR)
            count = min(self.rng.choice((1, 8, self.block)), len(content) // SECTOR - sector)
            self.generation += 1
            content[sector * SECTOR:(sector + count) * SECTOR] = pattern(sector, count, self.generation)

    def make(self, ident):
        """A snapshot of another one, or an image over the origin, of any length."""
        known, rng = sorted(self.shown), self.rng
        words = [Pool.spec(self) + ",id=%d,origin=%s" % (ident, self.path("origin"))]
        if known and rng.random() < 0.5:
            parent = rng.choice(known)
            self.shown[ident] = bytearray(self.shown[parent])
            self.tools.run("snapcreate", "-q", "--snapshot-of=%d" % parent, *words)
            return
        size = rng.randint(1, 8 * self.block) * SECTOR
        shown = bytearray((self.origin + bytes(size))[:size])
        if rng.random() < 0.7:
            self.scribble(shown)
        self.save("image", shown)
        self.shown[ident] = shown
        self.tools.run("snapcreate", "-q", "--thin", "--from=" + self.path("image"), *words)

    def merge(self):
        """The origin becomes another one; the devices show what they showed."""
        after = bytearray(self.origin)
        self.scribble(after)
        self.save("after", after)
        if os.path.exists(self.path("cow")):
            os.unlink(self.path("cow"))
        self.tools.run("snapcreate", "-q", "--from=" + self.path("after"), self.path("origin"), self.path("cow"))
        siblings = ["--sibling=" + self.spec(ident) for ident in self.shown]
        self.nr_kept += len(siblings)
        self.tools.run("snapmerge", "-q", "-y", *siblings, self.path("origin"), self.path("cow"))
        self.origin = after
        with open(self.path("origin"), "rb") as f:
            if f.read() != after:
                raise Failure("the origin is not what the snapshot showed")


def cases(work, tools, args):
    """Words: how many."""
    rng = random.Random(args.seed)
    for number in range(int(args.words[0]) if args.words else NR_POOLS):
        yield Based(number, work, tools, rng)


def conclude(all_cases):
    """Were there enough?"""
    nr_kept = sum(case.nr_kept for case in all_cases)
    print("%d pools, %d devices kept true in merges" % (len(all_cases), nr_kept))
    return len(all_cases) >= 5 and nr_kept >= 20
