#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""clang_tidy.py FILE FLAGS...: clang-tidy over one C file, as tests/house/clang-tidy.yaml says.

clang 14 does not know __attribute__((cleanup)), so it takes what AUTO_FREE and
AUTO_HANDLE free for lost. That, and nothing else, is taken out of its answer: a
leak of a variable that its function declares with AUTO_. (gcc -fanalyzer and
LeakSanitizer, which know the attribute, look for leaks, too.)

How far it follows the paths of a function is bounded by DEPTH nodes (20000);
clang's own limit, 225000, takes seven times as long.
"""
import os
import re
import subprocess
import sys

FOUND = re.compile(r"^([^ :]+):(\d+):\d+: (warning|error): (.*)$")
LEAK = re.compile(r"Potential leak of memory pointed to by '([\w.]+)' ")


def declares_auto(path, line, name):
    """Does the function around this line declare name with AUTO_, or what it copies?"""
    lines = open(path).read().split("\n")[:line]
    for text in reversed(lines):
        copied = re.match(r"\s*" + re.escape(name) + r" = (\w+);$", text)
        if copied:
            name = copied[1]
        if text == "{":
            break
    auto = re.compile(r"\bAUTO_\w+(\(\w+\))? .*\W" + re.escape(name) + r"\b")
    for text in reversed(lines):
        if auto.search(text):
            return True
        if text == "{":
            return False
    return False


def main():
    depth = os.environ.get("DEPTH") or "20000"
    run = subprocess.run(
        ["clang-tidy", "--quiet", "--config-file=tests/house/clang-tidy.yaml", sys.argv[1], "--"] + sys.argv[2:]
        + ["-Xclang", "-analyzer-config", "-Xclang", "max-nodes=" + depth],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    nr_found = nr_kept = 0
    is_shown = True
    for text in run.stdout.split("\n"):
        found = FOUND.match(text)
        if found:
            leak = LEAK.match(found[4])
            is_shown = not (leak and declares_auto(found[1], int(found[2]), leak[1]))
            nr_found += 1
            nr_kept += is_shown
        if is_shown and text:
            print(text)
    # It failed and has not said why.
    if run.returncode and not nr_found:
        print(run.stderr, end="")
        return 1
    return int(nr_kept > 0)


sys.exit(main())
