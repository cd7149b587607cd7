# SPDX-License-Identifier: LGPL-2.1-or-later
# Copyright (C) 2026 the libcow authors
"""The naive oracle: what a snapshot must contain, worked out twice.

From the operations (Model): bytes of view and origin, number of exceptions.
From the disk (Store): an independent reader of the "SnAp" format, as simple
as it can be. Shares no line with libcow.
"""
import struct

SECTOR = 512


def pattern(sector, count, generation):
    """The bytes that a write of this generation puts there; 0: zeros."""
    if not generation:
        return bytes(count * SECTOR)
    return b"".join(b"%015x %015x\n" % (generation, s) * 16
                    for s in range(sector, sector + count))


class Model:
    """A snapshot, followed operation by operation."""

    def __init__(self, origin, chunk_sectors):
        self.origin = bytearray(origin)
        self.view = bytearray(origin)
        self.chunk_sectors = chunk_sectors
        self.old_chunks = set()

    def write(self, device, sector, count, generation):
        """device "O" is the origin, "S" the snapshot."""
        target = self.origin if device == "O" else self.view
        target[sector * SECTOR:(sector + count) * SECTOR] = pattern(sector, count, generation)
        first, last = sector // self.chunk_sectors, (sector + count - 1) // self.chunk_sectors
        self.old_chunks.update(range(first, last + 1))

    def append(self, device_chunk, generation):
        """An exception for one whole chunk (clipped at the end)."""
        sector = device_chunk * self.chunk_sectors
        self.write("S", sector, min(self.chunk_sectors, len(self.view) // SECTOR - sector),
                   generation)

    def status(self, cow_bytes):
        """What dmsetup must print: allocation never left a hole."""
        return status(len(self.old_chunks), self.chunk_sectors, cow_bytes)


def status(nr_exceptions, chunk_sectors, cow_bytes):
    full_areas = nr_exceptions // (chunk_sectors * 32)
    allocated = 2 + nr_exceptions + full_areas
    return "%d/%d %d" % (allocated * chunk_sectors, cow_bytes // SECTOR,
                         (full_areas + 2) * chunk_sectors)


def exact_chunks(nr_exceptions, chunk_sectors):
    """Chunks that a store needs to take so many exceptions."""
    return nr_exceptions + 2 + nr_exceptions // (chunk_sectors * 32)


class FormatError(Exception):
    pass


class Store:
    """Header and records of a COW image, read from the disk."""

    def __init__(self, path):
        self.path = path
        with open(path, "rb") as f:
            self.bytes = f.read()
        magic, self.valid, version, self.chunk_sectors = struct.unpack_from("<4s3I", self.bytes)
        if magic != b"SnAp" or version != 1:
            raise FormatError("%s: no store: %r" % (path, self.bytes[:16]))
        self.chunk_bytes = self.chunk_sectors * SECTOR
        self.per_area = self.chunk_bytes // 16
        self.nr_chunks = len(self.bytes) // self.chunk_bytes
        self.records, self.tail = self._load()

    def _load(self):
        records, area = [], 0
        while True:
            at = (1 + area * (self.per_area + 1)) * self.chunk_bytes
            if at + self.chunk_bytes > len(self.bytes):
                raise FormatError("%s: area %d lies beyond the end" % (self.path, area))
            for i in range(self.per_area):
                old, new = struct.unpack_from("<QQ", self.bytes, at + i * 16)
                if not new:
                    return records, self.bytes[at + i * 16:at + self.chunk_bytes]
                records.append((old, new))
            area += 1

    def verify(self, origin_sectors):
        """Raises if a record is not what a sane writer leaves."""
        olds, news = set(), set()
        for index, (old, new) in enumerate(self.records):
            if (new < 2 or new >= self.nr_chunks or new % (self.per_area + 1) == 1 or
                    old * self.chunk_sectors >= origin_sectors or old in olds or new in news):
                raise FormatError("%s: record %d is bad: %d -> %d" % (self.path, index, old, new))
            olds.add(old)
            news.add(new)
        if self.tail.count(0) != len(self.tail):
            raise FormatError("%s: bytes behind the terminator" % self.path)

    def status(self):
        free = 2
        for _, new in self.records:
            free = max(free, new + 1)
        if free % (self.per_area + 1) == 1:
            free += 1
        areas = len(self.records) // self.per_area
        return "%d/%d %d" % (free * self.chunk_sectors, len(self.bytes) // SECTOR,
                             (areas + 2) * self.chunk_sectors)

    def nr_runs(self):
        """Steps that the kernel's merge takes."""
        runs = 0
        for i, (old, new) in enumerate(self.records):
            if i % self.per_area == 0 or self.records[i - 1] != (old - 1, new - 1):
                runs += 1
        return runs

    def view(self, origin):
        """What the snapshot device reads over these bytes of the origin."""
        view = bytearray(origin)
        for old, new in reversed(self.records):
            at, there = old * self.chunk_bytes, new * self.chunk_bytes
            count = max(0, min(self.chunk_bytes, len(view) - at))
            view[at:at + count] = self.bytes[there:there + count]
        return view
