# SPDX-License-Identifier: LGPL-2.1-or-later
# Copyright (C) 2026 the libcow authors
"""Thin pools in which the tools and the kernel take turns: they create, take snapshots
and delete, the tools exchange devices and make some with what an image has, and the kernel writes. After each change by the tools and after the kernel each
device shows what a model says, thin_check has nothing to say, and snapcheck neither."""
import hashlib
import json
import os
import random
import subprocess

from cases import Failure
from snap import SECTOR, pattern
from states import equal, sha

NR_POOLS = 12
BLOCKS = 12  # of the largest device


class Pool:
    """A pool of some size, and what each of its devices shows: {id: bytes}."""

    def __init__(self, number, work, tools, rng):
        self.tools, self.rng = tools, rng
        self.name = "pool-%d" % number
        self.dir = os.path.join(work, self.name)
        os.mkdir(self.dir)
        self.block = rng.choice((128, 128, 256, 384))
        self.nr_data = rng.randint(40, 80)
        self.tail = rng.randrange(self.block) if rng.random() < 0.5 else 0
        self.shown, self.ops, self.wanted, self.generation = {}, [], {}, 0
        self.nr_swaps = self.nr_fills = 0
        for name, sectors in (("meta", 8 * rng.choice((64, 300, 1024, 20000))),
                              ("data", self.block * self.nr_data + self.tail)):
            with open(os.path.join(self.dir, name), "wb") as f:
                f.truncate(sectors * SECTOR)
        tools.run("snapcreate", "-q", "--force=overwrite", "-c", "%ds" % self.block, self.spec())
        self.check()
        self.change(rng.randint(0, 3))
        for _ in range(2):
            self.kernel()
            self.change(rng.randint(1, 3), in_guest=True)
        self.kernel()

    def path(self, name):
        return os.path.join(self.dir, name)

    def spec(self, ident=None):
        text = "thin:metadata=%s,data=%s" % (self.path("meta"), self.path("data"))
        return text if ident is None else "%s,id=%d,size=%ds" % (text, ident, self.sectors(ident))

    def sectors(self, ident):
        return len(self.shown[ident]) // SECTOR

    # ------------------------------------------------------------ the kernel

    def kernel(self):
        """Ops of one boot; what the answers must be goes to self.wanted."""
        self.ops += [["loop", "m", self.path("meta")], ["loop", "d", self.path("data")],
                     ["dm", "pool", self.block * self.nr_data + self.tail, "thin-pool",
                      "{m} {d} %d 0" % self.block]]
        for ident in sorted(self.shown):
            self.look(ident)
        for _ in range(self.rng.randint(2, 5)):
            self.step()
        for ident in sorted(self.shown):
            self.look(ident)
        self.ops += [["remove", "pool", "m", "d"]]

    def device(self, ident, *ops):
        name = "t%d" % ident
        self.ops += [["dm", name, self.sectors(ident), "thin", "{pool} %d" % ident], *ops,
                     ["remove", name]]

    def look(self, ident):
        self.wanted[len(self.ops) + 1] = "device %d" % ident, sha(self.shown[ident])
        self.device(ident, ["sha256", "t%d" % ident])

    def write(self, ident):
        size, writes = self.sectors(ident), []
        for _ in range(self.rng.randint(1, 4)):
            sector = self.rng.randrange(size)
            count = min(self.rng.choice((1, 8, self.block)), size - sector)
            self.generation += 1
            writes.append([sector, count, self.generation])
            self.shown[ident][sector * SECTOR:(sector + count) * SECTOR] = \
                pattern(sector, count, self.generation)
        self.wanted[len(self.ops) + 1] = "writes that failed", []
        self.device(ident, ["write", "t%d" % ident, 1, writes])

    def step(self):
        """One change by the kernel."""
        known, rng = sorted(self.shown), self.rng
        what = rng.choice(("write", "write", "snap", "delete")) if known else "create"
        if known and len(known) < 3 and rng.random() < 0.3:
            what = "create"
        if what == "write":
            return self.write(rng.choice(known))
        ident = rng.choice(known) if known else 0
        new = max(known, default=-1) + rng.randint(1, 3)
        if what == "create":
            self.ops.append(["message", "pool", "create_thin %d" % new])
            self.shown[new] = bytearray(rng.randint(1, BLOCKS * self.block) * SECTOR)
            return self.write(new)
        if what == "snap" and len(known) < 6:
            self.ops.append(["message", "pool", "create_snap %d %d" % (new, ident)])
            self.shown[new] = bytearray(self.shown[ident])
        elif what == "delete" and len(known) > 1:
            self.ops.append(["message", "pool", "delete %d" % ident])
            del self.shown[ident]
        return None

    # ------------------------------------------------------------ the tools

    def check(self):
        """Is it sound to thin_check and to snapcheck, and does each device show what it should?"""
        done = subprocess.run(["thin_check", self.path("meta")], capture_output=True, text=True, check=False)
        if done.returncode:
            raise Failure("thin_check: exit %d\n%s%s" % (done.returncode, done.stdout, done.stderr))
        said = json.loads(self.tools.run("snapcheck", "--json", self.spec()).stdout)
        if [f for f in said["findings"] if f["class"] not in ("info",)]:
            raise Failure("snapcheck: %s" % said["findings"])
        equal("devices", sorted(d["id"] for d in said["store"]["devices"]), sorted(self.shown))
        for ident, shown in self.shown.items():
            out = self.path("out")
            if not any(shown):
                continue
            self.tools.run("snapdump", "-q", "--raw", "-o", out, self.spec(ident))
            with open(out, "rb") as f:
                equal("device %d by the tools" % ident, hashlib.sha256(f.read()).hexdigest(), sha(shown))
            os.unlink(out)

    def tool(self, in_guest, *words):
        """Runs it now, or between two lives of the pool in the guest."""
        if in_guest:
            self.ops.append(["tool", [0], self.tools.program(words[0]), *words[1:]])
        else:
            self.tools.run(*words)
            self.check()

    def change(self, nr, in_guest=False):
        """Some changes by the tools, each of them sound."""
        for _ in range(nr):
            known, rng = sorted(self.shown), self.rng
            what = rng.choice(("fill", "fill", "snap", "swap", "swap", "create", "delete")) if known \
                else rng.choice(("create", "fill"))
            ident = rng.choice(known) if known else 0
            if what == "swap" and self.swap(in_guest, ident):
                continue
            new = max(known, default=-1) + 1
            if what == "fill":
                self.fill(in_guest, new, ident if known and rng.random() < 0.7 else None)
            elif what == "create":
                self.shown[new] = bytearray(rng.randint(1, BLOCKS * self.block) * SECTOR)
                self.tool(in_guest, "snapcreate", "-q", "--thin", self.spec())
            elif what == "snap":
                new += rng.randint(0, 3)
                self.shown[new] = bytearray(self.shown[ident])
                self.tool(in_guest, "snapcreate", "-q", "--snapshot-of=%d" % ident, self.spec() + ",id=%d" % new)
            else:
                del self.shown[ident]
                self.tool(in_guest, "snapcreate", "-q", "-y", "--delete", self.spec() + ",id=%d" % ident)

    def fill(self, in_guest, new, parent):
        """A device with what an image has, a snapshot of another one or not."""
        rng = self.rng
        shown = bytearray(rng.randint(1, BLOCKS * self.block) * SECTOR) if parent is None \
            else bytearray(self.shown[parent])
        for _ in range(rng.randint(0, 3)):
            sector = rng.randrange(len(shown) // SECTOR)
            count = min(rng.choice((1, 8, self.block)), len(shown) // SECTOR - sector)
            self.generation += 1
            shown[sector * SECTOR:(sector + count) * SECTOR] = \
                pattern(sector, count, self.generation) if rng.random() < 0.8 else bytes(count * SECTOR)
        image = self.path("image-%d-%d" % (new, self.generation))
        with open(image, "wb") as f:
            f.write(shown)
        self.shown[new] = shown
        self.nr_fills += 1
        how = "--thin" if parent is None else "--snapshot-of=%d" % parent
        self.tool(in_guest, "snapcreate", "-q", how, "--from=" + image, self.spec() + ",id=%d" % new)

    def swap(self, in_guest, ident):
        """Exchanges it with another one of its size, if there is one."""
        others = [i for i in self.shown if i != ident and len(self.shown[i]) == len(self.shown[ident])]
        if not others:
            return False
        other = self.rng.choice(sorted(others))
        self.shown[ident], self.shown[other] = self.shown[other], self.shown[ident]
        self.nr_swaps += 1
        self.tool(in_guest, "snapmerge", "-q", "-y", "--force=origin", self.spec(ident), self.spec(other))
        return True

    def judge(self, answers):
        for at, (what, wanted) in self.wanted.items():
            equal("%s, by the kernel, op %d" % (what, at), answers[at], wanted)
        self.check()
        self.change(self.rng.randint(0, 2))


def cases(work, tools, args):
    """Words: how many."""
    rng = random.Random(args.seed)
    for number in range(int(args.words[0]) if args.words else NR_POOLS):
        yield Pool(number, work, tools, rng)


def conclude(all_cases):
    """Were there enough?"""
    nr_swaps = sum(case.nr_swaps for case in all_cases)
    nr_fills = sum(case.nr_fills for case in all_cases)
    print("%d pools, %d exchanges, %d devices with what an image has" % (len(all_cases), nr_swaps, nr_fills))
    return len(all_cases) >= 5 and nr_swaps >= 1 and nr_fills >= 5
