#!/usr/bin/python3 -B
# SPDX-License-Identifier: LGPL-2.1-or-later
# Copyright (C) 2026 the libcow authors
"""Where a list ends: chains of stores on one device, as kernels since 3.14 leave their
metadata, and the same ones damaged. Among the first none may be called cut, among the
second none clean or older whose own records stand behind the damage.

Each store of a chain is made over what the one before left: creating one zeroes header
and area 0, filling area k zeroes area k + 1, and a merge clears records from the end on.
Workloads: a file system's (some hot chunks, then runs of files), random chunks, a
sequential writer.

list_end_table.py [FIXTURES]   prints the table; FIXTURES: stores that a real kernel made"""
import glob
import json
import os
import random
import struct
import subprocess
import sys
import tempfile

CHUNK, SECTOR = 4096, 512
PER_AREA, PER_SECTOR = CHUNK // 16, SECTOR // 16
NR_ORIGIN, NR_AREAS = 60000, 14
CHAINS, LENGTH = 16, 8
OUTCOMES = ("clean", "older", "empty", "torn", "cut", "doubtful", "copied", "damaged", "data")
# What no rule can tell: the bytes of what is left are those of a sound store.
SAME_BYTES = ("last area", "last sector")


class Device:
    """The metadata areas; data is not looked at."""

    def __init__(self):
        self.areas = [bytearray(CHUNK) for _ in range(NR_AREAS)]
        self.records = []

    def create(self):
        self.areas[0] = bytearray(CHUNK)
        self.records = []

    def append(self, olds):
        for old in olds:
            index = len(self.records)
            area, slot = divmod(index, PER_AREA)
            if area + 1 >= NR_AREAS:
                return
            struct.pack_into("<QQ", self.areas[area], slot * 16, old, 2 + index + area)
            self.records.append(old)
            if slot == PER_AREA - 1:
                self.areas[area + 1] = bytearray(CHUNK)

    def merge(self, nr):
        for _ in range(min(nr, len(self.records))):
            self.records.pop()
            area, slot = divmod(len(self.records), PER_AREA)
            self.areas[area][slot * 16:slot * 16 + 16] = bytes(16)

    def write(self, path, areas=None):
        with open(path, "wb") as f:
            f.write(struct.pack("<4s3I", b"SnAp", 1, 1, CHUNK // SECTOR))
            for number, area in enumerate(areas or self.areas):
                if any(area):
                    f.seek((1 + number * (PER_AREA + 1)) * CHUNK)
                    f.write(area)
            f.truncate((1 + NR_AREAS * (PER_AREA + 1)) * CHUNK)


def workload(rng, kind, nr, taken):
    """Chunks of the origin, each once."""
    olds = []

    def take(chunk):
        if chunk < NR_ORIGIN and chunk not in taken and len(olds) < nr:
            taken.add(chunk)
            olds.append(chunk)

    if kind == "files":
        for chunk in rng.sample(range(64), 40) + rng.sample(range(64, 4096, 64), 30):
            take(chunk)
    at = rng.randrange(NR_ORIGIN)
    while len(olds) < nr:
        if kind == "sequential":
            take(at)
            at = (at + 1) % NR_ORIGIN
            continue
        at = rng.randrange(NR_ORIGIN)
        for chunk in range(at, at + (rng.choice((1, 1, 2, 5, 20, 60)) if kind == "files" else 1)):
            take(chunk)
    return olds


def outcome(path):
    """What snapcheck says, without ORIGIN."""
    done = subprocess.run(["snapcheck", "--json", path], stdin=subprocess.DEVNULL,
                          capture_output=True, check=False)
    ids = {f["id"].split(".")[1] for f in json.loads(done.stdout)["findings"]}
    for name, finding in (("copied", "area-copied"), ("cut", "list-cut"), ("doubtful", "list-doubtful"), ("doubtful", "list-end-doubtful"),
                          ("torn", "torn-commit"), ("empty", "records-behind-empty"),
                          ("older", "older-records"), ("data", "data-behind")):
        if finding in ids:
            return name
    return "damaged" if done.returncode else "clean"


def damages(rng, device):
    """Name, areas: of a store of three areas at least."""
    nr = len(device.records)
    last, sectors = (nr - 1) // PER_AREA, PER_AREA // PER_SECTOR

    def zeroed(area, first=0, count=sectors):
        areas = [bytearray(a) for a in device.areas]
        areas[area][first * SECTOR:(first + count) * SECTOR] = bytes(count * SECTOR)
        return areas

    yield "an area, not the first or last", zeroed(rng.randrange(1, last))
    if last > 2:
        areas = zeroed(1)
        areas[2] = bytearray(CHUNK)
        yield "two areas", areas
    yield "a sector of a full area", zeroed(rng.randrange(last), rng.randrange(1, sectors), 1)
    yield "first sector of area 0", zeroed(0, 0, 1)
    yield "last sector of a full area", zeroed(rng.randrange(last), sectors - 1, 1)
    first = rng.randrange(1, sectors)
    yield "sectors to the end of an area", zeroed(rng.randrange(last), first, sectors - first)
    if nr % PER_AREA > 2 * PER_SECTOR:
        yield "a sector of the last area", zeroed(last, 0, 1)
    areas = [bytearray(a) for a in device.areas]
    to, of = rng.sample(range(last), 2)
    areas[to] = bytearray(areas[of])
    yield "an area is a copy of another", areas
    yield "area 0", zeroed(0)
    yield "last area", zeroed(last)
    yield "last sector", zeroed(last, nr % PER_AREA // PER_SECTOR, 1)


def chain(rng, number):
    device = Device()
    for step in range(LENGTH):
        if step % 3 == 2 and device.records:
            device.merge(rng.choice((10 ** 6, rng.randrange(len(device.records)))))
            yield "after a merge", device
            taken = set(device.records)
            device.append(workload(rng, "files", rng.randrange(1, 900), taken))
            yield "refilled after a merge", device
            continue
        kind = ("files", "files", "random", "sequential")[(number + step) % 4]
        device.create()
        device.append(workload(rng, kind, rng.randrange(1, NR_AREAS * PER_AREA - PER_AREA), set()))
        yield ("first on its device, " if not step else "over an older one, ") + kind, device


class Table:
    def __init__(self):
        self.rows = {}

    def add(self, row, name):
        self.rows.setdefault(row, dict.fromkeys(OUTCOMES, 0))[name] += 1

    def print(self):
        print("%-44s %s" % ("", " ".join("%8s" % name for name in OUTCOMES)))
        for row, counts in self.rows.items():
            print("%-44s %s" % (row, " ".join("%8d" % counts[name] for name in OUTCOMES)))


def fixtures_look(folder, table, work):
    """Of a real kernel, with whatever the device held before."""
    nr = 0
    for path in sorted(glob.glob(folder + "/*/cow.img.xz")):
        if "/damaged/" in path or "/lvm" in path or "/clone" in path:
            continue
        with open(work + "/k.img", "wb") as f:
            subprocess.run(["xz", "-dc", path], stdout=f, check=True)
        table.add("by a kernel", outcome(work + "/k.img"))
        nr += 1
    return nr


def main():
    rng = random.Random(int(os.environ.get("COW_SEED", "2")))
    sound, damaged, faults, nr_sound, nr_damaged = Table(), Table(), [], 0, 0
    with tempfile.TemporaryDirectory() as work:
        path = work + "/cow.img"
        for number in range(CHAINS):
            for row, device in chain(rng, number):
                device.write(path)
                sound.add(row, outcome(path))
                nr_sound += 1
                if len(device.records) <= 2 * PER_AREA or nr_sound % 3:
                    continue
                for name, areas in damages(rng, device):
                    device.write(path, areas)
                    damaged.add(name, outcome(path))
                    nr_damaged += 1
        if len(sys.argv) > 1:
            nr_sound += fixtures_look(sys.argv[1], sound, work)
    sound.print()
    damaged.print()
    print("%d sound stores, %d damaged ones" % (nr_sound, nr_damaged))
    faults += ["%s: called cut" % row for row, counts in sound.rows.items() if counts["cut"]]
    faults += ["%s: called clean or older" % row for row, counts in damaged.rows.items()
               if counts["clean"] + counts["older"] and row not in SAME_BYTES]
    if nr_sound < 100 or nr_damaged < 100:
        faults.append("fewer than 100 stores")
    print("\n".join(faults))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
