#!/usr/bin/python3 -B
# SPDX-License-Identifier: LGPL-2.1-or-later
# Copyright (C) 2026 the libcow authors
"""A terminal that a command draws its progress on: its standard error.

  bar.py COLUMNS[,COLUMNS] SECONDS COMMAND...

The command's standard output is read slowly for so long, then as fast as it
comes. The window has the first width, and the second one half-way. Prints what
was drawn, a line for each time, with the width at that time before it; the exit
status is that of the command."""
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time


def resize(fd, columns):
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))


def main(argv):
    widths, seconds = [int(w) for w in argv[0].split(",")], float(argv[1])
    screen, terminal = pty.openpty()
    resize(screen, widths[0])
    job = subprocess.Popen(argv[2:], stdin=terminal, stdout=subprocess.PIPE, stderr=terminal)
    os.close(terminal)
    start, shown, width = time.monotonic(), [], widths[0]
    out = job.stdout.fileno()
    fds = {out, screen}
    while fds:
        if width != widths[-1] and time.monotonic() - start > seconds / 2:
            width = widths[-1]
            resize(screen, width)
        slow = time.monotonic() - start < seconds
        for fd in select.select(list(fds), [], [], 0.05)[0]:
            try:
                piece = os.read(fd, 16384 if slow else 1 << 20)
            except OSError:
                piece = b""
            if not piece:
                fds.discard(fd)
            elif fd == screen:
                shown.append((width, piece.decode()))
            elif slow:
                time.sleep(0.01)
    for width, text in shown:
        for line in re.split(r"\r\n?|\033\[K", text):
            if line:
                print(width, line)
    return job.wait()


sys.exit(main(sys.argv[1:]))
