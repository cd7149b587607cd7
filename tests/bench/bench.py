#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""usage: bench.py [ROW...]

Measures the tools side by side with what a user would pick instead, and with
small programs that do the least possible. Rows whose names begin with one of
the words are run, all without. Called by "make bench", which sets:

ROUNDS   measured rounds after a warm-up (5)
ONLY     as ROW
SMALL    small inputs: does it still work?
OUT      file for the table, besides standard output

Exit 1: a target was missed, or a program to compare with is not there; with
SMALL only the latter counts."""
import os
import shutil
import subprocess
import sys
import tempfile
import time

import rows_check
import rows_clone
import rows_dump
import rows_merge
import rows_nbd
import rows_thin
from race import Bench


def first_line(command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return (done.stdout.splitlines() or ['?'])[0]


def describe_machine(bench):
    with open('/proc/cpuinfo') as f:
        cpu = [line.split(':', 1)[1].strip() for line in f if line.startswith('model name')]
    with open('/proc/meminfo') as f:
        memory = int(f.readline().split()[1]) / (1 << 20)
    where = first_line(['findmnt', '-no', 'FSTYPE,SOURCE', '-T', bench.work])
    bench.say(f'{time.strftime("%Y-%m-%d")}, {cpu[0] if cpu else "?"} x {os.cpu_count()}, '
              f'{memory:.1f} GiB, Linux {os.uname().release}, images on {where}')
    bench.say(f'{first_line(["qemu-img", "--version"])}; thin_check {first_line(["thin_check", "-V"])}; '
              f'{first_line(["bsdtar", "--version"])}; {first_line(["tar", "--version"])}')
    bench.say(f'load {os.getloadavg()[0]:.1f} at the beginning, {bench.rounds} rounds; hot cache; '
              'ratios are ours to theirs, less is better')
    bench.say('')


def main():
    small = bool(os.environ.get('SMALL'))
    wanted = sys.argv[1:] or os.environ.get('ONLY', '').replace(',', ' ').split()
    build = os.environ['COW_BUILD']
    work = tempfile.mkdtemp(prefix='bench.', dir=os.environ.get('BENCH_DIR', build))
    shm = tempfile.mkdtemp(prefix='bench.', dir='/dev/shm')
    bench = Bench(int(os.environ.get('ROUNDS') or 5), small, work, shm, build)
    start = time.monotonic()
    try:
        describe_machine(bench)
        for module in rows_merge, rows_check, rows_clone, rows_dump, rows_nbd, rows_thin:
            for name, row in module.rows(bench):
                if not wanted or any(name.startswith(word) for word in wanted):
                    row()
    finally:
        shutil.rmtree(work)
        shutil.rmtree(shm)
    bench.say('')
    bench.say(f'load {os.getloadavg()[0]:.1f} at the end, {time.monotonic() - start:.0f} s in all')
    for line in bench.failed:
        bench.say(line)
    if os.environ.get('OUT'):
        with open(os.environ['OUT'], 'w') as f:
            f.write(''.join(line + '\n' for line in bench.lines))
    return bool(bench.missing or (bench.failed and not small))


if __name__ == '__main__':
    sys.exit(main())
