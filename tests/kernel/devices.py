# SPDX-License-Identifier: LGPL-2.1-or-later
# Copyright (C) 2026 the libcow authors
"""Stories in which our tools run beside the kernel, on block devices that lie
or keep a log. The naive peer has no part in them."""
import json
import os
import struct
import subprocess

from cases import Failure, Run
from scripts import our_store
from snap import Store, status

LOG_BYTES = 1 << 28
LOG_MAGIC = 0x6a736677736872
LOG_FLUSH, LOG_DISCARD = 1, 4


def on_devices(case):
    """Create, check, dump and merge on loop devices; refused while in use."""
    if case.peer.name != "the tools":
        return
    case.choose()
    case.make_origin()
    case.make_rubbish("cow", case.cow_size(), wiped=0)
    create = case.peer.program("snapcreate"), "-q", "-c", str(case.chunk_bytes)
    check = [case.peer.program("snapcheck"), "--json", "{o}", "{c}"]
    merge = [case.peer.program("snapmerge"), "-q", "-y", "{o}", "{c}"]
    dump = [case.peer.program("snapdump"), "-q", "--raw", "-o", case.path("view"), "{o}", "{c}"]
    begin = case.attach() + [["tool", [64], *create, "{o}", "{c}"],
                             ["tool", [0], *create, "--force=overwrite", "{o}", "{c}"]]
    end = [["tool", [64], *merge], ["remove", "O", "S"], ["tool", [0], *check],
           ["tool", [0], *dump], ["tool", [0], *merge], ["tool", [0], *check],
           case.snapshot_table(), ["status", "S"], ["remove", "S", "c", "o"]]
    writes = case.plan_batches(case.pick_old_chunks(case.nr))
    answers = yield Run(begin + case.activate() + writes + end)
    first = len(begin + case.activate() + writes)
    cow_bytes = os.path.getsize(case.path("cow"))
    for what, at, want in (("full", 2, case.model.status(cow_bytes)),
                           ("empty", 5, status(0, case.chunk_sectors, cow_bytes))):
        verdict = case.peer.verdict(0, answers[first + at])
        case.equal("usage by check, " + what, verdict["status"], want)
    case.equal("usage by the kernel, empty", answers[first + 7], want)
    case.same("view by the tools, on devices", case.path("view"), case.model.view)
    case.judge_merged("merged on devices", "")


def lying_disk(case, sectors, where):
    """Ops: a whole merge into {o} of the COW image at where, on the disk {f}
    that drops what it is given; then, with the disk mended, another."""
    merge = [case.peer.program("snapmerge"), "--json", "-y", "{o}", where]
    area_0 = case.chunk_bytes, min(case.chunk_bytes, 1 << 20)
    is_true = ["is_cache_true", "f" if where == "{f}" else where, *area_0]
    return [is_true, ["reload", "f", sectors, "flakey", "{c} 0 0 100 1 drop_writes"],
            ["tool", [0], *merge], ["reload", "f", sectors, "flakey", "{c} 0 100 0"], is_true,
            ["tool", [0], *merge]]


def judge_lies(case, answers):
    case.equal("the cache is true at first", answers[0], True)
    case.equal("the cache is true after the lie", answers[4], False)
    for which in (2, 5):
        case.equal("chunks merged", json.loads(answers[which])["merge"]["chunks"],
                   len(case.model.old_chunks))


def dropped_writes(case):
    """I12: a disk says yes to a whole merge and writes nothing. The cache then
    shows an empty store; the next run must not believe that. The COW image is
    the disk, or a file on it."""
    if case.peer.name != "the tools":
        return
    case.choose()
    our_store(case, case.nr)
    if case.rng.random() < 0.5:
        sectors = os.path.getsize(case.path("cow")) // 512
        answers = yield Run(case.attach() + [
            ["dm", "f", sectors, "flakey", "{c} 0 100 0"], ["hold", "f"],
            *lying_disk(case, sectors, "{f}"), ["remove", "f", "c", "o"]])
        judge_lies(case, answers[4:])
    else:
        sectors = make_disk(case)
        mount = "/run/%d" % case.number
        answers = yield Run(case.attach(cow="disk") + [
            ["dm", "f", sectors, "flakey", "{c} 0 100 0"],
            ["tool", [0], "mkdir", mount], ["tool", [0], "mount", "-t", "ext4", "{f}", mount],
            *lying_disk(case, sectors, mount + "/cow"), ["tool", [0], "umount", mount],
            ["tool", [0], "mount", "-t", "ext4", "{f}", mount],
            ["copy", mount + "/cow", case.path("cow")], ["tool", [0], "umount", mount],
            ["remove", "f", "c", "o"]])
        judge_lies(case, answers[5:])
    case.judge_merged("merged in spite of dropped writes", "")


def make_disk(case):
    """An ext4 file system with the COW image on it; gives its sectors."""
    os.mkdir(case.path("files"))
    os.rename(case.path("cow"), case.path("files/cow"))
    nr_bytes = os.path.getsize(case.path("files/cow")) + (16 << 20)
    with open(case.path("disk"), "wb") as f:
        f.truncate(nr_bytes)
    # No holes in the file: its blocks must be on the disk before the lie.
    with open(case.path("files/cow"), "r+b") as f:
        data = f.read()
        f.seek(0)
        f.write(data)
    subprocess.run(["mkfs.ext4", "-q", "-O", "^has_journal", "-d", case.path("files"),
                    case.path("disk")], check=True)
    return nr_bytes // 512


def read_log(path):
    """[(sector, sectors, flags)] of a dm-log-writes device."""
    entries = []
    with open(path, "rb") as f:
        magic, _, count, sector_bytes = struct.unpack("<QQQI", f.read(28))
        if magic != LOG_MAGIC:
            raise Failure("no log of writes: " + path)
        at = sector_bytes
        for _ in range(count):
            f.seek(at)
            sector, sectors, flags = struct.unpack("<QQQ", f.read(24))
            entries.append((sector, sectors, flags))
            at += sector_bytes * (1 if flags & LOG_DISCARD else 1 + sectors)
    return entries


def count_flushes(case):
    """The kernel flushes both devices in each step; we, a few times in all."""
    case.choose(chunk_sectors=8, nr_exceptions=400)
    our_store(case, case.nr)
    case.copy("-k")
    for name in ("lo", "lc"):
        with open(case.path(name), "wb") as f:
            f.truncate(LOG_BYTES)
    sizes = [os.path.getsize(case.path(name)) // 512 for name in ("origin", "cow")]
    yield Run(case.attach("origin-k", "cow-k") + [
        ["loop", "lo", case.path("lo")], ["loop", "lc", case.path("lc")],
        ["dm", "wo", sizes[0], "log-writes", "{o} {lo}"],
        ["dm", "wc", sizes[1], "log-writes", "{c} {lc}"],
        ["dm", "merge", case.sectors, "snapshot-merge",
         "{wo} {wc} %s %d" % (case.store_type, case.chunk_sectors)],
        ["merged", "merge"], ["remove", "merge", "wo", "wc", "lo", "lc", "o", "c"]])
    steps = Store(case.path("cow")).nr_runs()
    flushes = [sum(bool(flags & LOG_FLUSH) for _, _, flags in read_log(case.path(name)))
               for name in ("lo", "lc")]
    if min(flushes) < steps:
        raise Failure("the kernel took %d steps with %s flushes" % (steps, flushes))
    case.judge_merged("merged by the kernel", "-k")
    if case.peer.name != "the tools":
        return
    done = case.peer.run("snapmerge", "--json", "-y", case.path("origin"), case.path("cow"))
    ours = json.loads(done.stdout)["merge"]["flushes"]
    # One more than before: the label that says that the merge has finished.
    if ours > 5:
        raise Failure("%d flushes for one epoch; the kernel needs %s" % (ours, flushes))
    case.judge_merged("merged by the tools", "")
