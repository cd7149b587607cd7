# SPDX-License-Identifier: LGPL-2.1-or-later
# Copyright (C) 2026 the libcow authors
"""States that a power cut leaves of our merges, given to the real kernel.

The crash explorer (tests/crash) draws them over all phases: plain merges, merges
with siblings and an undo file, take-backs. Of each, three things must hold:
 merge     the kernel's snapshot-merge completes it to the whole view, siblings
           and undo file true;
 write     the kernel's view is the whole view, also after it wrote some chunks
           more and was reloaded. Where a metadata chunk was torn (records stand
           behind the end of the list), snapcheck says so and -p mends it first;
 resumed   (torn ones) the same after our merge went on instead."""
import hashlib
import json
import os
import random
import shutil
import subprocess

from cases import Failure, first_difference
from scripts import capacity
from snap import SECTOR, Model, Store, status

# Phases in which the siblings are complete: nobody need know of them.
ALONE = ("move", "merged")
PER_KIND = 16
MANY = 40
WANTED = 200


def read(path):
    with open(path, "rb") as f:
        return f.read()


def sha(data):
    return hashlib.sha256(data).hexdigest()


def same(what, got, want):
    at = first_difference(got, want)
    if at is not None:
        raise Failure("%s differs at byte %d (sizes %d and %d)" % (what, at, len(got), len(want)))


def equal(what, got, want):
    if got != want:
        raise Failure("%s: found %r, wanted %r" % (what, got, want))


class State:
    """One directory of the explorer's, and copies of its files."""

    def __init__(self, directory, tools, rng):
        self.directory, self.tools, self.rng = directory, tools, rng
        self.name = os.path.basename(directory)
        self.job, self.phase = self.name.split("-")[:2]
        self.view = read(self.path("view"))
        self.sectors = len(self.view) // SECTOR
        self.store = Store(self.path("cow"))
        self.chunk_sectors = self.store.chunk_sectors
        self.is_torn = self.store.tail.count(0) != len(self.store.tail)
        self.siblings = [n for n in ("0", "1") if os.path.exists(self.path("sibling" + n))]

    def path(self, name):
        return os.path.join(self.directory, name)

    def copy(self, name, suffix):
        shutil.copyfile(self.path(name), self.path(name + suffix))
        return self.path(name + suffix)

    def table(self, name, kind, cow, chunk_sectors):
        return ["dm", name, self.sectors, kind, "{o} {%s} P %d" % (cow, chunk_sectors)]


class KernelMerges:
    """The kernel takes over."""

    def __init__(self, state):
        self.state = state
        self.name = state.name + "-merge"
        self.has_undo = state.job == "sides" and state.phase in ALONE
        ops = [["loop", "o", state.copy("origin", "-m")], ["loop", "c", state.copy("cow", "-m")]]
        loaded = []
        for n in state.siblings:
            path = state.copy("sibling" + n, "-m")
            ops.append(["loop", "s" + n, path])
            if state.phase not in ALONE:
                self.mend(path)
                loaded.append(state.table("S" + n, "snapshot", "s" + n,
                                          Store(path).chunk_sectors))
        self.end = len(ops) + len(loaded) + 1
        ops += loaded + [state.table("M", "snapshot-merge", "c", state.chunk_sectors),
                         ["merged", "M"], ["remove", "M"] + [table[1] for table in loaded]]
        self.seen = len(ops)
        # One sibling is looked at by the kernel, the other by the naive reader.
        self.looked_at = state.rng.choice(state.siblings) if state.siblings else None
        if self.looked_at:
            ops += self.look("s", "s" + self.looked_at,
                             state.path("sibling%s-m" % self.looked_at))
        if self.has_undo:
            ops += [["loop", "u", state.copy("undo", "-m")],
                    *self.look("u", "u", state.path("undo-m"))]
        self.ops = ops

    def mend(self, path):
        """The kernel is about to append: no records behind the end."""
        tail = Store(path).tail
        if tail.count(0) != len(tail):
            self.state.tools.run("snapcheck", "-q", "-y", path, exits=(1,))

    def look(self, name, node, path):
        return [self.state.table("L" + name, "snapshot", node, Store(path).chunk_sectors),
                ["sha256", "L" + name], ["remove", "L" + name]]

    def judge(self, answers):
        state = self.state
        cow_bytes = os.path.getsize(state.path("cow"))
        equal("usage at the end of the kernel's merge", answers[self.end],
              status(0, state.chunk_sectors, cow_bytes))
        same("origin merged by the kernel", read(state.path("origin-m")), state.view)
        for n in state.siblings:
            shown = read(state.path("shown" + n))
            same("sibling " + n, Store(state.path("sibling%s-m" % n)).view(state.view), shown)
            if n == self.looked_at:
                equal("sibling %s by the kernel" % n, answers[self.seen + 1], sha(shown))
        if self.has_undo:
            before = read(state.path("before"))
            equal("the old origin in the undo file, by the kernel", answers[self.seen + 5],
                  sha(before))
            state.tools.run("snapmerge", "-q", "-y", "--take-back", state.path("origin-m"),
                            state.path("undo-m"), *["--sibling=" + state.path("sibling%s-m" % n)
                                                    for n in state.siblings])
            same("origin taken back", read(state.path("origin-m")), before)


class KernelWrites:
    """The kernel reads, writes one chunk more, and reads again after a reload."""

    def __init__(self, state, resumed=False):
        self.state, self.resumed = state, resumed
        suffix = "-r" if resumed else "-w"
        self.name = state.name + ("-resumed" if resumed else "-write")
        self.origin, self.cow = state.copy("origin", suffix), state.copy("cow", suffix)
        if resumed:
            self.resume()
        elif state.is_torn:
            self.mend()
        self.model = Model(read(self.origin), state.chunk_sectors)
        store = Store(self.cow)
        store.verify(state.sectors)
        self.model.view = store.view(self.model.origin)
        self.model.old_chunks = {old for old, _ in store.records}
        table = state.table("S", "snapshot", "c", state.chunk_sectors)
        self.ops = [["loop", "o", self.origin], ["loop", "c", self.cow], table, ["sha256", "S"],
                    ["write", "S", 8, self.plan_writes()], ["remove", "S"], table,
                    ["sha256", "S"], ["status", "S"]]

    def mend(self):
        """snapcheck must see the torn chunk and say so; -p cuts it."""
        done = self.state.tools.run("snapcheck", "--json", self.origin, self.cow, exits=(0,))
        ids = {f["id"] for f in json.loads(done.stdout)["findings"]}
        # Records that do not fit the list, or in part, are stale ones.
        if not ids & {"persistent.torn-commit", "persistent.stale-records"}:
            raise Failure("%s: snapcheck does not see the torn commit: %s" % (self.name, ids))
        self.state.tools.run("snapcheck", "-q", "-y", self.origin, self.cow, exits=(1,))
        self.state.tools.run("snapcheck", "-q", self.origin, self.cow)

    def resume(self):
        if self.state.job == "back":
            args = ["--take-back", self.origin, self.cow]
        else:
            args = [self.origin, self.cow]
        self.state.tools.run("snapmerge", "-q", "-y", *args)
        same("origin after our merge went on", read(self.origin), self.state.view)
        equal("exceptions after our merge went on", len(Store(self.cow).records), 0)

    def plan_writes(self):
        """A sector of a chunk that has no exception, if there is one and room;
        of many such chunks, one after the other, where the metadata was torn:
        stale records may lie a sector of records behind the end."""
        cs, rng = self.state.chunk_sectors, self.state.rng
        chunks = range(-(-self.state.sectors // cs))
        free = [c for c in chunks if c not in self.model.old_chunks]
        room = capacity(Store(self.cow).nr_chunks, cs)[0] - len(self.model.old_chunks)
        free = rng.sample(free, min(len(free), room, MANY if self.state.is_torn else 1))
        self.before = sha(self.model.view)
        writes = []
        again = rng.sample(chunks, 1) if room else sorted(self.model.old_chunks)[:1]
        for chunk in free or again:
            sector = chunk * cs
            sector += rng.randrange(min(cs, self.state.sectors - sector))
            self.model.write("S", sector, 1, 7)
            writes.append([sector, 1, 7])
        return writes

    def judge(self, answers):
        equal("view by the kernel", answers[3], sha(self.state.view))
        equal("the same by the naive reader", self.before, sha(self.state.view))
        equal("writes that failed", answers[4], [])
        equal("view by the kernel, written to and reloaded", answers[7], sha(self.model.view))
        equal("usage by the kernel", answers[8], Store(self.cow).status())
        equal("exceptions", len(Store(self.cow).records), len(self.model.old_chunks))


def cases(work, tools, args):
    """Words: numbers of states for the explorer, plain and with siblings."""
    numbers = args.words or ("8000", "8000")
    directory = os.path.join(work, "states")
    os.mkdir(directory)
    for program, number in zip(("crash_merge", "crash_siblings"), numbers):
        subprocess.run([tools.program("tests/crash/" + program), number, directory,
                        str(PER_KIND)], check=True, env=dict(os.environ, COW_SEED=args.seed))
    rng = random.Random(args.seed)
    for name in sorted(os.listdir(directory)):
        state = State(os.path.join(directory, name), tools, rng)
        yield KernelMerges(state)
        yield KernelWrites(state)
        if state.is_torn and state.phase != "merged":
            yield KernelWrites(state, resumed=True)


def conclude(all_cases):
    """Were there enough?"""
    states = {c.state.name: c.state for c in all_cases}
    print("%d states, %d of them with a torn metadata chunk"
          % (len(states), sum(s.is_torn for s in states.values())))
    return len(states) >= WANTED
