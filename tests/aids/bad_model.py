#!/usr/bin/python3 -B
# SPDX-License-Identifier: LGPL-2.1-or-later
# Copyright (C) 2026 the libcow authors
"""Bad sectors by a naive model: draws maps of ddrescue, and says what must come
out where sectors of the COW image cannot be read.

bad_model.py draw MAP COW SEED [NUMBER]     a map with so many bad places in data
bad_model.py view ORIGIN COW MAP FILL OUT   the view; FILL is origin or zero
bad_model.py kept ORIGIN COW MAP            records that touch a bad sector
bad_model.py readable ORIGIN COW MAP        records without any
bad_model.py sectors COW MAP                bad sectors: first, number
bad_model.py left COW                       records of a store, sorted
bad_model.py list ORIGIN COW MAP            lines of --bad-list
"""
import os
import random
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "kernel"))
from snap import SECTOR, Store  # noqa: E402


def number_of(word):
    """As in C."""
    return int(word, 8) if word.isdigit() and word.startswith("0") else int(word, 0)


def blocks(path):
    """The blocks of a map, as (position, size, status)."""
    with open(path) as f:
        lines = [line.split() for line in f if line.strip() and not line.startswith("#")]
    return [(number_of(w[0]), number_of(w[1]), w[2]) for w in lines[1:]]


def bad_sectors(path, size):
    bad = set(range(size // SECTOR))
    for position, length, status in blocks(path):
        if status == "+":
            bad -= set(range(-(-position // SECTOR), (position + length) // SECTOR))
    return bad


def draw(path, cow, seed, number=7):
    """Statuses and bases as they come; the bad places lie in data chunks."""
    rng = random.Random(seed)
    store = Store(cow)
    bad = {}
    for _ in range(int(number)):
        _, new = rng.choice(store.records)
        start = new * store.chunk_sectors + rng.randrange(store.chunk_sectors)
        room = store.chunk_sectors - start % store.chunk_sectors
        for sector in range(start, start + rng.randint(1, min(room, 9))):
            bad[sector] = rng.choice("?*/-")
    with open(path, "w") as f:
        f.write("# drawn\n0x0 + 1\n")
        start, total = 0, os.path.getsize(cow) // SECTOR
        while start < total:
            end = start
            while end < total and bad.get(end, "+") == bad.get(start, "+"):
                end += 1
            number = rng.choice(("%d", "0x%X", "0%o"))
            f.write((number + " " + number + " %s\n") % (start * SECTOR, (end - start) * SECTOR,
                                                         bad.get(start, "+")))
            start = end


def places(store, bad, size):
    """(origin sector, COW sector) of each bad sector of an exception, sorted."""
    found = []
    for old, new in store.records:
        for i in range(store.chunk_sectors):
            at = old * store.chunk_sectors + i
            if at * SECTOR < size and new * store.chunk_sectors + i in bad:
                found.append((at, new * store.chunk_sectors + i))
    return sorted(found)


def view(origin, cow, path, fill, out):
    with open(origin, "rb") as f:
        data = f.read()
    store = Store(cow)
    shown = store.view(data)
    for at, _ in places(store, bad_sectors(path, os.path.getsize(cow)), len(data)):
        there = slice(at * SECTOR, (at + 1) * SECTOR)
        shown[there] = data[there] if fill == "origin" else bytes(len(data[there]))
    with open(out, "wb") as f:
        f.write(shown)


def sectors(cow, path):
    """First sector and number of each run of bad ones."""
    run = None
    for sector in sorted(bad_sectors(path, os.path.getsize(cow))):
        if run and sum(run) == sector:
            run[1] += 1
            continue
        if run:
            print(*run)
        run = [sector, 1]
    print(*run)


def kept(origin, cow, path):
    store = Store(cow)
    bad = bad_sectors(path, os.path.getsize(cow))
    found = {there // store.chunk_sectors
             for _, there in places(store, bad, os.path.getsize(origin))}
    for old, new in sorted(store.records):
        if new in found:
            print(old, new)


def readable(origin, cow, path):
    """Records that can be read, and their data too."""
    store = Store(cow)
    bad = bad_sectors(path, os.path.getsize(cow))
    gone = {there // store.chunk_sectors
            for _, there in places(store, bad, os.path.getsize(origin))}
    found = []
    for index, record in enumerate(store.records):
        area, slot = divmod(index, store.per_area)
        at = (1 + area * (store.per_area + 1)) * store.chunk_bytes + slot * 16
        if at // SECTOR not in bad and record[1] not in gone:
            found.append(record)
    for record in sorted(found):
        print(*record)


def left(cow):
    for record in sorted(Store(cow).records):
        print(*record)


def bad_list(origin, cow, path):
    store = Store(cow)
    bad = bad_sectors(path, os.path.getsize(cow))
    runs = []
    for at, there in places(store, bad, os.path.getsize(origin)):
        if runs and runs[-1][0] + runs[-1][2] == there and runs[-1][1] + runs[-1][2] == at:
            runs[-1][2] += 1
        else:
            runs.append([there, at, 1])
    for run in runs:
        print(*(n * SECTOR for n in run))


if __name__ == "__main__":
    {"draw": draw, "view": view, "kept": kept, "left": left, "sectors": sectors, "readable": readable,
     "list": bad_list}[sys.argv[1]](*sys.argv[2:])
