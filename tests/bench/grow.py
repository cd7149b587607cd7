#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""usage: grow.py [SVG]

How time and memory grow: with the number of exceptions (linear), and with the
size of the images (not at all). Prints a table, and draws it to SVG. Called by
"make bench-grow", with SMALL and COW_BUILD as bench.py; images lie on tmpfs.
"""
import math
import os
import shutil
import subprocess
import sys
import tempfile

from inputs import GIB, MIB, Store, make_data
from race import Bench, Runner

# One colour for each line, told apart without colours by its label.
COLOURS = ['#0b6e99', '#b5522b', '#4f7f3a', '#7a4fa3']
# It reads and clears 4 KiB for each exception.
MERGE_MOST = 10**6
LEFT, TOP, WIDTH, HEIGHT, GAP = 70, 40, 330, 220, 110


def scattered(bench, path, nr):
    subprocess.run([bench.program('scatter'), path, str(nr)], check=True)


def by_exceptions(bench):
    """{job: [(exceptions, seconds, MiB)]}; the data of the chunks are holes."""
    found = {'snapcheck': [], 'snapdump --map': [], 'snapmerge': []}
    origin, cow = bench.path('origin'), bench.path('cow')
    for nr in [10**3, 10**4] if bench.small else [10**4, 10**5, 10**6, 10**7]:
        scattered(bench, cow, nr)
        with open(origin, 'wb') as f:
            f.truncate(nr * 16 * 4096)
        jobs = {'snapcheck': ['snapcheck', '-q', cow],
                'snapdump --map': ['snapdump', '-q', '--map', origin, cow],
                'snapmerge': ['snapmerge', '-q', '-y', '--sparse', origin, cow]}
        for name, command in jobs.items():
            if name == 'snapmerge' and nr > MERGE_MOST:
                continue
            taken = bench.run(Runner(name, command))
            found[name].append((nr, taken.seconds, taken.memory_kib / 1024))
    return found


def by_size(bench):
    """{job: [(bytes, seconds, MiB)]}: 64 MiB of data, 4096 chunks changed."""
    found = {'snapcheck': [], 'snapdump --tar': [], 'snapcreate --from': [], 'snapmerge': []}
    origin, cow, flat, new = (bench.path(name) for name in ('origin', 'cow', 'flat', 'new'))
    for size in [GIB, 16 << 40] if bench.small else [GIB, 16 * GIB, 256 * GIB, 4 << 40, 16 << 40]:
        make_data(origin, size, [(at, MIB) for at in range(0, size, size // 64)])
        olds = [(at + 4096 * i) // 4096 for at in range(0, size, size // 64) for i in range(0, 128, 2)]
        store = Store(cow, 4096, olds, lambda i: bytes((i % 255 + 1,)) * 4096)
        subprocess.run(['snapdump', '-q', '--raw', '-o', flat, origin, cow], check=True)
        jobs = {'snapcheck': ['snapcheck', '-q', origin, cow],
                'snapdump --tar': ['snapdump', '-q', '--tar', origin, cow],
                'snapcreate --from': ['snapcreate', '-q', '--from=' + flat, origin, new],
                'snapmerge': ['snapmerge', '-q', '-y', origin, cow]}
        for name, command in jobs.items():
            taken = bench.run(Runner(name, command, remove=(new,)))
            found[name].append((size, taken.seconds, taken.memory_kib / 1024))
        del store
        os.unlink(flat)
    return found


def amount(value):
    for shift, unit in ((40, 'TiB'), (30, 'GiB')):
        if value >= 1 << shift:
            return f'{value >> shift} {unit}'
    return f'{value:,}'


def table(bench, what, found):
    for name, rows in found.items():
        bench.say(f'{name}')
        for value, seconds, memory in rows:
            bench.say(f'    {amount(value):>12} {what:<12} {seconds:9.3f} s {memory:9.1f} MiB')


class Chart:
    """Logarithmic on both axes."""

    def __init__(self, column, row, title, xs, ys, labels, unit):
        self.left = LEFT + column * (WIDTH + GAP)
        self.top = TOP + row * (HEIGHT + GAP - 30)
        self.title, self.xs, self.ys, self.labels, self.unit = title, xs, ys, labels, unit

    def place(self, x, y):
        def part(value, low, high):
            return math.log(value / low) / math.log(high / low)
        y = min(max(y, self.ys[0]), self.ys[-1])
        return (self.left + WIDTH * part(x, self.xs[0], self.xs[-1]),
                self.top + HEIGHT * (1 - part(y, self.ys[0], self.ys[-1])))

    def svg(self, lines):
        out = [f'<text x="{self.left}" y="{self.top - 14}" class="t">{self.title}</text>']
        for y in self.ys:
            _, at = self.place(self.xs[0], y)
            out.append(f'<path d="M{self.left} {at:.1f}h{WIDTH}" class="g"/>'
                       f'<text x="{self.left - 6}" y="{at + 4:.1f}" class="r">{y:g} {self.unit}</text>')
        for x, label in zip(self.xs, self.labels):
            at, _ = self.place(x, self.ys[0])
            out.append(f'<text x="{at:.1f}" y="{self.top + HEIGHT + 18}" class="m">{label}</text>')
        for i, (name, points) in enumerate(lines.items()):
            d = ' '.join('%.1f,%.1f' % self.place(*point) for point in points)
            out.append(f'<polyline points="{d}" stroke="{COLOURS[i]}"/>')
            at = self.top + 16 + 15 * i
            out.append(f'<text x="{self.left + 8}" y="{at}" fill="{COLOURS[i]}">{name}</text>')
        return '\n'.join(out)


def draw(path, exceptions, sizes):
    numbers = sorted({row[0] for rows in exceptions.values() for row in rows})
    bytes_ = sorted({row[0] for rows in sizes.values() for row in rows})
    charts = []
    for row, (index, name, ys, unit) in enumerate(((1, 'seconds', [0.01, 0.1, 1, 10, 100], 's'),
                                                   (2, 'peak memory', [1, 10, 100, 1000], 'MiB'))):
        for column, (what, xs, labels, found) in enumerate((
                ('by exceptions', numbers, [f'{n:,}' for n in numbers], exceptions),
                ('by size of the images, same data', bytes_, [amount(b) for b in bytes_], sizes))):
            lines = {job: [(r[0], r[index]) for r in rows] for job, rows in found.items()}
            charts.append(Chart(column, row, f'{name} {what}', xs, ys, labels, unit).svg(lines))
    width, height = LEFT + 2 * WIDTH + GAP + 40, TOP + 2 * HEIGHT + GAP + 10
    with open(path, 'w') as f:
        f.write(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
                f'width="{width}" height="{height}">\n'
                '<style>text{font:12px sans-serif}.t{font-weight:bold}.r{text-anchor:end;fill:#555}'
                '.m{text-anchor:middle;fill:#555}.g{stroke:#ddd}polyline{fill:none;stroke-width:2}</style>\n'
                f'<rect width="{width}" height="{height}" fill="#fff"/>\n' + '\n'.join(charts) + '\n</svg>\n')


def main():
    work = tempfile.mkdtemp(prefix='grow.', dir='/dev/shm')
    bench = Bench(1, bool(os.environ.get('SMALL')), work, work, os.environ['COW_BUILD'])
    try:
        exceptions, sizes = by_exceptions(bench), by_size(bench)
    finally:
        shutil.rmtree(work)
    table(bench, 'exceptions', exceptions)
    table(bench, '', sizes)
    if len(sys.argv) > 1:
        draw(sys.argv[1], exceptions, sizes)


if __name__ == '__main__':
    main()
