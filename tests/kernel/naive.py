# SPDX-License-Identifier: LGPL-2.1-or-later
# Copyright (C) 2026 the libcow authors
"""A stand-in for the tools in a few lines of Python, with bugs on request:
proves that lab and cases work, and that they notice what they are for."""
import os
import struct

from snap import SECTOR, Store, pattern

# A bug, what it is, and a case of the seed SEED_AWAKE that must notice it.
SEED_AWAKE = "awake"
MUTANTS = {
    "view": ("one bit of the view is wrong", 1),
    "clip": ("the view goes on behind the end of the origin", 5),
    "usage": ("the skipped metadata chunk of a full area is not counted", 8),
    "merge-lost": ("the first exception of an area is not copied", 0),
    "merge-early": ("one record more is cut than was copied", 7),
    "append-area": ("new chunks do not skip metadata areas", 21),
    "append-order": ("the area behind a full one is not zeroed", 14),
    "create-stale": ("area 0 is not zeroed", 11),
    "size": ("the size rule forgets an area now and then", 33),
}


class Naive:
    def __init__(self, mutant=None):
        self.mutant = mutant
        self.name = "naive" + ("-" + mutant if mutant else "")

    def view(self, origin, cow, out):
        with open(origin, "rb") as f:
            data = f.read()
        store = Store(cow)
        view = store.view(data)
        if self.mutant == "view" and store.records:
            view[store.records[-1][0] * store.chunk_bytes] ^= 1
        if self.mutant == "clip":
            view += bytes(-len(view) % store.chunk_bytes)
        with open(out, "wb") as f:
            f.write(view)

    def check(self, _origin, cow):
        store = Store(cow)
        used, rest = store.status().split("/")
        if self.mutant == "usage" and len(store.records) % store.per_area == 0 and store.records:
            used = str(int(used) - store.chunk_sectors)
        return {"exit": 0 if store.valid else 4, "status": used + "/" + rest}

    def create(self, origin, cow, chunk_bytes):
        """In a file that is there, or a new one of the default size."""
        chunks = -(-os.path.getsize(origin) // chunk_bytes)
        per_area = chunk_bytes // 16 + (1 if self.mutant == "size" else 0)
        if not os.path.exists(cow):
            with open(cow, "wb") as f:
                f.truncate((chunks + 2 + chunks // per_area) * chunk_bytes)
        with open(cow, "r+b") as f:
            f.write(struct.pack("<4s3I", b"SnAp", 1, 1, chunk_bytes // SECTOR).ljust(chunk_bytes,
                                                                                     b"\0"))
            if self.mutant != "create-stale":
                f.write(bytes(chunk_bytes))

    def append(self, origin, cow, batches):
        """batches of [(old_chunk, generation)]."""
        sectors = os.path.getsize(origin) // SECTOR
        for batch in batches:
            for old, generation in batch:
                store = Store(cow)
                cs, index = store.chunk_sectors, len(store.records)
                area, slot = divmod(index, store.per_area)
                new = 2 + index + area
                if self.mutant == "append-area" and area:
                    new -= 1
                data = pattern(old * cs, min(cs, sectors - old * cs), generation)
                with open(cow, "r+b") as f:
                    f.seek(new * store.chunk_bytes)
                    f.write(data)
                    if slot == store.per_area - 1 and self.mutant != "append-order":
                        f.seek((1 + (area + 1) * (store.per_area + 1)) * store.chunk_bytes)
                        f.write(bytes(store.chunk_bytes))
                    f.seek((1 + area * (store.per_area + 1)) * store.chunk_bytes + slot * 16)
                    f.write(struct.pack("<QQ", old, new))

    def _merge_tail(self, origin, cow, nr_records):
        store = Store(cow)
        size = os.path.getsize(origin)
        with open(origin, "r+b") as o, open(cow, "r+b") as c:
            for _ in range(nr_records):
                old, new = store.records.pop()
                area, slot = divmod(len(store.records), store.per_area)
                at = old * store.chunk_bytes
                if self.mutant != "merge-lost" or slot != 0:
                    o.seek(at)
                    there = new * store.chunk_bytes
                    o.write(store.bytes[there:there + min(store.chunk_bytes, size - at)])
                c.seek((1 + area * (store.per_area + 1)) * store.chunk_bytes + slot * 16)
                c.write(bytes(16))

    def merge(self, origin, cow):
        self._merge_tail(origin, cow, len(Store(cow).records))

    def merge_killed(self, origin, cow, rng):
        """A merge that dies part way."""
        total = len(Store(cow).records)
        self._merge_tail(origin, cow, rng.randrange(total + 1))
        if self.mutant == "merge-early" and len(Store(cow).records) > 1:
            store = Store(cow)
            area, slot = divmod(len(store.records) - 1, store.per_area)
            with open(cow, "r+b") as c:
                c.seek((1 + area * (store.per_area + 1)) * store.chunk_bytes + slot * 16)
                c.write(bytes(16))
