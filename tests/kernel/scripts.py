# SPDX-License-Identifier: LGPL-2.1-or-later
# Copyright (C) 2026 the libcow authors
"""The stories that kernel, tools and model must agree on. Each is a generator:
it works on the host, yields what the guest is to do (Run, Kill) and gets the
answers back."""
import os

from cases import Failure, Kill, Run
from snap import SECTOR, Store, exact_chunks, status


def kernel_to_us(case):
    """a. The kernel writes, we read and merge."""
    case.choose()
    case.make_origin()
    case.make_rubbish("cow", case.cow_size())
    yield from case.kernel_writes(case.plan_batches(case.pick_old_chunks(case.nr)))
    case.judge_pair("after the kernel's writes")
    case.judge_merged("merged by the kernel", "-k")
    case.peer.merge(case.path("origin"), case.path("cow"))
    case.judge_merged("merged by " + case.peer.name, "")


def append_batches(case, old_chunks):
    """Splits old_chunks for the library's append: [[(chunk, generation)]]."""
    left, batches = list(old_chunks), []
    if case.rng.random() < 0.5:
        case.rng.shuffle(left)
    while left:
        count = case.rng.choice((1, 7, case.chunk_sectors * 32, len(left)))
        batch = []
        for old in left[:count]:
            case.generation += case.rng.random() < 0.9 or not case.generation
            generation = case.generation if case.rng.random() < 0.9 else 0
            case.model.append(old, generation)
            batch.append((old, generation))
        batches.append(batch)
        left = left[count:]
    return batches


def our_store(case, nr):
    """A store made without the kernel, with nr exceptions; gives their chunks."""
    case.make_origin()
    origin, cow = case.path("origin"), case.path("cow")
    if case.rng.random() < 0.5:
        case.make_rubbish("cow", case.cow_size(), wiped=0)
    case.peer.create(origin, cow, case.chunk_bytes)
    mine = case.pick_old_chunks(nr)
    case.peer.append(origin, cow, append_batches(case, mine))
    case.judge_pair("after our appends")
    return mine


def us_to_kernel(case):
    """b. We create and append, the kernel reads, writes more and merges."""
    case.choose()
    mine = our_store(case, case.rng.randint(max(1, case.nr // 2), case.nr))
    ops = case.plan_batches(case.pick_old_chunks(max(0, case.nr - len(mine)), taken=mine))
    overwritten = sorted(case.rng.sample(mine, case.rng.randint(0, len(mine))))
    if overwritten:
        device = case.rng.choice("OS")
        ops.append(["write", device, 4, case.plan_writes(overwritten, device)])
    # A load alone must change nothing and count as we do.
    case.copy("-seen")
    before = Store(case.path("cow-seen"))
    answers = yield Run(case.attach("origin-seen", "cow-seen") +
                        [case.snapshot_table(), ["status", "S"], ["remove", "S", "c", "o"]])
    case.equal("usage by the kernel of our store", answers[3], before.status())
    case.same("our store after the kernel looked", case.path("cow-seen"), before.bytes)
    yield from case.kernel_writes(ops)
    case.judge_pair("after the kernel's writes")
    case.judge_merged("merged by the kernel", "-k")
    case.peer.merge(case.path("origin"), case.path("cow"))
    case.judge_merged("merged by " + case.peer.name, "")


# ---- c. relay

def some_store(case):
    """A store with exceptions, by the kernel or by us."""
    case.choose(chunk_sectors=case.rng.choice((1, 1, 8, 8, 8, 16, 32)))
    if case.rng.random() < 0.5:
        our_store(case, case.nr)
        return
    case.make_origin()
    case.make_rubbish("cow", case.cow_size())
    yield from case.kernel_writes(case.plan_batches(case.pick_old_chunks(case.nr), again=False))


def judge_half(case, when, before):
    """I2, I6: a prefix of the records is left and the view is still whole."""
    now = Store(case.path("cow"))
    if now.records != before.records[:len(now.records)]:
        raise Failure("%s: the records left are no prefix of those before" % when)
    case.judge_pair(when, nr_left=len(now.records))
    case.progress.append("%d>%d" % (len(before.records), len(now.records)))


def kernel_killed(case):
    """The kernel merges behind a slow origin until the power is cut."""
    before = Store(case.path("cow"))
    wanted_ms = case.rng.uniform(1000, 4000)
    delay_ms = min(400, max(10, int(wanted_ms / 2 / max(1, before.nr_runs()))))
    usage = yield Kill(case.merge_ops(delay_ms=delay_ms))
    if not usage[:1].isdigit():
        raise Failure("the kernel's merge: " + usage)
    judge_half(case, "after the kernel was killed", before)


def us_killed(case):
    before = Store(case.path("cow"))
    case.peer.merge_killed(case.path("origin"), case.path("cow"), case.rng)
    judge_half(case, "after %s was killed" % case.peer.name, before)


def kernel_finishes(case):
    cow = case.path("cow")
    answers = yield Run(case.merge_ops())
    case.equal("usage at the end of the kernel's merge", answers[3],
               status(0, case.chunk_sectors, os.path.getsize(cow)))
    case.judge_merged("finished by the kernel", "")


def relay_to_us(case):
    """c. A kernel merge killed part way is finished by us."""
    yield from some_store(case)
    yield from kernel_killed(case)
    case.peer.merge(case.path("origin"), case.path("cow"))
    case.judge_merged("finished by " + case.peer.name, "")


def relay_to_kernel(case):
    """c. Our merge killed part way is finished by the kernel."""
    yield from some_store(case)
    us_killed(case)
    yield from kernel_finishes(case)


def relay_three(case):
    """c. We are killed, the kernel is killed, we are, the kernel finishes."""
    yield from some_store(case)
    us_killed(case)
    yield from kernel_killed(case)
    us_killed(case)
    yield from kernel_finishes(case)


def relay_on(case):
    """c. After our merge was killed the pair goes on as an ordinary snapshot:
    the kernel writes, reloads and merges."""
    yield from some_store(case)
    us_killed(case)
    with open(case.path("origin"), "rb") as f:
        case.model.origin = bytearray(f.read())
    case.model.old_chunks = {old for old, _ in Store(case.path("cow")).records}
    yield from case.kernel_writes(case.plan_batches(case.pick_old_chunks(case.nr)))
    case.judge_pair("after the kernel went on")
    case.judge_merged("merged by the kernel", "-k")
    case.peer.merge(case.path("origin"), case.path("cow"))
    case.judge_merged("merged by " + case.peer.name, "")


# ---- d. creation

def rewrite_ops(case, device):
    """Every chunk of the origin, one write each, in order."""
    cs = case.chunk_sectors
    writes = [[at, min(cs, case.sectors - at), 1] for at in range(0, case.sectors, cs)]
    return [["write", device, 1, writes]]


def capacity(nr_chunks, chunk_sectors):
    """Exceptions that fit without an accident, and whether the next one, or
    the last of the area, meets the end of the device (cow-persistent(5), "Space")."""
    per_area = chunk_sectors * 32
    area = (nr_chunks - 2) // (per_area + 1)
    room = nr_chunks - (1 + area * (per_area + 1)) - 1
    if room == per_area:
        return area * per_area + per_area - 1, True
    return area * per_area + room, False


def size_rule(case):
    """d. The default size survives a wholly rewritten origin; one chunk less
    ends as it must: Overflow (PO, written to the snapshot) or Invalid."""
    cs = case.rng.choice((1, 1, 8, 8, 16, 32, 128, 1024))
    per_area = cs * 32
    near = [n for n in (per_area - 1, per_area, per_area + 1, 2 * per_area) if n * cs <= 9000]
    chunks = case.rng.choice(near or [case.rng.randint(1, 6)])
    case.choose(chunk_sectors=cs, nr_exceptions=chunks)
    case.chunks, case.sectors = chunks, case.sectors - (case.chunks - chunks) * cs
    case.make_origin()
    device = case.rng.choice("OS")
    origin, cow = case.path("origin"), case.path("cow")
    exact = exact_chunks(chunks, cs)
    case.peer.create(origin, cow, case.chunk_bytes)
    case.equal("size of the COW image in chunks", os.path.getsize(cow) / case.chunk_bytes, exact)
    case.copy("-less")
    os.truncate(case.path("cow-less"), (exact - 1) * case.chunk_bytes)
    ops = rewrite_ops(case, device)
    answers = yield Run(case.attach("origin-less", "cow-less") + case.activate() + ops +
                        [["status", "S"]])
    judge_less(case, device, exact - 1, answers)
    for _, _, _, writes in ops:
        for write in writes:
            case.model.write(device, *write)
    yield from case.kernel_writes(ops)
    case.judge_pair("after the origin was rewritten")
    case.peer.merge(origin, cow)
    case.judge_merged("merged by " + case.peer.name, "")


def judge_less(case, device, nr_chunks, answers):
    fits, accident = capacity(nr_chunks, case.chunk_sectors)
    case.equal("exceptions that fit in one chunk less", fits, case.chunks - 1)
    state = answers[-1]
    overflow = device == "S" and case.store_type == "PO" and not accident
    case.equal("state with one chunk less", state, "Overflow" if overflow else "Invalid")
    case.equal("failed writes with one chunk less", answers[4],
               [case.chunks - 1] if device == "S" else [])
    store = Store(case.path("cow-less"))
    case.equal("valid with one chunk less", store.valid, int(overflow))
    verdict = case.peer.check(case.path("origin-less"), case.path("cow-less"))
    case.equal("exit of check with one chunk less", verdict["exit"], 0 if overflow else 4)
    if overflow:
        case.equal("usage by check, full", verdict["status"],
                   "%d/%d %d" % (nr_chunks * case.chunk_sectors, nr_chunks * case.chunk_sectors,
                                 (len(store.records) // store.per_area + 2) * case.chunk_sectors))
