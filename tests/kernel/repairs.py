# SPDX-License-Identifier: LGPL-2.1-or-later
# Copyright (C) 2026 the libcow authors
"""Damaged pools, one fault each, and the new metadata that "snapcheck -y -o NEW" makes
of them: the kernel loads these, each device shows what the sound pool shows, but for
the ranges that the repair gave up; it writes, takes a snapshot and deletes, and then
thin_check and snapcheck have nothing to say."""
import json
import os
import shutil
import subprocess

from cases import Failure
from snap import SECTOR, pattern
from states import equal, sha

BLOCK = 128
DATA_SECTORS = 384 * BLOCK
SECTORS = 36608
IDS = (0, 1, 2, 3, 4, 7)
NAMES = ("leaf-zero", "cycle-self", "cycle-up", "internal-keys-order", "max-entries-small", "details-csum",
         "data-bitmap-zero", "meta-bitmap-csum", "two-ids-one-root", "sb-time-0", "swapped-sealed",
         "mapping-no-details", "sb-needs-check", "map-beyond-data", "data-ref-2to1", "sub-root-csum",
         "nr-blocks-large", "leaf-keys-dup", "sb-mapping-root-beyond")


def view(tools, metadata, data, ident, out):
    tools.run("snapdump", "-q", "--raw", "-o", out,
              "thin:metadata=%s,data=%s,id=%d,size=%ds" % (metadata, data, ident, SECTORS))
    with open(out, "rb") as f:
        shown = bytearray(f.read())
    os.unlink(out)
    return shown


class Repaired:
    def __init__(self, name, work, tools, sound, fixtures):
        self.name, self.tools = name, tools
        self.dir = os.path.join(work, name)
        os.mkdir(self.dir)
        self.data, self.new = self.path("data"), self.path("new")
        subprocess.run(["cp", "--sparse=always", os.path.join(fixtures, "data.img"), self.data], check=True)
        spec = "thin:metadata=%s,data=%s" % (os.path.join(fixtures, name + ".meta.img"), self.data)
        done = tools.run("snapcheck", "--json", "-y", "-o", self.new, spec, exits=(0, 1, 4, 5))
        said = json.loads(done.stdout)
        self.shown = {}
        for ident in IDS:
            shown = bytearray(sound[ident])
            if any(r["device"] == ident for r in said["in_doubt"]):
                shown = view(tools, self.new, self.data, ident, self.path("out"))
            for lost in said["lost"]:
                if lost["device"] == ident:
                    end = lost["offset_bytes"] + lost["length_bytes"] if lost["length_bytes"] else len(shown)
                    shown[lost["offset_bytes"]:end] = bytes(end - lost["offset_bytes"])
            self.shown[ident] = shown
        self.ops, self.wanted = [], {}
        self.kernel()

    def path(self, name):
        return os.path.join(self.dir, name)

    def device(self, ident, *ops):
        name = "t%d" % ident
        self.ops += [["dm", name, SECTORS, "thin", "{pool} %d" % ident], *ops, ["remove", name]]

    def look(self):
        for ident in sorted(self.shown):
            self.wanted[len(self.ops) + 1] = "device %d" % ident, sha(self.shown[ident])
            self.device(ident, ["sha256", "t%d" % ident])

    def write(self, ident, sector, count, generation):
        self.shown[ident][sector * SECTOR:(sector + count) * SECTOR] = pattern(sector, count, generation)
        self.wanted[len(self.ops) + 1] = "writes that failed", []
        self.device(ident, ["write", "t%d" % ident, 1, [[sector, count, generation]]])

    def kernel(self):
        self.ops += [["loop", "m", self.new], ["loop", "d", self.data],
                     ["dm", "pool", DATA_SECTORS, "thin-pool", "{m} {d} %d 0" % BLOCK]]
        self.look()
        for generation, ident in enumerate(IDS):
            # one that is shared, one that is the device's own, one that is new
            for sector in (5 * BLOCK + 8, 150 * BLOCK + 3, 280 * BLOCK):
                self.write(ident, sector, 8, 1000 + generation)
        self.ops.append(["message", "pool", "create_snap 100 0", "delete 2"])
        self.shown[100] = bytearray(self.shown[0])
        del self.shown[2]
        self.write(0, 6 * BLOCK, BLOCK, 2000)
        self.write(100, 7 * BLOCK + 1, 3, 2001)
        self.look()
        self.ops += [["remove", "pool", "m", "d"]]

    def judge(self, answers):
        for at, (what, wanted) in self.wanted.items():
            equal("%s, by the kernel, op %d" % (what, at), answers[at], wanted)
        done = subprocess.run(["thin_check", self.new], capture_output=True, text=True, check=False)
        if done.returncode:
            raise Failure("thin_check: exit %d\n%s%s" % (done.returncode, done.stdout, done.stderr))
        said = json.loads(self.tools.run("snapcheck", "--json",
                                         "thin:metadata=%s,data=%s" % (self.new, self.data)).stdout)
        if [f for f in said["findings"] if f["class"] != "info"]:
            raise Failure("snapcheck: %s" % said["findings"])
        shutil.rmtree(self.dir)


def cases(work, tools, args):
    """Words: the names of the cases; none: all of them."""
    fixtures = os.path.join(os.environ["COW_UNPACKED"], "thin", "damaged")
    sound = {ident: view(tools, os.path.join(fixtures, "sound.meta.img"), os.path.join(fixtures, "data.img"), ident,
                         os.path.join(work, "out")) for ident in IDS}
    for name in args.words or NAMES:
        yield Repaired(name, work, tools, sound, fixtures)


def conclude(all_cases):
    return len(all_cases) >= 6
