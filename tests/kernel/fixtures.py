#!/usr/bin/python3 -B
# SPDX-License-Identifier: LGPL-2.1-or-later
# Copyright (C) 2026 the libcow authors
"""Makes images like those of tests/fixtures anew, with the real kernel.

  fixtures.py NEW [NAME...]

Repeats what job.env and ops.txt of tests/fixtures/NAME record (default: of every
folder that has both) on an origin and a COW image of the same sizes, and writes
the folders NEW/NAME as README.md there describes them. What is written is the
pattern of snap.py, so images and digests are others than in the repository; the
exceptions must be the same. Exit: 0 done, and kernel, model and a naive reader
agree; 1 not; 2 the lab itself failed."""
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lab import Lab, LabError  # noqa: E402
from snap import SECTOR, Model, Store, pattern  # noqa: E402

KEPT = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "fixtures")
FIRST = 1 << 40  # generation of the origin's first bytes
WRITES_LOST = "half-merged-writes-c8"  # what was written during its merge is not recorded


def fact(name, key):
    """The last value of a key in meta.txt, or None."""
    with open(os.path.join(KEPT, name, "meta.txt"), encoding="ascii") as f:
        values = [line[len(key) + 1:].strip() for line in f if line.startswith(key + " ")]
    return values[-1] if values else None


def sha(data):
    return hashlib.sha256(data).hexdigest()


def read(path):
    with open(path, "rb") as f:
        return f.read()


class Fixture:
    def __init__(self, name, work, new):
        self.name, self.new = name, os.path.join(new, name)
        self.work = os.path.join(work, name)
        os.makedirs(self.work)
        os.makedirs(self.new)
        with open(os.path.join(KEPT, name, "job.env"), encoding="ascii") as f:
            self.env = dict(line.strip().replace('"', "").split("=", 1) for line in f)
        with open(os.path.join(KEPT, name, "ops.txt"), encoding="ascii") as f:
            self.ops = [line.split() for line in f]
        self.chunk_sectors = int(self.env["CHUNK"])
        self.is_huge = bool(self.env["ZERO_ORIGIN"])
        self.sectors = int(self.env["ZERO_ORIGIN"] or int(fact(name, "origin_bytes")) // SECTOR)
        self.is_invalid = "Invalid" in (fact(name, "status:") or "")
        self.is_half = name.startswith("half-merged")
        self.wrong = []
        self.make_images()

    def path(self, name):
        return os.path.join(self.work, name)

    def make_images(self):
        data = b"" if self.is_huge else pattern(0, self.sectors, FIRST)
        with open(self.path("origin"), "wb") as f:
            f.write(data)
            f.truncate(self.sectors * SECTOR)
        self.model = None if self.is_huge else Model(data, self.chunk_sectors)
        size = int(fact(self.name, "cow_bytes"))
        with open(self.path("cow"), "wb") as f:
            if "garbage" in self.name:
                f.write(bytes(4096) + (b"SnAp\1\0\0\0\1\0\0\0" + bytes(range(1, 253))) * (size // 264))
            f.truncate(size)

    def table(self, name, kind, origin="o", cow="c", feat=True):
        words = "{%s} {%s} %s %d" % (origin, cow, self.env["STORE"], self.chunk_sectors)
        return ["dm", name, self.sectors, kind, words + (" " + self.env["FEAT"] if feat else "")]

    def view_ops(self):
        """Status and bytes of the snapshot S."""
        if self.is_invalid:
            return [["status", "S"]]
        if self.is_huge:
            return [["status", "S"]] + [["sha256_at", "S", int(s), int(n)] for _, s, n, _ in self.ops]
        return [["status", "S"], ["sha256", "S"]]

    def replay(self):
        """The recorded operations; neighbours of one kind are one op."""
        ops = []
        for letter, sector, count, generation in self.ops:
            sector, count, generation = int(sector), int(count), int(generation)
            if letter == "D":
                ops.append(["discard", "S", sector, count])
            elif letter in "OSZ":
                device, generation = ("S", 0) if letter == "Z" else (letter, generation)
                if not ops or ops[-1][:2] != ["write", device]:
                    ops.append(["write", device, 1, []])
                ops[-1][3].append([sector, count, generation])
                if self.model:
                    self.model.write(device, sector, count, generation)
        return ops

    def build_job(self):
        # A loop device discards only where its file can have holes: not on the host's.
        inner = {n: "/run/%s-%s" % (self.name, n) for n in ("origin", "cow")}
        to = [["copy", self.path(n), inner[n]] for n in inner] if self.has_discards() else []
        back = [["copy", inner[n], self.path(n)] for n in inner] if to else []
        at = inner if to else {n: self.path(n) for n in inner}
        attach = to + [["loop", "o", at["origin"]], ["loop", "c", at["cow"]]]
        live = [self.table("S", "snapshot"), ["dm", "O", self.sectors, "snapshot-origin", "{o}"]]
        live += self.replay() + self.view_ops() + [["remove", "O", "S"]]
        return {"id": self.name, "ops": attach + live + [["remove", "c", "o"]] + back}

    def has_discards(self):
        return any(op[0] == "D" for op in self.ops)

    def look_job(self):
        """After the power came back: what the kernel reads, and merges."""
        ops = [["copy", self.path(n), self.path(n + "-k")] for n in ("origin", "cow")
               if not self.is_huge]
        ops += [["loop", "o", self.path("origin")], ["loop", "c", self.path("cow")],
                self.table("S", "snapshot"), *self.view_ops(), ["remove", "S", "c", "o"]]
        self.nr_look = len(ops)
        if not self.is_invalid and not self.is_huge:
            ops += [["loop", "mo", self.path("origin-k")], ["loop", "mc", self.path("cow-k")],
                    self.table("M", "snapshot-merge", "mo", "mc"), ["merged", "M"],
                    ["remove", "M", "mo", "mc"]]
        return {"id": self.name, "ops": ops}

    def half_job(self):
        """A merge onto a slow origin, for the power to be cut."""
        ops = [["loop", "mo", self.path("origin")], ["loop", "mc", self.path("cow")],
               ["dm", "slow", self.sectors, "delay", "{mo} 0 0 {mo} 0 20"],
               self.table("merge", "snapshot-merge", "slow", "mc")]
        return {"id": self.name, "ops": ops, "keep": True}

    def check(self, what, got, want):
        if got != want:
            self.wrong.append("%s: %s: %r is not %r" % (self.name, what, got, want))

    def judge(self, built, looked):
        """Kernel, model and naive reader; the lines of meta.txt."""
        store = Store(self.path("cow"))
        fresh = [a for a, op in zip(looked, self.look_job()["ops"]) if op[0] in
                 ("status", "sha256", "sha256_at")]
        lines = ["name " + self.name, "origin_bytes %d" % (self.sectors * SECTOR),
                 "cow_bytes %d" % len(store.bytes), "cow_sha256 " + sha(store.bytes),
                 "status: 0 %d snapshot %s" % (self.sectors, fresh[0])]
        if self.is_huge:
            for (_, s, n, g), digest in zip(self.ops, fresh[1:]):
                self.check("sectors " + s, digest, sha(pattern(int(s), int(n), int(g))))
                lines.append("range %s %s %s" % (s, n, digest))
        elif not self.is_invalid:
            merged = sha(read(self.path("origin-k")))
            reader = sha(store.view(read(self.path("origin"))))
            for what, digest in (("merged origin", merged), ("naive reader", reader)):
                self.check(what, digest, fresh[1])
            if not self.has_discards() and not self.failed_writes(built):
                self.check("model", sha(self.model.view), fresh[1])
            lines += ["origin_sha256 " + sha(read(self.path("origin"))),
                      "kernel_view_sha256 " + fresh[1], "merged_origin_sha256 " + merged,
                      "merge_status: 0 %d snapshot-merge %s" % (self.sectors, looked[-2])]
        if not self.is_half:
            self.check("exceptions", self.exceptions(store), self.kept_exceptions())
        self.lines, self.store = lines, store

    def failed_writes(self, built):
        return any(answer for answer, op in zip(built, self.build_job()["ops"])
                   if op[0] == "write")

    @staticmethod
    def exceptions(store):
        return [(old, new, i // store.per_area, i % store.per_area)
                for i, (old, new) in enumerate(store.records)]

    def kept_exceptions(self):
        with open(os.path.join(KEPT, self.name, "exceptions.tsv"), encoding="ascii") as f:
            return [tuple(int(w) for w in line.split()) for line in f if line[0] != "#"]

    def write(self, release):
        for name in ("job.env", "ops.txt"):
            shutil.copyfile(os.path.join(KEPT, self.name, name), os.path.join(self.new, name))
        with open(os.path.join(self.new, "meta.txt"), "w", encoding="ascii") as f:
            f.write("\n".join(self.lines + ["kernel " + release]) + "\n")
        with open(os.path.join(self.new, "exceptions.tsv"), "w", encoding="ascii") as f:
            f.write("# old_chunk\tnew_chunk\tarea\tindex\n")
            for row in self.exceptions(self.store):
                f.write("\t".join(map(str, row)) + "\n")
        images = {n: n for n in ("origin", "cow") if not (self.is_huge and n == "origin")}
        if self.is_half:
            images.update({n + "-before": n + "-before-merge" for n in ("origin", "cow")})
        for name, kept in images.items():
            with open(os.path.join(self.new, kept + ".img.xz"), "wb") as out:
                subprocess.run(["xz", "-9e", "-c", self.path(name)], check=True, stdout=out)


def used(status):
    return int(status.split("/")[0]) if "/" in status else 0


def cut_merge(lab, fixture):
    """Until a good third of the exceptions is merged."""
    first = []

    def is_time(lines):
        words = lines[-1].split('"')
        now = used(words[3]) if len(words) > 3 else 0
        first.append(now)
        return now and now < max(first) * 2 // 3

    for name in ("origin", "cow"):
        shutil.copyfile(fixture.path(name), fixture.path(name + "-before"))
    lab.run_and_kill([fixture.half_job()], is_time)


def answers(results, fixture):
    if isinstance(results[fixture.name], dict):
        raise LabError("%s: in the guest: %s" % (fixture.name, results[fixture.name]["error"]))
    return results[fixture.name]


def make(names, new, work):
    lab = Lab(work)
    fixtures = [Fixture(name, work, new) for name in names]
    built = lab.run([f.build_job() for f in fixtures] +
                    [{"id": "kernel", "ops": [["tool", [0], "uname", "-r"]]}])
    for fixture in fixtures:
        if fixture.is_half:
            cut_merge(lab, fixture)
    looked = lab.run([f.look_job() for f in fixtures])
    wrong = []
    for fixture in fixtures:
        fixture.judge(answers(built, fixture), answers(looked, fixture))
        fixture.write(built["kernel"][0].strip())
        wrong += fixture.wrong
        print("%s: %s, %d exceptions" % (fixture.name, "WRONG" if fixture.wrong else "made",
                                         len(fixture.store.records)), flush=True)
    for line in wrong:
        print("FAILED: " + line[:1000])
    return 1 if wrong else 0


def main(argv):
    if not argv or argv[0].startswith("-"):
        print(__doc__)
        return 2
    names = argv[1:] or sorted(n for n in os.listdir(KEPT) if n != WRITES_LOST and
                               os.path.exists(os.path.join(KEPT, n, "ops.txt")))
    work = tempfile.mkdtemp(prefix="cow-fixtures-")
    try:
        return make(names, argv[0], work)
    except LabError as e:
        print("LAB FAILED: %s" % e)
        return 2
    finally:
        shutil.rmtree(work)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
