# SPDX-License-Identifier: LGPL-2.1-or-later
# Copyright (C) 2026 the libcow authors
"""What random cases are made of: geometry, writes, guest ops, judging. All that
a case chooses follows from seed and number (scripts.py has the stories)."""
import hashlib
import os
import random
import shutil

from snap import SECTOR, Model, Store, exact_chunks, status


class Run:
    """Ops for guest.py."""

    def __init__(self, ops):
        self.ops = ops


class Kill(Run):
    """Ops that start a kernel merge in the device "merge"; the power is cut
    part way. Gives the usage when it was."""


class Failure(Exception):
    """The three do not agree."""


def first_difference(a, b):
    """Offset of the first byte that differs, or None."""
    if a == b:
        return None
    size = min(len(a), len(b))
    low, step = 0, 1 << 16
    while low < size and a[low:low + step] == b[low:low + step]:
        low += step
    return next((i for i in range(low, min(size, low + step)) if a[i] != b[i]), size)


class Case:
    def __init__(self, seed, number, directory, peer):
        self.seed, self.number, self.directory, self.peer = seed, number, directory, peer
        self.rng = random.Random("%s:%d" % (seed, number))
        self.geometry = "no geometry yet"
        self.progress = []  # of relays, for the record
        os.makedirs(directory)

    def path(self, name):
        return os.path.join(self.directory, name)

    # ---- judging

    def same(self, what, got, want):
        """got: a path or bytes; want: bytes."""
        if isinstance(got, str):
            with open(got, "rb") as f:
                got = f.read()
        at = first_difference(got, want)
        if at is not None:
            raise Failure("%s differs at byte %d (chunk %d): sizes %d and %d, found %s, wanted %s"
                          % (what, at, at // self.chunk_bytes, len(got), len(want),
                             bytes(got[at:at + 32]), bytes(want[at:at + 32])))

    def equal(self, what, got, want):
        if got != want:
            raise Failure("%s: found %r, wanted %r" % (what, got, want))

    # ---- setting up

    def choose(self, chunk_sectors=None, nr_exceptions=None):
        """Geometry: chunk size, number of exceptions, size of the origin."""
        rng = self.rng
        cs = chunk_sectors or rng.choice((1, 1, 1, 8, 8, 8, 8, 16, 16, 32, 32, 128, 1024))
        limit = {1: 200, 8: 780, 16: 600, 32: 180, 128: 50, 1024: 6}[cs]
        per_area = cs * 32
        wanted = [rng.randint(1, limit), rng.randint(1, max(1, limit // 8))]
        wanted += [n for n in (per_area - 1, per_area, per_area + 1, 2 * per_area) if n <= limit]
        nr = nr_exceptions or rng.choice(wanted)
        chunks = nr + rng.choice((0, 1, rng.randint(0, nr + 4)))
        short = rng.randint(1, cs - 1) if cs > 1 and rng.random() < 0.6 else 0
        self.chunk_sectors, self.chunk_bytes, self.nr = cs, cs * SECTOR, nr
        self.sectors = chunks * cs - short
        self.chunks = chunks
        self.store_type = rng.choice(("P", "PO"))
        self.generation = 0
        self.geometry = ("%s, %d exceptions in chunks of %d sectors, origin of %d sectors"
                         % (self.store_type, nr, cs, self.sectors))

    def cow_size(self):
        """Mostly what a wholly rewritten origin needs, and odd bytes more."""
        cs, rng = self.chunk_sectors, self.rng
        sectors = exact_chunks(self.chunks, cs) * cs
        sectors += rng.choice((0, 0, rng.randint(0, cs), rng.randint(0, 9 * cs)))
        return sectors * SECTOR

    def make_origin(self):
        data = bytearray()
        while len(data) < self.sectors * SECTOR:
            sectors = self.rng.randint(1, 512)
            if self.rng.random() < 0.3:
                data += bytes(sectors * SECTOR)
            else:
                data += self.rng.randbytes(sectors * SECTOR)
        del data[self.sectors * SECTOR:]
        with open(self.path("origin"), "wb") as f:
            f.write(data)
        self.model = Model(data, self.chunk_sectors)

    def make_rubbish(self, name, nr_bytes, wiped=4096):
        """A device full of an old store's bytes, the first ones wiped."""
        sector = b"SnAp\1\0\0\0\1\0\0\0" + bytes((8, 0, 0, 0)) + bytes(range(1, 249)) * 2
        with open(self.path(name), "wb") as f:
            f.write(bytes(min(wiped, nr_bytes)))
            f.write((sector * (nr_bytes // SECTOR + 1))[f.tell():nr_bytes])

    # ---- choosing what is written

    def pick_old_chunks(self, nr, taken=()):
        """nr chunks of the origin, runs and single ones."""
        left = sorted(set(range(self.chunks)) - set(taken))
        picked = set()
        while len(picked) < nr and left:
            at = self.rng.randrange(len(left))
            run = self.rng.choice((1, 1, 2, 5, 40))
            take = left[at:at + min(run, nr - len(picked))]
            picked.update(take)
            del left[at:at + len(take)]
        return sorted(picked)

    def plan_writes(self, old_chunks, device):
        """Writes that touch each of these chunks once, and no others."""
        cs, writes, at = self.chunk_sectors, [], 0
        longest = max(1, min(64, 2048 // cs))
        while at < len(old_chunks):
            run = 1
            limit = self.rng.choice((1, 1, 3, longest))
            while (run < limit and at + run < len(old_chunks) and
                   old_chunks[at + run] == old_chunks[at] + run):
                run += 1
            first, end = old_chunks[at] * cs, (old_chunks[at] + run) * cs
            end = min(end, self.sectors)
            if self.rng.random() < 0.5:  # partial chunks at both ends
                first += self.rng.randrange(min(cs, self.sectors - first) if run == 1 else cs)
                last_chunk = (end - 1) // cs * cs
                end = self.rng.randint(max(first, last_chunk) + 1, end)
            self.generation += self.rng.random() < 0.95 or not self.generation
            writes.append([first, end - first, self.generation])
            at += run
        order = self.rng.choice(("up", "down", "random"))
        if order == "down":
            writes.reverse()
        elif order == "random":
            self.rng.shuffle(writes)
        for write in writes:
            self.model.write(device, *write)
        return writes

    def plan_batches(self, old_chunks, again=True):
        """Ops: the chunks split over origin and snapshot, some written twice."""
        ops, left = [], list(old_chunks)
        self.rng.shuffle(left)
        while left:
            count = self.rng.randint(1, len(left)) if self.rng.random() < 0.6 else len(left)
            batch, left = sorted(left[:count]), left[count:]
            device = self.rng.choice("OS")
            ops.append(["write", device, self.rng.choice((1, 4, 8)),
                        self.plan_writes(batch, device)])
            if again and self.rng.random() < 0.5:
                twice = sorted(self.rng.sample(batch, self.rng.randint(1, len(batch))))
                device = self.rng.choice("OS")
                ops.append(["write", device, 4, self.plan_writes(twice, device)])
        return ops

    # ---- guest ops

    def attach(self, origin="origin", cow="cow"):
        return [["loop", "o", self.path(origin)], ["loop", "c", self.path(cow)]]

    def snapshot_table(self):
        return ["dm", "S", self.sectors, "snapshot",
                "{o} {c} %s %d" % (self.store_type, self.chunk_sectors)]

    def activate(self):
        return [self.snapshot_table(), ["dm", "O", self.sectors, "snapshot-origin", "{o}"]]

    def merge_ops(self, suffix="", delay_ms=0):
        """The kernel's own merge of origin<suffix>, cow<suffix>."""
        ops = [["loop", "mo", self.path("origin" + suffix)],
               ["loop", "mc", self.path("cow" + suffix)]]
        target = "{mo}"
        if delay_ms:
            ops.append(["dm", "slow", self.sectors, "delay", "{mo} 0 0 {mo} 0 %d" % delay_ms])
            target = "{slow}"
        ops.append(["dm", "merge", self.sectors, "snapshot-merge",
                    "%s {mc} %s %d" % (target, self.store_type, self.chunk_sectors)])
        if not delay_ms:
            ops += [["merged", "merge"], ["remove", "merge", "mo", "mc"]]
        return ops

    def copy(self, suffix):
        for name in ("origin", "cow"):
            shutil.copyfile(self.path(name), self.path(name + suffix))

    # ---- what must be true of a pair

    def judge_pair(self, when, suffix="", nr_left=None):
        """View, usage and verdict by the tools and by the disk's reader."""
        origin, cow = self.path("origin" + suffix), self.path("cow" + suffix)
        store = Store(cow)
        store.verify(self.sectors)
        with open(origin, "rb") as f:
            self.same(when + ": view by the naive reader", store.view(f.read()), self.model.view)
        out = self.path("view-ours")
        self.peer.view(origin, cow, out)
        self.same(when + ": view by " + self.peer.name, out, self.model.view)
        os.unlink(out)
        verdict = self.peer.check(origin, cow)
        self.equal(when + ": exit of check", verdict["exit"], 0)
        self.equal(when + ": usage by check", verdict["status"], store.status())
        if nr_left is None:
            nr_left = len(self.model.old_chunks)
        self.equal(when + ": usage on disk", store.status(),
                   status(nr_left, self.chunk_sectors, os.path.getsize(cow)))

    def judge_merged(self, when, suffix):
        """A pair after its merge: origin is the view, the store empty."""
        self.same(when + ": merged origin", self.path("origin" + suffix), self.model.view)
        store = Store(self.path("cow" + suffix))
        self.equal(when + ": exceptions left", len(store.records), 0)
        self.equal(when + ": valid", store.valid, 1)
        self.equal(when + ": exit of check",
                   self.peer.check(self.path("origin" + suffix),
                                   self.path("cow" + suffix))["exit"], 0)

    def kernel_writes(self, ops):
        """One activation with writes; view live and after a reload, usage;
        then the kernel's merge of a copy (-k)."""
        again = [["copy", self.path(n), self.path(n + "-k")] for n in ("origin", "cow")]
        script = (self.attach() + self.activate() + ops +
                  [["status", "S"], ["sha256", "S"], ["remove", "O", "S"], self.snapshot_table(),
                   ["status", "S"], ["dump", "S", self.path("view-kernel")],
                   ["remove", "S", "c", "o"]] + again + self.merge_ops("-k"))
        first = len(self.attach() + self.activate())
        answers = yield Run(script)
        for op, failed in zip(ops, answers[first:]):
            if op[0] == "write":
                self.equal("writes that failed", failed, [])
        live, sha, _, _, fresh = answers[first + len(ops):][:5]
        self.same("view of the kernel", self.path("view-kernel"), self.model.view)
        self.equal("sha256 of the live view", sha, hashlib.sha256(self.model.view).hexdigest())
        want = self.model.status(os.path.getsize(self.path("cow")))
        self.equal("usage by the kernel, live", live, want)
        self.equal("usage by the kernel, reloaded", fresh, want)
        self.same("origin after the kernel's writes", self.path("origin"), self.model.origin)
        os.unlink(self.path("view-kernel"))
