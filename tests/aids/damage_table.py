#!/usr/bin/python3 -B
# SPDX-License-Identifier: LGPL-2.1-or-later
# Copyright (C) 2026 the libcow authors
"""Words against bytes: damages sound stores in known ways, works out what the kernel
shows of each, and holds that against what snapcheck says and what its repair brings
back. Bytes are read by the reader below, which shares no line with libcow.

damage_table.py FIXTURES README   compares with the table in README
UPDATE=1 damage_table.py ...      writes it"""
import json
import os
import random
import re
import struct
import subprocess
import sys
import tempfile

CHUNK = 4096
PER_AREA = CHUNK // 16
SECTOR = 512
HEAD = "| damage | kernel | wrong chunks | verdict | exit | repaired: exit | wrong chunks |"

# Exit status 0, with or without a note, beside a wrong view, and why no tool can know. At
# most 6; a lost area or sector other than area 0, a copy of an area and a foreign origin
# are never among them.
EXCUSED = {
    "area 0 zeroed": "a new store over an older one has the same bytes; a note says so",
    "origin was cut": "it alone shows the same file system, of the same size: it may have been cut before the snapshot was taken; a note says so",
    "a record's chunk of the origin is another one": "any chunk may have an exception, and the format has no checksums",
    "a record's chunk of the COW image is a free one": "kernels before 3.14 handed chunks out in any order",
    "data of an exception overwritten": "the format has no checksums of data; --verify compares them",
}


# What a repair cannot bring back although it says that nothing is lost: the view is as the
# kernel read it before.
NOT_BACK = {
    "a record's chunk of the COW image is another's": "which chunk it was, the record does not tell",
    "a record's chunk of the origin is another's": "nor where its data belonged",
}


class Refused(Exception):
    """The kernel does not load it; or reads fail."""


def area_at(area):
    return (1 + area * (PER_AREA + 1)) * CHUNK


def record_at(index):
    return area_at(index // PER_AREA) + index % PER_AREA * 16


def kernel_list(cow):
    """The exceptions that the kernel loads. source: read_header(), read_exceptions() in
    dm-snap-persistent.c, Linux 6.1."""
    magic, valid, version, sectors = struct.unpack_from("<4I", cow)
    if magic == 0:
        return None  # a new store: the list is wiped
    if magic != 0x70416E53 or version != 1:
        raise Refused("refuses")
    if sectors == 0 or sectors & (sectors - 1) or sectors > 1 << 21:
        raise Refused("refuses")
    if not valid:
        raise Refused("invalid")
    size, records, area = sectors * SECTOR, [], 0
    while True:
        at = (1 + area * (size // 16 + 1)) * size
        if at + size > len(cow):
            raise Refused("refuses")
        for i in range(size // 16):
            old, new = struct.unpack_from("<QQ", cow, at + i * 16)
            if not new:
                return size, records
            records.append((old, new))
        area += 1


def kernel_view(origin, cow):
    """What the snapshot device reads. Of two records of one chunk the earlier counts."""
    loaded = kernel_list(cow)
    view = bytearray(origin)
    if loaded is None:
        return view
    size, records = loaded
    for old, new in reversed(records):
        # the top byte of a new chunk is the length of a run
        for i in range((new >> 56) + 1):
            at, there = (old + i) * size, ((new & (1 << 56) - 1) + i) * size
            if at >= len(view):
                continue
            if there + size > len(cow):
                raise Refused("read errors")
            view[at:at + size] = cow[there:there + size][:len(view) - at]
    return view


def differ(a, b):
    """Chunks that differ; what one lacks differs too."""
    if len(a) < len(b):
        a, b = b, a
    return sum(a[i:i + CHUNK] != b[i:i + CHUNK] for i in range(0, len(a), CHUNK))


# ------------------------------------------------------------------ stores

def unpack(fixtures, folder, name):
    return bytearray(subprocess.run(["xz", "-dc", "%s/%s/%s.img.xz" % (fixtures, folder, name)],
                                    check=True, capture_output=True).stdout)


def store_of(records, rng, size):
    """A store as kernels since 3.14 leave it: chunks handed out in order."""
    cow = bytearray(size)
    struct.pack_into("<4s3I", cow, 0, b"SnAp", 1, 1, CHUNK // SECTOR)
    for index, old in enumerate(records):
        new = 2 + index + index // PER_AREA
        struct.pack_into("<QQ", cow, record_at(index), old, new)
        cow[new * CHUNK:(new + 1) * CHUNK] = rng.randbytes(CHUNK)
    return cow


def ext4(work, name, uuid):
    path = os.path.join(work, name)
    with open(path, "wb") as f:
        f.truncate(8 << 20)
    subprocess.run(["mke2fs", "-q", "-F", "-t", "ext4", "-b", "1024", "-g", "1024", "-U", uuid, path],
                   check=True)
    with open(path, "rb") as f:
        return bytearray(f.read())


class World:
    """Sound stores, each with its origin."""

    def __init__(self, fixtures, work):
        rng = random.Random(5)
        # by the kernel: 900 exceptions, of chunks in no order, in 4 areas
        self.origin = unpack(fixtures, "multiarea-c8", "origin")
        self.cow = unpack(fixtures, "multiarea-c8", "cow")[:1280 * CHUNK]
        self.nr = len(kernel_list(self.cow)[1])
        used = (2 + self.nr + self.nr // PER_AREA) * CHUNK
        self.cow[used:] = bytes(len(self.cow) - used)
        # each chunk in turn, in 4 areas
        self.runs = store_of(range(100, 1000), rng, 1280 * CHUNK)
        # a newer, shorter store over the kernel's: its records stand behind the end
        newer = store_of(rng.sample(range(len(self.origin) // CHUNK), 300), rng, 303 * CHUNK)
        self.newer = newer + self.cow[len(newer):]
        self.newer[area_at(1) + 44 * 16:area_at(2)] = bytes(area_at(2) - area_at(1) - 44 * 16)
        self.newer[area_at(1) + CHUNK:area_at(2)] = self.cow[area_at(1) + CHUNK:area_at(2)]
        # a file system, of which the COW image holds the first chunks
        self.fs = ext4(work, "fs", "11111111-1111-1111-1111-111111111111")
        self.foreign = ext4(work, "other", "22222222-2222-2222-2222-222222222222")
        self.fs_cow = store_of([0, 1, 9, 700], rng, 64 * CHUNK)
        for index, old in enumerate([0, 1]):
            new = 2 + index
            self.fs_cow[new * CHUNK:(new + 1) * CHUNK] = self.fs[old * CHUNK:(old + 1) * CHUNK]


def kinds(w):
    """name, origin, sound store, damaged store; then the origin that is given, if not that one."""
    rng = random.Random(11)

    def on(base, *edits):
        cow = bytearray(base)
        for at, data in edits:
            cow[at:at + len(data)] = data
        return cow

    def kind(name, *edits, base=None):
        return name, w.origin, base or w.cow, on(base or w.cow, *edits)

    def zeros(name, at, length, base=None):
        return kind(name, (at, bytes(length)), base=base)

    def field(name, at, value):
        return kind(name, (at, struct.pack("<I", value)))

    def record(name, index, old, new):
        was = struct.unpack_from("<QQ", w.cow, record_at(index))
        return kind(name, (record_at(index), struct.pack("<QQ", *[a if b is None else b for a, b in
                                                                   zip(was, (old, new))])))

    def area(n, base=None):
        return bytes((base or w.cow)[area_at(n):area_at(n) + CHUNK])

    olds = [old for old, _ in kernel_list(w.cow)[1]]
    nr_chunks = len(w.origin) // CHUNK
    free = next(i for i in range(nr_chunks) if i not in olds)
    in_last = w.nr % PER_AREA
    yield kind("none")
    # what the kernel leaves, and is no damage
    yield kind("none: an older store behind the list", base=w.newer)
    yield kind("none: records in runs", base=w.runs)
    # the header
    yield kind("magic: one byte", (1, b"x"))
    yield field("magic: zero", 0, 0)
    yield field("version 2", 8, 2)
    yield field("version 0", 8, 0)
    yield field("marked invalid", 4, 0)
    yield field("valid is 2", 4, 2)
    yield field("chunk size 0", 12, 0)
    yield field("chunk size 3", 12, 3)
    yield field("chunk size 16", 12, 16)
    yield field("chunk size 4", 12, 4)
    yield field("chunk size 1", 12, 1)
    yield kind("header: all bytes 0xff", (0, b"\xff" * 16))
    yield zeros("header: first sector zeroed", 0, 512)
    yield zeros("header: first 4 KiB zeroed", 0, 4096)
    yield kind("header: first sector noise", (0, rng.randbytes(512)))
    yield kind("noise behind the header", (16, rng.randbytes(496)))
    yield zeros("first 64 KiB zeroed", 0, 65536)
    yield zeros("first MiB zeroed", 0, 1 << 20)
    # zeros in the list
    yield zeros("area 0 zeroed", area_at(0), CHUNK)
    yield zeros("area 1 zeroed", area_at(1), CHUNK)
    yield zeros("area 2 zeroed", area_at(2), CHUNK)
    yield kind("areas 1 and 2 zeroed", (area_at(1), bytes(CHUNK)), (area_at(2), bytes(CHUNK)))
    yield zeros("last used area zeroed", area_at(3), CHUNK)
    yield zeros("area 1 zeroed, records in runs", area_at(1), CHUNK, base=w.runs)
    yield zeros("first sector of area 0 zeroed", area_at(0), 512)
    yield zeros("second sector of area 0 zeroed", area_at(0) + 512, 512)
    yield zeros("last sector of area 0 zeroed", area_at(0) + 3584, 512)
    yield zeros("fourth sector of area 2 zeroed", area_at(2) + 1536, 512)
    yield zeros("second half of area 1 zeroed", area_at(1) + 2048, 2048)
    yield zeros("first sector of the last area zeroed", area_at(3), 512)
    yield zeros("second sector of the last area zeroed", area_at(3) + 512, 512)
    yield zeros("last sector of the list zeroed", area_at(3) + in_last // 32 * 512, 512)
    yield zeros("one record of area 0 zeroed", record_at(100), 16)
    yield zeros("one record of the last area zeroed", record_at(w.nr - 50), 16)
    # records
    yield record("a record names the header as its data", 300, None, 1 << 56)
    yield record("a record names a metadata area as its data", 300, None, 1 + PER_AREA + 1)
    yield record("a record's chunk of the COW image is beyond its end", 300, None, 1 << 40)
    yield record("a record's chunk of the COW image is another's", 300, None, 50)
    yield record("a record's chunk of the COW image is a free one", 300, None, 1200)
    yield record("top byte of a record's chunk of the COW image", 300, None, 303 | 7 << 56)
    yield record("a record's chunk of the origin is another's", 300, olds[20], None)
    yield record("a record's chunk of the origin is another one", 300, free, None)
    yield record("a record's chunk of the origin is beyond its end", 300, 1 << 40, None)
    yield kind("the same record twice, at the end", (record_at(w.nr), w.cow[record_at(7):record_at(8)]))
    # garbage
    yield kind("1 KiB of noise in area 0", (area_at(0), rng.randbytes(1024)))
    yield kind("noise over area 1", (area_at(1), rng.randbytes(CHUNK)))
    yield kind("0xff over area 1", (area_at(1), b"\xff" * CHUNK))
    yield kind("0xff over a sector of area 2", (area_at(2) + 1024, b"\xff" * 512))
    yield kind("text over area 1", (area_at(1), b"Lorem ipsum dolor sit amet, " * 140))
    yield kind("noise over the last used area", (area_at(3), rng.randbytes(CHUNK)))
    yield kind("noise behind the end of the list", (record_at(w.nr + 30), rng.randbytes(256)))
    # copies
    yield kind("area 1 is a copy of area 0", (area_at(1), area(0)))
    yield kind("area 2 is a copy of area 0", (area_at(2), area(0)))
    yield kind("area 0 is a copy of area 1", (area_at(0), area(1)))
    yield kind("last used area is a copy of area 1", (area_at(3), area(1)))
    yield kind("a sector of area 0 twice", (area_at(0) + 512, area(0)[:512]))
    # commits and merges that were cut off
    yield kind("records of a torn commit behind the end",
               (record_at((w.nr // 32 + 1) * 32), struct.pack("<QQ", free, w.nr + 40)))
    # the image
    yield "image cut: the last data", w.origin, w.cow, w.cow[:900 * CHUNK]
    yield "image cut: half of it", w.origin, w.cow, w.cow[:450 * CHUNK]
    yield "image cut in front of area 3", w.origin, w.cow, w.cow[:area_at(3)]
    yield "image cut behind area 0", w.origin, w.cow, w.cow[:2 * CHUNK]
    yield "image cut behind the header", w.origin, w.cow, w.cow[:CHUNK]
    yield "image lacks its first sector", w.origin, w.cow, w.cow[512:]
    yield "image lacks its first 4 KiB", w.origin, w.cow, w.cow[4096:]
    yield "image has a sector in front", w.origin, w.cow, bytes(512) + w.cow
    # data, and the origin
    yield kind("data of an exception overwritten", (100 * CHUNK, rng.randbytes(CHUNK)))
    yield "origin of another file system", w.fs, w.fs_cow, w.fs_cow, w.foreign
    yield "origin is zeros", w.fs, w.fs_cow, w.fs_cow, bytes(len(w.fs))
    yield "origin was cut", w.fs, w.fs_cow, w.fs_cow, w.fs[:7 << 20]
    yield "origin is a qcow2 file", w.fs, w.fs_cow, w.fs_cow, b"QFI\xfb" + w.fs[4:]


# ------------------------------------------------------------------- words

def write(path, data):
    with open(path, "wb") as f:
        f.write(data)


def tool(*argv):
    """Exit status, and the JSON object."""
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    return done.returncode, json.loads(done.stdout)


def view_words(sound, origin, cow):
    """What the kernel does, and how many chunks of the view are not what they were."""
    try:
        view = kernel_view(origin, cow)
    except Refused as error:
        return str(error), "-"
    return "formats" if kernel_list(cow) is None else "reads", str(differ(sound, view))


def merge_agrees(name, told, paths):
    """Would snapmerge do what snapcheck calls right, and refuse what it does not?"""
    done = subprocess.run(["snapmerge", "-n", *paths], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, check=False)
    is_right = told.get("verdict", {"merge_right": False})["merge_right"]
    if is_right == (done.returncode == 0):
        return []
    return ["%s: a merge is called %s, but snapmerge -n ends with %d: %s" %
            (name, "right" if is_right else "wrong", done.returncode, done.stderr.strip())]


def row_of(work, case, faults):
    name, origin, good, cow = case[:4]
    given = case[4] if len(case) > 4 else origin
    paths = [os.path.join(work, n) for n in ("origin.img", "cow.img", "new.img")]
    sound = kernel_view(origin, good)
    write(paths[0], given)
    write(paths[1], cow)
    if os.path.exists(paths[2]):
        os.unlink(paths[2])
    kernel, wrong = view_words(sound, given, cow)
    common = ["snapcheck", "-t", "persistent", "--json"]
    status, told = tool(*common, *paths[:2])
    faults += merge_agrees(name, told, paths[:2])
    after, _ = tool(*common, "-y", "-o", paths[2], *paths[:2])
    left = "-"
    if os.path.exists(paths[2]):
        with open(paths[2], "rb") as f:
            left = view_words(sound, given, f.read())[1]
    verdict = told.get("verdict", {"state": "refused", "may_have_lost": False})
    state = verdict["state"] + (", with a note" if verdict["may_have_lost"] else "")
    return [name, kernel, wrong, state, str(status), str(after), left]


def is_clean(row):
    """Who goes by the exit status takes the view for right; a note does not change that."""
    return row[4] in ("0", "1")


# Of rows that may not be excused.
KNOWABLE = re.compile("(area|sector).* (zeroed|copy|twice)|another file system|origin is zeros")


def judge(rows):
    """The rules that hold for every row, whatever the table says."""
    faults = []
    for row in rows:
        is_wrong = row[1] != "reads" or row[2] != "0"
        if is_wrong and is_clean(row) != (row[0] in EXCUSED):
            faults.append("%s: %s" % (row[0], "excused, but seen" if row[0] in EXCUSED
                                      else "a clean verdict beside a wrong view"))
        if not is_wrong and row[0].startswith("none") and (not is_clean(row) or "note" in row[3]):
            faults.append("%s: a false alarm" % row[0])
        if (row[5] in ("0", "1") and row[6] not in ("0", "-") and
                row[0] not in EXCUSED and row[0] not in NOT_BACK):
            faults.append("%s: the repair says that nothing is lost" % row[0])
    faults += ["%s: must not be excused" % name for name in EXCUSED
               if KNOWABLE.search(name) and name != "area 0 zeroed"]
    if len(EXCUSED) > 6 or not {row[0] for row in rows}.issuperset({**EXCUSED, **NOT_BACK}):
        faults.append("more than 6 rows are excused, or one that is not there")
    if len(rows) - 3 < 60:
        faults.append("fewer than 60 kinds")
    return faults


def table(rows):
    text = HEAD + "\n" + "|---" * 7 + "|\n"
    text += "".join("| %s |\n" % " | ".join(row) for row in rows)
    return text + "\nWhy no tool can know:\n\n" + "".join(
        "* %s: %s.\n" % item for item in {**EXCUSED, **NOT_BACK}.items())


def main():
    fixtures, readme = sys.argv[1:]
    with tempfile.TemporaryDirectory() as work:
        faults = []
        rows = [row_of(work, case, faults) for case in kinds(World(fixtures, work))]
    faults += judge(rows)
    with open(readme, encoding="utf-8") as f:
        text = f.read()
    found = re.search(re.escape(HEAD) + r".*?\n\n.*?\n\n(\* [^\n]*\n)+", text, re.DOTALL)
    if os.environ.get("UPDATE"):
        text = text[:found.start()] + table(rows) + text[found.end():] if found else text + table(rows)
        write(readme, text.encode())
    elif not found or found.group() != table(rows):
        there = set(found.group().split("\n")) if found else set()
        faults += ["not in the table: " + line for line in table(rows).split("\n")
                   if line not in there]
        faults += ["only in the table: " + line for line in there
                   if line not in table(rows).split("\n")]
    print("\n".join(faults))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
