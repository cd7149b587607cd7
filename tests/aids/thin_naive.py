# SPDX-License-Identifier: LGPL-2.1-or-later
# Copyright (C) 2026 the libcow authors
"""A naive reader and checker of the metadata of a thin pool: cow-thin(5) in the simplest
way. It shares nothing with libcow. "Pool" says what each device shows to a kernel, and
what contradicts the format."""
import struct

BLOCK = 4096
SUPER, NODE, INDEX, BITMAP = 160774, 121107, 160478, 240779
PER_BITMAP = 16320
EIO = "EIO"

TABLE = []
for n in range(256):
    for _ in range(8):
        n = n >> 1 ^ 0x82F63B78 if n & 1 else n >> 1
    TABLE.append(n)


def crc(data):
    value = 0xffffffff
    for byte in data:
        value = TABLE[(value ^ byte) & 255] ^ value >> 8
    return value


def seal(raw, constant):
    """The block with its checksum put right."""
    return struct.pack("<I", crc(raw[4:]) ^ constant) + raw[4:]


def kind_of(raw):
    """The constant in the checksum of a block, or None."""
    found = struct.unpack_from("<I", raw)[0] ^ crc(raw[4:])
    return found if found in (SUPER, NODE, INDEX, BITMAP) else None


class Fault(Exception):
    pass


class Pool:
    """blocks: a list of bytes. kinds: of each block, what kind_of() says."""

    def __init__(self, blocks, kinds, nr_data_device):
        self.blocks, self.kinds, self.wrong = blocks, kinds, []
        self.counts, self.data = {0: 1}, {}
        self.nr_data_device = nr_data_device
        self.read_super()

    def say(self, what):
        self.wrong.append(what)

    def read_super(self):
        raw = self.blocks[0]
        if self.kinds[0] != SUPER or struct.unpack_from("<Q", raw, 8)[0] or \
                struct.unpack_from("<Q", raw, 32)[0] != 27022010:
            raise Fault("superblock")
        self.flags = struct.unpack_from("<I", raw, 4)[0]
        self.time, = struct.unpack_from("<I", raw, 44)
        self.held, = struct.unpack_from("<Q", raw, 56)
        self.dsm = struct.unpack_from("<4Q", raw, 64)
        self.msm = struct.unpack_from("<4Q", raw, 192)
        self.top, self.details = struct.unpack_from("<2Q", raw, 320)
        self.block_sectors, = struct.unpack_from("<I", raw, 336)
        if struct.unpack_from("<2I", raw, 356) != (0, 0) or self.block_sectors % 128 or \
                not 128 <= self.block_sectors <= 2097152:
            raise Fault("superblock")

    # ------------------------------------------------------------ as the kernel reads

    def node(self, number):
        """flags, keys, values as bytes; what the kernel checks of it."""
        if number >= len(self.blocks) or self.kinds[number] != NODE:
            raise Fault("node %d" % number)
        raw = self.blocks[number]
        flags, where, nr, most, size = struct.unpack_from("<IQIII", raw, 4)
        if where != number or 32 + (8 + size) * most > BLOCK or nr > most or not flags & 3:
            raise Fault("node %d" % number)
        keys = struct.unpack_from("<%dQ" % nr, raw, 32)
        start = 32 + 8 * most
        return flags, keys, [raw[start + size * i:start + size * (i + 1)] for i in range(nr)], most, size

    def lookup(self, root, key):
        for _ in range(20):
            flags, keys, values, _, _ = self.node(root)
            low, high = -1, len(keys)
            while high - low > 1:
                middle = low + (high - low) // 2
                if keys[middle] == key:
                    low = middle
                    break
                if keys[middle] < key:
                    low = middle
                else:
                    high = middle
            if flags & 2:
                return values[low] if 0 <= low < len(keys) and keys[low] == key else None
            if low < 0:
                return None
            root = struct.unpack("<Q", values[low][:8].ljust(8, b"\0"))[0]
        raise Fault("loop")

    def view(self, ident, nr_blocks):
        """What each block of a device shows: a data block, None or EIO; False: it cannot be opened."""
        try:
            details = self.lookup(self.details, ident)
        except Fault:
            details = None
        if details is None or len(details) < 24:
            return False
        return [self.view_block(ident, block) for block in range(nr_blocks)]

    def view_block(self, ident, block):
        try:
            root = self.lookup(self.top, ident)
            if root is None:
                return None
            value = self.lookup(struct.unpack("<Q", root[:8].ljust(8, b"\0"))[0], block)
        except Fault:
            return EIO
        if value is None:
            return None
        data = struct.unpack("<Q", value[:8].ljust(8, b"\0"))[0] >> 24
        return data if data < self.nr_data_device else EIO

    # ------------------------------------------------------------ the rules

    def tree(self, root, size, first=0, last=2**64 - 1, seen=None, is_root=True):
        """Entries of a tree, each node once; counts its nodes."""
        self.counts[root] = self.counts.get(root, 0) + 1
        seen = {} if seen is None else seen
        if root in seen:
            return seen[root]
        seen[root] = (0, [])
        try:
            flags, keys, values, most, found = self.node(root)
        except Fault as e:
            self.say(str(e))
            return seen[root]
        wanted = size if flags == 2 else 8
        if flags not in (1, 2) or found != wanted or most != (BLOCK - 32) // (8 + wanted) // 3 * 3 or \
                list(keys) != sorted(set(keys)) or (not keys and (flags == 1 or not is_root)):
            self.say("node %d" % root)
            return seen[root]
        if keys and (keys[0] < first or keys[-1] > last):
            self.say("keys of node %d" % root)
        if flags == 2:
            seen[root] = (1, list(zip(keys, values)))
            return seen[root]
        heights, entries = set(), []
        for i, key in enumerate(keys):
            child, = struct.unpack("<Q", values[i])
            if child >= len(self.blocks):
                self.say("child %d" % child)
                continue
            height, below = self.tree(child, size, key, keys[i + 1] - 1 if i + 1 < len(keys) else last, seen, False)
            heights.add(height)
            entries += below
        if len(heights) > 1 or 0 in heights:
            self.say("height of node %d" % root)
        seen[root] = (max(heights, default=0) + 1, entries)
        return seen[root]

    def check(self):
        """What is wrong, in words. Pools with a metadata snapshot are not looked at."""
        if self.flags & 1:
            self.say("needs a check")
        details = {k: struct.unpack("<QQII", v) for k, v in self.tree(self.details, 24)[1]}
        top = {k: struct.unpack("<Q", v)[0] for k, v in self.tree(self.top, 8)[1]}
        if set(details) != set(top) or any(k >= 1 << 24 for k in top):
            self.say("ids")
        seen, devices = {}, {}
        own = set(self.counts)
        for ident, root in top.items():
            devices[ident] = self.tree(root, 8, seen=seen)[1] if root < len(self.blocks) else []
            if ident in details and details[ident][0] != len(devices[ident]):
                self.say("mapped blocks of %d" % ident)
        if own & set(seen):
            self.say("a node of two trees")
        self.check_data(details, devices, seen)
        # the device is so long for blocks of 64 KiB
        self.check_map(self.dsm, self.data, True, self.nr_data_device * 128 // self.block_sectors)
        self.check_map(self.msm, self.counts, False, len(self.blocks))
        return self.wrong

    def check_data(self, details, devices, seen):
        for height, entries in seen.values():
            for _, value in entries if height == 1 else ():
                number = struct.unpack("<Q", value)[0] >> 24
                self.data[number] = self.data.get(number, 0) + 1
        if any(n >= self.dsm[0] for n in self.data):
            self.say("a mapping beyond the data")
        owners = {}
        for ident, entries in devices.items():
            for _, value in entries:
                owners.setdefault(struct.unpack("<Q", value)[0] >> 24, set()).add(ident)
        for ident, entries in devices.items():
            for _, value in entries:
                value, = struct.unpack("<Q", value)
                if value & 0xffffff > self.time:
                    self.say("time of a mapping")
                if (len(owners[value >> 24]) > 1 or self.data[value >> 24] > 1) and ident in details and \
                        value & 0xffffff >= details[ident][3]:
                    self.say("a shared block of %d" % ident)
            if ident in details and max(details[ident][2:]) > self.time:
                self.say("details of %d" % ident)

    def index(self, root, is_disk):
        nr = -(-root[0] // PER_BITMAP)
        if is_disk:
            entries = self.tree(root[2], 16)[1]
            if len(entries) != nr or any(k != i for i, (k, _) in enumerate(entries)):
                self.say("index")
            return [struct.unpack("<QII", v) for _, v in entries]
        self.counts[root[2]] = self.counts.get(root[2], 0) + 1
        if root[2] >= len(self.blocks) or self.kinds[root[2]] != INDEX or \
                struct.unpack_from("<Q", self.blocks[root[2]], 8)[0] != root[2]:
            self.say("index")
            return []
        return [struct.unpack_from("<QII", self.blocks[root[2]], 16 + 16 * i) for i in range(min(nr, 255))]

    def check_map(self, root, wanted, is_disk, nr_device):
        if root[0] > nr_device:
            self.say("size")
        entries = self.index(root, is_disk)
        large = {k: struct.unpack("<I", v)[0] for k, v in self.tree(root[3], 4)[1]}
        bitmaps = []
        for entry in entries:
            self.counts[entry[0]] = self.counts.get(entry[0], 0) + 1
            bitmaps.append(entry)
        nr_used = 0
        for number, (block, nr_free, first_free) in enumerate(bitmaps):
            if block >= len(self.blocks) or self.kinds[block] != BITMAP or \
                    struct.unpack_from("<Q", self.blocks[block], 8)[0] != block:
                self.say("bitmap")
                continue
            bits = [self.blocks[block][16 + e // 4] >> e % 4 * 2 & 3 for e in range(PER_BITMAP)]
            counts = [(b & 1) << 1 | b >> 1 for b in bits]
            for e, count in enumerate(counts):
                at = number * PER_BITMAP + e
                if count == 3:
                    if large.get(at, 0) < 3:
                        self.say("large count of %d" % at)
                    count = large.pop(at, 3)
                elif at in large:
                    self.say("large count of %d" % at)
                if count != wanted.get(at, 0) and at < root[0]:
                    self.say("%s count of %d" % ("data" if is_disk else "metadata", at))
            used = sum(1 for c in counts if c)
            nr_used += used
            if nr_free != PER_BITMAP - used and nr_free != min(PER_BITMAP, root[0] - number * PER_BITMAP) - used:
                self.say("free entries")
            if 0 in counts and first_free > counts.index(0):
                self.say("first free entry")
        if not is_disk and nr_used and root[0] - min(nr_used, root[0]) <= min(root[0] // 10, 4096):
            self.say("no room in the metadata")
        if nr_used not in (root[1], root[1] - (not is_disk)):
            self.say("allocated")
