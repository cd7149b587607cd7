# SPDX-License-Identifier: LGPL-2.1-or-later
# Copyright (C) 2026 the libcow authors
"""A merge of ours is killed in its middle, the kernel finishes it, and its snapshot
target uses the store again. Our label is still in the header. Nothing of that merge
is under way any more: a fresh sibling and a fresh undo file are taken, and snapcheck
says nothing of a merge. In front of the kernel's part both are refused."""
import os
import random
import shutil

from cases import Failure
from snap import SECTOR, Store, exact_chunks, pattern
from states import equal, read, same

COUNT = 12
CHUNKS = (1, 8, 8, 16, 32)


class Reused:
    def __init__(self, work, tools, seed, number):
        self.tools, self.rng = tools, random.Random("%s:%d" % (seed, number))
        self.name = "reused-%d" % number
        self.directory = os.path.join(work, self.name)
        os.mkdir(self.directory)
        self.cs = self.rng.choice(CHUNKS)
        self.chunks = self.rng.randint(40, 300)
        self.sectors = self.chunks * self.cs
        self.make()
        self.ops = self.plan()

    def path(self, name):
        return os.path.join(self.directory, name)

    def make(self):
        """A merge that is killed when some of its exceptions are settled."""
        self.before = self.rng.randbytes(self.sectors * SECTOR)
        with open(self.path("origin"), "wb") as f:
            f.write(self.before)
        with open(self.path("cow"), "wb") as f:
            f.truncate(exact_chunks(self.chunks, self.cs) * self.cs * SECTOR)
        self.tools.create(self.path("origin"), self.path("cow"), self.cs * SECTOR)
        olds = self.rng.sample(range(self.chunks), self.chunks * 2 // 3)
        self.first = olds[0]
        self.tools.append(self.path("origin"), self.path("cow"), [[(old, 7) for old in olds]])
        extra = [str(1 << 20), str(self.cs * SECTOR * 5)]
        calls = self.tools.count_calls("tests/kernel/merge", self.path("origin"), self.path("cow"), extra)
        call, nth = calls[len(calls) // 2]
        self.tools.run("tests/kernel/merge", self.path("origin"), self.path("cow"), *extra, exits=(-9, 137),
                       before=("strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=" + call, "-e",
                               "inject=%s:signal=KILL:when=%d" % (call, nth)))
        left = len(Store(self.path("cow")).records)
        if not 0 < left < len(olds) or not self.has_label():
            raise Failure("%d of %d exceptions left, label: %s" % (left, len(olds), self.has_label()))
        self.merged = bytearray(self.before)
        for old in olds:
            at = old * self.cs
            self.merged[at * SECTOR:(at + self.cs) * SECTOR] = pattern(at, self.cs, 7)
        self.refused()

    def has_label(self):
        return read(self.path("cow"))[16:24] == b"COWLABEL"

    def refused(self):
        """Under way: what is new would miss what is written already."""
        for option in ("sibling", "save-undo"):
            for name in ("origin", "cow"):
                shutil.copyfile(self.path(name), self.path(name + "-try"))
            if option == "sibling":
                self.tools.create(self.path("origin-try"), self.path("new"), self.cs * SECTOR)
            self.tools.run("snapmerge", "-q", "-y", "--%s=%s" % (option, self.path("new")),
                           self.path("origin-try"), self.path("cow-try"), exits=(64,))
            if os.path.exists(self.path("new")):
                os.unlink(self.path("new"))

    def plan(self):
        self.writes = [[self.rng.randrange(self.chunks) * self.cs, self.cs, 20 + i]
                       for i in range(self.rng.randint(1, 9))]
        # one that begins as before is another case, which cannot be told
        if self.writes[0][0] == self.first * self.cs:
            self.writes[0][0] = (self.first + 1) % self.chunks * self.cs
        table = "{o} {c} P %d" % self.cs
        return [["loop", "o", self.path("origin")], ["loop", "c", self.path("cow")],
                ["dm", "M", self.sectors, "snapshot-merge", table], ["merged", "M"], ["remove", "M"],
                ["dm", "S", self.sectors, "snapshot", table], ["write", "S", 1, self.writes],
                ["remove", "S"]]

    def judge(self, answers):
        equal("writes that failed", answers[6], [])
        same("origin, merged by the kernel", read(self.path("origin")), self.merged)
        equal("our label is still there", self.has_label(), True)
        view = bytearray(self.merged)
        for sector, count, generation in self.writes:
            view[sector * SECTOR:(sector + count) * SECTOR] = pattern(sector, count, generation)
        said = self.tools.run("snapcheck", self.path("origin"), self.path("cow")).stdout
        if "a merge of" in said or "not finished" in said:
            raise Failure("snapcheck says that a merge is under way: " + said)
        self.tools.create(self.path("origin"), self.path("sibling"), self.cs * SECTOR)
        self.tools.run("snapmerge", "-q", "-y", "--sibling=" + self.path("sibling"),
                       "--save-undo=" + self.path("undo"), "--force=volatile", self.path("origin"), self.path("cow"))
        same("origin, merged by us", read(self.path("origin")), view)
        for name in ("sibling", "undo"):
            same("view of the " + name, Store(self.path(name)).view(view), self.merged)


def cases(work, tools, args):
    count = int(args.words[0]) if args.words else COUNT
    return [Reused(work, tools, args.seed, number) for number in range(count)]


def conclude(all_cases):
    """Were there enough?"""
    return len(all_cases) >= 1
