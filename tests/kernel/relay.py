#!/usr/bin/python3 -B
# SPDX-License-Identifier: LGPL-2.1-or-later
# Copyright (C) 2026 the libcow authors
"""The relay soak: kernel and tools take turns on the same images, in random
order, killed and cut off in between; after each step every view, every sibling
and every count of used sectors is what a model says.

  some hundreds          make relay-soak N=400
  the short run          tests/kernel/relay.py --seed 1 --count 24
  one of them            tests/kernel/relay.py --seed S --relay N

Needs a built tree (COW_BUILD, default build/ of this tree) and linux.uml, no
root. Relays of one round share a boot. A failure prints the steps and the
command that repeats it, and keeps the images, before/ with those before the
last step. Where the kernel is cut depends on timing, and so does what comes
after that; everything else follows from the seed. Exit: 0 all agree, 1 not,
2 the lab itself failed.
"""
import argparse
import inspect
import os
import random
import sys
from collections import Counter

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import relay_guest as guest  # noqa: E402
import relay_host as host  # noqa: E402
import relay_views as views  # noqa: E402
from relay_base import Relay  # noqa: E402
from run import Shard, in_directory, run_all  # noqa: E402

# Steps and how often they are drawn: what is seldom possible, often. Those of
# the kernel are limited, because each may be one more boot for everybody.
HOST = ((host.our_cut, 10), (host.our_merge, 4), (host.our_refusal, 2),
        (host.take_back_refused, 10), (host.sibling_refused, 4), (host.undo_refused, 20),
        (host.grow, 3), (host.preen, 3), (host.stale, 2), (views.exports, 2),
        (views.recreate, 2), (views.import_delta, 2), (views.import_tar, 1))
GUEST = ((guest.kernel_writes, 6), (guest.kernel_merges, 3), (guest.kernel_cut, 7))
NR_BOOTS = {guest.kernel_writes: 2, guest.kernel_merges: 1, guest.kernel_cut: 1}
ATTEMPTS = 20
COUNT = 24


def draw(relay, left):
    """The next step, as a generator that gives whether it was possible."""
    some = [(step, weight) for step, weight in HOST + GUEST if left.get(step, 1)]
    step = relay.rng.choices([s for s, _ in some], [w for _, w in some])[0]
    relay.say(step.__name__)
    result = step(relay)
    if inspect.isgenerator(result):
        result = yield from result
    if not result:
        relay.steps.pop()
        return False
    if step in left:
        left[step] -= 1
    relay.progress.append(step.__name__)
    return True


def story(relay):
    """One relay; it ends with a look by the kernel."""
    left = dict(NR_BOOTS)
    relay.births()
    relay.judge("in the beginning")
    for _ in range(relay.rng.randint(4, 10)):
        relay.keep_images()
        for _ in range(ATTEMPTS):
            if (yield from draw(relay, left)):
                break
        relay.judge("after " + " ".join(relay.steps[-1].split()))
    relay.keep_images()
    relay.say("the kernel looks at it")
    yield from guest.kernel_looks(relay)


class Relays(Shard):
    batch = 32  # a merge holds up to five loop devices until the power goes

    def begin(self, number, directory, peer):
        return Relay(self.seed, number, directory, peer), story

    def again(self, case):
        return "%s\n  again: tests/kernel/relay.py --seed %s --relay %d" % (
            "\n    ".join(["  steps:"] + case.steps), self.seed, case.number)

    def summary(self):
        counts = Counter(self.progress)
        return "%d steps: %s" % (sum(n for name, n in counts.items() if name[:3] != "cut"),
                                 ", ".join("%d %s" % (n, name.replace("_", " "))
                                           for name, n in sorted(counts.items())))


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", default=os.environ.get("COW_SEED"))
    parser.add_argument("--relay", type=int, dest="case", help="only this one")
    parser.add_argument("--count", type=int, default=COUNT)
    parser.add_argument("--jobs", type=int, default=2, help="labs at once")
    args = parser.parse_args()
    args.seed = args.seed or str(random.SystemRandom().randrange(1 << 32))
    args.peer, args.shard = "tools", Relays
    return args


if __name__ == "__main__":
    sys.exit(in_directory(parse_args(), run_all))
