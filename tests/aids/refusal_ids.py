#!/usr/bin/python3 -B
# SPDX-License-Identifier: LGPL-2.1-or-later
# Copyright (C) 2026 the libcow authors
"""The ids of errors and refusals, from the source.

refusal_ids.py SOURCE           prints them, one a line
refusal_ids.py SOURCE --table   checks tests/cases/README: a row for each id, and
                                in the test that the row names, the id as a word"""
import glob
import os
import re
import sys


def arguments(text, start):
    """The arguments of a call, from behind its parenthesis."""
    parts, depth, in_text = [""], 0, False
    for i in range(start, len(text)):
        c = text[i]
        in_text ^= c == '"' and text[i - 1] != "\\"
        depth += 0 if in_text else (c in "([{") - (c in ")]}")
        if depth < 0 or c == ";" and not in_text:
            break
        if c == "," and not depth and not in_text:
            parts.append("")
        else:
            parts[-1] += c
    return parts


def words(text):
    """The ids in an expression: one, or those of its cases."""
    return set(re.findall(r'"([a-z-]+)"', re.sub(r"\w+\([^()]*\)", "", text)))


def ids_of(source):
    ids, texts = set(), {}
    for path in (glob.glob(source + "/libcow/**/*.c", recursive=True) +
                 glob.glob(source + "/tools/*/*.c")):
        with open(path, encoding="utf-8") as f:
            texts[path] = f.read()
    takers = {"cow_refuse": 2, "cli_refuse": 2}
    for text in texts.values():
        for m in re.finditer(r"^(?:static )?[\w *]*?(\w+)\(", text, flags=re.M):
            named = [part.strip() for part in arguments(text, m.end())]
            if "const char *id" in named and "struct cow_err *err" in named:
                takers.setdefault(m.group(1), named.index("const char *id"))
    for text in texts.values():
        for m in re.finditer(r"\b(\w+)\)?\(", text):
            parts = arguments(text, m.end()) if m.group(1) in takers else []
            if len(parts) > takers.get(m.group(1), 0):
                ids |= words(parts[takers[m.group(1)]])
        for m in re.finditer(r"\bconst char \*id = ([^;]*);", text):
            ids |= words(m.group(1))
        ids |= set(re.findall(r'(?:err\.|->)id, "([a-z-]+)"', text))
    with open(source + "/libcow/base/err.c", encoding="utf-8") as f:
        return ids | set(re.findall(r'\{ -E[A-Z]+, "([a-z-]+)" \}', f.read())) | {"system"}


def body_of(path, name):
    """The lines of one test, of a bats file or a C file; None: there is none."""
    with open(path, encoding="utf-8") as f:
        lines = f.read().split("\n")
    for i, line in enumerate(lines):
        if line == '@test "%s" {' % name or re.match(r"(static )?\w+ \*?%s\(" % re.escape(name), line):
            is_end = (lambda l: l == "}") if path.endswith(".c") else (lambda l: l[:5] == "@test")
            end = next((j for j in range(i + 1, len(lines)) if is_end(lines[j])), len(lines))
            return "\n".join(lines[i:end])
    return None


def rows_of(source):
    with open(source + "/tests/cases/README", encoding="utf-8") as f:
        return [re.split(r"\s*\|\s*", line.strip("| \n")) for line in f if line.startswith("| `")]


def wrong_rows(source):
    rows = rows_of(source)
    named = [row[0].strip("`") for row in rows]
    yield from ("%s: no row" % i for i in sorted(ids_of(source) - set(named)))
    yield from ("%s: a row, but no such id" % i for i in named if i not in ids_of(source))
    yield from ("%s: two rows" % i for i in set(named) if named.count(i) > 1)
    for ident, row in zip(named, rows):
        path, _, name = row[1].partition(": ")
        if not os.path.exists(os.path.join(source, path)):
            yield "%s: no file %s" % (ident, path)
            continue
        body = body_of(os.path.join(source, path), name)
        if body is None:
            yield "%s: no test %r in %s" % (ident, name, path)
        elif not re.search(r"(?<![a-z])(?<![a-z]-)%s(?![\w-])" % ident, body):
            yield "%s: %r does not mention it" % (ident, name)


def main(argv):
    if argv[1:] == ["--table"]:
        wrong = list(wrong_rows(argv[0]))
        print("\n".join(wrong))
        return 1 if wrong else 0
    print("\n".join(sorted(ids_of(argv[0]))))
    return 0


sys.exit(main(sys.argv[1:]))
