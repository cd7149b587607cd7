#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
# Copyright (C) 2026 the libcow authors
"""thin_faults.py [--seed S] [--count N]: single faults in the metadata of a pool, most of
them under a checksum that is put right. A naive reader (thin_naive.py) says what each
device shows then, and what contradicts the format. snapcheck must

  1 find something where the naive checker does;
  2 find nothing where it finds nothing;
  3 not call the data right where a device shows something else, or cannot be read,
    unless no rule tells: the naive checker finds nothing either.

Needs the folders that COW_UNPACKED names. Exit 1: the two do not agree."""
import argparse
import json
import os
import random
import struct
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from thin_naive import BLOCK, INDEX, NODE, SUPER, BITMAP, Fault, Pool, kind_of, seal  # noqa: E402

NR_VIEW = 290


def read_blocks(path):
    with open(path, "rb") as f:
        data = f.read()
    return [data[i:i + BLOCK] for i in range(0, len(data) - BLOCK + 1, BLOCK)]


def places(raw, kind, rng):
    """An offset and a width where something stands."""
    if kind == NODE:
        nr, most, size = struct.unpack_from("<III", raw, 16)
        at = rng.choice(("head", "key", "value", "value"))
        if at == "head" or not nr:
            return rng.choice(((4, 4), (8, 8), (16, 4), (20, 4), (24, 4)))
        i = rng.randrange(nr)
        if at == "key":
            return 32 + 8 * i, 8
        return 32 + 8 * most + size * i + rng.randrange(max(size // 8, 1)) * 8, min(size, 8)
    if kind == SUPER:
        return rng.choice(((4, 4), (8, 8), (32, 8), (44, 4), (64, 8), (72, 8), (80, 8), (88, 8), (192, 8), (200, 8),
                           (208, 8), (216, 8), (320, 8), (328, 8), (336, 4), (352, 4), (356, 4), (360, 4)))
    if kind == INDEX:
        return rng.choice(((8, 8), (16, 8), (24, 4), (28, 4)))
    return 16 + rng.randrange(100), 1


def other(value, width, raw, rng):
    """Another value, one that may be taken for a right one."""
    most = (1 << 8 * width) - 1
    choices = [value ^ 1 << rng.randrange(8 * width), value + 1, value - 1, 0, rng.randrange(90),
               value + (1 << 24), value ^ 1 << 24, rng.randrange(most + 1),
               int.from_bytes(raw[32 + 8 * rng.randrange(500):][:width], "little")]
    return rng.choice(choices) & most


def fault(blocks, kinds, live, rng):
    """(what, block, bytes) of one fault."""
    number = rng.choice(live) if rng.random() < 0.95 else rng.randrange(len(blocks))
    raw, kind = blocks[number], kinds[number]
    what = rng.random()
    if what < 0.1:
        at = rng.randrange(BLOCK)
        return "a bit at %d" % at, number, raw[:at] + bytes([raw[at] ^ 1 << rng.randrange(8)]) + raw[at + 1:]
    if what < 0.14:
        return "zeros", number, bytes(BLOCK)
    if what < 0.2 and kind == NODE:
        source = rng.choice([n for n in live if kinds[n] == NODE])
        return "the bytes of %d" % source, number, seal(blocks[source][:8] + struct.pack("<Q", number) +
                                                        blocks[source][16:], NODE)
    at, width = places(raw, kind, rng)
    value = int.from_bytes(raw[at:at + width], "little")
    changed = other(value, width, raw, rng)
    made = raw[:at] + changed.to_bytes(width, "little") + raw[at + width:]
    return "%d bytes at %d: %#x for %#x" % (width, at, changed, value), number, seal(made, kind or NODE)


class Campaign:
    def __init__(self, directory, rng):
        base = os.path.join(os.environ["COW_UNPACKED"], "thin", "damaged")
        self.meta, self.data = os.path.join(directory, "meta"), os.path.join(base, "data.img")
        self.blocks, self.rng = read_blocks(os.path.join(base, "sound.meta.img")), rng
        self.kinds = [kind_of(b) for b in self.blocks]
        self.nr_data = os.path.getsize(self.data) // 65536
        pool = Pool(self.blocks, self.kinds, self.nr_data)
        if pool.check():
            sys.exit("the naive checker calls the sound pool damaged: %s" % pool.wrong)
        self.live = sorted(pool.counts)
        self.ids = (0, 1, 2, 3, 4, 7)
        self.base = [pool.view(i, NR_VIEW) for i in self.ids]
        self.nr = {"damaged": 0, "sound": 0, "shown otherwise": 0}
        with open(self.meta, "wb") as f:
            f.write(b"".join(self.blocks))

    def snapcheck(self):
        done = subprocess.run(["snapcheck", "--json", "thin:metadata=%s,data=%s" % (self.meta, self.data)],
                              capture_output=True, text=True, check=False, timeout=60)
        if done.returncode not in (0, 4):
            raise AssertionError("exit status %d: %s" % (done.returncode, done.stderr))
        return json.loads(done.stdout)

    def judge(self, blocks, kinds):
        """Sentences about what does not agree."""
        try:
            pool = Pool(blocks, kinds, self.nr_data)
            shows = [pool.view(i, NR_VIEW) for i in self.ids] == self.base
            wrong = pool.check()
        except Fault as e:
            wrong, shows = [str(e)], False
        said = self.snapcheck()
        found = [f["id"] for f in said["findings"] if f["class"] != "info"]
        self.nr["damaged" if wrong else "sound"] += 1
        self.nr["shown otherwise"] += not shows
        bad = []
        if wrong and not found:
            bad.append("nothing was found; the naive checker: %s" % wrong[:3])
        if not wrong and found:
            bad.append("found: %s; the naive checker finds nothing" % found)
        if not shows and wrong and said["verdict"]["view_trustworthy"]:
            bad.append("a device shows something else, and the data is called right: %s, %s" % (found, wrong[:3]))
        return bad

    def run(self, count):
        nr_bad = 0
        for number in range(count):
            what, block, made = fault(self.blocks, self.kinds, self.live, self.rng)
            blocks, kinds = list(self.blocks), list(self.kinds)
            blocks[block], kinds[block] = made, kind_of(made)
            with open(self.meta, "r+b") as f:
                f.seek(block * BLOCK)
                f.write(made)
            for bad in self.judge(blocks, kinds):
                nr_bad += 1
                print("FAILED: fault %d, block %d, %s: %s" % (number, block, what, bad), flush=True)
            with open(self.meta, "r+b") as f:
                f.seek(block * BLOCK)
                f.write(self.blocks[block])
        print("%d faults, %d of them wrong in the eyes of the naive checker, %d show something else, %d disagreements"
              % (count, self.nr["damaged"], self.nr["shown otherwise"], nr_bad))
        return nr_bad or not self.nr["damaged"] or not self.nr["shown otherwise"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", default=os.environ.get("COW_SEED"))
    parser.add_argument("--count", type=int, default=5000)
    args = parser.parse_args()
    args.seed = args.seed or str(random.SystemRandom().randrange(1 << 32))
    print("COW_SEED=%s" % args.seed, flush=True)
    with tempfile.TemporaryDirectory() as directory:
        return 1 if Campaign(directory, random.Random(args.seed)).run(args.count) else 0


if __name__ == "__main__":
    sys.exit(main())
