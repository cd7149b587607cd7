#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""run.py [--count N] [--seed S] [--file PART]: do the tests notice?

table.txt lists changes of one line in libcow, each with the test that must see
it. Each is applied to a copy of the sources, that test is built there and must
fail; what it does before (on the copy as it is) must be success. A change that
no longer finds its line is an error: the table follows the code.

A block of the table: "@ FILE TEST [ARGUMENT]", "-LINE", "+LINE" (empty: the line
is left out); "-2:LINE" is the second one of that text. Lines that begin with #
are comments.
"""
import argparse
import os
import pathlib
import random
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parent.parent
# A test that hangs has noticed, too.
SECONDS = 120


def table():
    rows, row = [], None
    for number, line in enumerate((HERE / "table.txt").read_text().split("\n"), 1):
        if line.startswith("@ "):
            words = line[2:].split()
            row = {"at": number, "file": words[0], "test": words[1], "args": words[2:]}
        elif line.startswith("-") and row:
            nth, colon, rest = line[1:].partition(":")
            row["nth"], row["old"] = (int(nth), rest) if colon and nth.isdigit() else (1, line[1:])
        elif line.startswith("+") and row:
            row["new"] = line[1:]
            rows.append(row)
            row = None
        elif line and not line.startswith("#"):
            sys.exit(f"table.txt:{number}: not understood: {line}")
    return rows


class Copy:
    """The sources in a directory of their own, where one line is changed at a time."""

    def __init__(self, where):
        self.where = where
        shutil.rmtree(where, ignore_errors=True)
        for name in ("libcow", "include", "tools", "tests"):
            shutil.copytree(TOP / name, where / name, symlinks=True,
                            ignore=shutil.ignore_patterns("fixtures", "corpus"))
        shutil.copy(TOP / "Makefile", where)
        self.env = dict(os.environ, COW_FIXTURES=str(TOP / "tests/fixtures"),
                        COW_UNPACKED=str(TOP / "build/unpacked"), COW_SOURCE=str(where),
                        COW_BUILD=str(where / "build"), CCACHE_BASEDIR=str(where))

    def build(self, test):
        return subprocess.run(["make", "-s", "-j2", "CFLAGS=-O1", "build/tests/" + test], cwd=self.where, env=self.env,
                              capture_output=True, text=True)

    def passes(self, test, args):
        try:
            return not subprocess.run([self.where / "build/tests" / test, *args], cwd=self.where, env=self.env,
                                      capture_output=True, timeout=SECONDS).returncode
        except subprocess.TimeoutExpired:
            return False

    def judge(self, row):
        """None: the test has noticed."""
        path = self.where / row["file"]
        text = path.read_text()
        lines = text.split("\n")
        places = [i for i, line in enumerate(lines) if line == row["old"]]
        if len(places) < row["nth"]:
            return "the line is not there (any more)"
        lines[places[row["nth"] - 1]] = row["new"]
        path.write_text("\n".join(lines))
        try:
            built = self.build(row["test"])
            if built.returncode:
                return "does not build: " + built.stderr[-300:]
            return "SURVIVED" if self.passes(row["test"], row["args"]) else None
        finally:
            path.write_text(text)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=0, help="so many, drawn by the seed; 0: all")
    parser.add_argument("--seed", type=int, default=int(os.environ.get("COW_SEED", random.randrange(1 << 30))))
    parser.add_argument("--file", default="", help="only those in files with this in the name")
    parser.add_argument("--directory", default=str(TOP / "build/mutants"))
    options = parser.parse_args()
    rows = [row for row in table() if options.file in row["file"]]
    if options.count:
        print(f"seed {options.seed}")
        rows = random.Random(options.seed).sample(rows, options.count)
    copy = Copy(pathlib.Path(options.directory).resolve())
    bad = 0
    for test, args in sorted({(row["test"], tuple(row["args"])) for row in rows}):
        built = copy.build(test)
        if built.returncode or not copy.passes(test, args):
            sys.exit(f"{test}: does not pass as it is\n{built.stderr}")
    for row in rows:
        why = copy.judge(row)
        if why:
            bad += 1
            print(f"table.txt:{row['at']}: {row['file']}: {row['test']}: {why}\n-{row['old']}\n+{row['new']}", flush=True)
    print(f"{len(rows)} changes, {bad} not noticed")
    return bool(bad)


sys.exit(main())
