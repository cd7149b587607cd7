#!/usr/bin/python3 -B
# SPDX-License-Identifier: LGPL-2.1-or-later
# Copyright (C) 2026 the libcow authors
"""Relays over dm-clone devices: the real kernel and the library take turns.

  clone_relay.py [--relays N] [--repairs N] [--seed S] [--verbose]

Each relay is a clone of random sizes, made by the kernel or by the library. In each
round the kernel loads it without hydration, shows it, and writes some of it; or it
hydrates until its power is cut; or the library continues it and stops on the way.
After each, what the kernel's device and the library's view show is what a model says,
snapcheck finds nothing, and the hydrated regions in the status line are snapcheck's. In
the end the kernel finishes half of them and the library the others: the destination is
the model, behind the target it is untouched, and so is the source.

Before the kernel looks, copies of each clone's metadata get a random fault each, and
snapcheck makes new ones of them: the kernel loads these, too. It must show what the library shows, and
where that is not the model snapcheck has said that it is in doubt.
Exit: 0 all agree, 1 not."""
import argparse
import hashlib
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(1, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../aids"))
import clone_model  # noqa: E402
from lab import Lab  # noqa: E402
from snap import pattern  # noqa: E402

BUILD = os.environ.get("COW_BUILD", os.path.join(os.path.dirname(__file__), "../../build"))


def sha(data):
    return hashlib.sha256(data).hexdigest()


def rubbish(rng, sectors, tag):
    return b"".join((tag + b"%08x%08x" % (i, rng.randrange(1 << 32))).ljust(512, b".") for i in range(sectors))


def is_forged(image, what):
    """Other regions with a right checksum, or an old block in the place of a new one: nothing can tell that."""
    if "with its number" in what:
        return True
    found = re.match(r"block (\d+): word at (\d+):", what)
    if not found:
        return False
    number, offset = (int(word) for word in found.groups())
    raw = image[number * 4096:number * 4096 + 4096]
    return offset >= 24 and clone_model.kind_of(raw) == clone_model.ARRAY


class Wrong(Exception):
    pass


class Relay:
    def __init__(self, number, work, rng):
        self.name, self.rng = "r%d" % number, rng
        self.dir = os.path.join(work, self.name)
        os.mkdir(self.dir)
        self.region = rng.choice((8, 8, 16, 64))
        self.target = rng.randint(1, 6000)
        self.more = rng.randint(0, 64)
        source = rubbish(rng, self.target + rng.randint(0, 64), b"so")
        destination = rubbish(rng, self.target + self.more, b"de")
        self.source_sha, self.tail = sha(source), destination[self.target * 512:]
        self.model = bytearray(source[:self.target * 512])
        self.generation, self.hydrated = 0, None
        self.nr_repaired = self.nr_refused = 0
        self.expected = {}  # of a repaired clone: hydrated, view
        self.steps = ["region %d target %d" % (self.region, self.target)]
        blocks = rng.choice((10, 12, 24, 256))
        meta = bytearray(rubbish(rng, blocks * 8, b"me"))
        self.write("source", source)
        self.write("dest", destination)
        meta[:4096] = bytes(4096)
        self.write("meta", meta)
        if rng.random() < 0.5:
            self.steps.append("made by the library, %d blocks" % blocks)
            self.clone("create", str(self.region), str(self.target))
        else:
            self.steps.append("made by the kernel, %d blocks" % blocks)

    def path(self, name):
        return os.path.join(self.dir, name)

    def write(self, name, data):
        with open(self.path(name), "wb") as f:
            f.write(data)

    def read(self, name):
        with open(self.path(name), "rb") as f:
            return f.read()

    def run(self, *argv):
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Wrong("%s: exit %d: %s%s" % (" ".join(argv), done.returncode, done.stdout, done.stderr))
        return done.stdout

    def clone(self, verb, *words, meta="meta"):
        return self.run(os.path.join(BUILD, "tests/kernel/clone"), verb, self.path(meta), self.path("source"),
                        self.path("dest"), *words)

    def attach(self, device="merge", hydrates=False, slow=False, meta="meta"):
        ops = [["loop", "meta", self.path(meta)]] + [["loop", x, self.path(x)] for x in ("source", "dest")]
        node = "{dest}"
        if slow:
            ops.append(["dm", "late", self.target + self.more, "delay", "{dest} 0 0 {dest} 0 20"])
            node = "{late}"
        feature = "0" if hydrates else "1 no_hydration"
        ops.append(["dm", device, self.target, "clone",
                    "{meta} %s {source} %d %s" % (node, self.region, feature)])
        return ops

    def kernel_looks(self):
        """Ops; judged by judge_look()."""
        self.writes = []
        for _ in range(self.rng.choice((0, 1, 5, 20))):
            first = self.rng.randrange(self.target)
            count = min(self.rng.choice((1, 3, self.region, 2 * self.region)), self.target - first)
            self.generation += 1
            self.writes.append([first, count, self.generation])
        self.seen = sha(bytes(self.model))
        ops = self.attach() + [["status", "merge"], ["sha256", "merge"]]
        if self.writes:
            ops.append(["write", "merge", 1, self.writes])
        return ops + [["status", "merge"], ["sha256", "merge"], ["remove", "merge", "meta", "source", "dest"]]

    def repair(self, new):
        """Makes new metadata of damaged ones; ops for the kernel, or None: there is nothing to repair from."""
        image = self.read("meta")
        model = clone_model.Model(image)
        if not any(image[:4096]) or model.judge():
            return None
        changed, what = clone_model.fault_make(self.rng, image, sorted(model.counts))
        while is_forged(image, what):
            changed, what = clone_model.fault_make(self.rng, image, sorted(model.counts))
        if self.rng.random() < 0.2:
            changed, what = bytes(4096) + image[4096:], "block 0 lost"
        self.write("damaged", changed)
        argv = [os.path.join(BUILD, "snapcheck"), "--json", "-y", "--force=overwrite", "-o", self.path(new),
                "--table=0 %d clone m d s %d" % (self.target, self.region), "-t", "clone",
                "clone:metadata=%s,source=%s,destination=%s" % tuple(map(self.path, ("damaged", "source", "dest")))]
        if os.path.exists(self.path(new)):
            os.unlink(self.path(new))
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        self.steps.append("damaged, %s: exit %d %s" % (what, done.returncode, done.stderr.strip()))
        if done.returncode not in (0, 1, 4, 5, 64):
            raise Wrong("snapcheck -o: exit %d: %s" % (done.returncode, done.stderr))
        if not os.path.exists(self.path(new)):
            self.nr_refused += 1
            if done.returncode not in (4, 64):
                raise Wrong("nothing was made, exit %d" % done.returncode)
            return None
        self.judge_repair(new, json.loads(done.stdout), done.returncode)
        return self.attach(meta=new) + [["status", "merge"], ["sha256", "merge"],
                                          ["remove", "merge", "meta", "source", "dest"]]

    def judge_repair(self, new, report, code):
        doubtful = report["in_doubt"]
        if bool(doubtful) != (code == 4):
            raise Wrong("exit %d, and %d ranges in doubt" % (code, len(doubtful)))
        self.clone("view", self.path("view"), meta=new)
        view, region = self.read("view"), self.region * 512
        for at in range(0, len(self.model), region):
            if view[at:at + region] == self.model[at:at + region]:
                continue
            if not any(r["offset_bytes"] <= at < r["offset_bytes"] + r["length_bytes"] for r in doubtful):
                raise Wrong("the repaired clone shows something else at %d, and nothing is in doubt there" % at)
        self.expected[new] = (report["store"]["exceptions"], sha(view))

    def judge_repaired(self, new, answers):
        if isinstance(answers, dict):
            raise Wrong("the kernel and a repaired clone: " + answers["error"])
        if (int(answers[4].split()[3].split("/")[0]), answers[5]) != self.expected[new]:
            raise Wrong("the kernel shows another repaired clone")
        self.nr_repaired += 1

    def judge_look(self, answers):
        if isinstance(answers, dict):
            raise Wrong(answers["error"])
        answers = answers[4:]
        if answers[1] != self.seen:
            raise Wrong("the kernel shows something else")
        self.judge_status(answers[0])
        for first, count, generation in self.writes:
            self.model[first * 512:(first + count) * 512] = pattern(first, count, generation)
        if self.writes and answers[2]:
            raise Wrong("writes %s failed" % answers[2])
        if answers[-2] != sha(bytes(self.model)):
            raise Wrong("after its writes the kernel shows something else")
        self.hydrated = int(answers[-3].split()[3].split("/")[0])
        self.steps.append("kernel wrote %s" % self.writes)
        self.judge_host()

    def judge_status(self, status):
        """Used blocks and hydrated regions are as snapcheck said."""
        words = status.split()
        if self.hydrated is not None and int(words[3].split("/")[0]) != self.hydrated:
            raise Wrong("the kernel counts %s, it was %d" % (words[3], self.hydrated))

    def judge_host(self):
        self.clone("view", self.path("view"))
        if self.read("view") != bytes(self.model):
            raise Wrong("the library shows something else")
        # a kernel that was killed in a commit leaves a newer tree: only the images tell that it makes no difference
        spec = "clone:metadata=%s,source=%s,destination=%s" % tuple(map(self.path, ("meta", "source", "dest")))
        report = json.loads(self.run(os.path.join(BUILD, "snapcheck"), "--json", spec))
        if any(report["counts"][c] for c in ("note", "damage", "lost")):
            raise Wrong("snapcheck: %s" % report["findings"])
        if self.hydrated is not None and report["store"]["exceptions"] < self.hydrated:
            raise Wrong("snapcheck counts %d hydrated, it was %d" % (report["store"]["exceptions"], self.hydrated))
        self.hydrated = report["store"]["exceptions"]
        self.steps.append("hydrated: %d" % self.hydrated)
        if sha(self.read("source")) != self.source_sha:
            raise Wrong("the source was written to")

    def tools_continue(self, to_the_end=False):
        stop = 0 if to_the_end else self.rng.randint(1, self.target * 512)
        epoch = self.region * 512 * self.rng.randint(1, 40)
        self.steps.append("library continues, epochs of %d, stops behind %d" % (epoch, stop))
        self.clone("finish", str(epoch), str(stop))
        self.judge_host()

    def judge_end(self):
        self.judge_host()
        if self.hydrated != -(-self.target // self.region):
            raise Wrong("%d regions are hydrated at the end" % self.hydrated)
        if self.read("dest") != bytes(self.model) + self.tail:
            raise Wrong("the destination at the end")


def kernel_round(lab, relays, nr_repairs):
    news = ["new%d" % i for i in range(nr_repairs)]
    jobs = [{"id": r.name + new, "ops": judged(r, r.repair, new)} for r in relays for new in news]
    jobs = [job for job in jobs if job["ops"]]
    answers = lab.run(jobs + [{"id": r.name, "ops": r.kernel_looks()} for r in relays])
    for relay in relays:
        for new in news:
            if relay.name + new in answers:
                judged(relay, relay.judge_repaired, new, answers[relay.name + new])
        judged(relay, relay.judge_look, answers[relay.name])


def killed_round(lab, relays, rng):
    wanted = rng.randint(1, 12)
    lab.run_and_kill([{"id": r.name, "ops": r.attach(hydrates=True, slow=True), "keep": True} for r in relays],
                     lambda lines: len(lines) >= wanted)
    for relay in relays:
        relay.steps.append("kernel hydrated, killed after %d looks" % wanted)
        judged(relay, relay.judge_host)


def judged(relay, judge, *args):
    try:
        return judge(*args)
    except Wrong as e:
        print("FAILED: %s: %s\n  %s" % (relay.name, e, "\n  ".join(relay.steps)), flush=True)
        raise


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--relays", type=int, default=12)
    parser.add_argument("--repairs", type=int, default=1, help="of each relay, each time that the kernel looks")
    parser.add_argument("--verbose", action="store_true", help="the steps of each relay")
    parser.add_argument("--seed", default=os.environ.get("COW_SEED", "1"))
    args = parser.parse_args()
    rng = random.Random("clone " + args.seed)
    work = tempfile.mkdtemp(prefix="cow-clone-relay-")
    lab, worst, relays = Lab(work), 1, []
    try:
        relays = [Relay(i, work, random.Random("%s %d" % (args.seed, i))) for i in range(args.relays)]
        kernel_round(lab, relays, args.repairs)  # formats those that are new
        for _ in range(2):
            for relay in relays:
                judged(relay, relay.tools_continue)
            killed_round(lab, relays, rng)
            for relay in relays:
                judged(relay, relay.tools_continue)
            kernel_round(lab, relays, args.repairs)
        half = relays[::2]
        answers = lab.run([{"id": r.name, "ops": r.attach(hydrates=True) + [["hydrated", "merge"]]} for r in half])
        for relay in half:
            if isinstance(answers[relay.name], dict):
                raise Wrong(answers[relay.name]["error"])
        for relay in relays[1::2]:
            judged(relay, relay.tools_continue, True)
        for relay in relays:
            judged(relay, relay.judge_end)
        worst = 0
        for relay in relays if args.verbose else ():
            print("%s:\n  %s" % (relay.name, "\n  ".join(relay.steps)))
    except Wrong as e:
        print(str(e)[:2000])
    finally:
        print("%d repaired clones were loaded, %d could not be repaired" % (
            sum(r.nr_repaired for r in relays), sum(r.nr_refused for r in relays)))
        print("%d relays, seed %s: %d boots of %.0f s, %s" % (args.relays, args.seed, lab.nr_boots, lab.seconds,
                                                              "kept: " + work if worst else "all agree"))
        if not worst:
            shutil.rmtree(work)
    return worst


if __name__ == "__main__":
    sys.exit(main())
