# SPDX-License-Identifier: LGPL-2.1-or-later
"""Clones: a check beside reading the metadata once, a finish beside a sorted copy, and a source that is nearly all holes."""
import json
import os
import shutil
import struct
import subprocess

from inputs import GIB, MIB, make_data, warm
from race import Runner


def images(bench, size, sparse):
    """source, destination, and what names the clone."""
    source, dest, meta = bench.path('source'), bench.path('dest'), bench.path('meta')
    if sparse:
        with open(source, 'wb') as f:
            f.truncate(size)
    else:
        make_data(source, size)
    with open(dest, 'wb') as f:
        f.truncate(size)
    return source, dest, meta, f'clone:metadata={meta},source={source},destination={dest}'


def create(spec, region):
    subprocess.run(['snapcreate', '-q', '--force=overwrite', '-c', str(region), spec], check=True)


def regions(bench):
    """As many regions as a clone can have: 256 MB of bits."""
    size = (1 << 24) * 4096 if bench.small else (1 << 31) * 4096
    source, dest, meta, spec = images(bench, size, True)
    create(spec, 4096)
    warm(meta)
    bench.race(f'check {size // 4096} regions', [
        Runner('snapcheck', ['snapcheck', '-q', '-t', 'clone', meta]),
        Runner('the file once, with checksums', [bench.program('blocks'), meta], 2.0)])
    for path in source, dest, meta:
        os.unlink(path)


def finish(bench):
    size, piece = (64 * MIB if bench.small else 2 * GIB), MIB
    source, dest, meta, spec = images(bench, size, False)
    fresh, pairs = bench.path('fresh'), bench.path('pairs')
    create(spec, 65536)
    shutil.copy(meta, fresh)
    with open(pairs, 'wb') as f:
        for at in range(0, size, piece):
            f.write(struct.pack('=QQ', at, at))
    for path in source, dest:
        warm(path)
    ours = ['snapmerge', '-q', '-y', '--progress=never', spec]
    done = subprocess.run(ours + ['--json'], check=True, stdout=subprocess.PIPE)
    flushes = json.loads(done.stdout)['merge']['flushes']
    bench.race(f'finish a clone of {size // MIB} MiB', [
        Runner('snapmerge', ours, prepare=lambda: shutil.copy(fresh, meta)),
        Runner(f'a sorted copy, {flushes} flushes',
               [bench.program('floor'), dest, source, pairs, str(piece), str(flushes)], 1.05)])
    for path in source, dest, meta, fresh, pairs:
        os.unlink(path)


def sparse(bench):
    """Data in a 16 TiB source that is holes otherwise."""
    size = GIB if bench.small else 15 * 1024 * GIB
    source, dest, meta, spec = images(bench, size, True)
    data = MIB if bench.small else GIB
    with open(source, 'r+b') as f:
        for i in range(64):
            f.seek(size // 64 * i)
            f.write(os.urandom(data // 64))
    create(spec, MIB)
    fresh = bench.path('fresh')
    shutil.copy(meta, fresh)
    taken = bench.race(f'finish {size // GIB} GiB with {data // MIB} MiB of data', [
        Runner('snapmerge', ['snapmerge', '-q', '-y', '--progress=never', spec],
               prepare=lambda: shutil.copy(fresh, meta))])
    bench.value('seconds', taken[0].seconds, 's', None if bench.small else 10)
    for path in source, dest, meta, fresh:
        os.unlink(path)


def rows(bench):
    yield 'clone-check', lambda: regions(bench)
    yield 'clone-finish', lambda: finish(bench)
    yield 'clone-sparse', lambda: sparse(bench)
