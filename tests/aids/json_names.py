#!/usr/bin/python3 -B
# SPDX-License-Identifier: LGPL-2.1-or-later
# Copyright (C) 2026 the libcow authors
"""Does the JSON of a run name everything that its command names?

  json_names.py CALLS REPORTS

CALLS: a command a line; REPORTS: a folder with the object of each, named by the number
of its line. Prints what is missing, and each number that is neither in bytes, a
percentage nor a count from the list below; ends with 1 if there is any."""
import json
import os
import shlex
import sys

# Options with the name of something that is read, or made.
READ = ("--sibling", "--drop-sibling", "--from", "--from-view", "--import", "--verify", "--bad-blocks", "--against",
        "--origin")
MADE = ("-o", "--save-undo", "--manifest", "--bad-list")
# Their argument is a word of its own.
SPLIT = ("-o", "-t", "-c", "-s")
# Members that count or number something, and are no sizes.
COUNTS = """exit chunk chunks chunks_left begun_chunks bad_chunks runs epochs flushes milliseconds
    info note damage lost exceptions snapshots records_behind places_right places_wrong ranges_differ
    mended left records_dropped chunks_copied lost_elsewhere regions_in_doubt appended_in_doubt
    resized_in_doubt guessed layers files files_damaged files_gone depth device origin snapshot
    id transaction created snapshotted mapped_blocks exclusive_blocks shared_blocks lost_blocks
    inode links legs uid gid mtime_nanoseconds major minor
    allocated_sectors total_sectors metadata_sectors""".split()


def parts(word, names):
    """The images that an operand consists of, each with the spellings that are right."""
    if word.startswith("image:"):
        return [{word, names[word[6:]]}]
    if word.split(":")[0] in ("thin", "clone"):
        keys = [part.split("=") for part in word.split(":", 1)[1].split(",")]
        return [{word, value} for key, value in keys if key in ("metadata", "data", "source", "destination")]
    return [{word}]


def wanted(words):
    """What a command names: what is read or written to, and what is made."""
    names, read, made, rest = {}, [], [], iter(words)
    given = [word + "=" + next(rest) if word in SPLIT else word for word in rest]
    for option, _, value in (word.partition("=") for word in given if word.startswith("--image=")):
        name, _, image = value.partition("=")
        names[name] = image
    for word in given:
        option, _, value = word.partition("=")
        if option in MADE:
            made.append({value})
        elif option in READ:
            read += [{part} for part in value.split(",")] if option in ("--from-view", "--against") else parts(value, names)
        elif option == "--table":
            read += [{part} for part in value.split()[3:6]]
        elif not word.startswith("-"):
            read += parts(word, names)
    return read, made


def numbers(value, key=""):
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from numbers(inner, name)
    elif isinstance(value, list):
        for inner in value:
            yield from numbers(inner, key)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield key


def main(calls, reports):
    bad = set()
    for number, line in enumerate(open(calls, encoding="utf-8"), 1):
        with open(os.path.join(reports, str(number)), encoding="utf-8") as file:
            said = json.load(file)
        read, made = wanted(shlex.split(line)[1:])
        images = {image["path"] for image in said["images"]}
        outputs = {output["path"] for output in said.get("outputs", [])}
        # What was refused before it was opened is named by the error.
        error = {(said["error"] or {}).get("path")}
        bad |= {f"{line.strip()}: {sorted(names)}: not in {sorted(images)} and {sorted(outputs)}: {said['error']}"
                for names in read + made if not names & (images | outputs | error)}
        bad |= {f"{line.strip()}: \"{key}\" is no number of bytes" for key in numbers(said)
                if not key.endswith(("_bytes", "_percent")) and key not in COUNTS}
    print("\n".join(sorted(bad)), end="\n" if bad else "")
    return 1 if bad else 0


sys.exit(main(*sys.argv[1:]))
