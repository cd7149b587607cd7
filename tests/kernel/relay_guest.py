# SPDX-License-Identifier: LGPL-2.1-or-later
# Copyright (C) 2026 the libcow authors
"""Steps of a relay that the kernel takes. Generators: they yield what the guest
is to do and get its answers. Before and after each the kernel's own views and
usage are compared with the model."""
import os

from cases import Kill, Run
from relay_base import pick, sha
from snap import Store, status

NR_WRITES = 24


class Script:
    """Ops, and what their answers must be."""

    def __init__(self):
        self.ops = []
        self.wanted = []  # (index, what, value)

    def do(self, *ops):
        self.ops += [list(op) for op in ops]

    def ask(self, what, value, *op):
        self.wanted.append((len(self.ops), what, value))
        self.ops.append(list(op))

    def judge(self, relay, answers):
        for index, what, value in self.wanted:
            relay.equal("the kernel: " + what, answers[index], value)

    # ---- pieces

    def attach(self, relay):
        self.do(["loop", "o", relay.path("origin")])
        for name in relay.world.snapshots:
            self.do(["loop", "c" + name, relay.path(name)])

    def load(self, relay, snapshots, origin="{o}"):
        for s in snapshots:
            self.do(["dm", "S" + s.name, relay.sectors, "snapshot", "%s {c%s} %s %d"
                     % (origin, s.name, s.store_type, s.chunk_sectors)])

    def look(self, when, snapshots):
        for s in snapshots:
            self.ask("%s of %s %s" % ("usage", s.name, when), s.status(), "status", "S" + s.name)
            self.ask("%s of %s %s" % ("view", s.name, when), sha(s.view), "sha256", "S" + s.name)

    def unload(self, snapshots):
        self.do(["remove"] + ["S" + s.name for s in snapshots])


def mend_torn(relay):
    """The kernel is about to append: no records behind the end of a list."""
    for s in relay.world.snapshots.values():
        if s.may_be_torn and relay.is_torn(s.name):
            relay.tool("snapcheck", "-q", "-y", relay.path(s.name), exits=(1,))
            s.may_be_torn = False


def draw_writes(relay, target, nr):
    """Random writes that fit, to a snapshot or (None) to the origin, and into
    the model; none overlaps another: they go on at once."""
    rng, world, writes, taken = relay.rng, relay.world, [], set()
    longest = max(s.chunk_sectors for s in world.snapshots.values()) * 3 + 3
    for _ in range(nr):
        sector = rng.randrange(relay.sectors)
        count = min(rng.randint(1, rng.choice((2, 9, longest))), relay.sectors - sector)
        if rng.random() < 0.3:  # whole chunks go past the copying
            cs = rng.choice(list(world.snapshots.values())).chunk_sectors
            sector = sector // cs * cs
            count = min(-(-count // cs) * cs, relay.sectors - sector)
        span = set(range(sector, sector + count))
        if span & taken or not world.fits(target, sector, count):
            continue
        taken |= span
        generation = relay.generation_up() if rng.random() < 0.9 else 0
        world.write(target, sector, count, generation)
        writes.append([sector, count, generation])
    return writes


def kernel_writes(relay):
    """To the snapshots and, with copy-out into all of them, to the origin."""
    mend_torn(relay)
    everybody = list(relay.world.snapshots.values())
    script = Script()
    script.attach(relay)
    script.load(relay, everybody)
    script.do(["dm", "O", relay.sectors, "snapshot-origin", "{o}"])
    script.look("before", everybody)
    for _ in range(relay.rng.randint(1, 4)):
        target = relay.rng.choice([None] + everybody)
        writes = draw_writes(relay, target, relay.rng.randint(1, NR_WRITES))
        if writes:
            name = "S" + target.name if target else "O"
            script.ask("writes that failed", [], "write", name, relay.rng.choice((1, 1, 4)), writes)
            relay.say("  %d writes to %s" % (len(writes), name))
    script.look("after", everybody)
    overflow(relay, script, everybody)
    script.ask("origin", sha(relay.world.origin), "sha256", "O")
    script.do(["remove", "O"])
    script.unload(everybody)
    script.judge(relay, (yield Run(script.ops)))
    for s in [s for s in relay.world.snapshots.values() if s.is_lost]:
        relay.equal("valid, overflown", Store(relay.path(s.name)).valid, 0)
        relay.tool("snapcheck", "-q", relay.path("origin"), relay.path(s.name), exits=(4,))
        relay.forget(s)
    return True


def overflow(relay, script, everybody):
    """Now and then one write to the origin for which there is no room: those
    snapshots are lost, the others and the origin stay right."""
    world, rng = relay.world, relay.rng
    if rng.random() < 0.6:
        return
    sector = rng.randrange(relay.sectors)
    count = min(rng.randint(1, 40), relay.sectors - sector)
    lost = [s for s in everybody if not world.fits(s, sector, count)]
    if not lost or len(lost) == len(everybody):
        return
    world.write(None, sector, count, relay.generation_up())
    script.ask("writes that failed", [], "write", "O", 1, [[sector, count, relay.generation]])
    for s in lost:
        s.is_lost = True
        script.ask("state of %s, without room" % s.name, "Invalid", "status", "S" + s.name)
    script.look("after the overflow", [s for s in everybody if not s.is_lost])


def kernel_looks(relay):
    """A load alone: views and usage, and nothing is written."""
    everybody = list(relay.world.snapshots.values())
    script, before = Script(), relay.images()
    script.attach(relay)
    script.load(relay, everybody)
    script.look("loaded", everybody)
    script.unload(everybody)
    script.judge(relay, (yield Run(script.ops)))
    relay.unchanged("the kernel", before)
    return True


def is_for_kernel(relay, snapshot):
    return snapshot.chunks and not relay.world.lacking(snapshot)


def merge_table(relay, snapshot, origin="{o}"):
    return ["dm", "merge", relay.sectors, "snapshot-merge", "%s {c%s} %s %d"
            % (origin, snapshot.name, snapshot.store_type, snapshot.chunk_sectors)]


def draw_merge_writes(relay, snapshot):
    """To a device that merges: some of its siblings may need room for them."""
    writes = []
    for _ in range(relay.rng.choice((0, relay.rng.randint(1, 9)))):
        sector = relay.rng.randrange(relay.sectors)
        count = min(relay.rng.randint(1, 20), relay.sectors - sector)
        if relay.world.fits_merge(snapshot, sector, count):
            relay.world.merge_write(snapshot, sector, count, relay.generation_up())
            writes.append([sector, count, relay.generation])
    return writes


def kernel_merges(relay):
    """snapshot-merge to its end, its siblings loaded; views while it goes on."""
    snapshot = pick(relay, lambda s: is_for_kernel(relay, s))
    if not snapshot:
        return False
    mend_torn(relay)
    world, others = relay.world, relay.world.others(snapshot)
    loaded = others
    if world.is_covered(snapshot) and relay.rng.random() < 0.3:
        loaded = []  # I4: they have everything
    script = Script()
    script.attach(relay)
    script.load(relay, loaded)
    script.look("before the merge", loaded)
    script.do(merge_table(relay, snapshot))
    script.ask("view while it merges", sha(snapshot.view), "sha256", "merge")
    writes = draw_merge_writes(relay, snapshot) if loaded == others else []
    if writes:
        script.ask("writes that failed while it merges", [], "write", "merge", 1, writes)
        script.ask("view, written to while it merges", sha(snapshot.view), "sha256", "merge")
    for s in loaded:
        script.ask("sibling %s while it merges" % s.name, sha(s.view), "sha256", "S" + s.name)
    script.ask("usage, merged", status(0, snapshot.chunk_sectors, snapshot.cow_bytes), "merged",
               "merge")
    world.merge(snapshot)
    script.ask("view, merged", sha(world.origin), "sha256", "merge")
    script.look("after the merge", loaded)
    script.do(["remove", "merge"])
    script.unload(loaded)
    relay.say("  merge of %s, loaded: %s" % (snapshot.name, " ".join(s.name for s in loaded)))
    script.judge(relay, (yield Run(script.ops)))
    return True


def kernel_cut(relay):
    """snapshot-merge behind a slow origin until the power goes. What the guest
    had not flushed is in its memory, and lost."""
    snapshot = pick(relay, lambda s: is_for_kernel(relay, s))
    if not snapshot:
        return False
    mend_torn(relay)
    others = relay.world.others(snapshot)
    before = Store(relay.path(snapshot.name))
    wanted_ms = relay.rng.uniform(1000, 5000)
    delay_ms = min(1500, max(10, int(wanted_ms / 2 / max(1, before.nr_runs()))))
    script = Script()
    script.attach(relay)
    script.do(["dm", "slow", relay.sectors, "delay", "{o} 0 0 {o} 0 %d" % delay_ms])
    script.load(relay, others, "{slow}")
    script.do(merge_table(relay, snapshot, "{slow}"))
    relay.say("  merge of %s, loaded: %s" % (snapshot.name, " ".join(s.name for s in others)))
    usage = yield Kill(script.ops)
    relay.equal("the kernel's merge counts", usage[:1].isdigit(), True)
    relay.take_over_cut("cut off, the kernel's,", snapshot, before.records)
    # What it showed as merged is durable.
    shown = int(usage.split("/")[0]) // snapshot.chunk_sectors
    left = int(snapshot.status().split("/")[0]) // snapshot.chunk_sectors
    relay.equal("what was shown as merged is merged", left <= shown, True)
    relay.equal("size", os.path.getsize(relay.path(snapshot.name)), snapshot.cow_bytes)
    return True
