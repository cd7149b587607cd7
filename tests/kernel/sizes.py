# SPDX-License-Identifier: LGPL-2.1-or-later
# Copyright (C) 2026 the libcow authors
"""The size of a COW image, at the edges of metadata areas: one of the size that
snapcreate computes survives a kernel that rewrites the whole origin; with one
chunk less it ends as cow-persistent(5), "Space", says, and snapcheck notes beforehand where
that is by the accident of the last area.

Origins are sparse, and all exceptions but the last few are in the store before
the kernel gets it, so that areas of 65,536 exceptions cost no more than others."""
import json
import os
import random
import struct

from scripts import capacity
from snap import SECTOR, exact_chunks, pattern, status
from states import equal, sha

CHUNK_SECTORS = [1 << shift for shift in range(12)]  # 512 bytes to 1 MiB
LARGE = (8192, 32768)  # 4 MiB, 16 MiB: no edge in reach
BY_KERNEL = 3
LOOK = 8  # sectors of a chunk that are looked at


class Size:
    """One chunk size, one number of chunks of the origin."""

    def __init__(self, work, tools, rng, chunk_sectors, chunks):
        self.tools, self.rng = tools, rng
        self.cs, self.chunks = chunk_sectors, chunks
        self.chunk_bytes = chunk_sectors * SECTOR
        self.exact = exact_chunks(chunks, chunk_sectors)
        self.name = "size-%d-%d" % (chunk_sectors, chunks)
        self.directory = os.path.join(work, self.name)
        os.mkdir(self.directory)
        short = rng.randrange(chunk_sectors) if rng.random() < 0.5 else 0
        self.sectors = chunks * chunk_sectors - short
        self.first = max(0, chunks - BY_KERNEL)  # chunks left to the kernel
        self.make()

    def path(self, name):
        return os.path.join(self.directory, name)

    def span(self, chunk):
        """First sector and number of sectors that are looked at."""
        return chunk * self.cs, min(LOOK, self.cs, self.sectors - chunk * self.cs)

    def make(self):
        with open(self.path("origin"), "wb") as f:
            f.truncate(self.sectors * SECTOR)
            for chunk in range(self.first, self.chunks):
                sector, count = self.span(chunk)
                os.pwrite(f.fileno(), pattern(sector, count, 99), sector * SECTOR)
        self.tools.run("snapcreate", "-q", "-c", str(self.chunk_bytes), self.path("origin"),
                       self.path("cow"))
        equal(self.name + ": computed size", os.path.getsize(self.path("cow")),
              self.exact * self.chunk_bytes)
        per_area = self.cs * 32
        records = b"".join(struct.pack("<QQ", i, 2 + i + i // per_area)
                           for i in range(self.first))
        with open(self.path("cow"), "r+b") as f:
            for area in range(0, len(records), self.chunk_bytes):
                f.seek((1 + area // self.chunk_bytes * (per_area + 1)) * self.chunk_bytes)
                f.write(records[area:area + self.chunk_bytes])
        self.records = records

    def copy(self, name, nr_chunks):
        """A copy of the store that costs no more than its metadata."""
        per_area = self.cs * 32
        with open(self.path("cow"), "rb") as f, open(self.path(name), "wb") as t:
            t.truncate(nr_chunks * self.chunk_bytes)
            for chunk in [0] + list(range(1, nr_chunks, per_area + 1)):
                f.seek(chunk * self.chunk_bytes)
                t.seek(chunk * self.chunk_bytes)
                t.write(f.read(self.chunk_bytes) if chunk else f.read(SECTOR))


class Rewritten:
    """The kernel rewrites what is left of the origin, or of the snapshot."""

    def __init__(self, size, less, device, store_type):
        self.size, self.less, self.device, self.store_type = size, less, device, store_type
        suffix = "-%s%s-%s" % ("less-" if less else "", device, store_type)
        self.name, self.cow = size.name + suffix, "cow" + suffix
        self.nr_chunks = size.exact - less
        size.copy(self.cow, self.nr_chunks)
        self.note_beforehand()
        self.ops = self.plan()

    def note_beforehand(self):
        """The accident of the last area is noted while there still is time."""
        size = self.size
        self.fits, self.accident = capacity(self.nr_chunks, size.cs)
        done = size.tools.run("snapcheck", "--json", size.path("origin"), size.path(self.cow))
        ids = [f["id"] for f in json.loads(done.stdout)["findings"]]
        equal(self.name + ": noted beforehand", ids,
              ["persistent.last-area-room"] if self.accident else [])

    def plan(self):
        size = self.size
        table = ["dm", "S", size.sectors, "snapshot", "{o} {c} %s %d" % (self.store_type, size.cs)]
        writes = [[size.span(chunk)[0], 1, 1] for chunk in range(size.first, size.chunks)]
        ops = [["loop", "o", size.path("origin")], ["loop", "c", size.path(self.cow)], table,
               ["dm", "O", size.sectors, "snapshot-origin", "{o}"],
               ["write", self.device, 1, writes], ["status", "S"]]
        self.seen = len(ops)
        if not self.less:
            ops += [["remove", "O", "S"], table, ["status", "S"]]
            ops += [["sha256_at", "S", *size.span(c)] for c in range(size.first, size.chunks)]
        # The next of these cases finds the origin as it was.
        return ops + [["write", "o", 1, [[w[0], 1, 99] for w in writes]]]

    def judge(self, answers):
        size = self.size
        if self.less:
            self.judge_less(answers)
            return
        want = status(size.chunks, size.cs, self.nr_chunks * size.chunk_bytes)
        equal("writes that failed", answers[4], [])
        equal("usage, all rewritten", answers[5], want)
        equal("usage, reloaded", answers[self.seen + 2], want)
        for chunk in range(size.first, size.chunks):
            sector, count = size.span(chunk)
            data = pattern(sector, count, 99)
            if self.device == "S":
                data = pattern(sector, 1, 1) + data[SECTOR:]
            equal("chunk %d of the view" % chunk, answers[self.seen + 3 + chunk - size.first],
                  sha(data))
        verdict = size.tools.check(size.path("origin"), size.path(self.cow))
        equal("usage by snapcheck", verdict["status"], want)
        equal("exit of snapcheck", verdict["exit"], 0)

    def judge_less(self, answers):
        size = self.size
        equal("exceptions that fit in one chunk less", self.fits, size.chunks - 1)
        overflow = self.device == "S" and self.store_type == "PO" and not self.accident
        equal("state", answers[5], "Overflow" if overflow else "Invalid")
        last = size.chunks - size.first - 1
        equal("writes that failed", answers[4], [last] if self.device == "S" else [])
        with open(size.path(self.cow), "rb") as f:
            equal("valid", int.from_bytes(f.read(8)[4:], "little"), int(overflow))
        verdict = size.tools.check(size.path("origin"), size.path(self.cow))
        equal("exit of snapcheck", verdict["exit"], 0 if overflow else 4)


def cases(work, tools, args):
    rng = random.Random(args.seed)
    wanted = []
    for cs in CHUNK_SECTORS:
        per_area = cs * 32
        wanted += [(cs, n) for n in (1, per_area - 1, per_area, per_area + 1, 2 * per_area)]
    wanted += [(cs, n) for cs in LARGE for n in (1, 2)]
    for cs, chunks in wanted:
        size = Size(work, tools, rng, cs, chunks)
        yield Rewritten(size, 0, rng.choice("OS"), rng.choice(("P", "PO")))
        if size.exact > 3:
            yield Rewritten(size, 1, "O", rng.choice(("P", "PO")))
            yield Rewritten(size, 1, "S", rng.choice(("P", "PO", "PO")))


def conclude(all_cases):
    """Were there enough?"""
    print("%d sizes, %d of them one chunk short" % (len(all_cases),
                                                    sum(c.less for c in all_cases)))
    return len({c.size.cs for c in all_cases}) == len(CHUNK_SECTORS) + len(LARGE)
