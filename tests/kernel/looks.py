#!/usr/bin/python3 -B
# SPDX-License-Identifier: LGPL-2.1-or-later
# Copyright (C) 2026 the libcow authors
"""What snapdump says of file systems, with the real kernel as judge.

usage: looks.py WORK journals|changes|both [--cuts N] [--seed S] [--rounds N]

looks_guest.py changes file systems of several kinds at random and cuts their images, N
times each. journals: of each cut image --ls and --files must be what the kernel shows
after it replayed the journal, and a replay by e2fsck must give the same archive.
changes: --changes from each cut image to the next must be what the kernel showed of both:
what the lines say, applied to the names of the first, gives those of the second, and the
files that are paired by it have other content (M) or metadata (T) exactly where told; and
an archive of --only-changed, applied by that kernel to the first (looks_apply.py), must make
it the second."""
import argparse
import hashlib
import json
import os
import shutil
import stat
import subprocess
import sys
import tarfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import lab  # noqa: E402

KINDS = (
    ("csum", "24M", "-t ext4 -b 1024 -O metadata_csum,64bit", "noatime"),
    ("large", "32M", "-t ext4 -b 4096 -O metadata_csum,inline_data,ea_inode -I 256", "noatime"),
    ("sums1", "24M", "-t ext4 -b 1024 -O ^metadata_csum,^64bit", "noatime,data=journal,journal_checksum"),
    ("async", "24M", "-t ext4 -b 1024 -O metadata_csum", "noatime,data=writeback,journal_async_commit"),
    ("old", "24M", "-t ext3 -b 1024 -I 128", "noatime"),
    ("fast", "24M", "-t ext4 -b 1024 -O fast_commit", "noatime"),
)
TYPES = {stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "symlink", stat.S_IFCHR: "char-device",
         stat.S_IFBLK: "block-device", stat.S_IFIFO: "fifo", stat.S_IFSOCK: "socket"}


class Wrong(Exception):
    pass


def run(words, statuses=(0,)):
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    if done.returncode not in statuses:
        raise Wrong("%s: %d: %s" % (" ".join(words), done.returncode, done.stderr.decode(errors="replace")))
    return done


def make_states(work, cuts, seed, kinds):
    plan = []
    for i, (name, size, options, mount) in enumerate(kinds):
        run(["truncate", "-s", size, os.path.join(work, name + ".img")])
        run(["mke2fs", "-q", "-F", "-J", "size=4", "-N", "2000", *options.split(), os.path.join(work, name + ".img")]
            if "4096" in options else
            ["mke2fs", "-q", "-F", "-J", "size=2", "-N", "2000", *options.split(), os.path.join(work, name + ".img")])
        plan.append({"name": name, "mount": mount, "seed": seed * 1000 + i, "cuts": cuts})
    with open(os.path.join(work, "plan.json"), "w") as f:
        json.dump(plan, f)
    boot = lab.Boot(os.path.join(work, "boot"), os.path.join(HERE, "looks_guest.py"), work, timeout=1200)
    try:
        boot.start()
        boot.wait()
    finally:
        boot.kill()
    return plan


def wanted_of(facts):
    """A line of --ls --json, from what the kernel said."""
    kind = stat.S_IFMT(facts["mode"])
    seconds, nanoseconds = divmod(facts["mtime"], 10**9)
    line = {"type": TYPES[kind], "mode": "%04o" % (facts["mode"] & 0o7777), "inode": facts["ino"],
            "links": facts["links"], "uid": facts["uid"], "gid": facts["gid"], "size_bytes": facts["size"],
            "mtime_nanoseconds": nanoseconds,
            "target": facts["data"] if kind == stat.S_IFLNK else None}
    if kind in (stat.S_IFCHR, stat.S_IFBLK):
        line["major"], line["minor"] = os.major(facts["rdev"]), os.minor(facts["rdev"])
    return line, seconds


def check_list(image, kernel, statuses):
    done = run(["snapdump", "--ls", "--json", "-q", image], statuses)
    report = json.loads(done.stdout)
    ours = {e["path"]: e for e in report["entries"]}
    if set(ours) != set(kernel):
        raise Wrong("%s: names: %s" % (image, sorted(set(ours) ^ set(kernel))[:10]))
    for path, facts in kernel.items():
        wanted, _ = wanted_of(facts)
        entry = {k: ours[path].get(k) for k in wanted}
        if entry != wanted:
            raise Wrong("%s: %s: %s, not %s" % (image, path, entry, wanted))
    return report


def check_files(image, kernel, work, statuses):
    archive = os.path.join(work, "x.tar")
    run(["snapdump", "--files", "-q", "--force=overwrite", "-o", archive, image], statuses)
    with tarfile.open(archive) as tar:
        for member in tar:
            path = os.path.normpath(member.name)
            if member.isreg():
                data = tar.extractfile(member).read()
                if hashlib.sha256(data).hexdigest()[:20] != kernel[path]["data"]:
                    raise Wrong("%s: %s has other bytes than the kernel's" % (image, path))
    return archive


def check_e2fsck(image, archive, work):
    """A replay by e2fsck, into a copy: the same archive, without a replay of ours."""
    copy = os.path.join(work, "copy.img")
    shutil.copy(image, copy)
    run(["e2fsck", "-y", "-E", "journal_only", copy], (0, 1))
    run(["snapdump", "--files", "-q", "--force=overwrite", "-o", archive + "2", copy])
    with open(archive, "rb") as a, open(archive + "2", "rb") as b:
        if a.read() != b.read():
            raise Wrong(image + ": e2fsck's replay gives another archive")


def journals(work, plan):
    replayed = blocks = fast = 0
    for one in plan:
        for number in range(one["cuts"]):
            name = os.path.join(work, "%s-%d" % (one["name"], number))
            with open(name + ".json") as f:
                kernel = json.load(f)
            with open(name + ".img", "rb") as f:
                before = hashlib.sha256(f.read()).digest()
            if kernel is None and one["name"] == "fast":
                kernel = {}  # Linux 6.1 does not replay each of its own fast commits
            try:
                report = check_list(name + ".img", kernel, (0,))
            except Wrong:
                # Fast commits are told, and are not replayed.
                said = run(["snapdump", "--ls", name + ".img"], (4,)).stderr
                if one["name"] != "fast" or b"fast commits" not in said:
                    raise
                fast += 1
                continue
            archive = check_files(name + ".img", kernel, work, (0,))
            if one["name"] != "fast":  # e2fsck 1.47 replays fast commits of earlier transactions, too
                check_e2fsck(name + ".img", archive, work)
            words = [p["message"] for p in report["problems"] if "replayed in memory" in p["message"]]
            replayed += len(words)
            blocks += sum(int(w.split()[-2]) for w in words)
            with open(name + ".img", "rb") as f:
                if hashlib.sha256(f.read()).digest() != before:
                    raise Wrong(name + ": was written")
    print("%d states, %d journals replayed, %d blocks, %d with fast commits, none wrong"
          % (sum(one["cuts"] for one in plan), replayed, blocks, fast))
    return replayed


def compare_facts(old, new):
    """'M', 'T' or None: of one name or two, by what the kernel said."""
    if stat.S_IFMT(old["mode"]) != stat.S_IFMT(new["mode"]):
        return "type"
    kind = stat.S_IFMT(new["mode"])
    if old.get("data") != new.get("data") or old["rdev"] != new["rdev"]:
        return "M"
    keys = ["mode", "uid", "gid", "xattrs"] + ([] if kind == stat.S_IFDIR else ["mtime"])
    return "T" if any(old[k] != new[k] for k in keys) else None


def came_from(path, renamed):
    """The old name of what is at path now: its own rename, or that of a directory above."""
    head, tail = path, ""
    while head:
        if head in renamed:
            return renamed[head] + tail
        head, slash, last = head.rpartition("/")
        tail = slash + last + tail
    return path


def has_moved(path, renamed):
    """Was it, or a directory above, renamed, so that another file can be there now?"""
    while path:
        if path in renamed.values():
            return True
        path = path.rpartition("/")[0]
    return False


def identity(facts, path):
    kind = stat.S_IFMT(facts[path]["mode"])
    if kind == stat.S_IFDIR or kind == stat.S_IFREG and facts[path]["links"] == 1:
        return kind, facts[path]["ino"], facts[path]["generation"]
    return None


def check_changes(name, lines, old, new):
    """Counts of each kind. Raises Wrong where the lines do not lead from old to new."""
    by = {kind: {e["path"]: e["old_path"] for e in lines if e["change"] == kind} for kind in "+-RMT"}
    if len(lines) != sum(len(v) for v in by.values()):
        raise Wrong(name + ": a line comes twice")
    where_from, first_names = {}, {identity(old, p): p for p in old if identity(old, p)}
    for path in new:
        if path in by["+"]:
            if path in old and compare_facts(old[path], new[path]) != "type" and path not in by["-"] and \
                    not has_moved(path, by["R"]):
                raise Wrong("%s: %s was there before" % (name, path))
            same = first_names.get(identity(new, path))
            if same and new[path]["generation"] and same != path:
                raise Wrong("%s: %s is new, and was %s" % (name, path, same))
            continue
        where_from[path] = came_from(path, by["R"])
        # in a directory that has the path of one that was renamed: compared under the path
        if where_from[path] not in old and path in old:
            where_from[path] = path
        if where_from[path] not in old:
            raise Wrong("%s: %s is new, and is not told" % (name, path))
        told = "M" if path in by["M"] else "T" if path in by["T"] else None
        wanted = compare_facts(old[where_from[path]], new[path])
        if told != wanted:
            raise Wrong("%s: %s is told as %s, and is %s" % (name, path, told, wanted))
    for kind in "+RMT":
        for path in by[kind]:
            if path not in new or (kind in "MT" and path in by["+"]):
                raise Wrong("%s: %s %s is told, and there is none" % (name, kind, path))
    gone = set(old) - set(where_from.values())
    if gone != set(by["-"]):
        raise Wrong("%s: gone and not told, or the other way: %s" % (name, sorted(gone ^ set(by["-"]))[:9]))
    return {kind: len(by[kind]) for kind in by}


def changes_of(old_image, new_image, work, options=()):
    cow = os.path.join(work, "changes.cow")
    source = ["--from=" + new_image] if new_image else []
    run(["snapcreate", "-q", "--force=overwrite", "-c", "4K", *source, old_image, cow])
    done = run(["snapdump", "--changes", "-q", "--json", *options, old_image, cow])
    return json.loads(done.stdout)["changes"]


def archive_of(images, work, number):
    """What changed from the first image to the second, as an archive; every second time
    from a store that holds the first one, as a snapshot of LVM does."""
    archive = os.path.join(work, "changed-%d.tar" % number)
    store, reverse = (list(reversed(images)), ["--reverse"]) if number % 2 else (images, [])
    cow = os.path.join(work, "changed.cow")
    run(["snapcreate", "-q", "--force=overwrite", "-c", "4K", "--from=" + store[1], store[0], cow])
    run(["snapdump", "-q", "--files", "--only-changed", *reverse, "-o", archive, store[0], cow])
    return {"old": images[0], "new": images[1], "archive": archive}


def apply_archives(work, jobs):
    with open(os.path.join(work, "apply.json"), "w") as f:
        json.dump(jobs, f)
    boot = lab.Boot(os.path.join(work, "boot-apply"), os.path.join(HERE, "looks_apply.py"), work, timeout=1200)
    try:
        boot.start()
        boot.wait()
        said = boot.text()
    except lab.LabError as e:
        raise Wrong(str(e)) from None
    finally:
        boot.kill()
    print([line for line in said.splitlines() if line.startswith("APPLIED")][0].lower())


def changes(work, plan):
    jobs = []
    totals, pairs = dict.fromkeys("+-RMT", 0), 0
    for one in plan:
        if one["name"] == "fast":
            continue
        for number in range(one["cuts"] - 1):
            names = [os.path.join(work, "%s-%d" % (one["name"], n)) for n in (number, number + 1)]
            facts = []
            for name in names:
                with open(name + ".json") as f:
                    facts.append(json.load(f))
            images = [name + ".img" for name in names]
            for kind, nr in check_changes(names[1], changes_of(*images, work), *facts).items():
                totals[kind] += nr
            back = changes_of(*images, work, ("--reverse",))
            check_changes(names[0] + " reverse", back, *reversed(facts))
            if changes_of(images[0], None, work):
                raise Wrong(names[0] + ": differs from itself")
            jobs.append(archive_of(images, work, pairs))
            pairs += 1
    print("%d pairs of states, both ways, none wrong: %s" % (pairs, totals), flush=True)
    apply_archives(work, jobs)
    return min(totals.values())


def one_round(work, args, seed):
    os.makedirs(work, exist_ok=True)
    plan = make_states(work, args.cuts, seed, KINDS)
    if args.what != "changes" and journals(work, plan) < sum(one["cuts"] for one in plan) // 2:
        raise Wrong("too few journals needed a replay")
    if args.what != "journals" and changes(work, plan) < 3:
        raise Wrong("too few changes of a kind")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("work")
    parser.add_argument("what", choices=("journals", "changes", "both"))
    parser.add_argument("--cuts", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=1, help="with one seed after the other")
    args = parser.parse_args()
    work = os.path.abspath(args.work)
    for seed in range(args.seed, args.seed + args.rounds):
        folder = os.path.join(work, "seed-%d" % seed)
        try:
            one_round(folder, args, seed)
        except Wrong as e:
            print("seed %d: %s" % (seed, e))
            return 1
        shutil.rmtree(folder)
    return 0


sys.exit(main())
