# SPDX-License-Identifier: LGPL-2.1-or-later
# Copyright (C) 2026 the libcow authors
"""A merge of ours that is killed before its n-th call, or whose machine loses
its power there: then of everything that was written to an image since its last
flush each sector may be there or not. tests/faults/shim.c kills; what was
durable is what the same run leaves that is killed right before the first of
those writes."""
import errno
import os
import shutil
import subprocess

from cases import Failure
from relay_base import read
from relay_model import Job
from snap import SECTOR, Store
from tools import SECONDS

# Classes of calls, see shim.c.
WRITING, FLUSHING = "wzt", "f"
CALLS = "wztfn"


def take_back_options(snapshot):
    """Where the kernel began no label says that the origin is a mixture."""
    if not snapshot.outcome:
        return []
    is_by_kernel = snapshot.is_mixed and not (snapshot.job and snapshot.job.is_moving)
    return ["--take-back"] + ["--force=changed"] * is_by_kernel


def is_continued(snapshot):
    """Does our next merge go on with one that was cut off? None: who knows.
    With more exceptions than then somebody has certainly used the store. Where it
    was emptied and used again, that shows unless the list begins as it did."""
    job = snapshot.job
    if not job or len(snapshot.chunks) > job.most_left:
        return False
    if job.is_over and snapshot.chunks:
        return None
    return True if job.is_moving and len(snapshot.chunks) <= job.least_left else None


def is_left_out(world, snapshot):
    """Is a sibling refused, because it lacks more than what the snapshot got since
    its merge was cut off? It may have been left out then, and be wrong. None: who
    knows."""
    job, verdict = snapshot.job, False
    if not job:
        return False
    least_grown, most_grown = (max(0, len(snapshot.chunks) - left)
                               for left in (job.most_left, job.least_left))
    for sibling in world.others(snapshot):
        ratio = max(1, snapshot.chunk_sectors // sibling.chunk_sectors)
        lacking = len(world.covering(snapshot, snapshot.chunks, sibling) - sibling.chunks)
        if lacking > most_grown * ratio and job.is_moving and not job.is_over:
            return True
        if lacking > least_grown * ratio:
            verdict = None
    return verdict


class Command:
    """A merge with its siblings, as it will be run on images in a directory."""

    def __init__(self, relay, snapshot, undo=None):
        self.relay, self.snapshot, self.undo = relay, snapshot, undo
        self.siblings = [s.name for s in relay.world.others(snapshot)]
        self.start = relay.images()
        rng = relay.rng
        self.epoch_bytes = 0
        if not undo and not snapshot.outcome and rng.random() < 0.8:
            self.epoch_bytes = snapshot.chunk_sectors * SECTOR * rng.choice((1, 3, 7, 40))
        self.batch = rng.choice((4096, 65536, 1 << 20)) if self.epoch_bytes else 1 << 20

    def argv(self, where):
        def path(name):
            return os.path.join(where, name)

        if self.epoch_bytes:
            return ["tests/kernel/merge", path("origin"), path(self.snapshot.name),
                    str(self.batch), str(self.epoch_bytes)] + [path(n) for n in self.siblings]
        argv = ["snapmerge", "-q", "-y", "--batch=%d" % self.batch]
        argv += ["--sibling=" + path(n) for n in self.siblings]
        if self.undo:
            argv.append("--save-undo=" + path(self.undo))
        argv += take_back_options(self.snapshot)
        return argv + [path("origin"), path(self.snapshot.name)]

    def run(self, where, kill_at=None, log=None):
        """Killed before its call of this number, if there is one. Gives the exit
        status and what was said."""
        build = self.relay.peer.build
        env = dict(os.environ, COW_SANDBOX="off", FAULT_DIRS=where,
                   LD_PRELOAD=os.path.join(build, "tests/faults/shim.so"))
        if kill_at:
            env["FAULT_PLAN"] = "%s:%d:kill:%d" % (CALLS, kill_at, errno.EIO)
        if log:
            env["FAULT_LOG"] = log
        argv = self.argv(where)
        done = subprocess.run([os.path.join(build, argv[0])] + argv[1:], env=env, text=True,
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=SECONDS,
                              check=False)
        return done.returncode, done.stderr

    def try_out(self, kill_at=None, log=None):
        """The same on copies; gives their directory. Deterministic, but for the
        job's random number."""
        where = self.relay.path("try")
        shutil.rmtree(where, ignore_errors=True)
        os.mkdir(where)
        for name, data in self.start.items():
            with open(os.path.join(where, name), "wb") as f:
                f.write(data)
        status, said = self.run(where, kill_at, log)
        if status != (137 if kill_at else 0):
            raise Failure("exit %d of %s\n%s" % (status, " ".join(self.argv(where)), said))
        return where

    def calls(self):
        """[(class, name of the image)] of a whole run."""
        log = self.relay.path("calls")
        where = self.try_out(log=log)
        with open(log) as f:
            lines = [line.split() for line in f]
        os.unlink(log)
        shutil.rmtree(where)
        return [(line[0], os.path.basename(line[1])) for line in lines if line[0] in CALLS]


def unflushed(calls, nth, name):
    """The first call that wrote to an image after its last flush, before the
    nth call; None: everything is durable. Calls count from 1."""
    first = None
    for i, (kind, image) in enumerate(calls[:nth - 1], 1):
        if image == name and kind in FLUSHING:
            first = None
        elif image == name and kind in WRITING and first is None:
            first = i
    return first


def lose(command, calls, nth):
    """The power went: gives the number of sectors that were lost."""
    relay, nr_lost = command.relay, 0
    for name in command.start:
        first = unflushed(calls, nth, name)
        if first is None:
            continue
        durable = read(os.path.join(command.try_out(first), name))
        now = bytearray(read(relay.path(name)))
        if len(durable) != len(now):
            raise Failure("a merge changed the size of %s" % name)
        chance = relay.rng.choice((0.1, 0.5, 0.5, 0.9, 1))
        for at in range(0, len(now), SECTOR):
            was = durable[at:at + SECTOR]
            if was == now[at:at + SECTOR] or (not at and any(was[16:]) and any(now[16:SECTOR])):
                continue  # two labels differ in the random number alone
            if relay.rng.random() < chance:
                now[at:at + SECTOR] = was
                nr_lost += 1
        with open(relay.path(name), "r+b") as f:
            f.write(now)
    return nr_lost


def cut(relay, snapshot, undo=None):
    """One merge of ours that is cut off. With undo, a name, it saves one: that
    is there afterwards only if it is complete, and a snapshot like others."""
    command = Command(relay, snapshot, undo)
    calls = command.calls()
    if not calls:
        return
    nth = relay.rng.randint(1, len(calls))
    flushes = {}  # that have something to make durable, by image
    for i, (kind, name) in enumerate(calls, 1):
        if kind == FLUSHING and unflushed(calls, i, name):
            flushes.setdefault(name, []).append(i)
    if flushes and relay.rng.random() < 0.5:
        nth = relay.rng.choice(flushes[relay.rng.choice(sorted(flushes))])
    before = Store(relay.path(snapshot.name)).records
    relay.say("  %s, killed before call %d of %d"
              % (" ".join(command.argv(relay.directory)).replace(relay.directory + "/", ""), nth,
                 len(calls)))
    status, said = command.run(relay.directory, nth)
    if status != 137:
        raise Failure("not killed: exit %d: %s" % (status, said))
    if not undo and relay.rng.random() < 0.6:
        relay.say("  the power went: %d sectors were lost" % lose(command, calls, nth))
    shutil.rmtree(relay.path("try"), ignore_errors=True)
    if undo and os.path.exists(relay.path(undo)):
        adopt_undo(relay, snapshot, undo)
    was_continued = is_continued(snapshot)
    if not was_continued:
        was, snapshot.job = snapshot.job, Job(len(before), len(command.siblings), undo)
        if was and was_continued is None:  # perhaps it is still that one
            snapshot.job.most_left = max(snapshot.job.most_left, was.most_left)
            snapshot.job.nr_siblings = max(snapshot.job.nr_siblings, was.nr_siblings)
    snapshot.job.is_moving |= relay.take_over_cut("cut off", snapshot, before)
    # A settlement is noted after it was done, so the note may be of the one before.
    snapshot.job.least_left = min(snapshot.job.least_left, len(snapshot.chunks))


def adopt_undo(relay, snapshot, name):
    """It shows the origin before the merge, whose exceptions it all has."""
    undo = relay.adopt(name, snapshot.chunk_sectors, relay.world.origin)
    undo.chunks = set(snapshot.chunks)
    merged = bytearray(relay.world.origin)
    for chunk in snapshot.chunks:
        sector, count = snapshot.sectors_of(chunk)
        at = slice(sector * SECTOR, (sector + count) * SECTOR)
        merged[at] = snapshot.view[at]
    undo.outcome = (set(undo.chunks), merged)
