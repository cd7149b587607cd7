#!/usr/bin/python3 -B
# SPDX-License-Identifier: LGPL-2.1-or-later
# Copyright (C) 2026 the libcow authors
"""Fills a mounted file system with one of every kind of file and attribute.
usage: files_populate.py DIR. What the file system cannot hold is left out (by
the kernel's own answer), so one script serves ext2, ext3 and ext4."""

import errno
import os
import random
import socket
import stat
import struct
import sys

CANNOT = (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSPC, errno.ENAMETOOLONG, errno.EFBIG, errno.ERANGE, errno.E2BIG)
rng = random.Random(7)


def tried(function, *args, **named):
    try:
        function(*args, **named)
    except OSError as error:
        if error.errno not in CANNOT:
            raise


def write(path, data=b"", mode=0o644):
    with open(path, "wb") as f:
        f.write(data)
    os.chmod(path, mode)


def acl(entries):
    """The value of system.posix_acl_*: tag, permissions, id."""
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *e) for e in entries)


NOBODY = 0xFFFFFFFF
ACCESS = acl([(1, 6, NOBODY), (2, 7, 1000), (2, 0, 2000000000), (4, 4, NOBODY),
              (8, 5, 70000), (16, 7, NOBODY), (32, 0, NOBODY)])
LARGE_ID = acl([(1, 6, NOBODY), (2, 4, 4000000000), (4, 4, NOBODY), (16, 6, NOBODY), (32, 0, NOBODY)])
DEFAULT = acl([(1, 7, NOBODY), (2, 5, 12), (4, 5, NOBODY), (16, 5, NOBODY), (32, 1, NOBODY)])


def sizes():
    os.mkdir("sizes")
    for n in (0, 1, 59, 60, 61, 100, 150, 160, 511, 512, 513, 4095, 4096, 4097, 70000, (1 << 20) + 5, 6 << 20):
        write(f"sizes/{n}", rng.randbytes(n))
    # Longer than what is inside the inode, where there is inline data.
    for n in (0, 4, 100):
        write(f"sizes/grown-{n}", b"")
        os.truncate(f"sizes/grown-{n}", 100000)
        with open(f"sizes/grown-{n}", "r+b") as f:
            f.write(rng.randbytes(n))


def names():
    os.mkdir("names")
    for name in (b"plain", b"sp ace", b"new\nline", b"tab\t", b"-dash", b"back\\slash", b"star*[x]?",
                 b"\xff\xfe bytes", b"caf\xe9", "café".encode(), "日本語".encode(), b"..dots", b"end ",
                 b"n" * 255, b"\xe4" * 255, b"=%25%3D", b"\x01\x02\x7f", b"\xed\xa0\x80surrogate"):
        write(b"names/" + name, name)
    deep = b"names/deep"
    os.mkdir(deep)
    for i in range(9):
        deep += b"/" + b"%c" % (97 + i) * 120
        os.mkdir(deep)
    write(deep + b"/" + b"f" * 200, b"deep file")
    os.symlink(b"t" * 900, deep + b"/link")
    os.link(deep + b"/" + b"f" * 200, deep + b"/hard")
    write(b"names/" + b"p" * 97, b"101 with the directory")
    os.mkdir(b"names/" + b"q" * 94)


def links():
    os.makedirs("links/a")
    os.makedirs("links/b")
    write("links/b/zero", b"linked")
    os.link("links/b/zero", "links/a/one")
    os.link("links/b/zero", "links/three")
    for n in (1, 2, 58, 59, 60, 61, 100, 150, 500, 1000, 1023, 3000, 4000):
        tried(os.symlink, "s" * n, f"links/sym{n}")
    os.symlink("../names/caf\u00e9", "links/utf8")
    os.symlink(b"\xff" * 120, b"links/bytes")
    os.link("links/sym60", "links/a/sym60", follow_symlinks=False)


def specials():
    os.mkdir("special")
    for name, kind, major, minor in (("null", stat.S_IFCHR, 1, 3), ("old", stat.S_IFBLK, 255, 255),
                                     ("new", stat.S_IFBLK, 259, 65535), ("max", stat.S_IFCHR, 4095, 1048575),
                                     ("zero", stat.S_IFCHR, 0, 0), ("minor", stat.S_IFCHR, 4, 300)):
        os.mknod("special/" + name, kind | 0o660, os.makedev(major, minor))
    os.mkfifo("special/fifo", 0o622)
    os.link("special/fifo", "special/fifo2")
    server = socket.socket(socket.AF_UNIX)
    server.bind("special/socket")
    server.close()


def owners():
    os.mkdir("owners")
    for n in (1, 65535, 65536, 2097151, 2097152, 4294967294):
        write(f"owners/{n}")
        os.chown(f"owners/{n}", n, n - 1)
    for mode in (0o4755, 0o2755, 0o6711, 0o1644, 0, 0o777):
        write(f"owners/mode{mode:o}", b"m", mode)
    os.mkdir("owners/sticky")
    os.chmod("owners/sticky", 0o1777)
    os.mkdir("owners/setgid")
    os.chown("owners/setgid", 7, 8)
    os.chmod("owners/setgid", 0o2770)


def sparse():
    os.mkdir("sparse")

    def make(name, size, pieces):
        with open("sparse/" + name, "wb") as f:
            for offset, length in pieces:
                f.seek(offset)
                f.write(rng.randbytes(length))
            f.truncate(size)

    make("hole", 3 << 20, [])
    make("front", 2 << 20, [((2 << 20) - 65536, 65536)])
    make("tail", 2 << 20, [(0, 65536)])
    make("odd", (1 << 20) + 77, [(0, 5), (524288, 100000), (1 << 20, 77)])
    make("many", 64 << 20, [(i * 131072, 65536) for i in range(300)])
    tried(make, "large", 20 << 30, [(0, 10), (9 << 30, 4096)])
    tried(make, "huge", 3 << 40, [(1 << 40, 4096)])
    make("unwritten", 65536, [(0, 4096)])
    fd = os.open("sparse/unwritten", os.O_RDWR)
    tried(os.posix_fallocate, fd, 65536, 1 << 20)
    os.close(fd)
    make("keep", 5000, [(0, 5000)])
    os.system("fallocate -n -l 1M sparse/keep 2>/dev/null")
    make("cut", 65536 * 2, [(0, 65536 * 2)])
    os.truncate("sparse/cut", 70001)


def attributes():
    os.mkdir("xattr")
    for name, list_ in (("small", [("user.a", b"1")]),
                        ("empty", [("user.empty", b"")]),
                        ("binary", [("user.bin", bytes(range(256))[:200]), ("user.nl", b"\n12 x=y\n\0")]),
                        ("many", [(f"user.key{i:02}", b"v" * i) for i in range(25)]),
                        ("large", [("user.large", rng.randbytes(900))]),
                        ("inode", [("user.inode", rng.randbytes(30000))]),
                        ("names", [("user.with space", b"s"), ("user.eq=x", b"e"), ("user.per%cent", b"p"),
                                   ("user.caf\u00e9", b"u"), ("user." + "n" * 250, b"long")]),
                        ("trusted", [("trusted.overlay.opaque", b"y"), ("trusted.x", b"\1\2")]),
                        ("cap", [("security.capability", struct.pack("<IIIII", 0x02000001, 0x400, 0, 0, 0))])):
        write("xattr/" + name, name.encode())
        for key, value in list_:
            tried(os.setxattr, "xattr/" + name, key, value)
    for i in range(20):
        write(f"xattr/shared{i}", b"")
        tried(os.setxattr, f"xattr/shared{i}", "user.same", b"x" * 300)
    tried(os.setxattr, "xattr", "user.dir", b"on a directory")
    os.symlink("nowhere", "xattr/symlink")
    tried(os.setxattr, "xattr/symlink", "trusted.on.link", b"l", follow_symlinks=False)
    os.mkdir("acl")
    write("acl/file", b"acl")
    tried(os.setxattr, "acl/file", "system.posix_acl_access", ACCESS)
    write("acl/large-id")
    tried(os.setxattr, "acl/large-id", "system.posix_acl_access", LARGE_ID)
    os.mkdir("acl/dir")
    tried(os.setxattr, "acl/dir", "system.posix_acl_access", ACCESS)
    tried(os.setxattr, "acl/dir", "system.posix_acl_default", DEFAULT)
    write("acl/dir/inherited", b"i")
    os.mkdir("acl/dir/below")
    write("acl/setuid", b"s", 0o4755)
    tried(os.setxattr, "acl/setuid", "system.posix_acl_access", ACCESS)
    tried(os.setxattr, "acl/setuid", "user.too", b"t")


def directories():
    os.mkdir("dirs")
    os.mkdir("dirs/empty")
    os.mkdir("dirs/tree")
    for i in range(3000):
        write(f"dirs/tree/{i * 2654435761 % (1 << 32):08x}-{'x' * (i % 60)}", b"%d" % i)
    for i in range(0, 3000, 3):
        os.unlink(f"dirs/tree/{i * 2654435761 % (1 << 32):08x}-{'x' * (i % 60)}")
    for n in (1, 2, 3, 5, 8):
        os.mkdir(f"dirs/inline{n}")
        for i in range(n):
            write(f"dirs/inline{n}/{'f' * i}{i}")


def times():
    os.mkdir("times")
    for name, when in (("1901", -2147483648), ("1969", -1), ("1970", 0), ("now", 1700000000), ("2038", 2147483647),
                       ("2039", 2147483648), ("2106", 4294967296), ("2243", 8589934592), ("2445", 15032385535)):
        for ns in (0, 1, 123456789, 999999999, 500000000):
            path = f"times/{name}.{ns}"
            write(path)
            tried(os.utime, path, ns=(when * 10**9 + ns, when * 10**9 + ns))
    os.utime("dirs/empty", ns=(10**18 + 1, 10**18 + 5))


os.umask(0o22)
os.chdir(sys.argv[1])
for part in (sizes, names, links, specials, owners, sparse, attributes, directories, times):
    part()
os.sync()
