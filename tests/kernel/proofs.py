#!/usr/bin/python3 -B
# SPDX-License-Identifier: LGPL-2.1-or-later
# Copyright (C) 2026 the libcow authors
"""The real kernel as judge of what other tests made: many small cases in one
boot each.

  proofs.py STORY [--seed S] [--only CASE] [argument of the story...]

A story is a module with cases(work, tools, args), objects with a name, ops (see
guest.py) and judge(answers), which raises Failure; and conclude(cases): were
they enough? A failure prints the case and its images stay. Exit: 0 all agree,
1 not, 2 the lab itself failed."""
import argparse
import importlib
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cases import Failure  # noqa: E402
from lab import Lab, LabError  # noqa: E402
from snap import FormatError  # noqa: E402
from tools import ToolError, Tools  # noqa: E402

STORIES = ("states", "origin", "damaged", "sizes", "blocks", "pools", "pool_origin", "repairs",
           "reused")
BATCH = 250  # cases that share a boot


def why_it_failed(case, answers):
    """None if it did not."""
    try:
        if isinstance(answers, dict):
            raise Failure("in the guest: " + answers["error"])
        case.judge(answers)
    except (Failure, FormatError, ToolError) as e:
        return str(e)
    except Exception:
        return traceback.format_exc()
    return None


def run(args, work):
    began = time.monotonic()
    lab, nr_failed = Lab(work), 0
    story = importlib.import_module(args.story)
    try:
        cases = [c for c in story.cases(work, Tools(), args) if args.only in (None, c.name)]
    except (Failure, FormatError, ToolError) as e:
        print("FAILED before the kernel saw it: %s" % e)
        return 1
    made = time.monotonic() - began
    for start in range(0, len(cases), BATCH):
        batch = cases[start:start + BATCH]
        results = lab.run([{"id": c.name, "ops": c.ops} for c in batch])
        for case in batch:
            why = why_it_failed(case, results[case.name])
            if why:
                nr_failed += 1
                print("FAILED: %s: %s\n  again: COW_SEED=%s tests/kernel/proofs.py %s --only %s %s"
                      % (case.name, why, args.seed, args.story, case.name, " ".join(args.words)),
                      flush=True)
    print("%s: %d cases, %d failed; made in %.0f s, %d boots of %.0f s, %.0f s in all"
          % (args.story, len(cases), nr_failed, made, lab.nr_boots, lab.seconds,
             time.monotonic() - began), flush=True)
    is_enough = story.conclude(cases) or args.only
    if not is_enough:
        print("FAILED: too few cases")
    return 1 if nr_failed or not is_enough else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("story", choices=STORIES)
    parser.add_argument("words", nargs="*")
    parser.add_argument("--seed", default=os.environ.get("COW_SEED"))
    parser.add_argument("--only")
    args = parser.parse_args()
    args.seed = args.seed or str(random.SystemRandom().randrange(1 << 32))
    print("COW_SEED=" + args.seed, flush=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(2))
    work = tempfile.mkdtemp(prefix="cow-proofs-")
    worst = 2
    try:
        worst = run(args, work)
    except LabError as e:
        print("LAB FAILED: %s" % e)
    finally:
        if worst:
            print("kept: " + work)
        else:
            shutil.rmtree(work)
    return worst


if __name__ == "__main__":
    sys.exit(main())
