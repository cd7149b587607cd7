#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Random single faults in the metadata of clones, judged twice: by snapcheck, and by the naive reader below, which was
written from cow-clone(5) and shares no code with the library.

usage: clone_model.py [--count N] [--seed S] [--keep DIR]

Both say how bad it is: sound, note or damage. Each must say what the other says. Needs COW_UNPACKED, and snapcheck in
PATH. A metadata image on which they differ is kept in DIR.
"""
import argparse
import functools
import json
import os
import random
import struct
import subprocess
import sys
import tempfile

SUPER, NODE, ARRAY, INDEX, BITMAP = 257649492, 121107, 595846735, 160478, 240779
BASES = ["half-r8", "half-r64", "two-arrays", "meta-wrap", "writes-before-r8", "killed-hydration-1", "one-region",
         "finished-r8", "meta-smallest", "damaged/00-clean.meta", "regions-64", "discard-mixed-r64"]
NOTE, DAMAGE = 1, 2


def table_make():
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82f63b78 if byte & 1 else 0)
        table.append(byte)
    return table


TABLE = table_make()


@functools.lru_cache(maxsize=4096)
def crc(data):
    c = 0xffffffff
    for byte in data:
        c = c >> 8 ^ TABLE[(c ^ byte) & 255]
    return c


def u32(b, at):
    return struct.unpack_from("<I", b, at)[0]


def u64(b, at):
    return struct.unpack_from("<Q", b, at)[0]


class Bad(Exception):
    pass


class Model:
    def __init__(self, image):
        self.image, self.nr_blocks = image, len(image) // 4096
        self.worst, self.why = 0, []
        self.counts = {0: 1}
        self.hydrated = None

    def say(self, how, why):
        self.worst = max(self.worst, how)
        self.why.append(why)

    def block(self, number, kind):
        """The bytes of a block of this kind; Bad: it is none."""
        if number >= self.nr_blocks:
            raise Bad("block %d lies behind the end" % number)
        raw = self.image[number * 4096:number * 4096 + 4096]
        if u32(raw, 0) != crc(raw[4:]) ^ kind:
            raise Bad("checksum of block %d" % number)
        if u64(raw, 16 if kind == ARRAY else 8) != number:
            raise Bad("number of block %d" % number)
        return raw

    def node(self, number, size):
        """flags, keys, values of a node with leaf values of this size."""
        raw = self.block(number, NODE)
        flags, nr, most, value = u32(raw, 4), u32(raw, 16), u32(raw, 20), u32(raw, 24)
        if flags not in (1, 2):
            raise Bad("flags of node %d" % number)
        size = 8 if flags == 1 else size
        if value != size or most != 4064 // (8 + size) // 3 * 3 or nr > most or (flags == 1 and not nr):
            raise Bad("head of node %d" % number)
        keys = [u64(raw, 32 + 8 * i) for i in range(nr)]
        if any(a >= b for a, b in zip(keys, keys[1:])):
            raise Bad("keys of node %d" % number)
        values = [int.from_bytes(raw[32 + 8 * most + size * i:32 + 8 * most + size * (i + 1)], "little") for i in range(nr)]
        return flags, keys, values

    def tree(self, root, size, counts):
        """All entries of the leaves, in order."""
        entries, depths = [], set()
        todo = [(root, 0, 2 ** 64, 0)]
        while todo:
            number, low, high, depth = todo.pop(0)
            if depth > 15 or counts.get(number):
                raise Bad("block %d is there twice" % number)
            counts[number] = 1
            flags, keys, values = self.node(number, size)
            if any(not low <= key < high for key in keys) or (depth and keys and keys[0] != low):
                raise Bad("keys of node %d and its parent" % number)
            if flags == 2:
                depths.add(depth)
                entries += zip(keys, values)
                continue
            for i, child in enumerate(values):
                todo.append((child, keys[i], keys[i + 1] if i + 1 < len(keys) else high, depth + 1))
        if len(depths) > 1:
            raise Bad("leaves of several depths")
        self.depth = depths.pop()
        return sorted(entries)

    def bitset(self, root, nr_words, counts):
        """The words of a bitset; Bad: it is not whole."""
        entries = self.tree(root, 8, counts)
        nr = -(-nr_words // 509)
        if [key for key, _ in entries] != list(range(nr)):
            raise Bad("the bitset of %d has the array blocks %s" % (root, [key for key, _ in entries][:9]))
        words = []
        for key, number in entries:
            raw = self.block(number, ARRAY)
            if counts.get(number):
                raise Bad("array block %d is there twice" % number)
            counts[number] = 1
            wanted = min(509, nr_words - 509 * key)
            if (u32(raw, 4), u32(raw, 8), u32(raw, 12)) != (509, wanted, 8):
                raise Bad("head of array block %d" % number)
            words += struct.unpack_from("<%dQ" % wanted, raw, 24)
        return words

    def others(self, nr_words):
        """What other whole trees on the device have."""
        seen = [0] * nr_words
        for number in range(1, self.nr_blocks):
            try:
                flags, keys, _ = self.node(number, 8)
                if not keys or keys[0]:
                    continue
                words = self.bitset(number, nr_words, {})
            except Bad:
                continue
            seen = [a | b for a, b in zip(seen, words)]
        return seen

    def superblock(self):
        raw = self.image[:4096]
        if not any(raw):
            raise Bad("block 0 is zeros")
        raw = self.block(0, SUPER)
        if u64(raw, 32) != 0x8af27f64 or u32(raw, 40) != 1:
            raise Bad("magic or version")
        region, target = u64(raw, 172), u64(raw, 180)
        if region & region - 1 or not 8 <= region <= 1 << 21 or not target or -(-target // region) > 1 << 31:
            raise Bad("region or target size")
        self.root = u64(raw, 188)
        self.map = [u64(raw, 44 + 8 * i) for i in range(4)]
        return -(-target // region)

    def ref_counts(self):
        try:
            entries = self.tree(self.map[3], 4, self.counts)
        except Bad as why:
            self.say(DAMAGE, str(why))
            return {}
        return dict(entries)

    def space_map(self):
        nr_blocks, nr_allocated, index_block = self.map[:3]
        if nr_blocks > self.nr_blocks:
            self.say(DAMAGE, "the map counts %d blocks of %d" % (nr_blocks, self.nr_blocks))
        large = self.ref_counts()
        index = self.block(index_block, INDEX)
        self.counts[index_block] = self.counts.get(index_block, 0) + 1
        found, nr_bitmaps = {}, -(-min(nr_blocks, self.nr_blocks, 4161600) // 16320)
        for i in range(nr_bitmaps):
            at = 16 + 16 * i
            number, nr_free, first = u64(index, at), u32(index, at + 8), u32(index, at + 12)
            raw = self.block(number, BITMAP)
            self.counts[number] = self.counts.get(number, 0) + 1
            values = [raw[16 + e // 4] >> 2 * (e % 4) & 3 for e in range(16320)]
            values = [(v & 1) * 2 + (v >> 1) for v in values]
            real = min(nr_blocks - 16320 * i, 16320)
            if nr_free not in (values.count(0), values[:real].count(0)):
                self.say(DAMAGE, "number of free entries")
            if first > (values.index(0) if 0 in values else 16320):
                self.say(DAMAGE, "the first free entry")
            found.update((16320 * i + e, v) for e, v in enumerate(values) if v)
        self.compare(found, large, nr_blocks, nr_allocated)

    def compare(self, found, large, nr_blocks, nr_allocated):
        for block, count in large.items():
            if count < 3 or found.get(block) != 3:
                self.say(DAMAGE, "an entry in the tree of counts")
        for block, count in found.items():
            if block >= nr_blocks:
                continue
            if count == 3 and large.get(block, 0) < 3:
                self.say(DAMAGE, "block %d has 3 or more" % block)
            elif not self.counts.get(block):
                self.say(NOTE, "block %d leaked" % block)
            elif count != self.counts[block]:
                self.say(DAMAGE, "block %d counted %d" % (block, count))
        for block in self.counts:
            if not found.get(block):
                self.say(DAMAGE, "block %d counted as free" % block)
        used = sum(1 for block in found if block < nr_blocks)
        if used != nr_allocated:
            self.say(NOTE, "allocated")
        if self.hydrated < self.nr_regions and nr_blocks - used < 4 + self.height:
            self.say(DAMAGE, "no room for a commit")

    def judge(self):
        try:
            self.nr_regions = self.superblock()
            nr_words = -(-self.nr_regions // 64)
            if nr_words > self.nr_blocks * 509:
                raise Bad("more words than the device can hold")
            words = self.bitset(self.root, nr_words, self.counts)
            self.height = self.depth
            tail = (1 << self.nr_regions % 64) - 1 if self.nr_regions % 64 else 2 ** 64 - 1
            if words[-1] & ~tail:
                self.say(NOTE, "bits behind the last region")
                words[-1] &= tail
            self.hydrated = sum(bin(w).count("1") for w in words)
            seen = self.others(nr_words)
            seen[-1] &= tail
            if any(s & ~w for s, w in zip(seen, words)):
                self.say(DAMAGE, "another tree has more")
            self.space_map()
        except Bad as why:
            self.say(DAMAGE, str(why))
        return self.worst


# ---------------------------------------------------------------- faults

def kind_of(raw):
    return u32(raw, 0) ^ crc(bytes(raw[4:]))


def fault_make(rng, image, used):
    """One fault; says it."""
    nr = len(image) // 4096
    number = rng.choice(used) if rng.random() < 0.85 else rng.randrange(nr)
    at = number * 4096
    raw = bytearray(image[at:at + 4096])
    kind = kind_of(raw)
    how = rng.randrange(6)
    if how == 0:
        offset = rng.randrange(4096)
        raw[offset] ^= 1 << rng.randrange(8)
        what = "bit at %d" % offset
    elif how == 1:
        raw = bytearray(4096)
        what = "zeros"
    elif how == 2:
        other = rng.randrange(nr)
        raw = bytearray(image[other * 4096:other * 4096 + 4096])
        what = "a copy of block %d" % other
        kind = None
        if rng.random() < 0.5:
            kind = kind_of(raw)
            raw[16 if kind == ARRAY else 8:][:8] = struct.pack("<Q", number)
            offset = 16 if kind == ARRAY else 8
            raw[offset:offset + 8] = struct.pack("<Q", number)
            what += ", with its number"
            raw[0:4] = struct.pack("<I", kind ^ crc(bytes(raw[4:])))
    else:
        # where something is said: the head, or the first entries
        offset = 4 * rng.randrange(1, 60) if rng.random() < 0.7 else 4 * rng.randrange(1, 1024)
        old = u32(raw, offset)
        new = rng.choice([0, 1, 2, old + 1, old - 1, old ^ 1 << rng.randrange(32), rng.getrandbits(32), 2 ** 32 - 1])
        raw[offset:offset + 4] = struct.pack("<I", new & 2 ** 32 - 1)
        raw[0:4] = struct.pack("<I", kind ^ crc(bytes(raw[4:])))
        what = "word at %d: %d to %d, checksum right" % (offset, old, new & 2 ** 32 - 1)
    return image[:at] + bytes(raw) + image[at + 4096:], "block %d: %s" % (number, what)


def ours(path):
    done = subprocess.run(["snapcheck", "-t", "clone", "--json", path], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, check=False)
    if done.returncode == 64:
        return DAMAGE, None, "refused: " + done.stderr.decode()
    report = json.loads(done.stdout)
    if done.returncode not in (0, 4):
        return -1, None, "exit %d: %s" % (done.returncode, done.stderr.decode())
    counts = report["counts"]
    worst = DAMAGE if counts["damage"] + counts["lost"] else NOTE if counts["note"] else 0
    if (done.returncode == 4) != (worst == DAMAGE):
        return -1, None, "exit %d with %s" % (done.returncode, counts)
    if worst < DAMAGE and not report["verdict"]["view_trustworthy"]:
        return -1, None, "sound, and not trustworthy"
    return worst, report.get("store", {}).get("exceptions"), " ".join(f["id"] for f in report["findings"][:6])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--seed", default=os.environ.get("COW_SEED", "1"))
    parser.add_argument("--keep", default=None)
    args = parser.parse_args()
    rng, bad, tally = random.Random("clone model " + args.seed), 0, [0, 0, 0]
    bases = []
    for name in BASES:
        file = name + ".img" if "/" in name else name + "/meta.img"
        with open(os.path.join(os.environ["COW_UNPACKED"], "clone", file), "rb") as f:
            image = f.read()
        model = Model(image)
        model.judge()
        bases.append((name, image, sorted(block for block in model.counts)))
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        path = os.path.join(folder, "meta")
        for i in range(args.count):
            name, image, used = rng.choice(bases)
            changed, what = fault_make(rng, image, used)
            with open(path, "wb") as f:
                f.write(changed)
            model = Model(changed)
            theirs = model.judge()
            mine, hydrated, words = ours(path)
            tally[theirs] += 1
            if mine == theirs and (theirs == DAMAGE or hydrated == model.hydrated):
                continue
            bad += 1
            print("%d: %s, %s\n  model: %d, %s hydrated: %s\n  snapcheck: %d, %s hydrated: %s" % (
                i, name, what, theirs, model.hydrated, "; ".join(model.why[:4]), mine, hydrated, words), flush=True)
            if args.keep:
                with open(os.path.join(args.keep, "differs-%d.img" % i), "wb") as f:
                    f.write(changed)
    print("%d faults, seed %s: %d sound, %d notes, %d damaged; %d judged otherwise by snapcheck" % (
        args.count, args.seed, tally[0], tally[NOTE], tally[DAMAGE], bad))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
