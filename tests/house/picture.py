#!/usr/bin/python3 -B
# SPDX-License-Identifier: LGPL-2.1-or-later
# Copyright (C) 2026 the libcow authors
"""picture.py FILE.svg: the picture of the README. The commands below are run on
a terminal, on a file system whose upgrade went wrong, and FILE shows what was
typed and what came back. "make picture" calls it.
"""
import os
import pty
import re
import select
import struct
import subprocess
import sys
import tempfile
import termios
import fcntl
from xml.sax.saxutils import escape

COLUMNS, FONT, LINE = 112, 13, 18
MARGIN, WIDTH = 18, 7.83
RELEASE = "debugfs -R 'cat /etc/release' root.img 2>/dev/null"
COMMANDS = [
    (RELEASE, None),
    ("snapcheck root.img before-upgrade.img", None),
    ("snapmerge --save-undo=undo.img root.img before-upgrade.img", "y\n"),
    (RELEASE, None),
    ("e2fsck -fn root.img 2>/dev/null | tail -n 1", None),
]


def prepare():
    """root.img after an upgrade, before-upgrade.img the snapshot from before."""
    def run(*argv, text=None):
        subprocess.run(argv, check=True, input=text, text=True, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)

    os.makedirs("tree/etc")
    for name, release, count in (("old", "version 1, good", 100000), ("new", "version 2, broken", 90000)):
        with open(name + ".release", "w") as f:
            f.write(release + "\n")
        with open(name + ".data", "w") as f:
            f.write("".join("%d %s\n" % (i, name) for i in range(count)))
    os.rename("old.release", "tree/etc/release")
    os.rename("old.data", "tree/etc/data")
    uuid = "11111111-2222-3333-4444-555555555555"
    run("truncate", "-s", "64M", "old.img")
    run("mke2fs", "-q", "-t", "ext4", "-U", uuid, "-E", "hash_seed=" + uuid, "-d", "tree", "old.img")
    run("cp", "--sparse=always", "old.img", "root.img")
    run("debugfs", "-w", "-f", "-", "root.img", text="rm /etc/data\nwrite new.data /etc/data\n"
        "rm /etc/release\nwrite new.release /etc/release\n")
    run("snapcreate", "-q", "root.img", "before-upgrade.img", "--from", "old.img")


def type_command(command, answer):
    """What the terminal shows from the command's first byte to its end."""
    pid, fd = pty.fork()
    if pid == 0:
        os.execvp("sh", ["sh", "-c", command])
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", 40, COLUMNS, 0, 0))
    text = ""
    while True:
        if not select.select([fd], [], [], 60)[0]:
            raise SystemExit("no answer from: " + command)
        try:
            text += os.read(fd, 4096).decode()
        except OSError:  # the other end is closed
            break
        if answer and text.endswith("[y/N] "):
            os.write(fd, answer.encode())
            answer = None
    os.close(fd)
    if os.waitpid(pid, 0)[1]:
        raise SystemExit("failed: %s\n%s" % (command, text))
    return text


def screen(text):
    """Lines as they stand in the end: what a carriage return overwrote is
    gone, what is too long goes on in the next line."""
    lines = []
    for line in text.replace("\r\n", "\n").rstrip("\n").split("\n"):
        line = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line.rsplit("\r", 1)[-1]).rstrip()
        lines += [line[i:i + COLUMNS] for i in range(0, max(len(line), 1), COLUMNS)]
    return lines


def svg(lines):
    """lines: (text, is it typed)."""
    height = len(lines) * LINE + 2 * MARGIN
    width = int(COLUMNS * WIDTH) + 2 * MARGIN
    out = ['<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d">'
           % (width, height, width, height),
           '<rect width="100%" height="100%" rx="8" fill="#1d2021"/>',
           '<g font-family="DejaVu Sans Mono,Menlo,Consolas,monospace" font-size="' + str(FONT) + '">']
    for nr, (text, typed) in enumerate(lines):
        look = 'fill="#b8bb26" font-weight="bold"' if typed else 'fill="#ebdbb2"'
        out.append('<text x="%d" y="%d" xml:space="preserve" %s textLength="%d" lengthAdjust="spacing">%s</text>'
                   % (MARGIN, MARGIN + FONT + nr * LINE, look, round(len(text) * WIDTH), escape(text)))
    return "\n".join(out + ["</g>", "</svg>", ""])


def main(target):
    target = os.path.abspath(target)
    os.environ.update(LC_ALL="C", TERM="dumb", E2FSPROGS_FAKE_TIME="1700000000")
    lines = []
    with tempfile.TemporaryDirectory() as directory:
        os.chdir(directory)
        prepare()
        for command, answer in COMMANDS:
            lines.append(("$ " + command, True))
            lines += [(text, False) for text in screen(type_command(command, answer))]
        os.chdir("/")
    with open(target, "w") as f:
        f.write(svg([line for line in lines if line[0]]))


if __name__ == "__main__":
    main(sys.argv[1])
