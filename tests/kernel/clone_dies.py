#!/usr/bin/python3 -B
# SPDX-License-Identifier: LGPL-2.1-or-later
# Copyright (C) 2026 the libcow authors
"""Metadata of clones on which snapcheck says that a kernel crashes: it does. Each gets a boot of its own, with a time
limit, and nobody else's images.

  clone_dies.py [CASE...]   (default: all)

Needs COW_BUILD, COW_UNPACKED. Exit: 0 each kernel died when snapcheck said so (one after 6.1
may live), and the sound one lived; 1 not."""
import json
import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from lab import Boot, LabError  # noqa: E402

BUILD = os.environ["COW_BUILD"]
POKE = os.path.join(HERE, "../aids/clone_poke.py")
SECONDS = 60
# What is said is said of Linux 6.1; a newer one (make kernel-next) may refuse it or bear it.
IS_NEWER = "COW_KERNEL" in os.environ
LIVES = "this kernel lives"
REGION, TARGET = 8, 16371  # of the damaged fixtures


class Refused(LabError):
    """The kernel does not load it, and lives."""


def run(*argv):
    return subprocess.run(argv, capture_output=True, text=True, check=False)


def root_free(meta):
    """Clears the count of the bitset's root."""
    with open(meta, "rb") as f:
        image = f.read()
    root = int.from_bytes(image[188:196], "little")
    index = int.from_bytes(image[60:68], "little")
    bitmap = int.from_bytes(image[index * 4096 + 16:index * 4096 + 24], "little")
    at = 16 + root // 4
    value = image[bitmap * 4096 + at] & ~(3 << 2 * (root % 4))
    subprocess.run([POKE, meta, "%d:%d:1:%d" % (bitmap, at, value)], check=True)


# name: when the kernel dies, fixture, what is changed in it
CASES = {
    "sound": ("never", "00-clean", ()),
    "root-empty": ("loading", "b08-root-empty", ()),
    "cycle": ("loading", "b16-cycle", ()),
    "counted-3": ("writing", "m10-counted-3", ()),
    "root-free": ("writing", "00-clean", (root_free,)),
    "eight-blocks": ("writing", None, ()),
}


def images_make(folder, name):
    meta, source, dest = (os.path.join(folder, n) for n in ("meta", "source", "dest"))
    damaged = os.path.join(os.environ["COW_UNPACKED"], "clone/damaged")
    _, fixture, changes = CASES[name]
    for n, path in (("source-a", source), ("dest-a", dest)):
        shutil.copy(os.path.join(damaged, n + ".img"), path)
    spec = "clone:metadata=%s,source=%s,destination=%s" % (meta, source, dest)
    if fixture:
        shutil.copy(os.path.join(damaged, fixture + ".meta.img"), meta)
    else:
        done = run(os.path.join(BUILD, "snapcreate"), "-q", "-c", "4K", "-s", "40K", spec)
        if done.returncode:
            raise LabError(done.stderr)
        subprocess.run([POKE, meta, "0:44:8:8"], check=True)
        os.truncate(meta, 32768)
    for change in changes:
        change(meta)
    return meta, source, dest, spec


def dies(folder, meta, source, dest, writes, target):
    """Does a kernel die of loading this, or of the first write?"""
    ops = [["loop", n, p] for n, p in (("meta", meta), ("source", source), ("dest", dest))]
    ops.append(["dm", "merge", target, "clone", "{meta} {dest} {source} %d 1 no_hydration" % REGION])
    if writes:
        ops.append(["write", "merge", 1, [[0, REGION, 1]]])
    ops += [["status", "merge"], ["remove", "merge", "meta", "source", "dest"]]
    boot = Boot(os.path.join(folder, "boot-%d" % writes), os.path.join(HERE, "guest.py"),
                os.path.join(folder, "boot-%d" % writes), timeout=SECONDS)
    with open(os.path.join(boot.directory, "jobs.json"), "w") as f:
        json.dump([{"id": "c", "ops": ops}], f)
    boot.start()
    try:
        boot.wait()
    except LabError:
        if not any(word in boot.text() for word in ("Kernel panic", "BUG", "Call Trace")):
            raise
        return True
    finally:
        boot.kill()
    with open(os.path.join(boot.directory, "results.json")) as f:
        answer = json.load(f)["c"]
    if isinstance(answer, dict):
        if "dm_reload" in answer["error"]:
            raise Refused(answer["error"])
        raise LabError(answer["error"])
    return False


def judge(folder, name):
    when = CASES[name][0]
    meta, source, dest, spec = images_make(folder, name)
    report = json.loads(run(os.path.join(BUILD, "snapcheck"), "--json", spec).stdout)
    if report["verdict"]["kernel_dies"] != when:
        return "snapcheck says %s" % report["verdict"]["kernel_dies"]
    target = report["store"]["view_bytes"] // 512 if "store" in report else TARGET
    # what dies of a write is loaded without one first
    if when != "loading" and dies(folder, meta, source, dest, 0, target):
        return "the kernel dies of loading it"
    if when != "loading" and dies(folder, meta, source, dest, 1, target) != (when == "writing"):
        return LIVES if IS_NEWER and when == "writing" else "the first write says otherwise"
    try:
        if when == "loading" and not dies(folder, meta, source, dest, 0, target):
            return "the kernel lives"
    except Refused:
        return LIVES if IS_NEWER else "the kernel refuses it"
    return None


def main(argv):
    worst = 0
    for name in argv[1:] or CASES:
        with tempfile.TemporaryDirectory(prefix="cow-clone-dies-") as folder:
            wrong = judge(folder, name)
        print("%s: %s" % (name, wrong or "as snapcheck says: " + CASES[name][0]))
        worst |= wrong not in (None, LIVES)
    return worst


if __name__ == "__main__":
    sys.exit(main(sys.argv))
