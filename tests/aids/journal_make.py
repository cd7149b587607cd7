#!/usr/bin/python3 -B
# SPDX-License-Identifier: LGPL-2.1-or-later
# Copyright (C) 2026 the libcow authors
"""Journals of jbd2, written at random, and e2fsck as judge of what a replay gives.

usage: journal_make.py COUNT [SEED], or --keep VERSION for one, cut.img. Makes COUNT file systems whose journal holds
transactions over the blocks of one file: all versions of checksums, block numbers of
32 and 64 bits, escaped blocks, revoked ones, a log that wraps, older transactions
behind the end, a last transaction that is torn. "snapdump --cat" of the file must give
what it gives after e2fsck replayed the journal of a copy. Prints how many blocks were
replayed, revoked and escaped."""
import os
import random
import shutil
import struct
import subprocess
import sys

BLOCK = 1024
JOURNAL_BLOCKS = 1024
FILE_BLOCKS = 60
MAGIC = 0xC03B3998


def table(polynomial):
    rows = []
    for i in range(256):
        for _ in range(8):
            i = i >> 1 ^ (polynomial if i & 1 else 0)
        rows.append(i)
    return rows


CASTAGNOLI = table(0x82F63B78)
ETHERNET = [int("{:032b}".format(row)[::-1], 2) for row in table(0xEDB88320)]
ETHERNET = [ETHERNET[int("{:08b}".format(i)[::-1], 2)] for i in range(256)]


def crc32c(crc, data):
    for byte in data:
        crc = crc >> 8 ^ CASTAGNOLI[(crc ^ byte) & 255]
    return crc


def crc32_be(crc, data):
    for byte in data:
        crc = (crc << 8 & 0xFFFFFFFF) ^ ETHERNET[crc >> 24 ^ byte]
    return crc


class Journal:
    def __init__(self, rng, version, is_64bit, blocks, file_blocks):
        self.rng, self.version, self.is_64bit = rng, version, is_64bit
        self.blocks, self.file_blocks = blocks, file_blocks
        self.uuid = rng.randbytes(16)
        self.seed = crc32c(0xFFFFFFFF, self.uuid)
        self.log = {}
        # At the end now and then, so that it wraps.
        self.at = self.start = rng.choice((1, 500, JOURNAL_BLOCKS - 3, JOURNAL_BLOCKS - 30))
        self.sequence = self.first = rng.choice((1, 77, 0xFFFFFFFE))
        self.seconds = 10**9
        self.escaped = self.revoked = 0
        self.crc = 0xFFFFFFFF

    def put(self, raw):
        self.log[self.at] = raw
        self.at = self.at + 1 if self.at + 1 < JOURNAL_BLOCKS else 1

    def head(self, kind):
        return struct.pack(">III", MAGIC, kind, self.sequence & 0xFFFFFFFF)

    def tailed(self, raw):
        raw = raw.ljust(BLOCK - 4, b"\0")
        if self.version < 2:
            return raw + bytes(4)
        return raw + struct.pack(">I", crc32c(self.seed, raw + bytes(4)))

    def tag(self, number, data, flags):
        crc = crc32c(crc32c(self.seed, struct.pack(">I", self.sequence & 0xFFFFFFFF)), data)
        if self.version == 3:
            return struct.pack(">IIII", number, flags, 0, crc)
        raw = struct.pack(">IHH", number, crc & 0xFFFF if self.version == 2 else 0, flags)
        raw += bytes(4) if self.is_64bit else b""
        return raw + (bytes(2) if self.version == 2 else b"")

    def descriptor(self):
        chosen = self.rng.sample(self.file_blocks, self.rng.randrange(1, 9))
        raw, datas = self.head(1), []
        for i, number in enumerate(chosen):
            flags, data = 0, self.rng.randbytes(BLOCK)
            if not self.rng.randrange(4):
                flags, data = 1, bytes(4) + data[4:]
                self.escaped += 1
            if i:
                flags |= 2
            if i == len(chosen) - 1:
                flags |= 8
            raw += self.tag(number, data, flags)
            raw += b"" if i else self.uuid
            datas.append(data)
        raw = self.tailed(raw)
        for block in [raw] + datas:
            self.put(block)
            self.crc = crc32_be(self.crc, block) if self.version == 1 else 0

    def revoke(self):
        chosen = self.rng.sample(self.file_blocks, self.rng.randrange(1, 9))
        self.revoked += len(chosen)
        size = 8 if self.is_64bit else 4
        self.put(self.tailed(self.head(5) + struct.pack(">I", 16 + size * len(chosen)) +
                             b"".join(n.to_bytes(size, "big") for n in chosen)))

    def commit(self):
        self.seconds += 1
        raw = bytearray(self.head(2).ljust(BLOCK, b"\0"))
        struct.pack_into(">Q", raw, 48, self.seconds)
        if self.version == 1:
            raw[12:14] = bytes((1, 4))
            struct.pack_into(">I", raw, 16, self.crc)
        elif self.version:
            struct.pack_into(">I", raw, 16, crc32c(self.seed, raw))
        self.put(bytes(raw))
        self.sequence += 1
        self.crc = 0xFFFFFFFF

    def transactions(self):
        for _ in range(self.rng.randrange(1, 8)):
            if not self.rng.randrange(3):
                self.revoke()
            for _ in range(self.rng.randrange(1, 3)):
                self.descriptor()
            if not self.rng.randrange(4):
                self.revoke()
            self.commit()
        if self.rng.randrange(2):  # a power cut: no commit block
            self.descriptor()
        elif self.rng.randrange(2):  # what was there before, an older round
            self.sequence -= 20
            self.descriptor()
            self.commit()

    def superblock(self):
        incompat = 1 | (2 if self.is_64bit else 0) | {2: 8, 3: 16}.get(self.version, 0)
        raw = bytearray(BLOCK)
        struct.pack_into(">IIIIIIIII", raw, 0, MAGIC, 4, 0, BLOCK, JOURNAL_BLOCKS, 1, self.first, self.start, 0)
        struct.pack_into(">III", raw, 36, self.version == 1, incompat, 0)
        raw[48:64] = self.uuid
        struct.pack_into(">I", raw, 64, 1)
        raw[80] = 4 if self.version > 1 else 0
        if self.version > 1:
            struct.pack_into(">I", raw, 252, crc32c(0xFFFFFFFF, raw))
        return bytes(raw)

    def write(self, path):
        with open(path, "r+b") as f:
            for number, raw in [(0, self.superblock())] + list(self.log.items()):
                f.seek(self.blocks[number] * BLOCK)
                f.write(raw)
            f.seek(1024 + 96)  # s_feature_incompat: needs recovery
            incompat = struct.unpack("<I", f.read(4))[0] | 4
            f.seek(1024 + 96)
            f.write(struct.pack("<I", incompat))


def blocks_of(image, name):
    done = subprocess.run(("debugfs", "-R", f"blocks {name}", image), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                          check=True, text=True)
    return [int(word) for word in done.stdout.split()]


def file_of(image):
    done = subprocess.run(("snapdump", "--cat=victim", "-q", image), stdout=subprocess.PIPE, check=True)
    return done.stdout


def keep(version, blocks, file_blocks):
    """cut.img, for others to look at."""
    journal = Journal(random.Random(version), version, False, blocks, file_blocks)
    journal.at = journal.start = 1
    journal.transactions()
    shutil.copy("base.img", "cut.img")
    journal.write("cut.img")


def main():
    is_kept = sys.argv[1] == "--keep"
    count = int(sys.argv[2 if is_kept else 1])
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(10**9)
    os.makedirs("tree", exist_ok=True)
    with open("tree/victim", "wb") as f:
        f.write(b"v" * FILE_BLOCKS * BLOCK)
    subprocess.run(("mke2fs", "-q", "-F", "-t", "ext4", "-b", "1024", "-J", "size=1", "-O", "^metadata_csum,^64bit",
                    "-d", "tree", "base.img", "4M"), check=True)
    journal_blocks, file_blocks = blocks_of("base.img", "<8>"), blocks_of("base.img", "victim")
    assert len(journal_blocks) == JOURNAL_BLOCKS and len(file_blocks) == FILE_BLOCKS
    if is_kept:
        return keep(count, journal_blocks, file_blocks)
    changed = revoked = escaped = 0
    for number in range(count):
        rng = random.Random(seed * 10000 + number)
        journal = Journal(rng, number % 4, bool(number // 4 % 2), journal_blocks, file_blocks)
        journal.transactions()
        shutil.copy("base.img", "cut.img")
        journal.write("cut.img")
        ours = file_of("cut.img")
        subprocess.run(("e2fsck", "-y", "-E", "journal_only", "cut.img"), check=False, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)
        wanted = file_of("cut.img")
        if ours != wanted:
            wrong = [i for i in range(FILE_BLOCKS) if ours[i * BLOCK:][:BLOCK] != wanted[i * BLOCK:][:BLOCK]]
            sys.exit(f"seed {seed}, case {number}, version {number % 4}: blocks {wrong} of the file differ")
        changed += sum(ours[i * BLOCK:][:BLOCK] != b"v" * BLOCK for i in range(FILE_BLOCKS))
        revoked, escaped = revoked + journal.revoked, escaped + journal.escaped
    print(f"seed {seed}: {changed} blocks replayed, {revoked} revoked, {escaped} escaped")
    if changed < count * 4 or not revoked or not escaped:
        sys.exit("too little was replayed")
    return None


main()
