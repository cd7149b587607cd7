#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
# Copyright (C) 2026 the libcow authors
"""Makes disk0.img of a recipe in tests/cases/lvm-*/, in the current directory.

  lvm_case.py RECIPE

One step in each line, words quoted as for a shell, "\\n" in them a new line:

  disk NAME              copies disk0.img of the fixture lvm/NAME
  text OLD becomes NEW   changes LVM's text, with good checksums
  text ends behind OLD   cuts it there, with good checksums
  bytes OLD become NEW   changes bytes on the disk, each time they occur
  byte OFFSET is VALUE   changes one
  size BYTES             cuts the disk
"""
import os
import shlex
import subprocess
import sys

DISK = "disk0.img"


def text(*words):
    tool = os.path.join(os.path.dirname(os.path.abspath(__file__)), "lvm_text.py")
    subprocess.run([tool, *words, DISK], check=True)


def disk_change(change):
    with open(DISK, "r+b") as file:
        data = file.read()
        file.seek(0)
        file.write(change(data))
        file.truncate()


def step(words):
    if words[0] == "disk":
        source = os.path.join(os.environ["COW_UNPACKED"], "lvm", words[1], DISK)
        subprocess.run(["cp", "--sparse=always", source, "."], check=True)
    elif words[0] == "text" and words[2] == "becomes":
        text("edit", words[1], words[3])
    elif words[:3] == ["text", "ends", "behind"]:
        text("cut", words[3])
    elif words[0] == "bytes" and words[2] == "become":
        old, new = words[1].encode(), words[3].encode()
        assert len(old) == len(new)
        disk_change(lambda data: data.replace(old, new))
    elif words[0] == "byte" and words[2] == "is":
        at, value = int(words[1]), int(words[3], 0)
        disk_change(lambda data: data[:at] + bytes([value]) + data[at + 1:])
    elif words[0] == "size":
        os.truncate(DISK, int(words[1]))
    else:
        sys.exit("no such step: %r" % words)


def main():
    for line in open(sys.argv[1]):
        words = [word.replace("\\n", "\n") for word in shlex.split(line, comments=True)]
        if words:
            step(words)


main()
