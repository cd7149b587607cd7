#!/usr/bin/python3 -IB
# SPDX-License-Identifier: LGPL-2.1-or-later
# Copyright (C) 2026 the libcow authors
"""Runs inside the user-mode kernel: the chains of DIRECTORY/chains.json, each a list of
steps on one pair of devices, where every new store lies over what the one before left.
After each step with a name the COW image is copied to DIRECTORY/NAME.img. list_end.py
has the plan."""
import json
import mmap
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import dmlib  # noqa: E402


class Chain:
    def __init__(self, directory, number, origin_sectors, cow_bytes):
        self.directory, self.number, self.sectors = directory, number, origin_sectors
        # in memory: each commit waits for the disk
        self.paths = ["/run/origin", "/run/cow"]
        for path, size in zip(self.paths, (origin_sectors * 512, cow_bytes)):
            with open(path, "wb") as f:
                f.write(os.urandom(size if path == "/run/origin" else 0))
                f.truncate(size)
        self.origin, self.cow = (dmlib.loop_attach(path) for path in self.paths)
        self.maps, self.chunk = {}, 0

    def _make(self, name, kind, params):
        full = "list%d-%s" % (self.number, name)
        self.maps[name] = (full, dmlib.dm_create(full, self.sectors, kind, params))

    def _activate(self):
        self._make("snap", "snapshot", "%s %s P %d" % (self.origin, self.cow, self.chunk))
        self._make("base", "snapshot-origin", self.origin)

    def _remove(self):
        for name in ("base", "snap", "merge"):
            if name in self.maps:
                dmlib.dm_remove(self.maps.pop(name)[0])

    def create(self, chunk_sectors):
        """A new store, as lvcreate makes one: it wipes 4 KiB."""
        self.chunk = chunk_sectors
        fd = os.open(self.cow, os.O_RDWR)
        os.pwrite(fd, bytes(4096), 0)
        os.fsync(fd)
        os.close(fd)
        self._activate()

    def write(self, name, runs):
        """Runs of chunks, [first, count], to "snap" or "base"; direct, in this order."""
        if not self.maps:
            self._activate()
        fd = os.open(self.maps[name][1], os.O_RDWR | os.O_DIRECT)
        buf = mmap.mmap(-1, 1 << 20)
        for first, count in runs:
            size = count * self.chunk * 512
            buf[:size] = os.urandom(16) * (size // 16)
            os.pwrite(fd, memoryview(buf)[:size], first * self.chunk * 512)
        os.close(fd)

    def merge(self, left):
        """Until so much is left, or less: sectors in use, as the status has them."""
        self._remove()
        self._make("merge", "snapshot-merge", "%s %s P %d" % (self.origin, self.cow, self.chunk))
        end = time.monotonic() + 60
        while time.monotonic() < end:
            used, _, metadata = dmlib.dm_status(self.maps["merge"][0]).replace("/", " ").split()
            if used == metadata or int(used) <= left:
                break
        self._remove()

    def save(self, name):
        self._remove()
        with open(self.paths[1], "rb") as s, open("%s/%s.img" % (self.directory, name), "wb") as t:
            while True:
                piece = s.read(16384)
                if not piece:
                    break
                if any(piece):
                    t.write(piece)
                else:
                    t.seek(len(piece), 1)
            t.truncate(s.tell())

    def close(self):
        self._remove()
        dmlib.loop_detach(self.cow)
        dmlib.loop_detach(self.origin)
        for path in self.paths:
            os.unlink(path)


def main(directory):
    with open(os.path.join(directory, "chains.json")) as f:
        plan = json.load(f)
    for number, steps in enumerate(plan["chains"]):
        chain = Chain(directory, number, plan["origin_sectors"], plan["cow_bytes"][number])
        for step in steps:
            getattr(chain, step[0])(*step[1:])
        chain.close()
    return 0


sys.exit(main(sys.argv[1]))
