#!/usr/bin/python3 -B
# SPDX-License-Identifier: LGPL-2.1-or-later
# Copyright (C) 2026 the libcow authors
"""Damages the metadata of a file system at random and reads its files.
usage: files_damage.py IMAGE COUNT. Whatever was hit: snapdump --files ends, with
status 0, 4 or 64, in bounded time, and what it wrote is a complete archive, not
much larger than the image, whose names stay where they belong.
COW_SEED repeats a run; a damaged image that was not borne is kept as IMAGE.bad."""

import os
import random
import subprocess
import sys
import tarfile

UNIT = 1024
SECONDS = 30


def damage(rng, image, used):
    """Numbers changed, swapped in from elsewhere, or made extreme."""
    for _ in range(rng.choice((1, 1, 2, 4, 8, 30))):
        at = rng.choice(used) + rng.randrange(UNIT // 4) * 4
        kind = rng.randrange(6)
        if kind == 0:
            image[at + rng.randrange(4)] = rng.randrange(256)
        elif kind == 1:
            image[at:at + 4] = rng.randrange(9000).to_bytes(4, "little")
        elif kind == 2:
            source = rng.choice(used) + rng.randrange(UNIT // 4) * 4
            image[at:at + 4] = image[source:source + 4]
        elif kind == 3:
            image[at:at + 4] = rng.choice((b"\0\0\0\0", b"\xff\xff\xff\xff", b"\1\0\0\0", b"\0\0\0\x80"))
        elif kind == 4:
            source, length = rng.choice(used), rng.choice((16, 64, 128, 256, 1024))
            image[at - at % 16:at - at % 16 + length] = image[source:source + length]
        else:
            image[at] ^= 1 << rng.randrange(8)
    del image[len(image) // UNIT * UNIT:]


def judge(path):
    """Why this image was not borne, or None."""
    with open(path + ".tar", "wb") as out:
        done = subprocess.run(("snapdump", "--files", path), stdout=out, stderr=subprocess.PIPE, timeout=SECONDS)
    if done.returncode == 64:
        return None
    if done.returncode not in (0, 4):
        return f"exit status {done.returncode}: {done.stderr.decode(errors='replace')[-2000:]}"
    if os.path.getsize(path + ".tar") > 8 * os.path.getsize(path):
        return "the archive is far larger than the image"
    with tarfile.open(path + ".tar") as tar:
        for member in tar:
            if member.name.startswith("/") or ".." in member.name.split("/"):
                return f"a member is called {member.name!r}"
    return None


def judge_changes(good, bad):
    """The same for --changes from the good image to the damaged one."""
    subprocess.run(("snapcreate", "-q", "--force=overwrite", "-c", "1K", "--from=" + bad, good, bad + ".cow"), check=True)
    for options in ((), ("--reverse",)):
        done = subprocess.run(("snapdump", "--changes", *options, "--force=origin", good, bad + ".cow"),
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=SECONDS, check=False)
        if done.returncode not in (0, 4, 64):
            return f"--changes: exit status {done.returncode}: {done.stderr.decode(errors='replace')[-2000:]}"
    return None


def main():
    name, count = sys.argv[1], int(sys.argv[2])
    seed = int(os.environ.get("COW_SEED", random.randrange(1 << 32)))
    print(f"seed {seed} (COW_SEED)")
    with open(name, "rb") as f:
        good = f.read()
    used = [at for at in range(0, len(good), UNIT) if good[at:at + UNIT].strip(b"\0")]
    for i in range(count):
        image = bytearray(good)
        damage(random.Random(seed + i), image, used)
        with open(name + ".bad", "wb") as f:
            f.write(image)
        why = judge(name + ".bad") or (None if i % 4 else judge_changes(name, name + ".bad"))
        if why:
            sys.exit(f"seed {seed + i}: {why}")
    os.unlink(name + ".bad")


main()
