# SPDX-License-Identifier: LGPL-2.1-or-later
# Copyright (C) 2026 the libcow authors
"""Stores with random damage, some of each kind (tests/aids/damage.h). What
"snapcheck -y -o NEW" makes of them the real kernel must load, with the same
usage and the same view as ours, and merge now and then; where snapcheck says
that it will not (cut too short, marked invalid), it must refuse."""
import json
import os
import random
import shutil
import subprocess

from snap import SECTOR, Store, status
from states import equal, read, same, sha

PER_KIND = 31
WANTED = 300
MERGED_ONE_IN = 8
OLD_CHUNKS = 400  # DAMAGE_OLD_CHUNKS


class Damaged:
    def __init__(self, directory, tools, origins, is_merged):
        self.name = os.path.basename(directory)
        self.directory, self.is_merged = directory, is_merged
        self.story = read(self.path("story")).decode()
        origin = origins[Store(self.path("good")).chunk_bytes]
        done = tools.run("snapcheck", "--json", "-y", "--force=lost", "-o", self.path("new"), origin,
                         self.path("cow"), exits=(0, 1, 4, 5, 64))
        self.exit, self.ops, self.loads = done.returncode, [], None
        if self.exit == 64:  # no telling what it was
            return
        verdict = json.loads(done.stdout)["verdict"]
        self.loads, self.valid = verdict["kernel_loads"], verdict["valid"]
        if self.loads:
            # What is in doubt is what the kernel shows, all the same.
            tools.run("snapdump", "-q", "--raw", "--force=doubtful", "-o", self.path("view"), origin,
                      self.path("new"), exits=(0, 4))
            self.view = read(self.path("view"))
            self.store = Store(self.path("new"))
            same(self.name + self.story + " view by the naive reader",
                 self.store.view(read(origin)), self.view)
        self.ops = self.plan(origin)

    def path(self, name):
        return os.path.join(self.directory, name)

    def plan(self, origin):
        sectors = os.path.getsize(origin) // SECTOR
        ops = [["loop", "o", origin], ["loop", "c", self.path("new")]]
        if not self.valid:
            return ops + [["dm", "S", sectors, "snapshot", "{o} {c} P 1"], ["status", "S"]]
        if not self.loads:
            return ops + [["dm_fails", "S", sectors, "snapshot", "{o} {c} P 1"]]
        table = "{o} {c} P %d" % self.store.chunk_sectors
        ops += [["dm", "S", sectors, "snapshot", table], ["status", "S"], ["sha256", "S"]]
        if self.is_merged:
            shutil.copyfile(origin, self.path("origin"))
            ops += [["remove", "S"], ["loop", "m", self.path("origin")],
                    ["dm", "M", sectors, "snapshot-merge", table.replace("{o}", "{m}")],
                    ["merged", "M"]]
        return ops

    def judge(self, answers):
        if not self.ops:
            equal(self.story + " a new image although refused", os.path.exists(self.path("new")),
                  False)
            return
        if not self.valid:
            equal(self.story + " status", answers[3], "Invalid")
        if not self.loads:  # the kernel refused, as snapcheck had said
            return
        equal(self.story + " usage by the kernel", answers[3], self.store.status())
        equal(self.story + " view by the kernel", answers[4], sha(self.view))
        if self.is_merged:
            equal(self.story + " usage after the kernel's merge", answers[8],
                  status(0, self.store.chunk_sectors, len(self.store.bytes)))
            same(self.story + " merged by the kernel", read(self.path("origin")), self.view)


def cases(work, tools, args):
    """Words: how many of each kind."""
    directory = os.path.join(work, "damaged")
    os.mkdir(directory)
    subprocess.run([tools.program("tests/kernel/damage_states"), directory,
                    args.words[0] if args.words else str(PER_KIND)],
                   check=True, env=dict(os.environ, COW_SEED=args.seed))
    rng, origins = random.Random(args.seed), {}
    for chunk_bytes in (512, 1024):
        origins[chunk_bytes] = os.path.join(work, "origin-%d" % chunk_bytes)
        with open(origins[chunk_bytes], "wb") as f:
            f.write(rng.randbytes(OLD_CHUNKS * chunk_bytes))
    for number, name in enumerate(sorted(os.listdir(directory))):
        yield Damaged(os.path.join(directory, name), tools, origins,
                      number % MERGED_ONE_IN == 0)


def conclude(all_cases):
    """Were there enough?"""
    loaded = sum(bool(c.loads) for c in all_cases)
    exits = {e: sum(c.exit == e for c in all_cases) for e in (0, 1, 4, 64)}
    print("%d repaired stores loaded; snapcheck's exits: %s" % (loaded, exits))
    return loaded >= WANTED
