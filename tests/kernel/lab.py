#!/usr/bin/python3 -B
# SPDX-License-Identifier: LGPL-2.1-or-later
# Copyright (C) 2026 the libcow authors
"""Boots a real Linux kernel (user-mode-linux) as an ordinary process.

The host's file tree is its root, so jobs and images are plain host files.
What the guest wrote is on the host only after it ended (or synced); what the
host wrote is seen by the next boot. A guest that dies, hangs or prints no
JOB_RC is an error, never a skip. Only processes started here are killed, by
their process group.
"""
import json
import os
import shutil
import signal
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
# The kernel: Debian's, or the path of another one (make kernel-next).
KERNEL = os.environ.get("COW_KERNEL", "linux.uml")


class LabError(Exception):
    """The lab itself failed: the kernel died, hung, or a job did."""


def memory_dir(work):
    """Where the guest's memory file goes: tmpfs if there is one, else work."""
    shm = "/dev/shm"
    return shm if os.path.isdir(shm) and os.access(shm, os.W_OK | os.X_OK) else work


class Boot:
    """One boot: start() it, then wait() for its end or kill() it."""

    def __init__(self, directory, job, jobarg, timeout=240, memory="256M", disks=(), initrd=None):
        self.directory = directory
        self.timeout = timeout
        self.console = os.path.join(directory, "console.txt")
        os.makedirs(directory)
        words = [KERNEL, "mem=" + memory, "root=/dev/root", "rootfstype=hostfs", "rootflags=/",
                 "rw", "init=" + os.path.join(HERE, "init.sh"), "job=" + job, "jobarg=" + jobarg,
                 "con=null", "con0=null,fd:1", "quiet"]
        if initrd:  # a machine of its own: no host's files, no job
            words = [KERNEL, "mem=" + memory, "initrd=" + initrd, "con=null",
                     "con0=null,fd:1", "quiet"]
        first = ord("a" if initrd else "b")
        words += ["ubd%s=%s" % (chr(first + i), path) for i, path in enumerate(disks)]
        for word in words:
            if any(c.isspace() for c in word):
                raise LabError("the kernel's command line cannot hold a blank: " + repr(word))
        # NOTE: linux.uml leads its own session; with anything in between, it
        # makes itself a session that killpg() does not reach. Should we be
        # killed, init.sh has a time limit too.
        self.argv = words + ["limit=%d" % (timeout + 30)]
        self.process = None

    def start(self):
        for program in (KERNEL, "busybox"):
            if not shutil.which(program):
                raise LabError(program + " is not installed; make deps")
        env = {"PATH": os.environ.get("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"), "LC_ALL": "C",
               "TZ": "UTC", "HOME": self.directory, "TMPDIR": memory_dir(self.directory)}
        with open(self.console, "wb") as out:
            self.process = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL, stdout=out,
                                            stderr=out, env=env, cwd=self.directory,
                                            start_new_session=True)

    def text(self):
        with open(self.console, "rb") as f:
            return f.read().decode(errors="replace").replace("\r", "")

    def kill(self):
        """Power cut: SIGKILL to everything this boot consists of."""
        if self.process and self.process.returncode is None:
            try:
                os.killpg(self.process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            self.process.wait()

    def running(self):
        return self.process.poll() is None

    def wait(self):
        """Waits for the end; the job must have ended with 0."""
        try:
            self.process.wait(self.timeout)
        except subprocess.TimeoutExpired:
            raise LabError("the guest hangs; console: " + self.console) from None
        finally:
            self.kill()
        if "JOB_RC=0" not in self.text().split():
            raise LabError("the guest died or its job failed:\n%s\nconsole: %s"
                           % (self.text()[-2000:], self.console))


class Lab:
    """Boots one after another below a work directory, running lists of jobs
    (guest.py says what a job is)."""

    def __init__(self, work):
        self.work = work
        self.nr_boots = 0
        self.seconds = 0.0

    def _boot(self, jobs):
        directory = os.path.join(self.work, "boot-%d" % self.nr_boots)
        self.nr_boots += 1
        boot = Boot(directory, os.path.join(HERE, "guest.py"), directory)
        with open(os.path.join(directory, "jobs.json"), "w") as f:
            json.dump(jobs, f)
        return boot

    def run(self, jobs):
        """Runs jobs [{id, ops}]; gives {id: results of its ops}. A job that
        fails gives {"error": text} instead."""
        began = time.monotonic()
        boot = self._boot(jobs)
        try:
            boot.start()
            boot.wait()
        finally:
            boot.kill()
            self.seconds += time.monotonic() - began
        with open(os.path.join(boot.directory, "results.json")) as f:
            results = json.load(f)
        missing = [j["id"] for j in jobs if j["id"] not in results]
        if missing:
            raise LabError("no result of %s; console: %s" % (missing, boot.console))
        return results

    def run_and_kill(self, jobs, is_time):
        """Runs jobs until is_time(lines so far that start with "WATCH ")
        says so, then cuts the power. Gives the last such line, decoded."""
        began = time.monotonic()
        boot = self._boot(jobs)
        try:
            boot.start()
            while True:
                lines = [w[6:] for w in boot.text().split("\n")[:-1] if w.startswith("WATCH ")]
                if lines and is_time(lines):
                    break
                if not boot.running() or time.monotonic() - began > boot.timeout:
                    raise LabError("the guest ended or hung before it was to be killed:\n%s\n"
                                   "console: %s" % (boot.text()[-2000:], boot.console))
                time.sleep(0.02)
        finally:
            boot.kill()
            self.seconds += time.monotonic() - began
        return json.loads(lines[-1])


def main(argv):
    """lab.py DIRECTORY JOB JOBARG [DISK...]: one boot for one program; its
    output; exit 0 if the program did. JOB --initrd: JOBARG is an initramfs,
    which is all there is besides the disks (/dev/ubda, ...)."""
    if argv[2] == "--initrd":
        boot = Boot(argv[1], "", "", disks=argv[4:], initrd=argv[3])
    else:
        boot = Boot(argv[1], argv[2], argv[3], disks=argv[4:])
    try:
        boot.start()
        boot.wait()
    except LabError as e:
        print(e)
        return 1
    finally:
        boot.kill()
    print(boot.text())
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(2))
    sys.exit(main(sys.argv))
