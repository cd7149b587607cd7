#!/usr/bin/python3 -B
# SPDX-License-Identifier: LGPL-2.1-or-later
# Copyright (C) 2026 the libcow authors
"""What tests want to know of a manual page (mdoc).

pages.py options PAGE        each option as --long-options prints it, in small
                             letters: --name[=argument] TAB -x (or - alone)
pages.py section PAGE NAME   the lines of one section, macros and all
pages.py examples PAGE STEM  the literal blocks of EXAMPLES, as files STEM-1, ...
pages.py synopsis PAGE       the page with its list of functions made anew from
                             libcow.h on standard input
pages.py block FILE TEXT       the first block between ``` behind a line with TEXT
pages.py findings PAGE       the page with the list of findings in DIAGNOSTICS made
                             anew from what tests/examples/list_findings prints
pages.py exit PAGE           the page with the list of exit bits made anew from
                             what --help says, on standard input
"""
import re
import sys
import textwrap


def section(lines, name):
    """The lines of section NAME."""
    inside = False
    for line in lines:
        if line.startswith(".Sh "):
            inside = line[4:].strip().strip('"') == name
        elif inside:
            yield line


def join(words):
    """The words of a macro line as they are typed."""
    text, is_flag, nr_open = "", False, 0
    for word in words:
        if word in ("Ns", "Ar", "Cm"):
            continue
        if word == "Fl":
            is_flag = True
        elif word == "Op":
            text += "["
            nr_open += 1
        else:
            text += "-" + word if is_flag else word
            is_flag = False
    return text + "]" * nr_open


def options(lines):
    """(--name[=argument], -x or -) of each option in a list of options."""
    for line in lines:
        if not line.startswith(".It Fl "):
            continue
        words = line.split()[1:]
        short = "-"
        if len(words[1]) == 1 and words[2:3] == [","]:
            short = "-" + words[1]
            words = words[3:]
        yield join(words), short


def literal(lines):
    """The blocks between .Bd -literal and .Ed, unescaped."""
    text = None
    for line in lines:
        if line.startswith(".Bd -literal"):
            text = ""
        elif line.startswith(".Ed"):
            yield text
            text = None
        elif text is not None:
            text += line.replace("\\e", "\\").replace("\\-", "-").replace("\\&", "") + "\n"


def block(lines, text):
    """The first fenced block of a Markdown text behind a line that holds text."""
    start = next(i for i, line in enumerate(lines) if text in line)
    first = lines.index("```", start) + 1
    return lines[first:lines.index("```", first)]


def entry(row):
    """One finding: a row of list_findings, as lines of a page."""
    ident, klass, how, summary, kernel, fix = row.split("\t")
    lines = [".It Li %s Pq %s" % (ident, klass), summary[0].upper() + summary[1:] + ".",
             "The kernel %s." % kernel]
    if how == "-":
        return lines + ["What to do: %s." % fix]
    return lines + ["Repaired by", ".Fl %s :" % how, fix + "."]


def findings(lines, rows):
    """The lines of the page, its list of findings replaced."""
    first = next(i for i, line in enumerate(lines) if line.startswith(".It Li "))
    end = lines.index(".El", first)
    return lines[:first] + sum((entry(row) for row in rows), []) + lines[end:]


def exit_bits(lines, text):
    """The lines of the page, its list of exit bits replaced by that of --help."""
    rows = re.findall(r"^  (\d+) +(.*(?:\n {6}.*)*)", text[text.index("\nexit status ("):], flags=re.M)
    first = lines.index(".It 0")
    end = lines.index(".El", first)
    made = sum(([".It " + bit] + textwrap.wrap(" ".join(meaning.split()), 80) for bit, meaning in rows), [])
    return lines[:first] + made + lines[end:]


def split_arguments(text):
    """The arguments of a declaration; commas in parentheses divide nothing."""
    parts, depth = [""], 0
    for c in text:
        depth += (c == "(") - (c == ")")
        if c == "," and not depth:
            parts.append("")
        else:
            parts[-1] += c
    return [part.strip() for part in parts]


def synopsis(lines, header):
    """The page's lines with the functions of the header in SYNOPSIS; a blank
    line between the header's sections."""
    made = []
    header = re.sub(r"/\* -{10,} .*?\*/", "COW_EXPORT SECTION;", header)
    header = re.sub(r"/\*.*?\*/", "", header, flags=re.S)
    for words in re.findall(r"^\s*COW_EXPORT\s+([^;]*);", header, flags=re.M):
        words = " ".join(words.split())
        if words == "SECTION":
            if made and made[-1] != ".Pp":
                made.append(".Pp")
            continue
        kind, name, arguments = re.match(r"(.*?[ *])(cow_\w+)\((.*)\)$", words).groups()
        made.append(".Ft " + kind.strip())
        made.append(" ".join([".Fn", name] + ['"%s"' % a for a in split_arguments(arguments)]))
    first = lines.index(".In libcow.h") + 1
    while lines[first].startswith((".Ft ", ".Fn ", ".Pp")):
        del lines[first]
    return lines[:first] + [".Pp"] + made + lines[first:]


def main(job, page, name=None):
    with open(page) as f:
        lines = f.read().splitlines()
    if job == "options":
        for option, short in options(lines):
            print("%s\t%s" % (option.lower(), short))
    elif job == "block":
        print("\n".join(block(lines, name)))
    elif job == "synopsis":
        print("\n".join(synopsis(lines, sys.stdin.read())))
    elif job == "findings":
        print("\n".join(findings(lines, sys.stdin.read().splitlines())))
    elif job == "exit":
        print("\n".join(exit_bits(lines, sys.stdin.read())))
    elif job == "examples":
        for nr, text in enumerate(literal(section(lines, "EXAMPLES")), 1):
            with open("%s-%d" % (name, nr), "w") as f:
                f.write(text)
    else:
        print("\n".join(section(lines, name)))


if __name__ == "__main__":
    main(*sys.argv[1:])
