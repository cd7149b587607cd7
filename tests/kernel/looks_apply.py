#!/usr/bin/python3 -B
# SPDX-License-Identifier: LGPL-2.1-or-later
# Copyright (C) 2026 the libcow authors
"""Job for the user-mode kernel: archives of what changed, applied.

usage: looks_apply.py DIRECTORY. apply.json there: a list of {old, new, archive}, names of
images and of an archive of snapdump --files --only-changed. Each old image is copied and
mounted (which replays its journal), the archive is applied as snapdump(8) says, and all of
it must then be what this kernel shows of the new image: names, types, content, owners,
modes, times, attributes, and which names are one file. Sockets are in no archive; the time
of a directory is looked at where the archive has it. diff and getfattr are asked besides."""
import json
import os
import re
import stat
import subprocess
import sys
import tarfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import dmlib  # noqa: E402
from looks_guest import insert_modules, list_tree, run  # noqa: E402

APPLY = """set -e
cd "$1"
tar -xOf "$2" .snapdump-gone | xargs -0r rm -df --
tar -xOf "$2" .snapdump-gone-attributes | xargs -0r -n 2 setfattr -h -x
tar --xattrs --xattrs-include='*' --acls --numeric-owner --exclude='.snapdump-gone*' -xpf "$2"
"""


def output_of(script, *words):
    return subprocess.run(["sh", "-c", script, "sh", *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          check=False).stdout.decode(errors="replace")


def ask_others():
    """The same question, to programs that share nothing with list_tree()."""
    sockets = {os.path.basename(path) for folder in ("old", "new") for path, one in list_tree("/run/" + folder).items()
               if stat.S_ISSOCK(one["mode"])}
    # Of two special files it says that they are such; list_tree() compares their numbers.
    differs = [line for line in output_of("diff -r --no-dereference /run/old /run/new").splitlines()
               if not re.fullmatch("File .* is a (fifo|socket|(?:character|block) special file) while .* is a \\1", line)
               and not (line.startswith("Only in") and line.rpartition(": ")[2] in sockets)]
    sides = [output_of('cd "$1" && find . ! -type s -print0 | sort -z | xargs -0 getfattr -h -d -m - -e hex --',
                       "/run/" + folder) for folder in ("old", "new")]
    if sides[0] != sides[1]:
        differs += ["getfattr: %s, not %s" % tuple(sides)]
    return differs


def mount(image, folder):
    run("cp", "--sparse=always", image, folder + ".img")
    loop = dmlib.loop_attach(folder + ".img")
    os.makedirs("/run/" + folder, exist_ok=True)
    run("mount", "-t", "ext4", "-o", "noatime", loop, "/run/" + folder)
    return loop


def unmount(loop, folder):
    run("umount", "/run/" + folder)
    dmlib.loop_detach(loop)


def facts_of(folder, members):
    """Without numbers that a copy has not."""
    facts, links = list_tree("/run/" + folder), {}
    for path, one in facts.items():
        links.setdefault(one.pop("ino"), []).append(path)
        one.pop("generation")
        if stat.S_ISDIR(one["mode"]):
            for key in ("size", "links") + (() if path in members else ("mtime",)):
                one.pop(key)
    groups = {path: sorted(paths) for paths in links.values() for path in paths}
    return {path: (one, groups[path]) for path, one in facts.items() if not stat.S_ISSOCK(one["mode"])}


def check(one):
    with tarfile.open(one["archive"]) as tar:
        members = {os.path.normpath(name) for name in tar.getnames()}
    loops = mount(one["old"], "old"), mount(one["new"], "new")
    run("sh", "-c", APPLY, "sh", "/run/old", os.path.abspath(one["archive"]))
    applied, wanted = facts_of("old", members), facts_of("new", members)
    for path in sorted(set(applied) | set(wanted)):
        if applied.get(path) != wanted.get(path):
            raise SystemExit("%s: %s: %s, not %s" % (one["archive"], path, applied.get(path), wanted.get(path)))
    differs = ask_others()
    if differs:
        raise SystemExit("%s: %s" % (one["archive"], differs))
    unmount(loops[0], "old")
    unmount(loops[1], "new")
    return len(members)


def main(directory):
    os.chdir(directory)
    insert_modules()
    with open("apply.json") as f:
        plan = json.load(f)
    print("APPLIED", len(plan), "ARCHIVES WITH", sum(check(one) for one in plan), "MEMBERS")


main(sys.argv[1])
