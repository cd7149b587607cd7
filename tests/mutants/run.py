#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""run.py [--count N] [--seed S] [--file PART]: do the tests notice?

table.txt lists changes of one line in libcow, each with the test that must see
it. Each is applied to a copy of the sources, that test is built there and must
fail; what it does before (on the copy as it is) must be success. A change that
no longer finds its line is an error: the table follows the code.

A block of the table: "@ FILE TEST [ARGUMENT]", "-LINE", "+LINE" (empty: the line
is left out); "-2:LINE" is the second one of that text. "= REASON" behind it: the change
is equivalent, no test can see it, because of that; it is not run. Lines that begin with
# are comments.

Without --seed and COW_SEED the seed is the commit, or where there is none the day: what
is drawn differs from one to the next, and a run of the same can be repeated.
"""
import argparse
import datetime
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
        elif line.startswith("= ") and rows:
            rows[-1]["equivalent"] = line[2:]
        elif line and not line.startswith("#"):
            sys.exit(f"table.txt:{number}: not understood: {line}")
    return rows


def places(row, lines):
    """Where the lines are that a row means."""
    return [i for i, line in enumerate(lines) if line == row["old"]]


def is_stale(row):
    path = TOP / row["file"]
    return not path.exists() or len(places(row, path.read_text().split("\n"))) < row["nth"]


def seed_now():
    if os.environ.get("COW_SEED"):
        return int(os.environ["COW_SEED"])
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=TOP, capture_output=True, text=True).stdout
    return int(commit[:8], 16) if commit else datetime.date.today().toordinal()


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
        lines[places(row, lines)[row["nth"] - 1]] = row["new"]
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
    parser.add_argument("--seed", type=int, default=seed_now())
    parser.add_argument("--stale", action="store_true", help="only look for rows that no longer find their line")
    parser.add_argument("--file", default="", help="only those in files with this in the name")
    parser.add_argument("--directory", default=str(TOP / "build/mutants"))
    options = parser.parse_args()
    rows = table()
    stale = [row for row in rows if is_stale(row)]
    for row in stale:
        print(f"table.txt:{row['at']}: {row['file']}: the line is not there (any more): "
              f"give the row the line as it is now, or take the row out\n-{row['old']}")
    # A few that are drawn may be of those that are there; all of them must be.
    if options.stale or (stale and not options.count):
        return bool(stale)
    rows = [row for row in rows if options.file in row["file"] and row not in stale and "equivalent" not in row]
    if options.count:
        print(f"seed {options.seed}")
        rows = random.Random(options.seed).sample(rows, options.count)
    copy = Copy(pathlib.Path(options.directory).resolve())
    bad = 0
    for test, args in sorted({(row["test"], tuple(row["args"])) for row in rows}):
        built = copy.build(test)
        if built.returncode or not copy.passes(test, args):
            print(f"{test}: does not pass as it is\n{built.stderr}", flush=True)
            rows = [row for row in rows if (row["test"], tuple(row["args"])) != (test, args)]
            bad += 1
    for row in rows:
        why = copy.judge(row)
        if why:
            bad += 1
            print(f"table.txt:{row['at']}: {row['file']}: {row['test']}: {why}\n-{row['old']}\n+{row['new']}", flush=True)
    print(f"{len(rows)} changes, {bad} not noticed")
    return bool(bad)


sys.exit(main())
