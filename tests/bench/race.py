# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs commands against each other, in turns, and keeps the table."""
import dataclasses
import os
import shutil
import statistics
import subprocess
from typing import Callable, Optional


@dataclasses.dataclass
class Runner:
    """One that takes part: the first of a race is ours. limit: ours may take at
    most so many times what this one takes; None: only for comparison."""
    name: str
    command: list
    limit: Optional[float] = None
    prepare: Optional[Callable] = None  # before each run, not timed
    output: Optional[str] = None        # standard output goes there; removed after the run
    remove: tuple = ()                  # what a run leaves behind


@dataclasses.dataclass
class Taken:
    seconds: float
    cpu: float
    memory_kib: int


class Bench:
    def __init__(self, rounds, small, work, shm, build):
        self.rounds, self.small, self.build = rounds, small, build
        self.work, self.shm = work, shm
        self.lines = []
        self.failed, self.missing = [], []

    def path(self, name):
        return os.path.join(self.work, name)

    def program(self, name):
        return os.path.join(self.build, 'tests', 'bench', name)

    def say(self, line):
        self.lines.append(line)
        print(line, flush=True)

    def run(self, runner):
        if runner.prepare:
            runner.prepare()
        report = self.path('report')
        out = open(runner.output, 'wb') if runner.output else subprocess.DEVNULL
        done = subprocess.run([self.program('timed'), report] + runner.command, stdout=out,
                              stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        if runner.output:
            out.close()
        if done.returncode:
            raise SystemExit(f'bench: {" ".join(runner.command)}: exit {done.returncode}: '
                             + done.stderr.decode(errors='replace'))
        with open(report) as f:
            seconds, cpu, memory = f.read().split()
        for path in runner.remove + ((runner.output,) if runner.output else ()):
            if os.path.exists(path):
                os.unlink(path)
        return Taken(float(seconds), float(cpu), int(memory))

    def race(self, title, runners, rounds=None, warmup=1):
        """Each runs once in each round, another one first each time. The ratio is
        the median of those of the rounds: what slows the machine down slows
        both. Returns the medians, ours first."""
        missing = [r.name for r in runners if not shutil.which(r.command[0])]
        if missing:
            self.missing += missing
            self.failed.append(f'{title}: not installed: {", ".join(missing)}')
            runners = [r for r in runners if r.name not in missing]
        taken = [[] for _ in runners]
        rounds = rounds or self.rounds
        for turn in range(warmup + rounds):
            for i in range(len(runners)):
                at = (i + turn) % len(runners)
                result = self.run(runners[at])
                if turn >= warmup:
                    taken[at].append(result)
        self.report(title, runners, taken)
        return [Taken(*(statistics.median(getattr(t, f.name) for t in one)
                        for f in dataclasses.fields(Taken))) for one in taken]

    def report(self, title, runners, taken):
        ours = taken[0]
        seconds = statistics.median(t.seconds for t in ours)
        memory = max(t.memory_kib for t in ours) / 1024
        self.say(f'{title:<58} {seconds:8.3f} s                          {memory:7.1f} MiB')
        for runner, theirs in zip(runners[1:], taken[1:]):
            ratio = statistics.median(a.seconds / b.seconds for a, b in zip(ours, theirs))
            cpu = statistics.median(a.cpu / max(b.cpu, 1e-3) for a, b in zip(ours, theirs))
            memory = max(t.memory_kib for t in theirs) / 1024
            target = ''
            if runner.limit:
                target = f'<= {runner.limit:.2f}'
                if ratio > runner.limit:
                    target += ' MISSED'
                    self.failed.append(f'{title}: {ratio:.2f} of {runner.name}, not {target}')
            self.say(f'    {runner.name:<54} {statistics.median(t.seconds for t in theirs):8.3f} s '
                     f'{ratio:6.2f} {cpu:6.2f} cpu {target:<9} {memory:7.1f} MiB'.rstrip())

    def value(self, title, value, unit, limit=None):
        """A figure with a limit of its own."""
        target = ''
        if limit is not None:
            target = f'<= {limit:g}'
            if value > limit:
                target += ' MISSED'
                self.failed.append(f'{title}: {value:.4g} {unit}, not {target}')
        self.say(f'    {title:<54} {value:8.4g} {unit} {target}'.rstrip())
