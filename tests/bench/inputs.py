# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the benches work on: images, stores and overlays of the same chunks."""
import os
import random
import struct
import subprocess

MIB = 1 << 20
GIB = 1 << 30


def settle(path):
    """Makes a file durable, so that nobody else's race pays for it."""
    fd = os.open(path, os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)


def warm(path):
    """Reads the data of a file into the cache."""
    with open(path, 'rb', buffering=0) as f:
        for start, end in data_ranges(f.fileno()):
            f.seek(start)
            while start < end:
                start += len(f.read(min(MIB, end - start)))


def data_ranges(fd):
    at, size = 0, os.fstat(fd).st_size
    while at < size:
        try:
            start = os.lseek(fd, at, os.SEEK_DATA)
        except OSError:
            return
        at = os.lseek(fd, start, os.SEEK_HOLE)
        yield start, at


def make_data(path, size, ranges=None):
    """An image of size bytes with data (never zeros) in ranges, default all."""
    block = random.Random(path.rsplit('/', 1)[-1]).randbytes(MIB).replace(b'\0', b'\1')
    with open(path, 'wb', buffering=0) as f:
        f.truncate(size)
        for start, length in ranges or [(0, size)]:
            f.seek(start)
            for at in range(start, start + length, MIB):
                turn = at * 31 // 4096 % MIB
                f.write((block[turn:] + block[:turn])[:min(MIB, start + length - at)])
    settle(path)


class Store:
    """A store whose records, in the order given, map each old chunk to the next
    free chunk of the COW image, as the kernel hands them out. data(n) gives the
    bytes of the n-th; None leaves a hole."""

    def __init__(self, path, chunk, olds, data=None):
        self.path, self.chunk, self.olds = path, chunk, olds
        self.per_area = chunk // 16
        self.metadata = {0: struct.pack('<4sIII', b'SnAp', 1, 1, chunk // 512).ljust(512, b'\0')}
        for first in range(0, len(olds) + 1, self.per_area):
            records = b''.join(struct.pack('<QQ', olds[i], self.new(i))
                               for i in range(first, min(first + self.per_area, len(olds))))
            self.metadata[self.new(first) * chunk - chunk] = records.ljust(chunk, b'\0')
        with open(path, 'wb', buffering=MIB) as f:
            f.truncate((self.new(len(olds)) + 1) * chunk)
            for i in range(len(olds) if data else 0):
                f.seek(self.new(i) * chunk)
                f.write(data(i))
        self.refill()

    def new(self, index):
        return 2 + index + index // self.per_area

    def refill(self):
        """Puts the records back that a merge has taken away."""
        fd = os.open(self.path, os.O_WRONLY)
        for offset, block in self.metadata.items():
            os.pwrite(fd, block, offset)
        os.fsync(fd)
        os.close(fd)

    def pairs(self, path):
        """Writes what floor.c reads: the moves, in the order of the origin."""
        moves = sorted((old * self.chunk, self.new(i) * self.chunk) for i, old in enumerate(self.olds))
        with open(path, 'wb') as f:
            f.write(b''.join(struct.pack('=QQ', *move) for move in moves))

    def kernel_steps(self):
        """How many steps the kernel's merge takes, each with a flush of the origin
        and one of the COW image: one for each run within an area."""
        return sum(1 for i, old in enumerate(self.olds)
                   if i % self.per_area == 0 or old != self.olds[i - 1] + 1)


def make_overlay(path, base, size, cluster, olds, data):
    """A qcow2 overlay of the same chunks in the same order: what qemu makes of
    it takes minutes to write. "qemu-img check" has no complaint."""
    bits = cluster.bit_length() - 1
    per_l2 = cluster // 8
    nr_l2 = -(-size // (cluster * per_l2))
    l1_clusters = -(-nr_l2 * 8 // cluster)
    per_block = cluster // 2
    nr_blocks = -(-(len(olds) + nr_l2 + l1_clusters + 64) // per_block) + 1
    table_clusters = -(-nr_blocks * 8 // cluster)
    l1_at = 1
    table_at = l1_at + l1_clusters
    blocks_at = table_at + table_clusters
    l2_at = blocks_at + nr_blocks
    data_at = l2_at + nr_l2
    name = os.path.basename(base).encode()
    fields = struct.pack('>4sIQIIQIIQQIIQQQQII', b'QFI\xfb', 3, 104 + 24, len(name), bits, size, 0,
                         nr_l2, l1_at << bits, table_at << bits, table_clusters, 0, 0, 0, 0, 0, 4, 104)
    header = fields + struct.pack('>II8sQ', 0xe2792aca, 3, b'raw', 0) + name
    copied = 1 << 63
    l2 = [bytearray(cluster) for _ in range(nr_l2)]
    for i, old in enumerate(olds):
        struct.pack_into('>Q', l2[old // per_l2], old % per_l2 * 8, copied | (data_at + i) << bits)
    used = data_at + len(olds)
    with open(path, 'wb', buffering=MIB) as f:
        f.write(header.ljust(cluster, b'\0'))
        f.write(b''.join(struct.pack('>Q', copied | (l2_at + i) << bits)
                         for i in range(nr_l2)).ljust(l1_clusters * cluster, b'\0'))
        f.write(b''.join(struct.pack('>Q', (blocks_at + i) << bits)
                         for i in range(nr_blocks)).ljust(table_clusters * cluster, b'\0'))
        f.write((b'\0\1' * used).ljust(nr_blocks * cluster, b'\0'))
        f.write(b''.join(l2))
        for i in range(len(olds)):
            f.write(data(i))
    settle(path)


class LoopFs:
    """A file system on a loop device, mounted; its options are mkfs's."""

    def __init__(self, mkfs, image, size, where):
        self.where = where
        with open(image, 'wb') as f:
            f.truncate(size)
        subprocess.run(mkfs + [image], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.makedirs(where)
        self.loop = subprocess.run(['losetup', '-f', '--show', image], check=True,
                                   stdout=subprocess.PIPE, text=True).stdout.strip()
        subprocess.run(['mount', self.loop, where], check=True)
        self.image = image

    def written_bytes(self):
        subprocess.run(['sync', '-f', self.where], check=True)
        with open(f'/sys/block/{self.loop.rsplit("/", 1)[-1]}/stat') as f:
            return int(f.read().split()[6]) * 512

    def close(self):
        subprocess.run(['umount', self.where], check=True)
        subprocess.run(['losetup', '-d', self.loop], check=True)
        os.unlink(self.image)


def make_snaplog(path, size, block, nr):
    """A log of the driver of 2001 with nr scattered blocks of a source of size bytes,
    and the rest of its specification."""
    count = size // block
    per_map = block // 8
    bitmap_blocks = -(-count // (8 * block))
    base = bitmap_blocks + -(-count // per_map)
    bits = bytearray(bitmap_blocks * block)
    table = bytearray((base - bitmap_blocks) * block)
    for i, key in enumerate(random.Random(5).sample(range(count), nr)):
        bits[key // 8] |= 1 << key % 8
        struct.pack_into('<I', table, key // per_map * block + key % per_map * 4, base + i)
    with open(path, 'wb') as f:
        f.write(bits)
        f.write(table)
        f.truncate((base + nr) * block)
    return f'block={block},word=4,endian=little,key=block,bitmap=packed,map=half'
