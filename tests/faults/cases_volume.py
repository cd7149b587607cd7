# SPDX-License-Identifier: LGPL-2.1-or-later
# Copyright (C) 2026 the libcow authors
"""Volumes of LVM under faults: a list, the bytes of a raid5, a snapshot that is exported and
merged where it lies on its PVs."""
import os
import random

from case import Case, made
from group import Group

GROUP = "lvm:d0.img,d1.img,d2.img:vg/"


def volume_cases(work):
    rng = random.Random("volumes")
    folder = os.path.join(work, "volumes")
    origin, raid = rng.randbytes(65536), rng.randbytes(32768)
    view = origin[:8192] + rng.randbytes(12288) + origin[20480:]
    cow = made(folder, ["snapcreate", "--from=n.img", "o.img", "c.img"], {"o.img": origin, "n.img": view}, "c.img")
    group = Group(origin, cow.ljust(131072, b"\0"), raid)
    files = group.disks(folder)
    start = files["d0.img"].index(origin)
    merged = files["d0.img"][:start] + view + files["d0.img"][start + len(view):]
    yield Case("volume-list", ["snapcheck", "--list", "--json=j", "d0.img", "d1.img", "d2.img"], files, ("j",))
    yield Case("volume-raid", ["snapdump", "--raw", "-o", "x.img", GROUP + "r5"], files, ("x.img",), answer={"x.img": raid})
    yield Case("volume-dump", ["snapdump", "--raw", "-o", "x.img", GROUP + "snap"], files, ("x.img",),
               answer={"x.img": view})
    yield Case("volume-merge", ["snapmerge", "-y", GROUP + "snap"], files,
               answer={"d0.img": merged}).in_place("d0.img", "d1.img")
    yield Case("volume-merge-new", ["snapmerge", "-o", "x.img", GROUP + "snap"], files, ("x.img",),
               answer={"x.img": view})
