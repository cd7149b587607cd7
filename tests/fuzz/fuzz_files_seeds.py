#!/usr/bin/python3 -B
# SPDX-License-Identifier: LGPL-2.1-or-later
# Copyright (C) 2026 the libcow authors
"""Makes the first inputs of fuzz_files: small file systems, out of mke2fs and debugfs.

usage: fuzz_files_seeds.py DIRECTORY. Each is the sectors that are not empty, as fuzz_files.c
has them; of two states the second one's sectors that differ come behind the first."""
import os
import struct
import subprocess
import sys
import tempfile

CSUM = "-t ext4 -O ^has_journal,^resize_inode,metadata_csum,64bit -I 256"
FILLED = ["mkdir a", "mkdir a/b", "write {small} a/b/file", "write {large} large", "symlink a/link b/file",
          "link a/b/file other", "mknod fifo p", "mknod null c 1 3", "ea_set a/b/file user.name value"]
STATES = (
    ("extents", CSUM, FILLED, ()),
    ("blocks", "-t ext2 -O ^resize_inode -I 128", FILLED, ()),
    ("inline", CSUM.replace("-O ", "-O inline_data,"), FILLED, ()),
    ("ea_inode", CSUM.replace("-O ", "-O ea_inode,"), FILLED + ["ea_set -f {large} large user.large"], ()),
    ("casefold", CSUM.replace("-O ", "-O casefold,"), FILLED + ["set_inode_field a flags 0x40080000"], ()),
    ("bigalloc", CSUM.replace("-O ", "-O bigalloc,") + " -C 2048", FILLED, ()),
    ("encrypted", CSUM.replace("-O ", "-O encrypt,"), FILLED + ["set_inode_field a flags 0x80800"], ()),
    ("cycle", CSUM, FILLED + ["link a a/b/up"], ()),
    ("indexed", "-t ext3 -O ^has_journal,^resize_inode,dir_index -I 128",
     ["mkdir d", "mknod p p"] + ["link p d/%s%03d" % ("n" * 120, i) for i in range(24)], ()),
    ("changed", CSUM, FILLED, ("rm large", "write {small} large", "ln a/b/file a/again", "unlink other",
                               "mkdir new", "set_inode_field a/b/file mode 0100600")),
    ("changed-blocks", "-t ext2 -O ^resize_inode -I 128", FILLED, ("rm a/b/file", "mkdir c", "write {large} c/l")),
)


def debugfs(image, commands, names):
    text = "".join(command.format(**names) + "\n" for command in commands)
    subprocess.run(["debugfs", "-w", "-f", "/dev/stdin", image], input=text.encode(), check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def sectors(image):
    """Without what is left in blocks that are free."""
    with open(image, "rb") as f:
        data = f.read()
    cluster = 1 << struct.unpack_from("<I", data, 1024 + 28)[0]  # in blocks of 1 KiB
    bitmap = 1024 * struct.unpack_from("<I", data, 2048)[0]

    def is_used(block):
        at = (block - 1) // cluster
        return block < 1 or data[bitmap + at // 8] >> at % 8 & 1

    return [data[at:at + 512] if is_used(at // 1024) else bytes(512) for at in range(0, len(data), 512)]


def main(directory):
    with tempfile.TemporaryDirectory() as work:
        names = {}
        for name, text in ("small", "some bytes\n"), ("large", "0123456789abcdef" * 100):
            names[name] = os.path.join(work, name)
            with open(names[name], "w") as f:
                f.write(text)
        for name, options, first, second in STATES:
            image = os.path.join(work, "image")
            subprocess.run(["mke2fs", "-q", "-F", "-b", "1024", "-N", "24", "-m", "0", *options.split(), image, "1M"],
                           check=True)
            debugfs(image, first, names)
            if "dir_index" in options:
                subprocess.run(["e2fsck", "-fyD", image], check=False, stdout=subprocess.DEVNULL)
            debugfs(image, ["rmdir lost+found"], names)
            old = sectors(image)
            debugfs(image, second, names)
            new = sectors(image)
            last = [(i, new[i]) for i in range(len(new)) if new[i] != old[i]]
            records = [(i, old[i]) for i in range(len(old)) if any(old[i])] + last
            with open(os.path.join(directory, name), "wb") as f:
                f.write(bytes([len(last)]) + b"".join(struct.pack("<H", i) + data for i, data in records))
            print(name, len(records), len(last))


main(sys.argv[1])
