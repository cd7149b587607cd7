#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""usage: clone.py

From which length on is sharing an extent cheaper than copying it? Merges the
same scattered runs by reference and by copy, on XFS and btrfs, on loop devices
over tmpfs: a disk on which copies cost as little as they can. Called by
"make bench-clone"; ROUNDS and COW_BUILD as for bench.py."""
import os
import random
import shutil
import statistics
import sys
import tempfile

from inputs import MIB, LoopFs, Store
from race import Bench, Runner

SIZE = 256 * MIB
LENGTHS = [kib * 1024 for kib in (4, 16, 32, 64, 128, 256, 512, 1024, 4096)]


def measure(bench, fs, length):
    """Milliseconds for a run, by reference and by copy: medians."""
    nr = min(SIZE // length // 2, 2048)
    chunk = min(length, MIB)
    starts = random.Random(length).sample(range(SIZE // length), nr)
    olds = [start * length // chunk + i for start in starts for i in range(length // chunk)]
    block = random.Random(1).randbytes(chunk)
    origin = f'{fs.where}/origin'
    store = Store(f'{fs.where}/cow', chunk, olds, lambda i: block)
    taken = {'always': [], 'never': []}
    for turn in range(bench.rounds + 1):
        for how, seconds in taken.items():
            # Shared extents would be split no further.
            with open(origin, 'wb') as f:
                f.write(os.urandom(MIB) * (SIZE // MIB))
                os.fsync(f.fileno())
            store.refill()
            run = bench.run(Runner(how, ['snapmerge', '-q', '-y', f'--reflink={how}', origin, store.path]))
            if turn:
                seconds.append(run.seconds / nr * 1000)
    os.unlink(store.path)
    return [statistics.median(seconds) for seconds in taken.values()]


def main():
    work = tempfile.mkdtemp(prefix='clone.', dir='/dev/shm')
    bench = Bench(int(os.environ.get('ROUNDS') or 3), False, work, work, os.environ['COW_BUILD'])
    try:
        for name, mkfs in (('xfs', ['mkfs.xfs', '-q', '-m', 'reflink=1']), ('btrfs', ['mkfs.btrfs', '-q'])):
            fs = LoopFs(mkfs, bench.path(f'{name}.fs'), 8 * SIZE, bench.path(name))
            try:
                for length in LENGTHS:
                    shared, copied = measure(bench, fs, length)
                    bench.say(f'{name:<6} {length // 1024:5} KiB  shared {shared:7.3f} ms  copied {copied:7.3f} ms  '
                              f'{shared / copied:5.2f}')
            finally:
                fs.close()
    finally:
        shutil.rmtree(work)


if __name__ == '__main__':
    sys.exit(main())
