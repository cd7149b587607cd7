#!/usr/bin/python3 -B
# SPDX-License-Identifier: LGPL-2.1-or-later
# Copyright (C) 2026 the libcow authors
"""The real kernel as judge: random cases through dm-snapshot of a kernel that
runs as a process (user-mode-linux), our tools, and a naive model.

  all of them    make kernel                 tests/kernel/run.py --count 128
  one case       tests/kernel/run.py --seed S --case N
  soak           make kernel-soak N=5000
  the judge      tests/kernel/run.py --self-test (without our tools)

Needs a built tree (COW_BUILD, default build/ of this tree) and linux.uml, no
root. Cases of one round share a boot. A failure prints seed, case and place;
its images stay. Exit: 0 all agree, 1 not, 2 the lab itself failed.
How a relay is cut depends on timing; everything else follows from the seed.
"""
import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cases import Case, Failure, Kill  # noqa: E402
from lab import Lab, LabError  # noqa: E402
from naive import MUTANTS, SEED_AWAKE, Naive  # noqa: E402
from schedule import SCHEDULE  # noqa: E402
from snap import FormatError  # noqa: E402
from tools import ToolError, Tools  # noqa: E402


class Shard:
    """Some cases, side by side: each round all of them work on the host, then
    one boot does what they ask of the guest."""
    batch = 128  # cases that share boots

    def __init__(self, seed, work, is_quiet=False):
        self.seed, self.work, self.is_quiet = seed, work, is_quiet
        self.lab = Lab(work)
        self.rng = random.Random(seed)
        self.waiting = []  # (case, generator, what it asks)
        self.failed = []
        self.progress = []

    def add(self, number, peer):
        directory = os.path.join(self.work, "case-%d-%s" % (number, peer.name.replace(" ", "-")))
        case, story = self.begin(number, directory, peer)
        self.advance(self.waiting, case, story(case), None)

    # ---- what another kind of cases replaces

    def begin(self, number, directory, peer):
        return (Case(self.seed, number, directory, peer), SCHEDULE[number % len(SCHEDULE)])

    def again(self, case):
        """What is said of a case that failed."""
        return "  again: tests/kernel/run.py --seed %s --case %d" % (self.seed, case.number) + (
            "" if case.peer.name == "the tools" else " --peer naive")

    def summary(self):
        return "relays (exceptions before>after a kill): " + " ".join(self.progress)

    # ---- all of them

    def advance(self, waiting, case, generator, answer):
        try:
            if isinstance(answer, dict):
                raise Failure("in the guest: " + answer["error"])
            waiting.append((case, generator, generator.send(answer)))
        except StopIteration:
            self.progress += case.progress
            shutil.rmtree(case.directory)
        except (Failure, FormatError, ToolError) as e:
            self.report(case, generator, str(e))
        except Exception:  # a file that cannot even be parsed, for example
            self.report(case, generator, traceback.format_exc())

    def report(self, case, generator, why):
        self.failed.append(case)
        if self.is_quiet:
            return
        kept = case.directory
        if os.environ.get("COW_BUILD"):
            kept = os.path.join(os.environ["COW_BUILD"], "kernel-failed",
                                "%s-%d" % (self.seed, case.number))
            shutil.rmtree(kept, ignore_errors=True)
            shutil.move(case.directory, kept)
        print("FAILED: %s, %s: %s\n  images: %s\n%s"
              % (generator.__name__, case.geometry, why, kept, self.again(case)), flush=True)

    def run(self):
        """Boots until no case asks for more."""
        while self.waiting:
            asking = [w for w in self.waiting if not isinstance(w[2], Kill)]
            if asking:
                self.waiting = [w for w in self.waiting if isinstance(w[2], Kill)]
                answers = self.lab.run([self.job(w) for w in asking])
            else:
                asking, self.waiting = self.waiting, []
                answers = self.lab.run_and_kill([dict(self.job(w), keep=True) for w in asking],
                                                self.when_part_way(len(asking)))
            for case, generator, _ in asking:
                answer = answers[os.path.basename(case.directory)]
                self.advance(self.waiting, case, generator, answer)

    @staticmethod
    def job(waiting):
        case, _, request = waiting
        return {"id": os.path.basename(case.directory), "ops": request.ops}

    def when_part_way(self, nr_merges):
        """Lets the power be cut once most merges have moved, and some time
        later; not for ever, as some are through at once."""
        first, extra = {}, self.rng.randint(0, 40)

        def is_time(lines):
            if not first:
                first.update(json.loads(lines[0]))
            now = json.loads(lines[-1])
            moved = sum(now[i] != first[i] for i in now)
            return len(lines) > extra and (moved * 4 >= nr_merges * 3 or len(lines) > 60)

        return is_time


def run_shard(args, numbers, index):
    """In a process of its own; gives its exit status."""
    work = os.path.join(args.work, "shard-%d" % index)
    os.makedirs(work, exist_ok=True)
    peer = Naive() if args.peer == "naive" else Tools()
    nr_failed = 0
    for start in range(0, len(numbers), args.shard.batch):
        began = time.monotonic()
        batch = numbers[start:start + args.shard.batch]
        try:
            shard = args.shard(args.seed, work)
            for number in batch:
                shard.add(number, peer)
            shard.run()
        except LabError as e:
            print("LAB FAILED at cases %s of seed %s: %s" % (batch, args.seed, e), flush=True)
            return 2
        nr_failed += len(shard.failed)
        print("%d cases, %d failed; %d boots (%.0f s) in %.0f s; %s"
              % (len(batch), len(shard.failed), shard.lab.nr_boots, shard.lab.seconds,
                 time.monotonic() - began, shard.summary()), flush=True)
        for name in os.listdir(work):
            if name.startswith("boot-"):
                shutil.rmtree(os.path.join(work, name))
    return 1 if nr_failed else 0


def self_test(args):
    """The naive peer must pass, and each of its mutants must be noticed."""
    shard = Shard(SEED_AWAKE, args.work, is_quiet=True)
    for number in range(len(SCHEDULE)):
        shard.add(number, Naive())
    for mutant, (_, number) in MUTANTS.items():
        shard.add(number, Naive(mutant))
    shard.run()
    noticed = {case.peer.mutant for case in shard.failed}
    wrong = noticed ^ set(MUTANTS)
    print("noticed: %s" % " ".join(sorted(noticed - {None})))
    for case in shard.failed:
        if case.peer.mutant is None:
            print("FAILED without a bug: case %d (%s)" % (case.number, case.directory))
    if wrong - {None}:
        print("NOT NOTICED: " + " ".join(sorted(wrong - {None})))
    return 1 if wrong else 0


def run_shards(args, numbers):
    """Two or more labs at once; the worst exit status of them."""
    children = []
    try:
        for index in range(args.jobs):
            mine = numbers[index::args.jobs]
            pid = os.fork() if mine else 0
            if mine and not pid:
                status = 2
                try:
                    children = []
                    status = run_shard(args, mine, index)
                except SystemExit:
                    pass
                except BaseException:
                    traceback.print_exc()
                finally:
                    sys.stdout.flush()
                    os._exit(status)
            if mine:
                children.append(pid)
        worst = 0
        while children:
            pid, status = os.wait()
            children.remove(pid)
            worst = max(worst, os.waitstatus_to_exitcode(status) if os.WIFEXITED(status) else 2)
        return worst
    finally:
        for pid in children:
            os.kill(pid, signal.SIGTERM)
            os.waitpid(pid, 0)


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", default=os.environ.get("COW_SEED"))
    parser.add_argument("--case", type=int, help="only this one")
    parser.add_argument("--count", type=int, default=len(SCHEDULE))
    parser.add_argument("--jobs", type=int, default=2, help="labs at once")
    parser.add_argument("--peer", choices=("tools", "naive"), default="tools")
    parser.add_argument("--self-test", action="store_true", help="is the judge awake?")
    args = parser.parse_args()
    args.seed = args.seed or str(random.SystemRandom().randrange(1 << 32))
    args.shard = Shard
    return args


def run_all(args):
    numbers = list(range(args.count)) if args.case is None else [args.case]
    print("COW_SEED=%s: %d cases" % (args.seed, len(numbers)), flush=True)
    return run_shards(args, numbers)


def in_directory(args, work):
    """Calls work(args), which gives the exit status, with a directory args.work
    that stays if it is not 0."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(2))
    args.work = tempfile.mkdtemp(prefix="cow-kernel-")
    worst = 2
    try:
        worst = work(args)
    finally:
        if worst:
            print("kept: " + args.work)
        else:
            shutil.rmtree(args.work)
    return worst


def main():
    args = parse_args()
    return in_directory(args, self_test if args.self_test else run_all)


if __name__ == "__main__":
    sys.exit(main())
