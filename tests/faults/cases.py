# SPDX-License-Identifier: LGPL-2.1-or-later
# Copyright (C) 2026 the libcow authors
"""What is run under faults: a command, the files it starts from, the names it
may make. Each has an independent answer where there is one."""
import glob
import os
import random
import subprocess

from case import Case, REPAIRED, made, read, run
from cases_pool import pool_cases
from cases_volume import volume_cases
from images import Pair, SECTOR

def pair_cases(number, work):
    """Every way to run a tool on one pair."""
    pair = Pair(number)
    both = {"o.img": pair.origin, "c.img": pair.cow}
    broken = dict(both, **{"c.img": pair.damaged(number)})
    size = "zero:%d" % len(pair.origin)
    new = dict(both, **{"n.img": pair.view})
    chunk = "--chunk-size=%d" % pair.chunk
    sibling = made(work, ["snapcreate", chunk, "o.img", "s.img"], {"o.img": pair.origin}, "s.img")
    tar = made(work, ["snapdump", "--tar", "-o", "v.tar", "o.img", "c.img"], both, "v.tar")
    delta = made(work, ["snapdump", "--delta", "-o", "d.tar", "o.img", "c.img"], both, "d.tar")
    merged = {"o.img": pair.view}
    yield Case("create", ["snapcreate", chunk, "o.img", "x.img"], both, ("x.img",))
    yield Case("create-over", ["snapcreate", chunk, "--force=overwrite", "o.img", "c.img"],
               both).in_place("c.img")
    yield Case("create-full", ["snapcreate", "--preallocate=full", "o.img", "x.img"], both, ("x.img",))
    yield Case("create-falloc", ["snapcreate", "--preallocate=falloc", "o.img", "x.img"], both,
               ("x.img",))
    yield Case("create-from", ["snapcreate", chunk, "--json=j", "--manifest=m", "--from=n.img",
                               "o.img", "x.img"], new, ("x.img", "m", "j"))
    yield Case("create-view", ["snapcreate", "--from-view=c.img", "o.img", "x.img"], both, ("x.img",))
    yield Case("import-tar", ["snapcreate", "--import=v.tar", size, "x.img"], {"v.tar": tar}, ("x.img",))
    yield Case("import-delta", ["snapcreate", "--import=d.tar", "o.img", "x.img"],
               dict(both, **{"d.tar": delta}), ("x.img",))
    yield Case("check", ["snapcheck", "o.img", "c.img"], both)
    yield Case("check-json", ["snapcheck", "-q", "--json=j", "o.img", "c.img"], both, ("j",))
    yield Case("preen", ["snapcheck", "-p", "c.img"], broken, good=REPAIRED,
               again=REPAIRED).in_place("c.img")
    yield Case("repair", ["snapcheck", "-y", "o.img", "c.img"], broken, good=REPAIRED,
               again=REPAIRED).in_place("c.img")
    yield Case("repair-new", ["snapcheck", "-y", "-o", "x.img", "c.img"], broken, ("x.img",),
               good=REPAIRED)
    yield Case("repair-undo", ["snapcheck", "-y", "--force=overwrite", "--save-undo=u.img", "c.img"],
               broken, ("u.img",), good=REPAIRED, again=REPAIRED).in_place("c.img", loose=("u.img",))
    yield Case("merge", ["snapmerge", "-y", "--force=uuid", "o.img", "c.img"], both,
               answer=merged).in_place("o.img", "c.img")
    yield Case("merge-keep", ["snapmerge", "-y", "--keep", "o.img", "c.img"], both,
               answer=merged).in_place("o.img", "c.img")
    yield Case("merge-treat", ["snapmerge", "-y", "--sparse", "--scrub", "--discard", "o.img", "c.img"], both,
               answer=merged).in_place("o.img", "c.img")
    yield Case("merge-undo", ["snapmerge", "-y", "--save-undo=u.img", "o.img", "c.img"], both, ("u.img",),
               answer=merged).in_place("o.img", "c.img")
    yield Case("merge-sibling", ["snapmerge", "-y", "--sibling=s.img", "o.img", "c.img"],
               dict(both, **{"s.img": sibling}), answer=merged).in_place("o.img", "c.img", "s.img")
    yield Case("merge-new", ["snapmerge", "-o", "x.img", "o.img", "c.img"], both, ("x.img",),
               answer={"x.img": pair.view})
    yield Case("dump-raw", ["snapdump", "--raw", "-o", "x.img", "o.img", "c.img"], both, ("x.img",),
               answer={"x.img": pair.view})
    yield Case("dump-raw-over", ["snapdump", "--raw", "--force=overwrite", "-o", "n.img", "o.img", "c.img"],
               dict(both, **{"n.img": b"precious\n"}), ("n.img",), answer={"n.img": pair.view})
    yield Case("dump-tar", ["snapdump", "--tar", "-o", "x.tar", "o.img", "c.img"], both, ("x.tar",),
               answer={"x.tar": tar})
    yield Case("dump-zstd", ["snapdump", "--tar", "-o", "x.tar.zst", "o.img", "c.img"], both,
               ("x.tar.zst",))
    yield Case("dump-delta", ["snapdump", "--delta", "-o", "x.tar", "o.img", "c.img"], both, ("x.tar",),
               answer={"x.tar": delta})
    yield Case("dump-map", ["snapdump", "--map", "-o", "x.map", "o.img", "c.img"], both, ("x.map",))
    yield Case("dump-json", ["snapdump", "--map", "--json=j", "o.img", "c.img"], both, ("j",))


def files_case(work):
    """The files of a file system, with a file larger than its first blocks."""
    tree = os.path.join(work, "tree")
    os.makedirs(os.path.join(tree, "sub", "deep"), exist_ok=True)
    for name, data in (("a", b"x" * 3000), ("sub/b", b"y" * 70000), ("sub/deep/c", b"")):
        with open(os.path.join(tree, name), "wb") as f:
            f.write(data)
        os.utime(os.path.join(tree, name), (0, 0))
    image = os.path.join(work, "fs.img")
    with open(image, "wb") as f:
        f.truncate(1 << 20)
    run(["mke2fs", "-q", "-t", "ext4", "-d", tree, image], work)
    files = {"o.img": read(image)}
    yield Case("files", ["snapdump", "--files", "-o", "x.tar", "o.img"], files, ("x.tar",))
    yield Case("ls", ["snapdump", "--ls", "-o", "x.list", "o.img"], files, ("x.list",))
    yield Case("cat", ["snapdump", "--cat=/sub/deep/../b", "-o", "x.file", "o.img"], files, ("x.file",))
    # And what differs in it: other content, a file that is gone, one that is new.
    now = os.path.join(work, "now.img")
    with open(now, "wb") as f:
        f.write(files["o.img"])
    with open(os.path.join(work, "commands"), "w") as f:
        f.write("rm /a\nln /sub/b /sub/c\nunlink /sub/b\nmkdir /new\nset_inode_field /sub/deep/c mode 0100600\n")
    run(["debugfs", "-w", "-f", os.path.join(work, "commands"), now], work)
    two = dict(files, **{"n.img": read(now)})
    two["c.img"] = made(os.path.join(work, "store"), ["snapcreate", "--from=n.img", "o.img", "c.img"], two, "c.img")
    wanted = b"- a\n+ new\nR sub/b -> sub/c\nT sub/deep/c\n"
    yield Case("changes", ["snapdump", "--changes", "-o", "x.list", "o.img", "c.img"], two, ("x.list",),
               answer={"x.list": wanted})
    yield Case("changes-against", ["snapdump", "--changes", "--against=o.img", "-o", "x.list", "n.img"], two,
               ("x.list",), answer={"x.list": wanted})
    yield Case("only-changed", ["snapdump", "--files", "--only-changed", "-o", "x.tar", "o.img", "c.img"], two,
               ("x.tar",))
    yield Case("files-xz", ["snapdump", "--files", "-o", "x.tar.xz", "o.img"], files, ("x.tar.xz",))


def snaplog_cases(source, work):
    """The log devices of 2001: two logs, a second copy, an entry that is impossible."""
    folder = os.path.join(work, "snaplog")
    with open(os.path.join(source, "tests", "cases", "snaplog-two-logs", "logs.txt"), "rb") as f:
        subprocess.run([os.path.join(source, "tests", "aids", "snaplog_text.py"), folder], stdin=f,
                       check=True)
    names = ("source.img", "log0.img", "log1.img")
    files = {name: read(os.path.join(folder, name)) for name in names}
    spec, view = read(os.path.join(folder, "spec")).decode(), read(os.path.join(folder, "view.img"))
    yield Case("snaplog-check", ["snapcheck", spec], files)
    yield Case("snaplog-guess", ["snapcheck", "--json=j", spec.split(",block=")[0]], files, ("j",))
    yield Case("snaplog-repair", ["snapcheck", "-y", spec], files, good=REPAIRED,
               again=REPAIRED).in_place("log0.img", "log1.img")
    yield Case("snaplog-dump", ["snapdump", "--raw", "-o", "x.img", spec], files, ("x.img",),
               answer={"x.img": view})
    yield Case("snaplog-merge", ["snapmerge", "-y", spec], files,
               answer={"source.img": view}).in_place(*names)


def clone_cases(source, work):
    """A clone of 15 regions and a half, four of them hydrated; its metadata sound, with a leak, without a superblock."""
    rng = random.Random("clone")
    folder = os.path.join(work, "clone")
    images = {"s.img": rng.randbytes(63488), "d.img": rng.randbytes(65536)}
    images["d.img"] = images["d.img"][:16384] + images["s.img"][16384:20480] + images["d.img"][20480:]
    names = "source=s.img,destination=d.img"
    spec, new = "clone:metadata=m.img," + names, "clone:metadata=x.img," + names
    view = images["s.img"][:16384] + images["d.img"][16384:32768] + images["s.img"][32768:]
    made(folder, ["snapcreate", "-c", "4K", "-s", "80K", spec], images, "m.img")
    poke = os.path.join(source, "tests", "aids", "clone_poke.py")
    run([poke, "m.img", "5:24:8:0xf0"], folder)
    files = dict(images, **{"m.img": read(os.path.join(folder, "m.img"))})
    run([poke, "m.img", "3:20:1:2", "1:24:4:16313"], folder)
    leaked = dict(images, **{"m.img": read(os.path.join(folder, "m.img"))})
    lost = dict(images, **{"m.img": bytes(4096) + files["m.img"][4096:]})
    yield Case("clone-create", ["snapcreate", "-c", "4K", "-s", "80K", new], images, ("x.img",))
    yield Case("clone-check", ["snapcheck", "--json=j", spec], files, ("j",)).finding()
    yield Case("clone-repair", ["snapcheck", "-y", "-o", "x.img", spec], leaked, ("x.img",), good=(1,))
    yield Case("clone-repair-lost", ["snapcheck", "-y", "-o", "x.img", "--table=0 124 clone m.img d.img s.img 8", spec],
               lost, ("x.img",), good=(4,))
    yield Case("clone-dump", ["snapdump", "--raw", "-o", "x.img", spec], files, ("x.img",), answer={"x.img": view})
    yield Case("clone-merge", ["snapmerge", "-y", spec], files,
               answer={"d.img": view + images["d.img"][63488:]}).in_place("d.img", loose=("m.img",))
    yield Case("clone-merge-new", ["snapmerge", "-o", "x.img", spec], files, ("x.img",), answer={"x.img": view})


def store_cases(source, work, only):
    """Every damaged store of tests/cases."""
    root = os.path.join(source, "tests", "cases")
    make = os.path.join(os.environ["COW_BUILD"], "tests", "examples", "mkstore")
    for path in sorted(glob.glob(os.path.join(root, "*", "store.txt"))):
        name = os.path.basename(os.path.dirname(path))
        if only and name not in only:
            continue
        image = os.path.join(work, "store.img")
        with open(path, "rb") as f:
            subprocess.run([make, image], stdin=f, check=True)
        if os.path.getsize(image) > 4 << 20:
            continue
        files = {"c.img": read(image)}
        yield Case("store " + name, ["snapcheck", "c.img"], files, good=(0, 4, 64))
        yield Case("store-repair " + name, ["snapcheck", "-y", "c.img"], files, good=REPAIRED + (64,),
                   again=REPAIRED + (64,)).in_place("c.img")


def all_cases(source, work, nr_pairs, only):
    """only: the beginning of a name; what cannot match is not made."""
    os.makedirs(work, exist_ok=True)
    if only and only.startswith("store"):
        return list(store_cases(source, work, only))
    cases = (list(files_case(work)) + list(snaplog_cases(source, work)) + list(clone_cases(source, work)) +
             list(pool_cases(source, work)) + list(volume_cases(work)))
    for number in range(nr_pairs):
        for case in pair_cases(number, os.path.join(work, "pair-%d" % number)):
            case.name += " %d" % number
            cases.append(case)
    return cases + ([] if only else list(store_cases(source, work, None)))


assert SECTOR == 512
