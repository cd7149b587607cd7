#!/usr/bin/python3 -B
# SPDX-License-Identifier: LGPL-2.1-or-later
# Copyright (C) 2026 the libcow authors
"""Every system call that a tool makes fails in turn, and every allocation.

  make faults            20000 faults, drawn at random
  make faults N=0        all of them
  one of them            tests/faults/run.py --only 'merge 3' --plan w:5:once:5

A run with a fault ends with the right exit bit and a sentence that names the
image, and the byte where one was read or written; it leaves no half-made file;
and the same command, run again, ends as if nothing had happened, with the same
bytes. Reads and writes that are cut short or interrupted change nothing at all.
Needs a built tree (COW_BUILD), no root.
"""
import argparse
import errno
import hashlib
import os
import random
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from case import read  # noqa: E402
from cases import all_cases  # noqa: E402
from images import meaning  # noqa: E402

CLASSES = ("read", "write", "flush", "malloc", "open", "ftruncate", "rename", "fallocate",
           "libarchive")
LETTERS = "rwfmotnza"  # of them, in shim.c
NR_COUNTS = len(CLASSES) + 1
TRANSFERS = ("read", "write")
MEMORY = ("malloc", "libarchive")
LABEL = b"COWLABEL"  # of libcow/core/label.h, in the first sector of a store
# What a place in a file reads like.
PLACE = re.compile(r"\bbytes? \d+")
# A block of trees that cannot be read is damage, told with its byte.
UNREADABLE = re.compile(r"(damage|lost): .*\bbyte \d+.* cannot be read")


class Wrong(Exception):
    pass


class Result:
    def __init__(self, status, err, counts, files, out=""):
        self.status, self.err, self.files, self.out = status, err, files, out
        self.counts, self.nr_given = counts[:-1], counts[-1]


class Bench:
    """A directory in which commands are run."""

    def __init__(self, build, work):
        self.build, self.work = build, work
        self.root = os.path.join(work, "job")
        self.report = os.path.join(work, "report")
        self.references = {}

    def fill(self, case):
        shutil.rmtree(self.root, ignore_errors=True)
        os.makedirs(self.root)
        for name, data in case.files.items():
            with open(os.path.join(self.root, name), "wb") as f:
                f.write(data)

    def state(self):
        return {name: read(os.path.join(self.root, name)) for name in os.listdir(self.root)}

    def run(self, case, plan=None, no_tmpfile=False):
        with open(self.report, "wb") as f:
            f.write(bytes(8 * NR_COUNTS))
        env = {"PATH": os.environ["PATH"], "LC_ALL": "C", "FAULT_REPORT": self.report,
               "LD_PRELOAD": os.path.join(self.build, "tests", "faults", "shim.so")}
        if plan:
            env["FAULT_PLAN"] = plan
        if no_tmpfile:
            env["FAULT_NO_TMPFILE"] = "1"
        job = subprocess.run([os.path.join(self.build, case.argv[0])] + case.argv[1:], cwd=self.root,
                             env=env, stdin=subprocess.DEVNULL, capture_output=True, timeout=60,
                             check=False)
        return Result(job.returncode, job.stderr.decode(),
                      struct.unpack("<%dQ" % NR_COUNTS, read(self.report)), self.state(),
                      job.stdout.decode(errors="replace"))

    def reference(self, case, no_tmpfile):
        """The run without a fault, which must be right itself."""
        key = (case.name, no_tmpfile)
        if key in self.references:
            return self.references[key]
        self.fill(case)
        result = self.run(case, None, no_tmpfile)
        if result.status not in case.good:
            raise Wrong("without a fault: exit %d: %s" % (result.status, result.err))
        for name, data in case.answer.items():
            if result.files.get(name) != data:
                raise Wrong("without a fault: %s is wrong" % name)
        # What is not looked at again is kept as a digest only.
        self.references[key] = result
        return result


def label_at(data):
    """Where the sector with a label begins, or None: a store may lie inside an image."""
    at = data.find(LABEL)
    return at - 16 if at % 512 == 16 else None


def comparable(name, data):
    """A label (libcow/core/label.h) holds the random number of its merge, and a
    checksum; a report holds the time."""
    at = label_at(data)
    if at is not None:
        return data[:at + 24] + data[at + 32:at + 48] + data[at + 64:]
    return b"" if name == "j" else data


def same(left, right):
    return {n: hashlib.md5(comparable(n, d)).digest() for n, d in left.items()} == \
           {n: hashlib.md5(comparable(n, d)).digest() for n, d in right.items()}


def check_files(case, result, wanted):
    """No half-made file, no temporary one, nothing touched that is only read."""
    for name in result.files:
        if name not in case.files and name not in case.makes:
            raise Wrong("%s was left behind" % name)
    for name, meaning_of in case.meant.items():
        if meaning_of(result.files[name]) not in (meaning_of(case.files[name]), meaning_of(wanted.files[name])):
            raise Wrong("%s is neither as it was nor changed" % name)
    for name, data in result.files.items():
        if name in case.changes:
            continue
        allowed = [case.files.get(name), wanted.files.get(name)]
        if not any(a is not None and comparable(name, a) == comparable(name, data) for a in allowed):
            raise Wrong("%s is neither as it was nor as it should be" % name)
    for name in case.files:
        if name not in result.files:
            raise Wrong("%s has gone" % name)
    if result.status > 0 and result.status & 64 and not same(result.files, case.files):
        raise Wrong("exit %d says that nothing was written, but something was" % result.status)


def check_words(case, result, kind):
    lines = [line for line in result.err.splitlines() if line.startswith(case.argv[0] + ": ")]
    if not lines:
        raise Wrong("exit %d without a word" % result.status)
    if kind in MEMORY:
        if "damaged" in result.err or "not a tar" in result.err:
            raise Wrong("no memory was called damage: " + result.err)
        return
    names = list(case.files) + list(case.makes)
    if not any(name in line for line in lines for name in names + ["stdout"]):
        raise Wrong("no name of a file in: " + result.err)
    if kind in TRANSFERS and not any(PLACE.search(line) for line in lines):
        raise Wrong("no offset in: " + result.err)


def check_fault(case, result, wanted, kind, mode):
    if result.status < 0:
        raise Wrong("killed by signal %d" % -result.status)
    check_files(case, result, wanted)
    if mode in ("short", "eintr"):
        if result.status != wanted.status or not same(result.files, wanted.files):
            raise Wrong("exit %d: a transfer that was cut short is no failure: %s"
                        % (result.status, result.err))
        return
    # Some faults do no harm: another way was taken, to the same end.
    if result.status == wanted.status and same(result.files, wanted.files):
        return
    if kind == "read" and case.finds and result.status == 4 and UNREADABLE.search(result.out):
        return  # found, and named
    if not result.status & (8 | 64):
        raise Wrong("exit %d after a failed %s: %s" % (result.status, kind, result.err))
    check_words(case, result, kind)


def without(names, files):
    return {name: data for name, data in files.items() if name not in names}


def check_again(case, again, wanted):
    if case.loose and again.status == 64 and "begin again" in again.err:
        return  # what was saved is not overwritten, and the way out is told
    if again.status not in case.again and again.status != wanted.status:
        raise Wrong("again: exit %d: %s" % (again.status, again.err))
    if case.name.startswith(("preen", "repair", "store-repair")):
        again.files["c.img"] = meaning(again.files["c.img"])
        wanted = Result(wanted.status, "", wanted.counts + (0,), dict(wanted.files))
        wanted.files["c.img"] = meaning(wanted.files["c.img"])
    wanted = Result(wanted.status, "", wanted.counts + (0,), dict(wanted.files))
    for name, data in again.files.items():
        # Cut off behind its last settlement, nothing tells the second run why the
        # list is empty: it takes the label away, and claims nothing.
        old = wanted.files.get(name, b"")
        at = label_at(old)
        if at is not None and data[at + 16:at + 512] == bytes(496):
            wanted.files[name] = old[:at + 16] + bytes(496) + old[at + 512:]
    if case.meant and not is_done(case, again, wanted):
        raise Wrong("again: exit %d, and nothing has changed" % again.status)
    if not same(without(case.loose, again.files), without(case.loose, wanted.files)):
        names = [n for n in set(again.files) | set(wanted.files)
                 if again.files.get(n) is None or wanted.files.get(n) is None
                 or comparable(n, again.files[n]) != comparable(n, wanted.files[n])]
        raise Wrong("again: not what it should be: %s" % " ".join(sorted(names)))


def is_done(case, result, wanted):
    """A change that decides by one write has been made, whatever was said."""
    return bool(case.meant) and all(meaning_of(result.files[name]) == meaning_of(wanted.files[name])
                                    for name, meaning_of in case.meant.items())


def inject(bench, case, plan, no_tmpfile):
    kind = CLASSES[LETTERS.index(plan[0])]
    mode = plan.split(":")[2]
    wanted = bench.reference(case, no_tmpfile)
    bench.fill(case)
    result = bench.run(case, plan, no_tmpfile)
    if not result.nr_given:
        return 0  # the run took another way than without a fault
    check_fault(case, result, wanted, kind, mode)
    if result.status < 0:
        bench.fill(case)
    if case.makes and same(without("j", result.files), without("j", wanted.files)):
        return 1  # it is done; what is there now would be refused
    if is_done(case, result, wanted):
        return 1  # again it would be another change
    check_again(case, bench.run(case, None, no_tmpfile), wanted)
    return 1


def plans_of(counts):
    """Every fault of a run."""
    for index, kind in enumerate(CLASSES):
        for nth in range(1, counts[index] + 1):
            for mode in ("once", "ever"):
                for error in (errno.ENOMEM,) if kind in MEMORY else (errno.EIO, errno.ENOSPC):
                    yield "%s:%d:%s:%d" % (LETTERS[index], nth, mode, error)
            if kind in TRANSFERS:
                yield "%s:%d:short:0" % (LETTERS[index], nth)
                yield "%s:%d:eintr:0" % (LETTERS[index], nth)


def draw(rng, counts):
    """One of them; each class is as likely as another."""
    index = rng.choice([i for i, n in enumerate(counts) if n])
    kind = CLASSES[index]
    mode = rng.choice(("once", "ever", "short", "eintr") if kind in TRANSFERS else ("once", "ever"))
    error = errno.ENOMEM if kind in MEMORY else rng.choice((errno.EIO, errno.ENOSPC))
    return "%s:%d:%s:%d" % (LETTERS[index], rng.randint(1, counts[index]), mode, error)


def all_plans(args, bench, cases):
    rng = random.Random(args.seed)
    if args.count:
        while True:
            case = rng.choice(cases)
            no_tmpfile = rng.random() < 0.5
            counts = bench.reference(case, no_tmpfile).counts
            yield case, draw(rng, counts), no_tmpfile
    for case in cases:
        for no_tmpfile in (False,) if args.brief else (False, True):
            counts = bench.reference(case, no_tmpfile).counts
            for plan in plans_of(counts):
                yield case, plan, no_tmpfile


def campaign(args, bench, cases):
    nr_given, nr_failed, start, kinds = 0, 0, time.monotonic(), {}
    for case, plan, no_tmpfile in all_plans(args, bench, cases):
        if args.brief and plan.split(":")[2] == "ever":
            continue
        if args.kind and CLASSES[LETTERS.index(plan[0])] != args.kind:
            continue
        try:
            given = inject(bench, case, plan, no_tmpfile)
        except (Wrong, subprocess.TimeoutExpired) as e:
            nr_failed += 1
            print("FAILED: %s: %s\n  again: tests/faults/run.py --only '%s' --plan %s%s"
                  % (case.name, e, case.name, plan, " --no-tmpfile" if no_tmpfile else ""), flush=True)
            given = 1
            if nr_failed >= args.failures:
                break
        nr_given += given
        kind = CLASSES[LETTERS.index(plan[0])]
        kinds[kind] = kinds.get(kind, 0) + given
        if nr_given == args.count != 0:
            break
    print("%d faults in %d commands, %d wrong (%s), seed %s, %.0f s"
          % (nr_given, len(cases), nr_failed, " ".join("%s %d" % k for k in sorted(kinds.items())),
             args.seed, time.monotonic() - start))
    return 1 if nr_failed else 0


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=20000, help="0: all")
    parser.add_argument("--seed", default=os.environ.get("COW_SEED", "1"))
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--kind", choices=CLASSES)
    parser.add_argument("--brief", action="store_true", help="each fault once, one kind of file system")
    parser.add_argument("--only", help="a part of the name of a command")
    parser.add_argument("--plan")
    parser.add_argument("--no-tmpfile", action="store_true")
    parser.add_argument("--failures", type=int, default=1)
    args = parser.parse_args()
    source = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    build = os.environ.setdefault("COW_BUILD", os.path.join(source, "build"))
    os.environ["PATH"] = build + ":" + os.environ["PATH"]
    with tempfile.TemporaryDirectory(prefix="faults-") as work:
        bench = Bench(build, work)
        cases = all_cases(source, os.path.join(work, "made"), args.pairs, args.only)
        if args.only:
            cases = [c for c in cases if c.name.startswith(args.only)]
        if not args.plan:
            return campaign(args, bench, cases)
        try:
            print(inject(bench, cases[0], args.plan, args.no_tmpfile))
        except Wrong as e:
            print(e)
            return 1
        return 0


if __name__ == "__main__":
    sys.exit(main())
