# SPDX-License-Identifier: LGPL-2.1-or-later
# Copyright (C) 2026 the libcow authors
"""A small volume group on three PVs: a linear origin with a snapshot on another PV, and a
raid5 over all of them, with the superblocks of its legs. 4 KiB extents."""
import os
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "aids"))
from lvm_text import pv_make, uuid_of  # noqa: E402

EXTENT = 4096
AREA = (4096, 28672)
START = sum(AREA)
STRIPE = 4096
LEGS = 3


def lv(name, number, segment, is_visible=False):
    status = '["READ", "WRITE"%s]' % (', "VISIBLE"' if is_visible else "")
    return ["%s {" % name, 'id = "%s"' % uuid_of("l", number), "status = " + status, "flags = []",
            "segment_count = 1", "segment1 {", "start_extent = 0", *segment, "}", "}"]


def linear(pv, first, extents):
    return ["extent_count = %d" % extents, 'type = "striped"', "stripe_count = 1", "stripes = [",
            '"pv%d", %d' % (pv, first), "]"]


class Group:
    """origin, cow: bytes of whole extents. raid: bytes, two extents of each leg for four of them."""

    def __init__(self, origin, cow, raid):
        self.parts = {0: [origin], 1: [cow], 2: []}  # pv: what lies there, from its first extent on
        legs = self.legs(raid)
        lvs = (lv("base", 1, linear(0, 0, len(origin) // EXTENT), True) +
               lv("snap", 2, linear(1, 0, len(cow) // EXTENT)))
        for i, leg in enumerate(legs):
            first = sum(map(len, self.parts[i])) // EXTENT
            lvs += lv("r5_rmeta_%d" % i, 10 + i, linear(i, first, 1))
            lvs += lv("r5_rimage_%d" % i, 20 + i, linear(i, first + 1, len(leg) // EXTENT))
            self.parts[i] += [self.super(i), leg]
        lvs += lv("r5", 3, ["extent_count = %d" % (len(raid) // EXTENT), 'type = "raid5"',
                            "device_count = %d" % LEGS, "stripe_size = %d" % (STRIPE // 512), "raids = [",
                            ", ".join('"r5_rmeta_%d", "r5_rimage_%d"' % (i, i) for i in range(LEGS)), "]"], True)
        lvs += lv("snapshot0", 4, ["extent_count = %d" % (len(origin) // EXTENT), 'type = "snapshot"',
                                   "chunk_size = 8", 'origin = "base"', 'cow_store = "snap"'], True)
        self.lvs = lvs

    @staticmethod
    def legs(raid):
        """Left-symmetric, as md lays it out."""
        legs = [bytearray() for _ in range(LEGS)]
        units = [raid[i:i + STRIPE] for i in range(0, len(raid), STRIPE)]
        for stripe in range(len(units) // (LEGS - 1)):
            parity = LEGS - 1 - stripe % LEGS
            row = units[stripe * (LEGS - 1):(stripe + 1) * (LEGS - 1)]
            for i, unit in enumerate(row):
                legs[(parity + 1 + i) % LEGS] += unit
            legs[parity] += bytes(a ^ b for a, b in zip(*row))
        return [bytes(leg) for leg in legs]

    @staticmethod
    def super(position):
        """struct dm_raid_superblock of a leg that is whole."""
        raw = bytearray(EXTENT)
        struct.pack_into("<4sIIIQQQQIII", raw, 0, b"DmRd", 0, LEGS, position, 5, 0, 2**64 - 1, 2**64 - 1,
                         5, 2, STRIPE // 512)
        return bytes(raw)

    def text(self):
        out = ["vg {", 'id = "%s"' % uuid_of("v", 0), "seqno = 3", 'format = "lvm2"',
               'status = ["RESIZEABLE", "READ", "WRITE"]', "flags = []", "extent_size = %d" % (EXTENT // 512),
               "max_lv = 0", "max_pv = 0", "metadata_copies = 0", "physical_volumes {"]
        for i, parts in self.parts.items():
            extents = sum(map(len, parts)) // EXTENT
            out += ["pv%d {" % i, 'id = "%s"' % uuid_of("p", i), 'device = "/dev/x%d"' % i,
                    'status = ["ALLOCATABLE"]', "flags = []", "dev_size = %d" % ((START + extents * EXTENT) // 512),
                    "pe_start = %d" % (START // 512), "pe_count = %d" % extents, "}"]
        out += ["}", "logical_volumes {"] + self.lvs + ["}", "}", 'contents = "Text Format Volume Group"',
                                                        "version = 1", 'description = ""', 'creation_host = "x"',
                                                        "creation_time = 1700000000", ""]
        return "\n".join(out).encode() + b"\0"

    def disks(self, work):
        """{name: bytes} of the PVs."""
        found, text = {}, self.text()
        for i, parts in self.parts.items():
            name, data = "d%d.img" % i, b"".join(parts)
            path = os.path.join(work, name)
            pv_make(path, i, START + len(data), AREA, text)
            with open(path, "r+b") as f:
                f.seek(START)
                f.write(data)
                f.seek(0)
                found[name] = f.read()
        return found
