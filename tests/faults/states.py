#!/usr/bin/python3 -B
# SPDX-License-Identifier: LGPL-2.1-or-later
# Copyright (C) 2026 the libcow authors
"""Every system call of a job fails in turn, and the job is killed before each
(tests/faults/shim.c says how): what is on the disk then, and does the same
command finish it?

  states.py create|merge|repair|pool [NAME MODE:N]     one of them, to look at it
  states.py --share create|merge|repair|pool           what make check has time for

With --share every call fails once and is the last one once; of the other ways to fail
(all calls from there on, no space, torn, short) each job tries every third, other ones for
each commit (COW_SEED). "make fault-states" tries all of them.

A job says in state() what must hold at once, and in the end."""
import errno
import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(HERE, "kernel"))
from cases_pool import POOL, dump, small_pool  # noqa: E402
from snap import FormatError, Store  # noqa: E402

BUILD = os.environ.get("COW_BUILD", os.path.join(os.path.dirname(HERE), "build"))
SECONDS = 60
# Classes of calls (see shim.c) that a mode counts.
MODES = {"eio": "rwztfn", "enospc": "wztfn", "torn": "w", "short": "rw", "kill": "rwztfn"}
SHARE = 3
WHOLE = ("eio", "kill")
WANTED = (("eio", ""), ("eio", "+"), ("enospc", ""), ("enospc", "+"), ("torn", ""), ("short", ""),
          ("short", "+"), ("kill", ""))


class Wrong(Exception):
    pass


def read(path):
    with open(path, "rb") as f:
        return f.read()


def must(condition, what):
    if not condition:
        raise Wrong(what)


def plan_of(fault):
    """MODE:N, or MODE:N+ for all from there on, in the words of shim.c."""
    mode, nth = fault.rstrip("+").split(":")
    how = {"eio": "once", "enospc": "once"}.get(mode, mode)
    if fault.endswith("+"):
        how = {"once": "ever", "short": "shorts"}[how]
    error = errno.ENOSPC if mode == "enospc" else errno.EIO
    return "%s:%s:%s:%d" % (MODES[mode], nth, how, error)


class Disk:
    """A directory to work in, made anew for each run from a template."""

    def __init__(self, work):
        self.work, self.template = work, os.path.join(work, "template")
        self.now = os.path.join(work, "now")
        self.log = os.path.join(work, "log")
        self.device = None  # that counts as ours, too

    def renew(self):
        shutil.rmtree(self.now, ignore_errors=True)
        shutil.copytree(self.template, self.now)

    def path(self, name):
        return os.path.join(self.now, name)

    def run(self, argv, fault=None, where=None):
        """Gives exit status and stderr."""
        env = dict(os.environ, COW_SANDBOX="off", FAULT_DIRS=where or self.now)
        if self.device:
            env["FAULT_DIRS"] += ":" + self.device
        env["LD_PRELOAD"] = os.path.join(BUILD, "tests/faults/shim.so")
        env["FAULT_PLAN" if fault else "FAULT_LOG"] = plan_of(fault) if fault else self.log
        argv = [os.path.join(BUILD, argv[0])] + argv[1:]
        done = subprocess.run(argv, cwd=where or self.now, env=env, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=SECONDS, check=False)
        return done.returncode, done.stderr

    def calls(self):
        """[[class, name]] of the run that was logged."""
        with open(self.log) as f:
            lines = [line.split() for line in f]
        os.unlink(self.log)
        return lines


def prepare(disk, *commands):
    """Runs tools on the template, unharmed."""
    for argv in commands:
        status, said = disk.run(argv.split(), where=disk.template)
        must(status == 0, "%s: %d: %s" % (argv, status, said))
    if os.path.exists(disk.log):
        os.unlink(disk.log)


def random_bytes(seed, count):
    return b"".join((b"%08x" % (seed * 1000003 + i)) * 64 for i in range(count // 512))


def make_images(disk):
    """origin and two images that differ from it here and there."""
    os.mkdir(disk.template)
    origin = bytearray(random_bytes(1, 160 * 1024 - 512))
    for name, changes in (("origin", ()), ("image", ((3, 2), (20, 9), (39, 1))),
                          ("other", ((0, 1), (20, 3), (30, 4)))):
        data = bytearray(origin)
        for chunk, count in changes:
            new = random_bytes(100 + chunk, count * 4096)[:len(data) - chunk * 4096]
            data[chunk * 4096:chunk * 4096 + len(new)] = new
        with open(os.path.join(disk.template, name), "wb") as f:
            f.write(data)
        os.truncate(os.path.join(disk.template, name), len(origin))


class Job:
    good = 0  # exit status
    failed = (8,)  # and where a call failed that is no write and no flush

    def __init__(self, disk, name, command):
        self.disk, self.name, self.command = disk, name, command.split()
        self.again = self.command

    def renew(self):
        self.disk.renew()

    def prepare(self):
        """Looks at an unharmed run: what must come out."""
        self.renew()
        status, said = self.disk.run(self.command)
        must(status == self.good, "unharmed: exit %d: %s" % (status, said))
        self.log = self.disk.calls()
        self.names = set(os.listdir(self.disk.now))
        self.reference()

    def one(self, fault):
        """One run that is harmed, and the one that mends it; gives the exit."""
        self.renew()
        status, said = self.disk.run(self.command, fault)
        where = fault + ": exit %d: %s" % (status, said)
        if fault.startswith("kill"):
            must(status == 137, where + "not killed")
        elif fault.startswith("short"):
            must(status == self.good, where)
        else:
            must(status in ((8,) if self.is_fatal(fault) else (self.good,) + self.failed), where)
            must(status == self.good or "snap" in said, where + "no word")
            left = set(os.listdir(self.disk.now)) - self.names
            must(not left, where + "left behind: %s" % left)
        try:
            self.state(status == self.good)
            if status != self.good:
                self.finish()
        except (Wrong, FormatError) as e:
            raise Wrong("%s%s" % (where, e)) from None
        return status

    def is_fatal(self, fault):
        """A write or a flush that fails is never passed over (I8)."""
        mode, nth = fault.rstrip("+").split(":")
        counted = [call[0] for call in self.log if call[0] in MODES[mode]]
        return counted[int(nth) - 1] in "wf"

    def finish(self):
        status, said = self.disk.run(self.again)
        os.unlink(self.disk.log)
        must(status in (0, self.good), "the same again: exit %d: %s" % (status, said))
        self.state(True)

    def same(self, name, bytes_):
        must(read(self.disk.path(name)) == bytes_, name + " is not what it must be")


class Create(Job):
    """Makes target. old: the file that is there before, or None. Never a
    mixture: nothing, the old one, or the whole new one."""

    def __init__(self, disk, name, command, target, old=None, in_place=False):
        super().__init__(disk, name, command)
        self.target, self.in_place = target, in_place
        self.old = read(os.path.join(disk.template, old)) if old else None
        if not old:
            self.again = self.command + ["--force=overwrite"]

    def reference(self):
        self.wanted = read(self.disk.path(self.target))
        must(self.wanted != self.old, "nothing changes")
        if not self.in_place:
            self.check_order()

    def check_order(self):
        """A name is given to what is durable, and is then made durable."""
        named = [i for i, c in enumerate(self.log) if c[0] == "n"]
        must(named, "no name is given")
        written = max(i for i, c in enumerate(self.log) if c[0] in "wzt")
        flushed = [i for i, c in enumerate(self.log) if c[0] == "f"]
        must(any(written < i < named[0] for i in flushed), "not flushed before it has its name")
        must(flushed[-1] > named[-1] and self.log[flushed[-1]][1] == self.disk.now,
             "the directory is not flushed")

    def state(self, is_done):
        path = self.disk.path(self.target)
        if not os.path.exists(path):
            must(not is_done and self.old is None, "no target")
            self.again = self.command
            return
        if self.old is None:
            self.again = self.command + ["--force=overwrite"]
        now = read(path)
        if now == self.wanted:
            return
        must(not is_done, "not complete")
        if now != self.old:
            must(self.in_place and not any(now[:512]), "neither old nor new nor nothing")


class CreateOnDevice(Create):
    """The target is a block device, full of what the file old holds."""

    def __init__(self, disk, name, command, old):
        super().__init__(disk, name, command + " " + disk.device, disk.device, old, True)

    def renew(self):
        self.disk.renew()
        with open(self.target, "r+b") as f:
            f.write(self.old)
            f.flush()
            os.fsync(f.fileno())


class Merge(Job):
    """In place. views: what each store must show, whenever it is looked at."""

    def __init__(self, disk, name, command, views, undo=None):
        super().__init__(disk, name, command)
        self.views, self.undo = views, undo
        self.before = read(os.path.join(disk.template, "origin"))

    def reference(self):
        self.results = {name: read(self.disk.path(name)) for name in ["origin"] + list(self.views)}

    def state(self, is_done):
        origin = read(self.disk.path("origin"))
        for name, view in self.views.items():
            must(Store(self.disk.path(name)).view(origin) == view, "view of " + name)
        if self.undo and os.path.exists(self.disk.path(self.undo)):
            must(Store(self.disk.path(self.undo)).view(origin) == self.before, "the undo file")
        elif self.undo:
            must(origin == self.before and not is_done, "no undo file")
        if is_done:
            self.same("origin", self.results["origin"])
            for name in self.views:
                must(Store(self.disk.path(name)).records ==
                     Store(self.write("r", self.results[name])).records, "exceptions of " + name)

    def write(self, name, data):
        path = os.path.join(self.disk.work, name)
        with open(path, "wb") as f:
            f.write(data)
        return path


class Repair(Job):
    """In place, with an undo file: through that the image is as it was, whatever
    happens, and the repair ends with the same exceptions."""
    good = 1

    def reference(self):
        self.before = read(os.path.join(self.disk.template, "bad"))
        self.wanted = self.exceptions()

    def exceptions(self):
        store = Store(self.disk.path("bad"))
        return {old: store.bytes[new * store.chunk_bytes:(new + 1) * store.chunk_bytes]
                for old, new in store.records}

    def is_fatal(self, fault):
        """Where the disk is full when the repair is through, the digests of what it left
        are not in the undo file; that is in order, and a full disk before that is not:
        the state that must follow a success tells."""
        return super().is_fatal(fault) and not fault.startswith("enospc")

    def state(self, is_done):
        now = read(self.disk.path("bad"))
        if not os.path.exists(self.disk.path("undo")):
            must(now == self.before and not is_done, "no undo file")
            return
        must(Store(self.disk.path("undo")).view(now) == self.before, "the undo file")
        if is_done:
            must(self.exceptions() == self.wanted, "the exceptions")
            argv = [os.path.join(BUILD, "snapcheck"), "-q", "bad"]
            must(subprocess.run(argv, cwd=self.disk.now, stdout=subprocess.DEVNULL,
                                check=False).returncode == 0, "not sound in the end")


class Change(Job):
    """In a thin pool, by one write that decides: as it was, or the whole change, and sound."""
    failed = (8, 64)  # what cannot be read is not changed

    def reference(self):
        self.before = dump(read(os.path.join(self.disk.template, "m.img")))
        self.wanted = self.now()
        must(b"not sound" not in (self.before, self.wanted) and self.before != self.wanted, "no change")

    def now(self):
        return dump(read(self.disk.path("m.img")))

    def state(self, is_done):
        must(self.now() in ((self.wanted,) if is_done else (self.before, self.wanted)), "the pool")

    def finish(self):
        """What is done, whatever was said, would be another change."""
        if self.now() == self.before:
            super().finish()


class Output(Job):
    """Into a new image; nothing else may change."""

    def reference(self):
        self.wanted = read(self.disk.path("new"))
        self.before = {n: read(self.disk.path(n)) for n in self.names - {"new"}}

    def state(self, is_done):
        for name, data in self.before.items():
            self.same(name, data)
        must(os.path.exists(self.disk.path("new")) or not is_done, "no new image")
        if os.path.exists(self.disk.path("new")):
            self.same("new", self.wanted)
            self.again = self.command + ["--force=overwrite"]


def create_jobs(disk):
    make_images(disk)
    prepare(disk, "snapcreate -q --from=image origin old", "snapcreate -q --from=other origin b",
            "snapdump -q --delta -o d1.tar origin b", "snapdump -q --delta -o d2.tar b old",
            "snapdump -q --delta -o delta.tar origin b")
    # A device full of something.
    with open(os.path.join(disk.template, "full"), "wb") as f:
        f.write(random_bytes(7, 300 * 1024))
    over = "--force=overwrite "
    fills = (("empty", ""), ("from", "--from=other "), ("import", "--import=delta.tar "))
    for what, option in fills:
        yield Create(disk, what + "-new", "snapcreate %sorigin new" % option, "new")
        yield Create(disk, what + "-over-rubbish",
                     "snapcreate -c 1K %s%sorigin full@0" % (over, option), "full", "full", True)
        if option:
            yield Create(disk, what + "-over-old", "snapcreate -c 8K %s%sorigin old" % (over, option),
                         "old", "old")
        for chunk in ("512", "4K", "16K"):
            yield Create(disk, "%s-in-place-%s" % (what, chunk),
                         "snapcreate -c %s %s%sorigin old@0" % (chunk, over, option), "old", "old",
                         True)
    yield from device_jobs(disk, fills)


def device_jobs(disk, fills):
    path = os.path.join(disk.work, "device")
    shutil.copyfile(os.path.join(disk.template, "full"), path)
    disk.device = subprocess.run(["losetup", "-f", "--show", path], stdout=subprocess.PIPE,
                                 text=True, check=True).stdout.strip()
    try:
        # An old store in there: its file is made as long as the device.
        store = os.path.join(disk.template, "old-device")
        shutil.copyfile(os.path.join(disk.template, "old"), store)
        os.truncate(store, os.path.getsize(path))
        for what, option in fills:
            for old in ("full", "old-device"):
                yield CreateOnDevice(disk, "%s-device-%s" % (what, old),
                                     "snapcreate -c 1K --force=overwrite %sorigin" % option, old)
    finally:
        subprocess.run(["losetup", "-d", disk.device], check=True)
        disk.device = None


def merge_jobs(disk):
    make_images(disk)
    prepare(disk, "snapcreate -q --from=image origin cow",
            "snapcreate -q -c 1K --from=other origin sibling")
    origin, image, other = (read(os.path.join(disk.template, n))
                            for n in ("origin", "image", "other"))
    views = {"cow": image, "sibling": other}
    sides = "--sibling=sibling origin cow"
    yield Merge(disk, "plain", "snapmerge -y origin cow", {"cow": image})
    yield Merge(disk, "keep", "snapmerge -y --keep origin cow", {"cow": image})
    yield Merge(disk, "sparse", "snapmerge -y --sparse origin cow", {"cow": image})
    yield Merge(disk, "sibling", "snapmerge -y " + sides, views)
    yield Merge(disk, "undo", "snapmerge -y --force=volatile --save-undo=undo " + sides, views, "undo")
    yield Merge(disk, "undo-keep", "snapmerge -y --keep --force=volatile --save-undo=undo origin cow",
                {"cow": image}, "undo")
    yield Output(disk, "output", "snapmerge -o new origin cow")
    prepare(disk, "snapmerge -q -y --force=volatile --save-undo=undo " + sides)
    yield Merge(disk, "take-back", "snapmerge -y --sibling=sibling --take-back origin undo",
                {"undo": origin, "sibling": other})


def pool_jobs(disk):
    os.mkdir(disk.template)
    for name, data in small_pool(disk.work).items():
        with open(os.path.join(disk.template, name), "wb") as f:
            f.write(data)
    yield Change(disk, "new-device", "snapcreate --thin %s,id=9,size=1M" % POOL)
    yield Change(disk, "snapshot", "snapcreate --snapshot-of=1 %s,id=7" % POOL)
    yield Change(disk, "delete", "snapcreate -y --delete %s,id=2" % POOL)
    yield Change(disk, "exchange", "snapmerge -y %s,id=1,size=1M %s,id=2,size=1M" % (POOL, POOL))


# Several kinds: what each lacks, and what a repair writes for it, differ.
DAMAGED = {
    "twice": "size 301s\nchunk 1\nheader\nauto 10 40\nrecord 12 90\ndata 2 30\n",
    "flip": "size 300K\nheader\nrecord 10 2\nrecord 11 3\nrecord 11 4\ndata 2 3\nat 0 64\nrecord 7 66\n",
    "shared": "size 300K\nheader\nrecord 10 2\nrecord 11 2\nrecord 12 4\ndata 2 3\n",
    "magic": "size 300K\nheader\nauto 10 30\n",
}


def repair_jobs(disk):
    os.mkdir(disk.template)
    maker = os.path.join(BUILD, "tests/examples/mkstore")
    for name, text in DAMAGED.items():
        subprocess.run([maker, os.path.join(disk.template, "bad")], input=text.encode(), check=True)
        if name == "magic":
            with open(os.path.join(disk.template, "bad"), "r+b") as f:
                f.write(bytes(4))
        yield Repair(disk, name, "snapcheck -y -q --force=volatile --save-undo=undo bad")


def seed_now():
    if os.environ.get("COW_SEED"):
        return int(os.environ["COW_SEED"])
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=HERE, capture_output=True, text=True,
                            check=False).stdout
    return int(commit[:8], 16) if commit else 1


def run_job(job, only, share):
    job.prepare()
    counts = {job.good: 0, 8: 0, 64: 0, 137: 0}
    for mode, plus in WANTED:
        total = sum(call[0] in MODES[mode] for call in job.log)
        if mode + plus == "short+":  # all of them, once
            total = 1
        is_shared = share is not None and mode + plus not in WHOLE and total >= SHARE
        for nth in range(1 + (share % SHARE if is_shared else 0), total + 1,
                         SHARE if is_shared else 1):
            fault = "%s:%d%s" % (mode, nth, plus)
            if only not in (None, fault):
                continue
            counts[job.one(fault)] += 1
    print("%s: %d calls; %d runs failed, %d went on, %d were killed"
          % (job.name, len(job.log), counts[8] + counts[64], counts[job.good], counts[137]), flush=True)
    return sum(counts.values())


def main():
    share = seed_now() if sys.argv[1:2] == ["--share"] else None
    words = sys.argv[1 if share is None else 2:]
    jobs = {"create": create_jobs, "merge": merge_jobs, "repair": repair_jobs,
            "pool": pool_jobs}[words[0]]
    name, fault = (words[1:] + [None, None])[:2]
    if share is not None:
        print("seed %d" % share, flush=True)
    # Thousands of flushes: not on a real disk, if there is memory.
    memory = "/dev/shm" if os.path.isdir("/dev/shm") else None
    work = tempfile.mkdtemp(prefix="cow-faults-", dir=memory)
    total = 0
    for job in jobs(Disk(work)):
        if name not in (None, job.name):
            continue
        try:
            total += run_job(job, fault, share)
        except Wrong as e:
            print("FAILED: %s: %s\nkept: %s\n again: %s %s %s MODE:N"
                  % (" ".join(job.command), e, work, sys.argv[0], words[0], job.name))
            return 1
    print("%d runs" % total)
    shutil.rmtree(work)
    return 0 if total else 1


if __name__ == "__main__":
    sys.exit(main())
