# SPDX-License-Identifier: LGPL-2.1-or-later
# Copyright (C) 2026 the libcow authors
"""Device-mapper and loop devices through their ioctls (linux/dm-ioctl.h,
linux/loop.h), because a fork of dmsetup costs as much as a whole case."""
import errno
import fcntl
import os
import struct
import time

DM_HEADER = struct.Struct("=3IIIIiIIIQ128s129s7x")
DM_TARGET = struct.Struct("=QQiI16s")
DM_CREATE, DM_REMOVE, DM_SUSPEND, DM_LOAD, DM_STATUS, DM_TARGET_MSG = 3, 4, 6, 9, 12, 14
DM_FLAG_SUSPEND = 2
DM_FLAG_SKIP_LOCKFS = 1 << 10
LOOP_SET_FD, LOOP_CLR_FD, LOOP_CTL_GET_FREE = 0x4C00, 0x4C01, 0x4C82
LOOP_SET_BLOCK_SIZE = 0x4C09


def _dm(command, name, flags=0, nr_targets=0, payload=b""):
    buf = bytearray(16384)
    DM_HEADER.pack_into(buf, 0, 4, 0, 0, len(buf), DM_HEADER.size, nr_targets, 0, flags, 0, 0, 0,
                        name.encode(), b"")
    buf[DM_HEADER.size:DM_HEADER.size + len(payload)] = payload
    number = 3 << 30 | DM_HEADER.size << 16 | 0xfd << 8 | command
    fd = os.open("/dev/mapper/control", os.O_RDWR)
    try:
        fcntl.ioctl(fd, number, buf, True)
    finally:
        os.close(fd)
    return buf


def dm_create(name, sectors, kind, params):
    """Makes a device of one target; gives its node."""
    head = _dm(DM_CREATE, name)
    device = DM_HEADER.unpack_from(head)[10]
    try:
        dm_reload(name, sectors, kind, params)
    except OSError:
        _dm(DM_REMOVE, name)
        raise
    return "/dev/dm-%d" % (device & 0xff | device >> 12 & 0xfff00)


def dm_reload(name, sectors, kind, params):
    """Gives a device another table; running I/O waits."""
    text = params.encode() + b"\0"
    text += b"\0" * (-len(text) % 8)
    target = DM_TARGET.pack(0, sectors, 0, DM_TARGET.size + len(text), kind.encode()) + text
    _dm(DM_LOAD, name, nr_targets=1, payload=target)
    _dm(DM_SUSPEND, name, DM_FLAG_SUSPEND)
    _dm(DM_SUSPEND, name)  # without the flag: resume


def dm_freeze(name):
    """Stops a device when what was begun is done; a file system on it hears of nothing."""
    _dm(DM_SUSPEND, name, DM_FLAG_SUSPEND | DM_FLAG_SKIP_LOCKFS)


def dm_thaw(name):
    _dm(DM_SUSPEND, name)


def dm_remove(name):
    for attempt in range(100):
        try:
            return _dm(DM_REMOVE, name)
        except OSError as e:
            if e.errno != errno.EBUSY or attempt == 99:
                raise
            time.sleep(0.01)


def dm_status(name):
    """What "dmsetup status" prints behind the name of the target."""
    buf = _dm(DM_STATUS, name)
    start = DM_HEADER.unpack_from(buf)[4] + DM_TARGET.size
    return bytes(buf[start:buf.index(b"\0", start)]).decode()


def dm_message(name, text):
    """What "dmsetup message NAME 0 TEXT" does."""
    _dm(DM_TARGET_MSG, name, payload=struct.pack("=Q", 0) + text.encode() + b"\0")


def loop_attach(path, read_only=False, block_bytes=512):
    fd = os.open(path, os.O_RDONLY if read_only else os.O_RDWR)
    try:
        control = os.open("/dev/loop-control", os.O_RDWR)
        node = "/dev/loop%d" % fcntl.ioctl(control, LOOP_CTL_GET_FREE)
        os.close(control)
        loop = os.open(node, os.O_RDONLY if read_only else os.O_RDWR)
        try:
            fcntl.ioctl(loop, LOOP_SET_FD, fd)
            if block_bytes != 512:
                fcntl.ioctl(loop, LOOP_SET_BLOCK_SIZE, block_bytes)
        finally:
            os.close(loop)
    finally:
        os.close(fd)
    return node


def loop_detach(node):
    fd = os.open(node, os.O_RDONLY)
    try:
        fcntl.ioctl(fd, LOOP_CLR_FD)
    finally:
        os.close(fd)
