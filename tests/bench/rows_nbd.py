# SPDX-License-Identifier: LGPL-2.1-or-later
"""The plugin for nbdkit beside other servers, and images behind a slow server beside nbdcopy."""
import os
import shutil
import subprocess

from inputs import make_overlay
from race import Runner
from rows_dump import View, quietly

NEEDED = ('nbdkit', 'qemu-nbd', 'nbdcopy', 'fio')


def plugin(bench):
    return os.path.join(bench.build, 'nbdkit-snapshot-plugin.so')


def by_nbdkit(words, client):
    """A shell line: a server that lives as long as the client, which knows it as $uri."""
    return ['nbdkit', '-U', '-', *words, '--run', client]


def by_qemu(bench, words, client):
    sock, pid = bench.path('sock'), bench.path('pid')
    return ['sh', '-c', f'qemu-nbd --fork -t --shared=8 -f qcow2 -k {sock} --pid-file={pid} {" ".join(words)} && '
            f'uri="nbd+unix:///?socket={sock}" && {{ {client}; status=$?; kill $(cat {pid}); '
            f'rm -f {pid} {sock}; exit $status; }}']


def fio(bench, rw, size, *words):
    return f'fio --name=job --ioengine=nbd --uri="$uri" --rw={rw} --bs=4k --iodepth=16 --io_size={size} ' \
           f'--randseed=1 --norandommap --output={bench.path("fio")} {" ".join(words)}'


def reads(bench):
    view = View(bench)
    served = [plugin(bench), 'origin=' + view.origin, 'cow=' + view.store.path]
    what = f'of {view.size // (1 << 20)} MiB with an eighth of data'
    copy = 'nbdcopy "$uri" null:'
    bench.race(f'nbdcopy a view {what}', [
        Runner('nbdkit snapshot', by_nbdkit(served, copy)),
        Runner('qemu-nbd, of a qcow2 overlay', by_qemu(bench, ['-r', view.overlay], copy), 1.0),
        Runner('nbdkit file, of a flat copy', by_nbdkit(['file', view.flat], copy))])
    size = '8M' if bench.small else '256M'
    some = fio(bench, 'randread', size, f'--size={view.size}')
    bench.race(f'fio: {size} of random reads of 4 KiB, 16 at a time', [
        Runner('nbdkit snapshot', by_nbdkit(served, some)),
        Runner('qemu-nbd, of a qcow2 overlay', by_qemu(bench, ['-r', view.overlay], some), 1.0),
        Runner('nbdkit file, of a flat copy', by_nbdkit(['file', view.flat], some))])
    view.remove()


def writes(bench):
    view = View(bench)
    cow, overlay = bench.path('new.cow'), bench.path('new.qcow2')
    size = '4M' if bench.small else '64M'
    some = fio(bench, 'randwrite', size, f'--size={view.size}', '--fsync=64')

    def store():
        quietly(['snapcreate', '-q', '--force=overwrite', '-c', '4K', view.origin, cow])

    bench.race(f'fio: {size} of random writes of 4 KiB, a flush after 64', [
        Runner('nbdkit snapshot mode=rw',
               by_nbdkit([plugin(bench), 'origin=' + view.origin, 'cow=' + cow, 'mode=rw'], some), prepare=store),
        Runner('qemu-nbd, a qcow2 overlay', by_qemu(bench, [overlay], some), 1.0,
               prepare=lambda: make_overlay(overlay, view.origin, view.size, 65536, [], None))])
    view.remove()
    for path in cow, overlay:
        os.unlink(path)


def behind(bench, files, client):
    """A shell line: servers of files, each with 2 ms from a request to its answer; the client knows them as $uri0, $uri1."""
    begin, end = '', ''
    for i, path in enumerate(files):
        sock, pid = bench.path(f'{i}.sock'), bench.path(f'{i}.pid')
        begin += f'nbdkit -U {sock} -P {pid} --filter=delay file {path} rdelay=2ms wdelay=2ms && '
        begin += f'uri{i}="nbd+unix:///?socket={sock}" && '
        end += f'kill $(cat {pid}); rm -f {pid} {sock}; '
    return ['sh', '-c', f'{begin} {{ {client}; status=$?; {end} exit $status; }}']


def slow(bench):
    view, out = View(bench), bench.path('out')
    bench.race('write out the view from servers with a delay of 2 ms', [
        Runner('snapdump --raw',
               behind(bench, view.pair, f'snapdump -q --raw -o {out} "$uri0" "$uri1"'), remove=(out,)),
        Runner('nbdcopy, of a flat copy', behind(bench, [view.flat], f'nbdcopy "$uri0" {out} && sync {out}'), 1.25,
               remove=(out,))])
    merged, near = bench.path('merged'), bench.path('near.cow')

    def fresh():
        quietly(['cp', '--sparse=always', view.origin, merged])
        quietly(['cp', '--sparse=always', view.store.path, near])

    taken = bench.race('merge into an origin behind such a server', [
        Runner('snapmerge', behind(bench, [merged], f'snapmerge -q -y "$uri0" {near}'), prepare=fresh),
        Runner('snapmerge, of files', ['snapmerge', '-q', '-y', merged, near], prepare=fresh),
        Runner('nbdcopy --flush of as much to such a server',
               behind(bench, [merged], f'nbdcopy --flush {view.store.path} "$uri0"'), prepare=fresh)])
    bench.value('beside 1.3 times the local one and the transfer',
                taken[0].seconds / (1.3 * taken[1].seconds + taken[2].seconds), '', None if bench.small else 1.0)
    view.remove()
    for path in merged, near:
        os.unlink(path)


def missing(bench):
    names = [name for name in NEEDED if not shutil.which(name)]
    bench.missing += names
    bench.failed += [f'rows over NBD: not installed: {name}' for name in names]
    return names


def guarded(bench, row):
    return lambda: None if missing(bench) else row(bench)


def rows(bench):
    yield 'nbd-read', guarded(bench, reads)
    yield 'nbd-write', guarded(bench, writes)
    yield 'nbd-slow', guarded(bench, slow)
