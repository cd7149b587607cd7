# SPDX-License-Identifier: LGPL-2.1-or-later
# Copyright (C) 2026 the libcow authors
"""Our side of the cases: the four tools, and the library through append.c and
merge.c. Same methods as naive.py."""
import json
import os
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.path.dirname(os.path.dirname(HERE))
SECONDS = 120
# The calls at which a merge is killed: before the n-th of them.
WRITING = ("pwrite64", "pwritev", "pwritev2", "fdatasync", "fallocate")


class ToolError(Exception):
    pass


class Tools:
    name = "the tools"
    mutant = None

    def __init__(self):
        self.build = os.environ.get("COW_BUILD", os.path.join(SOURCE, "build"))
        for tool in ("snapcreate", "snapcheck", "snapmerge", "snapdump", "tests/kernel/append",
                     "tests/kernel/merge"):
            if not os.access(os.path.join(self.build, tool), os.X_OK):
                sys.exit("%s is not built: make all tests-bin" % os.path.join(self.build, tool))

    def program(self, tool):
        return os.path.join(self.build, tool)

    def run(self, tool, *args, exits=(0,), before=(), stdin=""):
        argv = list(before) + [self.program(tool)] + list(args)
        done = subprocess.run(argv, input=stdin, text=True, errors="backslashreplace",
                              capture_output=True, timeout=SECONDS, check=False)
        if done.returncode not in exits:
            raise ToolError("exit %d of %s\n%s%s" % (done.returncode, " ".join(argv), done.stdout,
                                                     done.stderr))
        return done

    def view(self, origin, cow, out):
        self.run("snapdump", "-q", "--raw", "-o", out, origin, cow)

    def check(self, origin, cow):
        done = self.run("snapcheck", "--json", origin, cow, exits=(0, 4))
        if cow not in (json.loads(done.stdout)["next"] or [cow]):
            raise ToolError("snapcheck names no image in what comes next:\n" + done.stdout)
        return self.verdict(done.returncode, done.stdout)

    @staticmethod
    def verdict(status, text):
        """What snapcheck --json says, in the words of naive.py."""
        said = json.loads(text)
        store = said.get("store") or {}
        return {"exit": status, "said": said, "status": "%s/%s %s" % tuple(
            store.get(k) for k in ("allocated_sectors", "total_sectors", "metadata_sectors"))}

    def create(self, origin, cow, chunk_bytes):
        """In a file that is there, or a new one of the default size."""
        if os.path.exists(cow):
            self.run("tests/kernel/append", origin, cow, str(chunk_bytes))
        else:
            self.run("snapcreate", "-q", "-c", str(chunk_bytes), origin, cow)

    def append(self, origin, cow, batches):
        """All batches by one process, or the last by another."""
        with open(cow, "rb") as f:
            chunk_bytes = int.from_bytes(f.read(16)[12:], "little") * 512
        last = len(batches) - (len(batches) > 1 and batches[0][0][0] % 2)
        for some in (batches[:last], batches[last:]):
            if some:
                script = "".join(self.append_script(batch, chunk_bytes) for batch in some)
                self.run("tests/kernel/append", origin, cow, stdin=script)

    @staticmethod
    def append_script(batch, chunk_bytes):
        """One publication; neighbours in one call, some chunks in pieces."""
        lines, at = ["reserve %d\n" % len(batch)], 0
        while at < len(batch):
            old, generation = batch[at]
            run = 1
            while at + run < len(batch) and batch[at + run] == (old + run, generation):
                run += 1
            piece = chunk_bytes // 4 if run == 1 and chunk_bytes > 2048 and old % 3 == 0 else 0
            lines.append("data %d %d %d %d\n" % (old, run, generation, piece))
            at += run
        return "".join(lines) + "publish\n"

    def merge(self, origin, cow):
        self.run("snapmerge", "-q", "-y", origin, cow)

    def merge_killed(self, origin, cow, rng):
        """A merge that gets SIGKILL before its n-th writing call, n at random."""
        if rng.random() < 0.5:
            tool, extra = "snapmerge", ["-q", "-y"]
        else:
            with open(cow, "rb") as f:
                chunk_bytes = int.from_bytes(f.read(16)[12:], "little") * 512
            epoch = chunk_bytes * rng.choice((1, 5, 40))
            tool, extra = "tests/kernel/merge", [str(1 << 20), str(epoch)]
        calls = self.count_calls(tool, origin, cow, extra)
        if not calls:  # nothing left to merge
            return
        call, nth = rng.choice(calls)
        self.run(tool, *self.operands(tool, origin, cow, extra), exits=(-9, 137),
                 before=("strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=" + call, "-e",
                         "inject=%s:signal=KILL:when=%d" % (call, nth)))

    @staticmethod
    def operands(tool, origin, cow, extra):
        return extra + [origin, cow] if tool == "snapmerge" else [origin, cow] + extra

    def count_calls(self, tool, origin, cow, extra):
        """[(name of the call, how manieth of that name)] of a whole merge."""
        shutil.copyfile(origin, origin + "-t")
        shutil.copyfile(cow, cow + "-t")
        log = cow + "-strace"
        self.run(tool, *self.operands(tool, origin + "-t", cow + "-t", extra),
                 before=("strace", "-f", "-qq", "-o", log, "-e", "trace=" + ",".join(WRITING)))
        counts, calls = {}, []
        with open(log) as f:
            for line in f:
                name = line.split(None, 1)[1].split("(")[0]
                if name in WRITING:
                    counts[name] = counts.get(name, 0) + 1
                    calls.append((name, counts[name]))
        for path in (origin + "-t", cow + "-t", log):
            os.unlink(path)
        return calls
