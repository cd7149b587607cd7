# SPDX-License-Identifier: LGPL-2.1-or-later
"""snapdump and snapcreate against what writes, archives and compares flat copies."""
import os
import random
import shutil
import subprocess

from inputs import GIB, MIB, Store, make_data, make_overlay, settle, warm
from race import Runner


def quietly(command):
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


class View:
    """4 GiB with 512 MiB of data, a quarter of it changed, in chunks of 64 KiB."""

    def __init__(self, bench):
        self.size = 256 * MIB if bench.small else 4 * GIB
        step = 16 * MIB if bench.small else 8 * MIB
        self.origin, self.flat = bench.path('origin'), bench.path('flat')
        self.overlay = bench.path('overlay')
        make_data(self.origin, self.size, [(at, MIB) for at in range(0, self.size, step)])
        olds = [at // 65536 + i for at in range(0, self.size, step) for i in range(0, 16, 4)]
        random.Random(4).shuffle(olds)
        block = random.Random(5).randbytes(65536)
        self.store = Store(bench.path('cow'), 65536, olds, lambda i: block)
        make_overlay(self.overlay, self.origin, self.size, 65536, olds, lambda i: block)
        quietly(['snapdump', '--raw', '-o', self.flat, self.origin, self.store.path])
        self.pair = [self.origin, self.store.path]
        for path in self.pair + [self.flat, self.overlay]:
            warm(path)

    def remove(self):
        for path in self.pair + [self.flat, self.overlay]:
            os.unlink(path)


def then_sync(out, *command):
    """A shell line: the command, and its output made durable, as -o does."""
    return ['sh', '-c', '"$@" && sync "$0"', out, *command]


def exports(bench):
    view, out = View(bench), bench.path('out')
    what = f'of {view.size // MIB} MiB with {view.size // (8 * MIB)} MiB of data'
    dump = ['snapdump', '-q']
    bench.race(f'export a tar {what}', [
        Runner('snapdump --tar', dump + ['--tar'] + view.pair, output=out),
        Runner('bsdtar --format pax, of a flat copy',
               ['bsdtar', '--format', 'pax', '-cf', out, '-C', bench.work, 'flat'], 1.5, remove=(out,)),
        Runner('tar --sparse, of a flat copy',
               ['tar', '--sparse', '-cf', out, '-C', bench.work, 'flat'], remove=(out,))])
    bench.race(f'write out the view {what}, durable', [
        Runner('snapdump --raw', dump + ['--raw', '-o', out] + view.pair, remove=(out,)),
        Runner('cp --sparse=always, of a flat copy; sync',
               then_sync(out, 'cp', '--sparse=always', view.flat, out), 1.1, remove=(out,)),
        Runner('qemu-img convert; sync',
               then_sync(out, 'qemu-img', 'convert', '-O', 'raw', view.overlay, out), 1.1,
               remove=(out,))])
    create = ['snapcreate', '-q', '--from=' + view.flat, view.origin]
    bench.race(f'store a difference {what}, durable', [
        Runner('snapcreate --from', create + [out], remove=(out,)),
        Runner('the floor', [bench.program('difffloor'), view.origin, view.flat, out], 1.3, remove=(out,)),
        Runner('qemu-img convert -B; sync',
               then_sync(out, 'qemu-img', 'convert', '-O', 'qcow2', '-o', 'cluster_size=4k', '-B',
                         view.origin, '-F', 'raw', view.flat, out), 1.0, remove=(out,))])
    same = bench.path('same')
    quietly(['cp', '--sparse=always', view.origin, same])
    settle(same)
    bench.race('compare two images that are equal', [
        Runner('snapcreate -n --from', ['snapcreate', '-q', '-n', '--from=' + same, view.origin, out]),
        Runner('cmp', ['cmp', '-s', view.origin, same], 1.0),
        Runner('qemu-img compare', ['qemu-img', 'compare', '-q', view.origin, same], 1.3)])
    os.unlink(same)
    view.remove()


def populate(where, nr):
    """Files of 1 KiB to 1 MiB, as in a home directory."""
    draw = random.Random(6)
    for i in range(nr):
        folder = f'{where}/{i // 100:03}'
        os.makedirs(folder, exist_ok=True)
        with open(f'{folder}/file{i}', 'wb') as f:
            f.write(draw.randbytes(1024 << draw.randrange(10)))


def files(bench):
    image, after = bench.path('fs'), bench.path('after')
    store, where, out = bench.path('cow'), bench.path('mnt'), bench.path('out')
    nr = 200 if bench.small else 5000
    with open(image, 'wb') as f:
        f.truncate(128 * MIB if bench.small else GIB)
    quietly(['mkfs.ext4', '-q', image])
    os.makedirs(where)
    quietly(['mount', '-o', 'loop', image, where])
    populate(where, nr)
    quietly(['umount', where])
    quietly(['cp', '--sparse=always', image, after])
    quietly(['mount', '-o', 'loop', after, where])
    for i in range(0, nr, 10):
        with open(f'{where}/{i // 100:03}/file{i}', 'ab') as f:
            f.write(b'changed' * 1000)
    quietly(['umount', where])
    quietly(['snapcreate', '--from=' + after, image, store])
    quietly(['mount', '-o', 'loop,ro', after, where])
    try:
        bench.race(f'export {nr} files', [
            Runner('snapdump --files', ['snapdump', '-q', '--files', image, store], output=out),
            Runner('tar --xattrs --acls, over a loop mount',
                   ['tar', '--format=pax', '--xattrs', '--acls', '-cf', out, '-C', where, '.'], 1.2,
                   remove=(out,))])
    finally:
        quietly(['umount', where])
    for path in image, after, store:
        os.unlink(path)


def store_after(bench, image, commands, name):
    """A store of what debugfs does to a copy of the image."""
    after, store = bench.path('after'), bench.path(name)
    quietly(['cp', '--sparse=always', image, after])
    with open(bench.path('commands'), 'w') as f:
        f.write(commands)
    quietly(['debugfs', '-w', '-f', bench.path('commands'), after])
    quietly(['snapcreate', '-c', '4K', '--from=' + after, image, store])
    os.unlink(after)
    os.unlink(bench.path('commands'))
    return store


def changes_race(bench, title, pair, nr, target):
    said = subprocess.run(['snapdump', '-q', '--changes', *pair], check=True, stdout=subprocess.PIPE).stdout
    if said.count(b'\n') != nr:
        bench.failed.append(f'changes: {said.count(bytes([10]))} lines, not {nr}')
    bench.race(title, [
        Runner('snapdump --changes', ['snapdump', '-q', '--changes', *pair]),
        Runner('snapdump --files, to /dev/null', ['snapdump', '-q', '--files', *pair], target)])


def changes(bench):
    """Many files of 4 KiB, 100 of them with other bytes, or one in each tenth directory with
    another name; BENCH_FILES=1000000 is the long form."""
    nr = 2000 if bench.small else int(os.environ.get('BENCH_FILES') or 100000)
    image, tree = bench.path('fs'), bench.path('tree')
    draw, changed = random.Random(7), range(0, nr, nr // 100)
    for i in range(nr):
        folder = f'{tree}/{i // 1000:04}'
        os.makedirs(folder, exist_ok=True)
        with open(f'{folder}/file{i}', 'wb') as f:
            f.write(draw.randbytes(4096))
    with open(image, 'wb') as f:
        f.truncate(nr * 6144 + 64 * MIB)
    quietly(['mke2fs', '-q', '-F', '-t', 'ext4', '-b', '4096', '-N', str(nr + nr // 500 + 1000), '-d', tree, image])
    shutil.rmtree(tree)  # a million files take 4 GiB, each time
    with open(bench.path('new'), 'wb') as f:
        f.write(draw.randbytes(4096))
    names, moved = ([f'/{i // 1000:04}/file{i}' for i in which] for which in (changed, range(0, nr, 10000)))
    written = ''.join(f'rm {name}\nwrite {bench.path("new")} {name}\n' for name in names)
    # debugfs leaves the time of a directory alone; a kernel does not
    renamed = ''.join(f'ln {name} {name}.new\nunlink {name}\nset_inode_field {os.path.dirname(name)} mtime 20261127\n'
                      for name in moved)
    stores = store_after(bench, image, written, 'cow'), store_after(bench, image, renamed, 'names')
    changes_race(bench, f'say which 100 of {nr} files of 4 KiB have changed', (image, stores[0]), len(names), 0.3)
    changes_race(bench, f'say which {len(moved)} of {nr} files have another name', (image, stores[1]), len(moved), 0.05)
    for path in image, *stores, bench.path('new'):
        os.unlink(path)


def huge(bench):
    """16 TiB, sparse, 1 GiB of data, of which a sixteenth differs."""
    size, step = 16 << 40, (256 if bench.small else 16) << 30
    old, new, out = (os.path.join(bench.shm, name) for name in ('old', 'new', 'out'))
    make_data(old, size, [(at, MIB) for at in range(0, size, step)])
    make_data(new, size, [(at, MIB) for at in range(0, size, step)])
    with open(old, 'rb') as a, open(new, 'r+b') as b:
        for at in range(0, size, step):
            a.seek(at)
            b.seek(at)
            b.write(a.read(MIB - 65536))
    data = size // step
    for title, command in (('store the difference of', ['snapcreate', '-q', '--from=' + new, old, out]),
                           ('measure the difference of', ['snapcreate', '-q', '-n', '--from=' + new, old, out]),
                           ('write out', ['snapdump', '-q', '--raw', '-o', out, new])):
        bench.race(f'{title} 16 TiB with {data} MiB of data, tmpfs', [Runner('ours', command, remove=(out,))])
    for path in old, new:
        os.unlink(path)


def rows(bench):
    yield 'export', lambda: exports(bench)
    yield 'files', lambda: files(bench)
    yield 'changes', lambda: changes(bench)
    yield 'huge', lambda: huge(bench)
