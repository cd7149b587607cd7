#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""sizes.py FILE...: sizes of memory that are computed where they are asked for.

An argument of malloc() and its like with a +, *, - or << in it wraps if what
goes in is large enough. So it says why it is not: a comment "bounded: ..." on
the line above, or it is done by reallocarray() and calloc() or by overflow.h,
and only their answer is used. sizeof and constants alone may be multiplied.
A variable of 64 bits is cut off where a size_t has 32, so it needs the comment too.
"""
import re
import sys

CALL = re.compile(r"\b(malloc|calloc|realloc|reallocarray|aligned_alloc|posix_memalign|ext2fs_get_mem)\(")
# What a compiler computes: sizeof, numbers and the names of constants.
CONSTANT = re.compile(r"sizeof\((?:[^()]|\([^()]*\))*\)|\b[A-Z][A-Z0-9_]*\b(?:\(\d+\))?|\b\d+u?\b")


def arguments(text, start):
    """The arguments of the call whose parenthesis opens before start."""
    depth, at, parts, begin = 1, start, [], start
    while depth:
        c = text[at]
        depth += (c in "([{") - (c in ")]}")
        if (c == "," and depth == 1) or not depth:
            parts.append(text[begin:at])
            begin = at + 1
        at += 1
    return parts


def is_computed(part):
    part = re.sub(r"/\*.*?\*/|->|\+\+", " ", part, flags=re.S)
    part = re.sub(r"\((?:const )?(?:struct )?\w+ \*+\)|\(size_t\)", " ", part)
    part = CONSTANT.sub("1", part)
    found = re.search(r"[\w\])]\s*(\+|-|<<|\*)\s*[\w(*&]", part)
    # Constants alone.
    return bool(found) and bool(re.search(r"[a-z_]", part))


def is_wide(part, text, at):
    """Is a local variable or a parameter of 64 bits in this argument?"""
    begin = text.rfind("\n}\n", 0, at)
    wide = set(re.findall(r"uint64_t (\w+)", text[begin:at]))
    for names in re.findall(r"\tuint64_t ([^;{]*);", text[begin:at]):
        wide.update(re.findall(r"(?:^|, )(\w+)", names))
    names = re.findall(r"(?<![\w>.])(\w+)(?!\w*\()", re.sub(r"sizeof\((?:[^()]|\([^()]*\))*\)", "", part))
    return bool(wide & set(names))


def main():
    nr = bad = 0
    for path in sys.argv[1:]:
        text = open(path).read()
        lines = text.split("\n")
        for call in CALL.finditer(text):
            nr += 1
            if not any(is_computed(part) or is_wide(part, text, call.start())
                       for part in arguments(text, call.end())):
                continue
            line = text.count("\n", 0, call.start())
            # The comment stands above the statement, which may have begun earlier.
            if not any("/* bounded: " in above or "bounded: " in above and above.strip().startswith("*")
                       for above in lines[max(0, line - 2):line + 1]):
                print(f"{path}:{line + 1}: {lines[line].strip()}: why can this size not wrap?")
                bad = 1
    if nr < 50:
        print(f"only {nr} calls were found: this script is broken")
        bad = 1
    return bad


sys.exit(main())
