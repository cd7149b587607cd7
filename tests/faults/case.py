# SPDX-License-Identifier: LGPL-2.1-or-later
# Copyright (C) 2026 the libcow authors
"""What a command under faults is: its words, the files it starts from, the names it may
make, and what must hold of them."""
import os
import subprocess

# How a repair may end: nothing to do, mended, data lost, both.
REPAIRED = (0, 1, 4, 5)


class Case:
    def __init__(self, name, argv, files, makes=(), good=(0,), again=None, answer=None):
        self.name, self.argv, self.files = name, argv, files
        self.makes = makes      # names that may appear, whole
        self.good = good        # exit statuses of a run without faults
        self.again = again or good  # and of one after a fault
        self.answer = answer or {}  # name: bytes that it must hold in the end
        self.changes = ()       # operands that the job writes to
        self.loose = ()         # names whose bytes depend on where it was cut
        self.finds = False      # a check that calls unreadable metadata damage
        self.meant = {}         # name: what its bytes say; a run leaves that as it was, or done

    def in_place(self, *names, loose=()):
        self.changes, self.loose = names + loose, loose
        return self

    def finding(self):
        self.finds = True
        return self

    def at_once(self, name, meaning):
        """Changes a file in place, by one write that decides."""
        self.changes, self.loose, self.meant = (name,), (name,), {name: meaning}
        return self


def run(argv, cwd):
    subprocess.run(argv, cwd=cwd, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def read(path):
    with open(path, "rb") as f:
        return f.read()


def made(work, argv, files, name):
    """What a command of ours makes of files."""
    os.makedirs(work, exist_ok=True)
    for n, data in files.items():
        with open(os.path.join(work, n), "wb") as f:
            f.write(data)
    if os.path.exists(os.path.join(work, name)) and name not in files:
        os.unlink(os.path.join(work, name))
    run(argv, work)
    return read(os.path.join(work, name))
