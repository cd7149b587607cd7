# SPDX-License-Identifier: LGPL-2.1-or-later
"""snapmerge against qemu-img commit, a floor, and copying where it can share."""
import json
import os
import random
import subprocess

from inputs import GIB, MIB, LoopFs, Store, make_data, make_overlay, warm
from race import Runner


def merge(origin, store, *options):
    return ['snapmerge', '-q', '-y', '--progress=never', *options, origin, store.path]


def facts(command, store):
    """What a merge says of itself."""
    store.refill()
    done = subprocess.run(command + ['--json'], check=True, stdout=subprocess.PIPE)
    return json.loads(done.stdout)['merge']


def scattered(bench, chunk, nr):
    """Random chunks into a base that is all data, hot cache."""
    size = 64 * MIB if bench.small else 4 * GIB
    nr = nr // 64 if bench.small else nr
    base, kib = bench.path('base'), chunk // 1024
    if not os.path.exists(base):
        make_data(base, size)
    olds = random.Random(kib).sample(range(size // chunk), nr)

    def data(i):
        return bytes((olds[i] % 255 + 1,)) * chunk
    store = Store(bench.path('cow'), chunk, olds, data)
    overlay, pairs = bench.path('overlay'), bench.path('pairs')
    make_overlay(overlay, base, size, chunk, olds, data)
    store.pairs(pairs)
    for path in base, store.path, overlay:
        warm(path)
    ours = merge(base, store)
    said = facts(ours, store)

    def floor(flushes):
        return [bench.program('floor'), base, store.path, pairs, str(chunk), str(flushes)]
    bench.race(f'merge {nr} random chunks of {kib} KiB into {size // MIB} MiB', [
        Runner('snapmerge', ours, prepare=store.refill),
        Runner(f'the floor, {said["flushes"]} flushes', floor(said['flushes']), 1.15),
        Runner('the floor, one flush', floor(1), 1.4),
        Runner('qemu-img commit -d', ['qemu-img', 'commit', '-q', '-d', overlay],
               0.33 if kib == 4 else 1.0)])
    bench.value("flushes, of 1000 of the kernel's own merge",
                1000 * said['flushes'] / (2 * store.kernel_steps()), '', None if bench.small else 1)
    for path in store.path, overlay, pairs:
        os.unlink(path)


def sharing(bench, mkfs, name):
    """On a file system that can share extents."""
    size = 128 * MIB if bench.small else 4 * GIB
    fs = LoopFs(mkfs, bench.path(f'{name}.fs'), 3 * size + GIB, bench.path(name))
    try:
        origin = f'{fs.where}/origin'
        chunk, draw, olds = 64 * 1024, random.Random(1), []
        starts = list(range(0, size, 8 * MIB))
        draw.shuffle(starts)
        for start in starts:
            olds.extend(range(start // chunk, (start + 8 * MIB) // chunk))
        with open(origin, 'wb') as f:
            os.posix_fallocate(f.fileno(), 0, size)
        block = random.Random(2).randbytes(chunk)
        store = Store(f'{fs.where}/cow', chunk, olds, lambda i: block)
        before = fs.written_bytes()
        said = facts(merge(origin, store), store)
        written = fs.written_bytes() - before
        bench.race(f'merge {size // MIB} MiB in runs of 8 MiB on {name}', [
            Runner('snapmerge', merge(origin, store), prepare=store.refill),
            Runner('copying: --reflink=never', merge(origin, store, '--reflink=never'), 0.2,
                   prepare=store.refill)], rounds=1, warmup=0)
        bench.value('MiB copied', (said['written_bytes'] - said['cloned_bytes']) / MIB, 'MiB', 0)
        bench.value('MiB written to the device, refill included', written / MIB, 'MiB')
        os.unlink(store.path)
        chunk, nr = 4096, 1024 if bench.small else 32768
        olds = draw.sample(range(size // chunk), nr)
        store = Store(f'{fs.where}/cow', chunk, olds, lambda i: block[:chunk])
        bench.race(f'merge {nr} random chunks of 4 KiB on {name}', [
            Runner('snapmerge', merge(origin, store), prepare=store.refill),
            Runner('copying: --reflink=never', merge(origin, store, '--reflink=never'), 1.1,
                   prepare=store.refill)])
    finally:
        fs.close()


def rows(bench):
    yield 'merge-4k', lambda: scattered(bench, 4096, 131072)
    yield 'merge-64k', lambda: scattered(bench, 65536, 16384)
    yield 'merge-xfs', lambda: sharing(bench, ['mkfs.xfs', '-q', '-m', 'reflink=1'], 'xfs')
    yield 'merge-btrfs', lambda: sharing(bench, ['mkfs.btrfs', '-q'], 'btrfs')
