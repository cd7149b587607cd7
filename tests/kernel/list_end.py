#!/usr/bin/python3 -B
# SPDX-License-Identifier: LGPL-2.1-or-later
# Copyright (C) 2026 the libcow authors
"""Where a list ends, asked of stores that the real kernel made: chains of them on one
device, one over what the other left, filled through the origin and the snapshot, merged
and merged in part. None of them may be called cut; of the same ones damaged, none may
pass for sound or older whose own records stand behind the damage.

list_end.py [--seed N]   makes more than 100 in one boot, and prints the table"""
import argparse
import json
import os
import random
import struct
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "aids")]
import lab  # noqa: E402
from list_end_table import Table, outcome  # noqa: E402

SECTOR, ORIGIN_SECTORS = 512, 16384
CHAINS, CREATIONS = 12, 5
# Over an older store, what is left has the bytes of a sound store.
MAY_BE_OLDER = ("last area",)


def runs_of(rng, kind, nr, nr_chunks):
    """Runs of chunks of the origin, about nr in all."""
    runs, total = [], 0
    if kind == "files":
        runs = [[chunk, 1] for chunk in rng.sample(range(64), 24) + rng.sample(range(64, nr_chunks, 37), 16)]
        total = len(runs)
    at = rng.randrange(nr_chunks)
    while total < nr:
        length = {"files": rng.choice((1, 1, 2, 5, 20, 60)), "random": 1,
                  "sequential": 64}[kind]
        if kind != "sequential":
            at = rng.randrange(nr_chunks)
        length = min(length, nr_chunks - at, nr - total)
        runs.append([at, length])
        total += length
        at = (at + length) % nr_chunks
    return runs


def plan_chain(rng, number, chunk):
    """Steps, and what each saved store is."""
    steps, rows, nr_chunks = [], {}, ORIGIN_SECTORS // chunk
    per_area = chunk * 32

    def fill(row, kind, nr):
        steps.append(["write", rng.choice(("snap", "base")), runs_of(rng, kind, nr, nr_chunks)])
        save(row)

    def save(row):
        name = "%d-%d" % (number, len(rows))
        steps.append(["save", name])
        rows[name] = row

    for creation in range(CREATIONS):
        kind = ("files", "files", "random", "sequential")[(number + creation) % 4]
        steps.append(["create", chunk])
        # 1-MiB-wise writers stop at the edges of areas
        nr = rng.randrange(1, 5 * per_area)
        if kind == "sequential":
            nr = max(64, nr // 64 * 64)
        fill(("first on its device, " if not creation else "over an older one, ") + kind, kind, nr)
        if creation % 2 == 0:
            steps.append(["merge", rng.randrange(1, 3 * per_area) * chunk])
            save("merged, or in part")
            fill("refilled after a merge", "files", rng.randrange(1, 2 * per_area))
    return steps, rows


def damages(rng, raw, chunk):
    """Name, bytes: of a store with more than two areas in use."""
    size, per_area = chunk * SECTOR, chunk * 32

    def area_at(area):
        return (1 + area * (per_area + 1)) * size

    nr = 0
    while struct.unpack_from("<QQ", raw, area_at(nr // per_area) + nr % per_area * 16)[1]:
        nr += 1
    if nr <= 2 * per_area + 64:
        return
    last = (nr - 1) // per_area

    def with_zeros(at, length):
        return raw[:at] + bytes(length) + raw[at + length:]

    yield "an area, not the first or last", with_zeros(area_at(rng.randrange(1, last)), size)
    area = rng.randrange(last)
    yield "a sector of a full area", with_zeros(area_at(area) + rng.randrange(1, chunk) * SECTOR, SECTOR)
    yield "last sector of a full area", with_zeros(area_at(area) + size - SECTOR, SECTOR)
    yield "first sector of area 0", with_zeros(area_at(0), SECTOR)
    to, of = rng.sample(range(last), 2)
    yield "an area is a copy of another", (raw[:area_at(to)] + raw[area_at(of):area_at(of) + size] +
                                           raw[area_at(to) + size:])
    yield "area 0", with_zeros(area_at(0), size)
    yield "last area", with_zeros(area_at(last), size)


def judge(work, rows, chunks, rng):
    sound, damaged, nr_damaged = Table(), Table(), 0
    for nr_sound, (name, row) in enumerate(rows.items()):
        path = "%s/%s.img" % (work, name)
        sound.add(row, outcome(path))
        if nr_sound % 3:
            continue
        with open(path, "rb") as f:
            raw = f.read()
        for kind, data in damages(rng, raw, chunks[name]):
            with open(work + "/damaged.img", "wb") as f:
                f.write(data)
            damaged.add(kind, outcome(work + "/damaged.img"))
            nr_damaged += 1
    sound.print()
    damaged.print()
    print("%d stores of the kernel, %d damaged ones" % (len(rows), nr_damaged))
    faults = ["%s: called cut" % row for row, counts in sound.rows.items()
              if counts["cut"] + counts["copied"] + counts["damaged"]]
    faults += ["%s: called clean or older" % row for row, counts in damaged.rows.items()
               if counts["clean"] or (counts["older"] and row not in MAY_BE_OLDER)]
    if len(rows) < 100 or nr_damaged < 30:
        faults.append("too few stores")
    return faults


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=1)
    rng = random.Random(parser.parse_args().seed)
    with tempfile.TemporaryDirectory() as work:
        chains, sizes, rows, chunks = [], [], {}, {}
        for number in range(CHAINS):
            chunk = (2, 4, 8)[number % 3]
            steps, made = plan_chain(rng, number, chunk)
            chains.append(steps)
            rows.update(made)
            chunks.update(dict.fromkeys(made, chunk))
            sizes.append(7 * (chunk * 32 + 1) * chunk * SECTOR)
        with open(work + "/chains.json", "w") as f:
            json.dump({"origin_sectors": ORIGIN_SECTORS, "cow_bytes": sizes, "chains": chains}, f)
        boot = lab.Boot(work + "/boot", os.path.join(HERE, "list_end_guest.py"), work)
        try:
            boot.start()
            boot.wait()
        finally:
            boot.kill()
        faults = judge(work, rows, chunks, rng)
    print("\n".join(faults))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
