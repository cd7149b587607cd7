#!/usr/bin/python3 -B
# SPDX-License-Identifier: LGPL-2.1-or-later
# Copyright (C) 2026 the libcow authors
"""Job for the user-mode kernel: file systems that change at random, and their images
cut at random moments, as a power cut leaves them.

usage: looks_guest.py DIRECTORY. plan.json there: a list of {name, mount, seed, cuts};
NAME.img is an empty file system. Each cut K leaves NAME-K.img, taken while the device
below the mounted file system stood still (suspended, without a freeze of the file system), and NAME-K.json:
what this kernel shows of a copy of it that it mounted itself, its journal replayed, or null
where it cannot mount it."""
import fcntl
import hashlib
import json
import os
import random
import shutil
import stat
import struct
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import dmlib  # noqa: E402

FS_IOC_GETVERSION = 0x80087601
NAMES = [f"n{i}" for i in range(14)]


def run(*words):
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)


# ------------------------------------------------------------ what is there


def digest(path):
    with open(path, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()[:20]


def generation(path, mode):
    """Of the inode; links, devices and sockets do not say theirs."""
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        return 0
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        raw = fcntl.ioctl(fd, FS_IOC_GETVERSION, bytes(8))
    finally:
        os.close(fd)
    return struct.unpack("<i", raw[:4])[0]


def describe(path):
    st = os.lstat(path)
    facts = {"mode": st.st_mode, "ino": st.st_ino, "links": st.st_nlink, "uid": st.st_uid, "gid": st.st_gid,
             "size": st.st_size, "mtime": st.st_mtime_ns, "rdev": st.st_rdev,
             "generation": generation(path, st.st_mode),
             "xattrs": {k: os.getxattr(path, k, follow_symlinks=False).hex()
                        for k in sorted(os.listxattr(path, follow_symlinks=False))}}
    if stat.S_ISREG(st.st_mode):
        facts["data"] = digest(path)
    elif stat.S_ISLNK(st.st_mode):
        facts["data"] = os.readlink(path)
    return facts


def list_tree(root):
    before = os.getcwd()
    os.chdir(root)
    facts = {".": describe(".")}
    for top, dirs, files in os.walk("."):
        for name in dirs + files:
            path = os.path.join(top, name)[2:]
            facts[path] = describe(path)
    os.chdir(before)
    return facts


# ------------------------------------------------------------ random changes


class Tree:
    def __init__(self, rng, root):
        self.rng = rng
        self.root = root

    def all(self, wanted=None):
        found = []
        for top, dirs, files in os.walk(self.root):
            dirs.sort()
            for name in sorted(dirs + files):
                path = os.path.join(top, name)
                mode = os.lstat(path).st_mode
                if "lost+found" not in path and (wanted is None or wanted(mode)):
                    found.append(path)
        return found

    def pick(self, wanted=None):
        found = self.all(wanted)
        return self.rng.choice(found) if found else self.new()

    def folder(self):
        return self.rng.choice([self.root] + self.all(stat.S_ISDIR))

    def place(self):
        return os.path.join(self.folder(), self.rng.choice(NAMES))

    def new(self):
        path = os.path.join(self.folder(), "x%d" % self.rng.randrange(10**6))
        with open(path, "wb") as f:
            self.fill(f)
        return path

    def fill(self, f):
        length = self.rng.choice((0, 10, 50, 130, 3000, 30000, 90000))
        data = self.rng.randbytes(length)
        if not self.rng.randrange(4):
            data = b"\xc0\x3b\x39\x98" + data  # of a block of the journal: it must be escaped there
        f.write(data)
        if not self.rng.randrange(3):
            os.fsync(f.fileno())

    def change_data(self):
        path = self.pick(stat.S_ISREG)
        size = os.lstat(path).st_size
        with open(path, "r+b") as f:
            kind = self.rng.randrange(4)
            if kind == 0:
                f.seek(0, 2)
            elif kind == 1 and size:
                f.seek(self.rng.randrange(size))
            elif kind == 2:
                f.truncate(self.rng.randrange(size + 5000))
                return
            else:
                f.seek(size + self.rng.randrange(200000))
            self.fill(f)

    def replace(self):
        path = self.pick(stat.S_ISREG)
        with open(path, "rb") as f:
            data = f.read()
        with open(path + ".new", "wb") as f:
            f.write(data if self.rng.randrange(2) else self.rng.randbytes(200))
        os.rename(path + ".new", path)

    def make(self):
        path = self.place()
        kind = self.rng.randrange(6)
        if kind < 2:
            os.mkdir(path)
        elif kind == 2:
            os.symlink("y" * self.rng.choice((3, 59, 60, 200)), path)
        elif kind == 3:
            os.link(self.pick(lambda mode: not stat.S_ISDIR(mode)), path)
        elif kind == 4:
            os.mknod(path, self.rng.choice((stat.S_IFIFO, stat.S_IFCHR, stat.S_IFSOCK)) | 0o600, os.makedev(1, 3))
        else:
            self.new()

    def rename(self):
        os.rename(self.pick(), self.place())

    def remove(self):
        path = self.pick()
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        else:
            os.unlink(path)

    def metadata(self):
        path = self.pick(lambda mode: not stat.S_ISLNK(mode))
        kind = self.rng.randrange(5)
        if kind == 0:
            os.chmod(path, self.rng.randrange(0o10000))
        elif kind == 1:
            os.chown(path, self.rng.randrange(3), self.rng.randrange(70000))
        elif kind == 2:
            os.utime(path, ns=(10**18, self.rng.randrange(10**19)))
        elif stat.S_ISREG(os.lstat(path).st_mode) or os.path.isdir(path):
            name = "user.a%d" % self.rng.randrange(3)
            os.setxattr(path, name, self.rng.randbytes(self.rng.choice((1, 30, 300))))
            if kind == 4:
                os.removexattr(path, name)

    def crowd(self):
        """A directory with an index, or its end: blocks that were metadata are freed."""
        path = os.path.join(self.root, "crowd")
        if os.path.isdir(path):
            shutil.rmtree(path)
            return
        os.mkdir(path)
        for i in range(self.rng.randrange(60, 260)):
            with open(os.path.join(path, "a rather long name for a file %d" % i), "wb") as f:
                f.write(b"x" * (i % 3))

    def in_place(self):
        """Data changes where it lies, and the inode is written later."""
        path = self.pick(stat.S_ISREG)
        fd = os.open(path, os.O_WRONLY)
        size = os.fstat(fd).st_size
        if size:
            at = self.rng.randrange(size)
            os.pwrite(fd, self.rng.randbytes(min(40, size - at)), at)
            os.fdatasync(fd)
        os.close(fd)

    def settle(self):
        os.sync()

    def commit(self):
        """To the journal; what it describes stays in memory."""
        fd = os.open(self.root, os.O_RDONLY)
        os.fsync(fd)
        os.close(fd)

    def step(self):
        job = self.rng.choice((self.change_data, self.change_data, self.replace, self.make, self.make, self.make,
                               self.rename, self.rename, self.remove, self.metadata, self.metadata, self.new,
                               self.crowd, self.settle, self.commit, self.commit, self.in_place, self.in_place))
        try:
            job()
        except OSError as e:
            if e.errno not in (2, 16, 17, 18, 20, 21, 22, 28, 39, 40, 95, 1, 31, 34):
                raise


# ------------------------------------------------------------ cuts


def cut(name, number):
    dmlib.dm_freeze(name)
    run("cp", "--sparse=always", name + ".img", "%s-%d.img" % (name, number))
    dmlib.dm_thaw(name)


def live(one):
    """Changes a mounted file system, and cuts its image now and then."""
    name, rng = one["name"], random.Random(one["seed"])
    loop = dmlib.loop_attach(name + ".img")
    device = dmlib.dm_create(name, os.path.getsize(name + ".img") // 512, "linear", loop + " 0")
    root = "/run/" + name
    os.mkdir(root)
    run("mount", "-t", "ext4", "-o", one["mount"], device, root)
    tree = Tree(rng, root)
    for i in range(40):
        tree.step()
    tree.new()
    os.sync()
    for number in range(one["cuts"]):
        for i in range(rng.randrange(3, 40)):
            tree.step()
        if number % 4 != 3:
            tree.commit()
            for i in range(rng.randrange(3)):
                tree.step()
        tree.in_place()
        cut(name, number)
    run("umount", root)
    dmlib.dm_remove(name)
    dmlib.loop_detach(loop)


def insert_modules():
    modules = "/usr/lib/uml/modules/%s/kernel/" % os.uname().release
    for module in ("lib/crc16", "fs/mbcache", "fs/jbd2/jbd2", "fs/ext4/ext4", "crypto/crc32c_generic"):
        subprocess.run(("busybox", "insmod", modules + module + ".ko"), stderr=subprocess.DEVNULL, check=False)


def judge(name):
    """What the kernel shows of a cut image."""
    run("cp", "--sparse=always", name + ".img", "copy.img")
    loop = dmlib.loop_attach("copy.img")
    facts = None
    if not subprocess.run(("mount", "-t", "ext4", "-o", "ro", loop, "/run/judge"), check=False).returncode:
        facts = list_tree("/run/judge")
        run("umount", "/run/judge")
    dmlib.loop_detach(loop)
    os.unlink("copy.img")
    with open(name + ".json", "w") as f:
        json.dump(facts, f)


def main(directory):
    os.chdir(directory)
    insert_modules()
    with open("plan.json") as f:
        plan = json.load(f)
    os.mkdir("/run/judge")
    for one in plan:
        live(one)
        for number in range(one["cuts"]):
            judge("%s-%d" % (one["name"], number))


if __name__ == "__main__":
    main(sys.argv[1])
