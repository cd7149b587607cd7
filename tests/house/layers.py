#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""layers.py [ROOT]: who may include whom, and what stands in one place only.

1  base <- image <- core <- volume, pdata <- store.h <- store/KIND <- registry, dispatch <- snapshot <- engine:
   a file of libcow/ includes its own floor and those below; volume and pdata do not know each other.
2  A kind of store (a folder of store/) includes itself, store.h and what is below; never another kind.
3  Only dispatch.c, registry.c and the kinds look at the operations of a kind (->ops); engine/ and snapshot/ hold no
   name of a format.
4  An id of a finding ("KIND.what") is written once in the product, in the table of its kind.
5  The persistent store writes to its image in a few files only.
6  tools: common <- tar <- formats, ext4, remote <- images <- a tool; no tool includes another's folder; of libcow tools
   include libcow.h and base/ alone.
7  The nbdkit plugin includes libcow.h and, for exports of NBD servers, remote.h alone (of the project).
8  A file name says whose it is: unique in libcow/ and tools/ together (an archive keeps one object of a name), and in a
   kind of store, in pdata/ and in volume/ it begins with the prefix that the symbols have.
9  A kind of store is named in its folder and in at most three files outside of it: store.h (what it exports), registry.c
   (its rows) and image/spec_kinds.c (the keys of its specification). What LVM calls thin is LVM's (volume/).
Prints what breaks a rule, with its number, and ends with 1.
"""
import os
import re
import sys

FLOORS = {"base": 1, "image": 2, "core": 3, "volume": 4, "pdata": 4, "store": 5, "snapshot": 6, "engine": 7}
SHELVES = {"common": 1, "tar": 2, "formats": 3, "ext4": 3, "remote": 3, "images": 4}
# Where it is not the name of the folder.
PREFIXES = {"persistent": ("snap",), "volume": ("volume", "part", "lvm", "lv")}
WRITERS = {
    "snap_append.c",  # data
    "snap_create.c",  # everything, once
    "snap_header.c",  # the header
    "snap_list.c",  # records
    "snap_metadata.c",  # another image
    "snap_repair.c",  # the header
    "snap_repair_apply.c",  # copies
}

NAMING = {"libcow/store/store.h", "libcow/store/registry.c", "libcow/image/spec_kinds.c"}

bad = []


def breaks(rule, path, what):
    bad.append(f"{path}: rule {rule}: {what}")


def sources(root):
    for top in ("libcow", "tools"):
        for folder, folders, names in os.walk(os.path.join(root, top)):
            folders.sort()
            for name in sorted(names):
                if name.endswith((".c", ".h")):
                    path = os.path.join(folder, name)
                    with open(path, encoding="utf-8") as file:
                        yield os.path.relpath(path, root), file.read()


def includes(text):
    return re.findall(r'^#include "([^"]+)"', text, re.M)


def without_comments(text):
    return re.sub(r"/\*.*?\*/|//[^\n]*", " ", text, flags=re.S)


def kind_of(parts):
    """Of libcow/store/KIND/...: KIND, or None."""
    return parts[2] if parts[1] == "store" and len(parts) > 3 else None


def library_includes(path, parts, target):
    to = target.split("/")
    if target == "libcow.h":
        return
    if to[0] != "libcow" or FLOORS.get(to[1], 9) > FLOORS[parts[1]]:
        return breaks(1, path, f"includes {target}, which is not below")
    if FLOORS[to[1]] == FLOORS[parts[1]] and to[1] != parts[1]:
        return breaks(1, path, f"includes {target}: volume and pdata do not know each other")
    if to[1] != "store" or parts[1] != "store":
        if kind_of(to) and parts[1] != "store":
            breaks(1, path, f"includes {target}: what is inside a kind of store")
        return
    mine, theirs = kind_of(parts), kind_of(to)
    if mine and theirs and mine != theirs:
        breaks(2, path, f"includes {target}, of another kind")
    elif mine and not theirs and target != "libcow/store/store.h":
        breaks(1, path, f"includes {target}, which is above the kinds")
    elif theirs and not mine and parts[2] not in ("registry.c", "dispatch.c"):
        breaks(1, path, f"includes {target}: what is inside a kind of store")


def tool_includes(path, parts, target):
    to = target.split("/")
    if parts[1] == "nbdkit":
        if target not in ("libcow.h", "tools/remote/remote.h") and to[:2] != ["tools", "nbdkit"]:
            breaks(7, path, f"includes {target}")
        return
    if to[0] != "tools":
        if target != "libcow.h" and to[:2] != ["libcow", "base"]:
            breaks(6, path, f"includes {target}")
        return
    if to[1] == parts[1]:
        return
    if to[1] not in SHELVES:
        breaks(6, path, f"includes {target}, of another tool")
    elif SHELVES[to[1]] >= SHELVES.get(parts[1], 9):
        breaks(6, path, f"includes {target}, which is not below")


def formats_check(path, parts, text, kinds):
    """Rule 3."""
    if parts[1] in ("store", "snapshot", "engine") and not kind_of(parts):
        if "->ops" in text and parts[-1] not in ("dispatch.c", "registry.c"):
            breaks(3, path, "looks at the operations of a kind")
    if parts[1] in ("engine", "snapshot"):
        for name in kinds:
            if re.search(rf'"{name}[".]|\b(cow_)?{name}_(ops|store|disk)', text):
                breaks(3, path, f"names the format {name}")
        if re.search(r"\b(cow_)?snap_|\bSNAP_|SnAp", text):
            breaks(3, path, "names the format persistent")


def ids_check(path, parts, text, kinds, seen):
    """Rule 4."""
    for kind, what in re.findall(rf'"({"|".join(kinds)}|image)\.([a-z][a-z0-9-]*)"', text):
        table = parts[1] == "core" if kind == "image" else parts[:3] == ["libcow", "store", kind]
        if not table or not re.fullmatch(r"\w*problems?\.c", parts[-1]):
            breaks(4, path, f'writes the id "{kind}.{what}"')
        seen.setdefault(f"{kind}.{what}", []).append(path)


def persistent_writes(path, parts, text):
    """Rule 5."""
    if kind_of(parts) == "persistent" and parts[-1] not in WRITERS:
        if re.search(r"\bcow_image_(pwrite|write_zeroes|clone_range|discard)\(", text):
            breaks(5, path, "writes to an image")


def kinds_check(path, parts, text, kinds):
    """Rule 9."""
    if path in NAMING or parts[1] == "volume":
        return
    if path in ("libcow/image/image.c", "libcow/image/image_file.c"):
        text = text.replace('"clone"', "")  # the sharing of extents
    for kind in kinds:
        prefix = PREFIXES.get(kind, (kind,))[0]
        code = rf'\bcow_(store_)?({prefix}|{kind})_\w|\bCOW_SPEC_{kind.upper()}\b|"{kind}[":]'
        if kind_of(parts) != kind and re.search(code, text):
            breaks(9, path, f"names the kind {kind}")


def names_check(paths):
    """Rule 8."""
    seen = {}
    for path in paths:
        other = seen.setdefault(os.path.basename(path), path)
        if other != path:
            breaks(8, path, f"has the name of {other}")


def prefix_check(path, parts, text):
    """Rule 8."""
    folder = kind_of(parts) or parts[1]
    if not kind_of(parts) and folder not in ("pdata", "volume"):
        return
    prefixes = PREFIXES.get(folder, (folder,))
    if not parts[-1].startswith(prefixes):
        breaks(8, path, f"does not begin with {' or '.join(prefixes)}")
    if path.endswith(".c"):
        for name in re.findall(r"^(?!static\b)[a-z][\w *]*\bcow_(\w+)\(", text, re.M):
            if not name.startswith(prefixes):
                breaks(8, path, f"defines cow_{name}, which does not begin with cow_{prefixes[0]}_")


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else "."
    store = os.path.join(root, "libcow/store")
    kinds = sorted(name for name in os.listdir(store) if os.path.isdir(os.path.join(store, name)))
    paths, seen = [], {}
    for path, text in sources(root):
        parts = path.split("/")
        paths.append(path)
        if parts[0] == "libcow" and parts[1] not in FLOORS and len(parts) > 2:
            breaks(1, path, f"{parts[1]} is no floor")
            continue
        for target in includes(text):
            (library_includes if parts[0] == "libcow" else tool_includes)(path, parts, target)
        text = without_comments(text)
        ids_check(path, parts, text, kinds, seen)
        if parts[0] == "libcow":
            formats_check(path, parts, re.sub(r"^#include.*", "", text, flags=re.M), kinds)
            kinds_check(path, parts, text, kinds)
            persistent_writes(path, parts, text)
            prefix_check(path, parts, text)
    for name, where in seen.items():
        if len(where) > 1:
            breaks(4, where[1], f'writes the id "{name}" again')
    names_check(paths)
    for line in bad:
        print(line)
    # A check that looked at nothing proves nothing.
    if len(paths) < 100 or not kinds:
        print(f"{root}: {len(paths)} files, {len(kinds)} kinds: this is not the source tree")
        return 1
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main())
