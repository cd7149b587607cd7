# SPDX-License-Identifier: LGPL-2.1-or-later
# Copyright (C) 2026 the libcow authors
"""What must be true in a relay: an origin, some snapshots of it, and what each
operation makes of them. Bytes and sets of chunk numbers, nothing of any disk.

All snapshots are alike: one is merged, the others are its siblings then. A
merge that is cut off leaves the origin a mixture, which no model can know: the
bounds are checked (World.cut), sector by sector, and what is there is taken
over. Everything else is exact, used sectors included, because neither the
kernel nor we ever leave a hole in a store."""
from cases import Failure
from scripts import capacity
from snap import SECTOR, pattern, status

UNIT_BYTES = 4096  # of deltas and of imports; libcow-delta(5)


class Snapshot:
    def __init__(self, name, chunk_sectors, cow_bytes, view, store_type="P"):
        self.name, self.chunk_sectors, self.cow_bytes = name, chunk_sectors, cow_bytes
        self.view = bytearray(view)
        self.chunks = set()  # with an exception
        self.store_type = store_type
        self.may_be_torn = False  # bytes behind the end of the list are legal
        self.outcome = None  # of an undo file: (its chunks, the origin) when it was made
        self.is_lost = False  # for want of room
        self.is_mixed = False  # its merge has certainly begun to write to the origin
        self.job = None  # of ours, that was cut off: what its label may say

    def touched(self, sector, count):
        cs = self.chunk_sectors
        return set(range(sector // cs, (sector + count - 1) // cs + 1))

    def room(self):
        return capacity(self.cow_bytes // SECTOR // self.chunk_sectors,
                        self.chunk_sectors)[0] - len(self.chunks)

    def status(self):
        return status(len(self.chunks), self.chunk_sectors, self.cow_bytes)

    def sectors_of(self, chunk):
        """Clipped at the end of the origin."""
        first = chunk * self.chunk_sectors
        return first, min(self.chunk_sectors, len(self.view) // SECTOR - first)

    def ranges(self):
        """[(offset, length)] in bytes of what it has, neighbours joined."""
        ranges = []
        for chunk in sorted(self.chunks):
            sector, count = self.sectors_of(chunk)
            if ranges and sum(ranges[-1]) == sector * SECTOR:
                ranges[-1] = (ranges[-1][0], ranges[-1][1] + count * SECTOR)
            else:
                ranges.append((sector * SECTOR, count * SECTOR))
        return ranges


class Job:
    """A merge of ours that was cut off. Its label stays where it is until we
    finish, whatever the kernel does in between."""

    def __init__(self, nr_chunks, nr_siblings, undo):
        self.most_left = self.least_left = nr_chunks  # what the label says is in between
        self.nr_siblings, self.undo = nr_siblings, undo
        self.is_moving = False  # the origin was certainly written to
        self.is_over = False  # another one, or the kernel, finished it: what comes is new


class World:
    def __init__(self, origin):
        self.origin = bytearray(origin)
        self.sectors = len(origin) // SECTOR
        self.snapshots = {}

    def others(self, snapshot):
        return [s for s in self.snapshots.values() if s is not snapshot]

    # ---- writes through the kernel

    def fits(self, snapshot, sector, count):
        """Is there room to write to it (None: to the origin)?"""
        concerned = [snapshot] if snapshot else self.snapshots.values()
        return all(len(s.touched(sector, count) - s.chunks) <= s.room() for s in concerned)

    def write(self, snapshot, sector, count, generation):
        """What the others show stays."""
        target = snapshot.view if snapshot else self.origin
        target[sector * SECTOR:(sector + count) * SECTOR] = pattern(sector, count, generation)
        for s in [snapshot] if snapshot else self.snapshots.values():
            s.chunks |= s.touched(sector, count)

    # ---- merges

    @staticmethod
    def covering(snapshot, chunks, other):
        """The chunks of other that these chunks of snapshot lie in."""
        found = set()
        for chunk in chunks:
            found |= other.touched(*snapshot.sectors_of(chunk))
        return found

    def lacking(self, snapshot):
        """Siblings for which a merge would have no room."""
        return [s for s in self.others(snapshot)
                if len(self.covering(snapshot, snapshot.chunks, s) - s.chunks) > s.room()]

    def is_covered(self, snapshot):
        """Has every sibling all that the merge overwrites?"""
        return all(self.covering(snapshot, snapshot.chunks, s) <= s.chunks
                   for s in self.others(snapshot))

    def merge(self, snapshot):
        for s in self.others(snapshot):
            s.chunks |= self.covering(snapshot, snapshot.chunks, s)
        self.origin[:] = snapshot.view
        snapshot.chunks = set()
        snapshot.is_mixed = False
        if snapshot.job:
            snapshot.job.is_over = True

    def fits_merge(self, snapshot, sector, count):
        """Would its siblings have room for this write, and for the merge?"""
        return all(len((self.covering(snapshot, snapshot.chunks, s) | s.touched(sector, count)) -
                       s.chunks) <= s.room() for s in self.others(snapshot))

    def merge_write(self, snapshot, sector, count, generation):
        """A write to the device while it merges: into the store, where there is
        an exception, else to the origin, behind the backs of no sibling."""
        snapshot.view[sector * SECTOR:(sector + count) * SECTOR] = pattern(sector, count,
                                                                           generation)
        for s in self.others(snapshot):
            s.chunks |= s.touched(sector, count)

    def cut(self, snapshot, origin, found):
        """A merge was cut off. origin: its bytes now; found: the chunks that
        each store has an exception for now, {name: set}. Gives whether it had
        written anything."""
        left = found[snapshot.name]
        if not left <= snapshot.chunks:
            raise Failure("cut off: chunks %s of %s are new"
                          % (sorted(left - snapshot.chunks), snapshot.name))
        gone = snapshot.chunks - left
        for s in self.others(snapshot):
            least = s.chunks | self.covering(snapshot, gone, s)
            most = s.chunks | self.covering(snapshot, snapshot.chunks, s)
            if not least <= found[s.name] <= most:
                raise Failure("cut off: the sibling %s lacks chunks %s, has too many: %s"
                              % (s.name, sorted(least - found[s.name]),
                                 sorted(found[s.name] - most)))
        self._mixture(snapshot, origin, left)
        has_begun = bool(gone) or origin != self.origin
        snapshot.is_mixed |= has_begun
        for name, chunks in found.items():
            self.snapshots[name].chunks = set(chunks)
        self.origin[:] = origin
        return has_begun

    def _mixture(self, snapshot, origin, left):
        """Each sector is old, or (where the merge writes) what the view shows;
        the latter for certain where the exception is gone."""
        if len(origin) != len(self.origin):
            raise Failure("cut off: the origin has %d bytes" % len(origin))
        for sector in range(self.sectors):
            at = slice(sector * SECTOR, (sector + 1) * SECTOR)
            now, chunk = origin[at], sector // snapshot.chunk_sectors
            if chunk not in snapshot.chunks:
                legal = (self.origin[at],)
            elif chunk in left:
                legal = (self.origin[at], snapshot.view[at])
            else:
                legal = (snapshot.view[at],)
            if now not in legal:
                raise Failure("cut off: sector %d of the origin (chunk %d, %s) is neither old "
                              "nor merged" % (sector, chunk, "left" if chunk in left else "gone"))

    # ---- stores made anew

    def differing(self, view, chunk_sectors, origin=None, unit_bytes=SECTOR):
        """Chunks that hold a unit in which view and origin differ."""
        base = self.origin if origin is None else origin
        chunks = set()
        for at in range(0, len(view), unit_bytes):
            end = min(at + unit_bytes, len(view))
            if view[at:end] != base[at:end]:
                chunks.update(range(at // SECTOR // chunk_sectors,
                                    (end // SECTOR - 1) // chunk_sectors + 1))
        return chunks
