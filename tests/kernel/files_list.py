#!/usr/bin/python3 -B
# SPDX-License-Identifier: LGPL-2.1-or-later
# Copyright (C) 2026 the libcow authors
"""Prints everything about the files below a directory, one line each, sorted.
usage: files_list.py DIR, or files_list.py --tar FILE for what Python's tarfile
sees (without attributes). Sockets are left out, as archives leave them out."""

import hashlib
import os
import stat
import sys
import tarfile

UNIT = 4096


def escape(raw):
    return "".join(chr(b) if 33 <= b < 127 and b != 92 else f"\\x{b:02x}" for b in raw)


def digest(read, size, ranges):
    """Of the units that are not all zero, with their places."""
    sha = hashlib.sha256(str(size).encode())
    for start, end in ranges:
        for at in range(start - start % UNIT, end, UNIT):
            unit = read(at, min(UNIT, size - at))
            if unit.strip(b"\0"):
                sha.update(b"%d:" % at + unit)
    return sha.hexdigest()[:24]


def data_ranges(fd, size):
    at, ranges = 0, []
    while at < size:
        try:
            start = os.lseek(fd, at, os.SEEK_DATA)
        except OSError:
            break
        try:
            at = os.lseek(fd, start, os.SEEK_HOLE)
        except FileNotFoundError:
            at = start + 1  # inside the inode, and the file is longer: what ext4 answers
        start -= start % UNIT
        end = min(-(-at // UNIT) * UNIT, size)
        if ranges and start <= ranges[-1][1]:
            ranges[-1][1] = end
        else:
            ranges.append([start, end])
    return ranges


def describe(path, first_names, with_attributes):
    st = os.lstat(path)
    kind = stat.S_IFMT(st.st_mode)
    fields = [f"{st.st_mode:06o}", f"{st.st_uid}:{st.st_gid}", str(st.st_mtime_ns)]
    if kind != stat.S_IFDIR and st.st_nlink > 1:
        fields.append("same=" + escape(first_names.setdefault(st.st_ino, path)))
    if kind in (stat.S_IFBLK, stat.S_IFCHR):
        fields.append(f"{os.major(st.st_rdev)},{os.minor(st.st_rdev)}")
    if kind == stat.S_IFLNK:
        fields.append("-> " + escape(os.readlink(path)))
    if kind == stat.S_IFREG:
        fd = os.open(path, os.O_RDONLY)
        ranges = data_ranges(fd, st.st_size)
        fields += [str(st.st_size), digest(lambda at, n: os.pread(fd, n, at), st.st_size, ranges)]
        if with_attributes:
            fields.append("data=" + ",".join(f"{a}-{b}" for a, b in ranges)[:300])
        os.close(fd)
    if with_attributes and kind != stat.S_IFSOCK:
        for key in sorted(os.listxattr(path, follow_symlinks=False)):
            value = os.getxattr(path, key, follow_symlinks=False)
            fields.append(f"{escape(os.fsencode(key))}={hashlib.sha256(value).hexdigest()[:12]}")
    return " ".join(fields)


def list_tree(root, with_attributes):
    os.chdir(root)
    first_names = {}
    found = [b"."]
    for top, dirs, files in os.walk(b"."):
        found += [os.path.join(top, name) for name in dirs + files]
    for path in sorted(found):
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            print(escape(path), describe(path, first_names, with_attributes))


KINDS = {tarfile.REGTYPE: stat.S_IFREG, tarfile.GNUTYPE_SPARSE: stat.S_IFREG, tarfile.SYMTYPE: stat.S_IFLNK,
         tarfile.DIRTYPE: stat.S_IFDIR, tarfile.FIFOTYPE: stat.S_IFIFO, tarfile.CHRTYPE: stat.S_IFCHR,
         tarfile.BLKTYPE: stat.S_IFBLK}


def list_tar(name):
    """The same lines, without times (tarfile keeps them as floating point) and
    without the "same=" of hard links, which is told apart."""
    lines = []
    with tarfile.open(name, encoding="utf-8", errors="surrogateescape") as tar:
        for m in tar:
            path = os.path.normpath(b"./" + os.fsencode(m.name))
            path = path if path == b"." else b"./" + path
            if m.islnk():
                lines.append((path, "link " + escape(os.path.normpath(os.fsencode(m.linkname)))))
                continue
            fields = [f"{KINDS[m.type] | m.mode:06o}", f"{m.uid}:{m.gid}"]
            if m.isdev() and not m.isfifo():
                fields.append(f"{m.devmajor},{m.devminor}")
            if m.issym():
                fields.append("-> " + escape(os.fsencode(m.linkname)))
            if m.isreg():
                f = tar.extractfile(m)
                ranges = [(a, a + n) for a, n in m.sparse if n] if m.sparse else [(0, m.size)]

                def read(at, n):
                    f.seek(at)
                    return f.read(n)

                fields += [str(m.size), digest(read, m.size, ranges)]
            lines.append((path, " ".join(fields)))
    for path, line in sorted(lines):
        print(escape(path), line)


if sys.argv[1] == "--tar":
    list_tar(sys.argv[2])
elif sys.argv[1] == "--plain":
    list_tree(sys.argv[2], False)
else:
    list_tree(sys.argv[1], True)
