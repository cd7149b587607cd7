# SPDX-License-Identifier: LGPL-2.1-or-later
"""snapcheck against thin_check and qemu-img check, and on very many exceptions."""
import os
import random
import subprocess

from inputs import GIB, MIB, Store, make_overlay, make_snaplog, warm
from race import Runner


def check(path):
    return ['snapcheck', '-q', path]


def scatter(bench, path, nr):
    subprocess.run([bench.program('scatter'), path, str(nr)], check=True)


def write_xml(path, nr):
    """A thin volume with as many scattered mappings, for thin_restore."""
    draw = random.Random(1)
    places = draw.sample(range(4 * nr), nr)
    with open(path, 'w') as f:
        f.write(f'<superblock uuid="" time="0" transaction="0" data_block_size="128" nr_data_blocks="{4 * nr}">\n'
                f'<device dev_id="1" mapped_blocks="{nr}" transaction="0" creation_time="0" snap_time="0">\n')
        for origin, place in zip(sorted(draw.sample(range(4 * nr), nr)), places):
            f.write(f'<single_mapping origin_block="{origin}" data_block="{place}" time="0"/>\n')
        f.write('</device>\n</superblock>\n')


def million(bench):
    nr = 10000 if bench.small else 1000000
    store, xml, pool = bench.path('cow'), bench.path('xml'), bench.path('pool')
    scatter(bench, store, nr)
    write_xml(xml, nr)
    with open(pool, 'wb') as f:
        f.truncate(max(64 * MIB, 64 * nr))
    subprocess.run(['thin_restore', '-i', xml, '-o', pool], check=True, stdout=subprocess.DEVNULL)
    warm(store)
    warm(pool)
    taken = bench.race(f'check {nr} scattered exceptions', [
        Runner('snapcheck', check(store)),
        Runner('thin_check, as many mappings', ['thin_check', '-q', pool], 1.0)])
    bench.value('us for an exception', taken[0].seconds / nr * 1e6, 'us', None if bench.small else 0.04)
    for path in store, xml, pool:
        os.unlink(path)


def many(bench):
    nr = 100000 if bench.small else 64000000
    store = os.path.join(bench.shm, 'cow')
    scatter(bench, store, nr)
    taken = bench.race(f'check {nr} scattered exceptions, tmpfs', [Runner('snapcheck', check(store))])
    bench.value('us for an exception', taken[0].seconds / nr * 1e6, 'us', None if bench.small else 0.1)
    bench.value('bytes of memory for an exception', taken[0].memory_kib * 1024 / nr, 'bytes',
                None if bench.small else 24)
    os.unlink(store)


def overlay(bench):
    size, nr = (64 * MIB, 2048) if bench.small else (4 * GIB, 131072)
    base, path = bench.path('sparse'), bench.path('overlay')
    with open(base, 'wb') as f:
        f.truncate(size)
    olds = random.Random(3).sample(range(size // 4096), nr)
    make_overlay(path, base, size, 4096, olds, lambda i: bytes(4096))
    store = Store(bench.path('cow'), 4096, olds)
    warm(path)
    bench.race(f'check {nr} scattered chunks of 4 KiB', [
        Runner('snapcheck', check(store.path)),
        Runner('qemu-img check', ['qemu-img', 'check', '-q', path], 1.0)])
    for used in base, path, store.path:
        os.unlink(used)


def snaplog(bench):
    """Linear in what is stored: four times as much takes four times as long, at most."""
    size, nr = (64 * MIB, 8192) if bench.small else (4 * GIB, 250000)
    source, log = bench.path('source'), bench.path('log')
    with open(source, 'wb') as f:
        f.truncate(size)
    taken = []
    for part in nr, 4 * nr:
        spec = f'snaplog:source={source},log={log},' + make_snaplog(log, size, 1024, part)
        warm(log)
        taken += bench.race(f'check logs of 2001 with {part} scattered blocks', [Runner('snapcheck', check(spec))])
    bench.value('us for a block', taken[1].seconds / (4 * nr) * 1e6, 'us', None if bench.small else 1.0)
    bench.value('four times as many, times as long', taken[1].seconds / taken[0].seconds, '',
                None if bench.small else 4.6)
    os.unlink(source)
    os.unlink(log)


def rows(bench):
    yield 'check-million', lambda: million(bench)
    yield 'check-many', lambda: many(bench)
    yield 'check-overlay', lambda: overlay(bench)
    yield 'check-snaplog', lambda: snaplog(bench)
