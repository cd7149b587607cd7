#!/usr/bin/python3 -B
# SPDX-License-Identifier: LGPL-2.1-or-later
# Copyright (C) 2026 the libcow authors
"""A person at a terminal: runs a command there, waits for each prompt, types.

  prompt.py [--ahead TEXT] PROMPT [ANSWER...] -- COMMAND...

PROMPT is the end of what is on the screen when a line is expected; ANSWER is
such a line (or more, with \\n). TEXT is typed before the command starts. Prints the
screen; the exit status is that of the command, 124 if it waits for ever."""
import os
import pty
import select
import sys
import time

SECONDS = 60


def read_some(fd, end):
    """What comes next; nothing: the command has ended."""
    if not select.select([fd], [], [], max(0, end - time.monotonic()))[0]:
        print("no end within %d seconds" % SECONDS)
        sys.exit(124)
    try:
        return os.read(fd, 4096)
    except OSError:
        return b""


def typed(text):
    return text.replace("\\n", "\n").encode()


def main(argv):
    ahead = b""
    if argv[0] == "--ahead":
        ahead, argv = typed(argv[1]), argv[2:]
    at = argv.index("--")
    prompt, answers, command = argv[0].encode(), argv[1:at], argv[at + 1:]
    gate, opener = os.pipe()
    pid, fd = pty.fork()
    if not pid:
        os.read(gate, 1)
        os.execvp(command[0], command)
    os.write(fd, ahead)
    os.write(opener, b"x")
    end, screen, seen = time.monotonic() + SECONDS, b"", 0
    while True:
        piece = read_some(fd, end)
        if not piece:
            break
        screen += piece
        if screen.endswith(prompt) and len(screen) > seen:
            if not answers:
                os.write(fd, b"\x04")
            else:
                os.write(fd, typed(answers.pop(0)) + b"\n")
            seen = len(screen)
    sys.stdout.write(screen.decode(errors="replace").replace("\r", ""))
    sys.stdout.flush()
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


sys.exit(main(sys.argv[1:]))
