#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
# Copyright (C) 2026 the libcow authors
"""Changes the text of a volume group where it lies on its physical volumes, and
makes both checksums of each metadata area right again.

  lvm_text.py show IMAGE[@OFFSET]              prints the text
  lvm_text.py edit OLD NEW IMAGE[@OFFSET]...   replaces OLD, which must be there
  lvm_text.py cut OLD IMAGE[@OFFSET]...        leaves out all that stands behind OLD
  lvm_text.py many N IMAGE...                  makes PVs of 8 TiB each, sparse, with N LVs

IMAGE is a PV, OFFSET where it begins. The ring of an area is respected: a text
that does not fit behind its place goes on behind the header.
"""
import struct
import sys
import zlib

SECTOR = 512
START = 0xF597A6CF
MAGIC = bytes.fromhex("204c564d3220785b354125723" "04e2a3e")


def crc(data):
    return ~zlib.crc32(data, ~START & 0xFFFFFFFF) & 0xFFFFFFFF


class Pv:
    def __init__(self, spec):
        path, _, offset = spec.partition("@")
        self.base = int(offset or 0)
        self.file = open(path, "r+b")

    def read(self, at, size):
        self.file.seek(self.base + at)
        return self.file.read(size)

    def write(self, at, data):
        self.file.seek(self.base + at)
        self.file.write(data)

    def areas(self):
        """(offset, size) of each metadata area."""
        for sector in range(4):
            raw = self.read(sector * SECTOR, SECTOR)
            if raw[:8] == b"LABELONE" and struct.unpack_from("<Q", raw, 8)[0] == sector:
                break
        else:
            sys.exit("no label")
        at, lists, found = struct.unpack_from("<I", raw, 20)[0] + 40, 0, []
        while lists < 2:
            offset, size = struct.unpack_from("<QQ", raw, at)
            at += 16
            if not offset:
                lists += 1
            elif lists == 1:
                found.append((offset, size))
        return found

    def text(self, area):
        offset, size = area
        header = self.read(offset, SECTOR)
        at, length, _, flags = struct.unpack_from("<QQII", header, 40)
        if not at or flags & 1:
            return None
        first = min(length, size - at)
        return self.read(offset + at, first) + self.read(offset + SECTOR, length - first)

    def put(self, area, text):
        offset, size = area
        header = bytearray(self.read(offset, SECTOR))
        at = struct.unpack_from("<Q", header, 40)[0]
        first = min(len(text), size - at)
        self.write(offset + at, text[:first])
        self.write(offset + SECTOR, text[first:])
        struct.pack_into("<QQII", header, 40, at, len(text), crc(text), 0)
        struct.pack_into("<I", header, 0, crc(bytes(header[4:])))
        self.write(offset, bytes(header))


def edit(specs, old, change):
    for spec in specs:
        pv = Pv(spec)
        for area in pv.areas():
            text = pv.text(area)
            if text is None:
                continue
            if old.encode() not in text:
                sys.exit("%s: no %r in its text" % (spec, old))
            pv.put(area, change(text))


def label(uuid, size, area):
    raw = bytearray(SECTOR)
    raw[:8] = b"LABELONE"
    struct.pack_into("<Q", raw, 8, 1)
    struct.pack_into("<I", raw, 20, 32)
    raw[24:32] = b"LVM2 001"
    raw[32:64] = uuid.replace("-", "").encode()
    struct.pack_into("<Q", raw, 64, size)
    struct.pack_into("<QQQQ", raw, 72, area[0] + area[1], 0, 0, 0)
    struct.pack_into("<QQQQ", raw, 104, area[0], area[1], 0, 0)
    struct.pack_into("<II", raw, 136, 2, 1)
    struct.pack_into("<I", raw, 16, crc(bytes(raw[20:])))
    return bytes(raw)


def uuid_of(kind, number):
    text = "%s%031d" % (kind, number)
    cuts = (0, 6, 10, 14, 18, 22, 26, 32)
    return "-".join(text[a:b] for a, b in zip(cuts, cuts[1:]))


def many_text(nr_lvs, nr_pvs, area, size):
    """Each LV has three extents, one of them on another PV."""
    extents = (size - area[0] - area[1]) // (4 << 20)
    out = ["big {", 'id = "%s"' % uuid_of("v", 0), "seqno = 7", 'format = "lvm2"',
           'status = ["RESIZEABLE", "READ", "WRITE"]', "flags = []", "extent_size = 8192",
           "max_lv = 0", "max_pv = 0", "metadata_copies = 0", "", "physical_volumes {"]
    for i in range(nr_pvs):
        out += ["pv%d {" % i, 'id = "%s"' % uuid_of("p", i), 'device = "/dev/x%d"' % i,
                'status = ["ALLOCATABLE"]', "flags = []", "dev_size = %d" % (size // SECTOR),
                "pe_start = %d" % ((area[0] + area[1]) // SECTOR), "pe_count = %d" % extents, "}"]
    out += ["}", "", "logical_volumes {"]
    for i in range(nr_lvs):
        pv = i % nr_pvs
        place = 100 * (i // nr_pvs)
        out += ["lv%05d {" % i, 'id = "%s"' % uuid_of("l", i),
                'status = ["READ", "WRITE", "VISIBLE"]', "flags = []", "segment_count = 2",
                "segment1 {", "start_extent = 0", "extent_count = 2", 'type = "striped"',
                "stripe_count = 1", "stripes = [", '"pv%d", %d' % (pv, place), "]", "}",
                "segment2 {", "start_extent = 2", "extent_count = 1", 'type = "striped"',
                "stripe_count = 1", "stripes = [", '"pv%d", %d' % ((pv + 1) % nr_pvs, place + 50),
                "]", "}", "}"]
    out += ["}", "}", 'contents = "Text Format Volume Group"', "version = 1",
            'description = ""', 'creation_host = "x"', "creation_time = 1700000000", ""]
    return "\n".join(out).encode() + b"\0"


def pv_make(path, number, size, area, text):
    """A PV with one metadata area, and the text in it."""
    with open(path, "wb") as file:
        file.truncate(size)
    pv = Pv(path)
    pv.write(SECTOR, label(uuid_of("p", number), size, area))
    header = bytearray(SECTOR)
    header[4:20] = MAGIC
    struct.pack_into("<IQQ", header, 20, 1, area[0], area[1])
    struct.pack_into("<Q", header, 40, SECTOR)
    pv.write(area[0], bytes(header))
    pv.put(area, text)
    pv.file.close()


def many(nr_lvs, paths):
    size, area = 8 << 40, (4096, (32 << 20) - 4096)
    text = many_text(nr_lvs, len(paths), area, size)
    for i, path in enumerate(paths):
        pv_make(path, i, size, area, text)


def main():
    what = sys.argv[1]
    if what == "edit":
        old, new = sys.argv[2].encode(), sys.argv[3].encode()
        edit(sys.argv[4:], sys.argv[2], lambda text: text.replace(old, new))
    elif what == "cut":
        old = sys.argv[2].encode()
        edit(sys.argv[3:], sys.argv[2], lambda text: text[:text.index(old) + len(old)] + b"\0")
    elif what == "many":
        many(int(sys.argv[2]), sys.argv[3:])
    else:
        pv = Pv(sys.argv[2])
        for area in pv.areas():
            text = pv.text(area)
            if text is not None:
                sys.stdout.write(text.rstrip(b"\0").decode("latin1"))
                break


if __name__ == "__main__":
    main()
