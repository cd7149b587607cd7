# SPDX-License-Identifier: LGPL-2.1-or-later
# Copyright (C) 2026 the libcow authors
"""Small pairs of origin and COW image, written by a few lines of Python, with
what their view is: the judge of everything that comes out."""
import hashlib
import random
import struct

SECTOR = 512


class Pair:
    """Random: chunk size, size (also no multiple of a chunk), exceptions, some
    of them runs, a full area now and then, leaked chunks."""

    def __init__(self, seed):
        rng = random.Random(seed)
        self.chunk = SECTOR << rng.choice((0, 0, 1, 3, 3, 4, 5))
        sectors = rng.randint(8, 24) * max(8, self.chunk // SECTOR) - rng.choice((0, 0, 1, 3))
        self.origin = rng.randbytes(sectors * SECTOR)
        nr_chunks = -(-len(self.origin) // self.chunk)
        per_area = self.chunk // 16
        wanted = min(nr_chunks, rng.choice((1, 5, per_area - 1, per_area, per_area + 1, nr_chunks)))
        self.old = rng.sample(range(nr_chunks), wanted)
        if rng.random() < 0.5:
            self.old.sort()
        self.records, new = [], 2
        for old in self.old:
            if rng.random() < 0.03:
                new += 1  # leaked, as old kernels did
            if new % (per_area + 1) == 1:
                new += 1
            self.records.append((old, new))
            new += 1
        # A full last area is followed by an empty one.
        areas = len(self.records) // per_area + 1
        chunks = max(new, 2 + (areas - 1) * (per_area + 1)) + rng.randint(0, 40)
        cow = bytearray(chunks * self.chunk)
        cow[:16] = struct.pack("<4sIII", b"SnAp", 1, 1, self.chunk // SECTOR)
        view = bytearray(self.origin + bytes(nr_chunks * self.chunk - len(self.origin)))
        for i, (old, new) in enumerate(self.records):
            area = 1 + i // per_area * (per_area + 1)
            struct.pack_into("<QQ", cow, area * self.chunk + i % per_area * 16, old, new)
            data = rng.choice((rng.randbytes(self.chunk), bytes(self.chunk)))
            cow[new * self.chunk:(new + 1) * self.chunk] = data
            view[old * self.chunk:(old + 1) * self.chunk] = data
        self.cow, self.view = bytes(cow), bytes(view[:len(self.origin)])

    def damaged(self, seed):
        """Two exceptions for one chunk, and stale ones behind the end."""
        rng = random.Random(seed)
        cow = bytearray(self.cow)
        per_area = self.chunk // 16
        last = len(self.records) % per_area
        at = (1 + len(self.records) // per_area * (per_area + 1)) * self.chunk
        if last and rng.random() < 0.5:
            struct.pack_into("<Q", cow, at + (last - 1) * 16, self.records[0][0])
        if last + 2 < per_area:
            struct.pack_into("<QQ", cow, at + (last + 1) * 16, 1, 2)
        return bytes(cow)


def meaning(cow):
    """What a store says: its chunk size and, of each chunk of the origin, the
    data. Two repairs may say the same with other places and another order."""
    magic, valid, version, sectors = struct.unpack_from("<4sIII", cow)
    chunk = sectors * SECTOR
    if magic != b"SnAp" or valid == 0 or version != 1 or chunk & (chunk - 1) or not chunk:
        return cow
    per_area, said, i = chunk // 16, {}, 0
    while True:
        at = (1 + i // per_area * (per_area + 1)) * chunk + i % per_area * 16
        old, new = struct.unpack_from("<QQ", cow, at) if at + 16 <= len(cow) else (0, 0)
        if not new:
            return repr((chunk, sorted(said.items()))).encode()
        said.setdefault(old, hashlib.md5(cow[new * chunk:(new + 1) * chunk]).hexdigest())
        i += 1
