# SPDX-License-Identifier: LGPL-2.1-or-later
# Copyright (C) 2026 the libcow authors
"""Logical blocks other than 512 bytes, on loop devices: snapcreate refuses a
chunk size that is no multiple of both devices' blocks, as the kernel would; such a
store from elsewhere is sound, and can be read. One that is a multiple makes a store which the kernel takes, writes to, and we merge."""
import errno
import json
import os
import random

from snap import Model, Store, status
from states import equal, same, sha

SECTORS = 8 * 97
REFUSED = (16, 64)


class Blocks:
    """Devices of these blocks, chunks of that size."""

    def __init__(self, work, tools, rng, origin_block, cow_block, chunk_bytes):
        self.tools = tools
        self.blocks = origin_block, cow_block
        self.name = "blocks-%d-%d-%d" % (origin_block, cow_block, chunk_bytes)
        self.directory = os.path.join(work, self.name)
        os.mkdir(self.directory)
        self.chunk_bytes = chunk_bytes
        self.fits = all(chunk_bytes % block == 0 for block in self.blocks)
        self.origin = rng.randbytes(SECTORS * 512)
        for name, data in (("origin", self.origin), ("cow", rng.randbytes(2 * SECTORS * 512))):
            with open(self.path(name), "wb") as f:
                f.write(data)
        # What snapcheck and snapmerge say of a store that came from a file.
        with open(self.path("empty"), "wb") as f:
            f.truncate(2 * SECTORS * 512)
        tools.create(self.path("origin"), self.path("empty"), chunk_bytes)
        self.newer = rng.randbytes(SECTORS * 512)
        with open(self.path("newer"), "wb") as f:
            f.write(self.newer)
        tools.run("snapcreate", "-q", "-c", str(chunk_bytes), "--from", self.path("newer"),
                  self.path("origin"), self.path("full"))
        # A device has whole blocks; Linux 6.12 reads no part of one at the end.
        os.truncate(self.path("full"), -(-os.path.getsize(self.path("full")) // 4096) * 4096)
        self.model = Model(self.origin, chunk_bytes // 512)
        self.ops = self.plan(rng)

    def path(self, name):
        return os.path.join(self.directory, name)

    def plan(self, rng):
        program = self.tools.program
        table = ["snapshot", "{o} {c} P %d" % (self.chunk_bytes // 512)]
        create = [program("snapcreate"), "-q", "--force=overwrite", "-c", str(self.chunk_bytes),
                  "{o}", "{c}"]
        ops = [["loop", "o", self.path("origin"), self.blocks[0]],
               ["loop", "c", self.path("cow"), self.blocks[1]],
               ["tool", [0] if self.fits else REFUSED, *create],
               ["loop", "e", self.path("empty"), self.blocks[1]],
               ["tool", [0, 4], program("snapcheck"), "--json", "{o}", "{e}"]]
        if not self.fits:
            # What the kernel refuses can be read, and merged into a new image.
            return ops + [["dm_fails", "S", SECTORS, "snapshot", "{o} {e} P 0"],
                          ["loop", "f", self.path("full"), self.blocks[1]],
                          ["tool", [0], program("snapcheck"), "--json", "{o}", "{f}"],
                          ["tool", [0], program("snapdump"), "-q", "--raw", "-o",
                           self.path("view"), "{o}", "{f}"],
                          ["tool", [0], program("snapmerge"), "-q", "-o",
                           self.path("merged"), "{o}", "{f}"],
                          ["tool", [64], program("snapmerge"), "-n", "{o}", "{f}"],
                          ["tool", [64], program("snapmerge"), "-y", "{o}", "{f}"]]
        unit = max(self.blocks) // 512
        writes = []
        for generation in range(1, 9):
            sector = rng.randrange(SECTORS // unit) * unit
            count = min(SECTORS - sector, unit * rng.randint(1, 9))
            writes.append([sector, count, generation])
            self.model.write("S", sector, count, generation)
        return ops + [["dm", "S", SECTORS, *table], ["write", "S", 1, writes], ["sha256", "S"],
                      ["remove", "S"], ["dm", "S", SECTORS, *table], ["sha256", "S"],
                      ["remove", "S"],
                      ["tool", [0], program("snapcheck"), "-q", "{o}", "{c}"],
                      ["tool", [0], program("snapmerge"), "-q", "-y", "{o}", "{c}"],
                      ["dm", "S", SECTORS, *table], ["status", "S"]]

    def judge(self, answers):
        verdict = json.loads(answers[4])["verdict"]
        equal("snapcheck: the kernel loads it", verdict["kernel_loads"], self.fits)
        if not self.fits:
            equal("errno of the kernel", answers[5], errno.EINVAL)
            with open(self.path("cow"), "rb") as f:
                equal("nothing was written", f.read(4) == b"SnAp", False)
            self.judge_misfit(json.loads(answers[7]))
            return
        equal("writes that failed", answers[6], [])
        for at in (7, 10):
            equal("view by the kernel", answers[at], sha(self.model.view))
        equal("usage, merged", answers[15], status(0, self.chunk_bytes // 512, 2 * SECTORS * 512))
        with open(self.path("origin"), "rb") as f:
            same("origin, merged by us", f.read(), self.model.view)
        equal("exceptions left", Store(self.path("cow")).records, [])

    def judge_misfit(self, report):
        verdict = report["verdict"]
        equal("a store with data: loads, view, merge", [verdict[key] for key in (
            "kernel_loads", "view_trustworthy", "merge_right")], [False, True, False])
        equal("findings", {f["id"] for f in report["findings"]}, {"persistent.chunk-below-block"})
        for name in ("view", "merged"):
            with open(self.path(name), "rb") as f:
                same(name, f.read(), self.newer)
        with open(self.path("origin"), "rb") as f:
            same("origin, not merged into", f.read(), self.origin)


def cases(work, tools, args):
    rng = random.Random(args.seed)
    for blocks in ((4096, 4096), (512, 4096), (4096, 512), (1024, 2048)):
        for chunk_bytes in (512, 1024, 2048, 4096, 8192):
            yield Blocks(work, tools, rng, *blocks, chunk_bytes)


def conclude(all_cases):
    """Were there enough?"""
    print("%d pairs of devices, %d chunk sizes refused"
          % (len(all_cases), sum(not c.fits for c in all_cases)))
    return any(c.fits for c in all_cases) and any(not c.fits for c in all_cases)
