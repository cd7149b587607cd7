# SPDX-License-Identifier: LGPL-2.1-or-later
"""Thin pools: a check beside thin_check and beside reading the metadata once, and devices as plain images."""
import os
import random
import struct
import subprocess

from inputs import MIB, make_data, warm
from race import Runner

BLOCK = 65536


def restore(bench, pool, size, nr_blocks, runs):
    """A pool with one device; runs: (first block of the device, first of the data, how many), in order."""
    xml = bench.path('xml')
    with open(xml, 'w') as f:
        f.write(f'<superblock uuid="" time="0" transaction="0" data_block_size="{BLOCK // 512}" nr_data_blocks="{nr_blocks}">\n'
                f'<device dev_id="1" mapped_blocks="{sum(run[2] for run in runs)}" transaction="0" creation_time="0" snap_time="0">\n')
        for run in runs:
            f.write('<range_mapping origin_begin="%d" data_begin="%d" length="%d" time="0"/>\n' % run)
        f.write('</device>\n</superblock>\n')
    with open(pool, 'wb') as f:
        f.truncate(size)
    subprocess.run(['thin_restore', '-i', xml, '-o', pool], check=True, stdout=subprocess.DEVNULL)
    os.unlink(xml)


def check(bench, nr):
    """Runs of four blocks, in random order on the data."""
    pool = bench.path('pool')
    places = list(range(nr))
    random.Random(nr).shuffle(places)
    restore(bench, pool, 36 * nr + 8 * MIB, 4 * nr, [(8 * i, 4 * place, 4) for i, place in enumerate(places[:nr // 4])])
    warm(pool)
    taken = bench.race(f'check a pool with {nr} mappings', [
        Runner('snapcheck', ['snapcheck', '-q', '-t', 'thin', pool]),
        Runner('thin_check', ['thin_check', '-q', pool], 0.5),
        Runner('the file once, with checksums', [bench.program('blocks'), pool], 2.0)])
    free = bench.small
    bench.value('of the processor time of thin_check', taken[0].cpu / max(taken[1].cpu, 1e-3), '', None if free else 0.25)
    bench.value('KiB more than thin_check and 2 bits a mapping', taken[0].memory_kib - taken[1].memory_kib - nr / 4096, 'KiB',
                None if free else 0)
    os.unlink(pool)


def raw(bench, is_random):
    size = (64 if bench.small else 2048) * MIB
    nr = size // BLOCK
    places = list(range(nr))
    if is_random:
        random.Random(7).shuffle(places)
    pool, data, out, theirs, pairs = (bench.path(name) for name in ('pool', 'data', 'out', 'theirs', 'pairs'))
    restore(bench, pool, 4 * MIB, nr, [(i, place, 1) for i, place in enumerate(places)] if is_random else [(0, 0, nr)])
    make_data(data, size)
    with open(pairs, 'wb') as f:
        f.write(b''.join(struct.pack('=QQ', i * BLOCK, place * BLOCK) for i, place in enumerate(places)))
    warm(data)
    ours = Runner('snapdump', ['snapdump', '-q', '--raw', '--progress=never', '-o', out,
                               f'thin:metadata={pool},data={data},id=1,size={size}'], remove=(out,))
    def empty():
        with open(theirs, 'wb') as f:
            f.truncate(size)
    if is_random:
        bench.race(f'a device of {size // MIB} MiB in random order, as an image', [
            ours, Runner('a program that copies the same blocks',
                         [bench.program('floor'), theirs, data, pairs, str(BLOCK), '1'], 1.1, prepare=empty, remove=(theirs,))])
    else:
        bench.race(f'a device of {size // MIB} MiB in order, as an image', [
            ours, Runner('cp of a flat copy, and sync', ['sh', '-c', f'cp --reflink=never {data} {theirs} && sync {theirs}'], 1.1,
                         remove=(theirs,)),
            Runner('cp of a flat copy', ['cp', '--reflink=never', data, theirs], remove=(theirs,))])
    for path in pool, data, pairs:
        os.unlink(path)


def rows(bench):
    yield 'thin-check-million', lambda: check(bench, 10000 if bench.small else 1000000)
    yield 'thin-check-many', lambda: check(bench, 40000 if bench.small else 10000000)
    yield 'thin-raw', lambda: raw(bench, False)
    yield 'thin-random', lambda: raw(bench, True)
