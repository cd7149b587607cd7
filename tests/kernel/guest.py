#!/usr/bin/python3 -IB
# SPDX-License-Identifier: LGPL-2.1-or-later
# Copyright (C) 2026 the libcow authors
"""Runs inside the user-mode kernel: the jobs of DIRECTORY/jobs.json, one after
the other, results to DIRECTORY/results.json.

A job is {id, ops}; an op is [name, argument, ...], see the methods of Job.
Devices have names within their job; "{name}" in a table is its node. Ops that
fail end the job with {"error": ...}; its devices are taken down.
"""
import fcntl
import hashlib
import json
import mmap
import os
import struct
import subprocess
import sys
import threading
import time
import traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import dmlib  # noqa: E402
from snap import pattern  # noqa: E402

PIECE = 1 << 20
BLKDISCARD = 0x1277


class Job:
    def __init__(self, ident):
        self.ident = ident
        self.nodes = {}
        self.loops, self.maps = [], []  # names, in order of creation
        self.held = []  # descriptors

    def loop(self, name, path, block_bytes=512):
        self.nodes[name] = dmlib.loop_attach(path, block_bytes=block_bytes)
        self.loops.append(name)

    def dm(self, name, sectors, kind, params):
        full = "%s-%s" % (self.ident, name)
        self.nodes[name] = dmlib.dm_create(full, sectors, kind, params.format(**self.nodes))
        self.maps.append(name)

    def dm_fails(self, name, sectors, kind, params):
        """The kernel must refuse this table; gives its errno."""
        try:
            self.dm(name, sectors, kind, params)
        except OSError as e:
            return e.errno
        raise RuntimeError("the kernel accepts: %s %s" % (kind, params))

    def message(self, name, *texts):
        for text in texts:
            dmlib.dm_message("%s-%s" % (self.ident, name), text)

    def status(self, name):
        return dmlib.dm_status("%s-%s" % (self.ident, name))

    def remove(self, *names):
        while self.held:
            os.close(self.held.pop())
        for name in names:
            if name in self.maps:
                dmlib.dm_remove("%s-%s" % (self.ident, name))
                self.maps.remove(name)
            else:
                dmlib.loop_detach(self.nodes[name])
                self.loops.remove(name)

    def write(self, name, nr_threads, writes):
        """Direct writes [[sector, sectors, generation], ...] by threads;
        gives the indices of those that failed."""
        failed, turn = [], iter(enumerate(writes))
        lock = threading.Lock()

        def work():
            fd = os.open(self.nodes[name], os.O_RDWR | os.O_DIRECT)
            buf = mmap.mmap(-1, max(n for _, n, _ in writes) * 512)
            while True:
                with lock:
                    index, (sector, count, generation) = next(turn, (None, (0, 0, 0)))
                if index is None:
                    break
                buf[:count * 512] = pattern(sector, count, generation)
                try:
                    if os.pwrite(fd, memoryview(buf)[:count * 512], sector * 512) != count * 512:
                        failed.append(index)
                except OSError:
                    failed.append(index)
            os.close(fd)

        threads = [threading.Thread(target=work) for _ in range(nr_threads)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        return sorted(failed)

    def discard(self, name, sector, count):
        fd = os.open(self.nodes[name], os.O_RDWR)
        try:
            fcntl.ioctl(fd, BLKDISCARD, struct.pack("QQ", sector * 512, count * 512))
        finally:
            os.close(fd)

    def _pieces(self, name):
        fd = os.open(self.nodes[name], os.O_RDONLY | os.O_DIRECT)
        buf = mmap.mmap(-1, PIECE)
        try:
            size = os.lseek(fd, 0, os.SEEK_END)
            for offset in range(0, size, PIECE):
                want = min(PIECE, size - offset)
                got = os.preadv(fd, [memoryview(buf)[:want]], offset)
                if got != want:
                    raise RuntimeError("short read of %s at %d" % (name, offset))
                yield memoryview(buf)[:want]
        finally:
            os.close(fd)

    def dump(self, name, path):
        """The whole device into a host file."""
        with open(path, "wb") as f:
            for piece in self._pieces(name):
                f.write(piece)

    def sha256(self, name):
        digest = hashlib.sha256()
        for piece in self._pieces(name):
            digest.update(piece)
        return digest.hexdigest()

    def sha256_at(self, name, sector, count):
        """Of some sectors of a device that is too large to read as a whole."""
        fd = os.open(self.nodes[name], os.O_RDONLY | os.O_DIRECT)
        buf = mmap.mmap(-1, count * 512)
        try:
            if os.preadv(fd, [buf], sector * 512) != count * 512:
                raise RuntimeError("short read of %s at sector %d" % (name, sector))
            return hashlib.sha256(buf).hexdigest()
        finally:
            os.close(fd)

    def tool(self, exits, *argv):
        """Runs a program here, on these devices; gives its stdout."""
        argv = [word.format(**self.nodes) for word in argv]
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              errors="backslashreplace", check=False)
        if done.returncode not in exits:
            raise RuntimeError("exit %d of %s\n%s%s" % (done.returncode, " ".join(argv),
                                                        done.stdout, done.stderr))
        return done.stdout

    def reload(self, name, sectors, kind, params):
        dmlib.dm_reload("%s-%s" % (self.ident, name), sectors, kind, params.format(**self.nodes))

    def hold(self, name):
        """Keeps a device open, so that its cache outlives the next program."""
        self.held.append(os.open(self.nodes[name], os.O_RDONLY))

    def is_cache_true(self, name, offset, count):
        """Does the cache of a device or file hold what the disk does?"""
        buf = mmap.mmap(-1, count)
        path = self.nodes.get(name, name)
        direct, cached = os.open(path, os.O_RDONLY | os.O_DIRECT), os.open(path, os.O_RDONLY)
        os.preadv(direct, [buf], offset)
        is_true = buf[:] == os.pread(cached, count, offset)
        os.close(direct)
        os.close(cached)
        return is_true

    def copy(self, source, target):
        with open(source, "rb") as s, open(target, "wb") as t:
            while True:
                piece = s.read(PIECE)
                if not piece:
                    break
                if piece.count(0) == len(piece):
                    t.seek(len(piece), 1)
                else:
                    t.write(piece)
            t.truncate(s.tell())

    def merged(self, name, seconds=60):
        """Waits until the kernel's merge is through; gives the last status."""
        end = time.monotonic() + seconds
        while True:
            status = self.status(name)
            words = status.replace("/", " ").split()
            if len(words) != 3 or words[0] == words[2]:
                return status
            if time.monotonic() > end:
                raise RuntimeError("merge does not end: " + status)
            time.sleep(0.01)

    def hydrated(self, name, seconds=60):
        """Waits until the kernel has hydrated all of a clone; gives the last status."""
        end = time.monotonic() + seconds
        while True:
            status = self.status(name)
            words = status.split()
            if words[3].split("/")[0] == words[3].split("/")[1]:
                return status
            if time.monotonic() > end:
                raise RuntimeError("hydration does not end: " + status)
            time.sleep(0.01)

    def close(self):
        self.remove()
        for name in reversed(self.maps):
            dmlib.dm_remove("%s-%s" % (self.ident, name))
        for name in self.loops:
            dmlib.loop_detach(self.nodes[name])


def watch(kept):
    """Prints the status of each device "merge", until somebody kills us."""
    while True:
        now = {job.ident: job.status("merge") for job in kept}
        print("WATCH " + json.dumps(now), flush=True)
        time.sleep(0.05)


def run(job, ops):
    return [getattr(job, op[0])(*op[1:]) for op in ops]


def main(directory):
    with open(os.path.join(directory, "jobs.json")) as f:
        jobs = json.load(f)
    results, kept = {}, []
    for spec in jobs:
        job = Job(spec["id"])
        try:
            results[spec["id"]] = run(job, spec["ops"])
        except Exception:
            results[spec["id"]] = {"error": traceback.format_exc()}
            if spec.get("keep"):
                raise
        if spec.get("keep"):
            kept.append(job)
            continue
        try:
            job.close()
        except OSError:
            results[spec["id"]] = {"error": str(results[spec["id"]]) + traceback.format_exc()}
    if kept:
        watch(kept)
    with open(os.path.join(directory, "results.json"), "w") as f:
        json.dump(results, f)
    return 0


sys.exit(main(sys.argv[1]))
