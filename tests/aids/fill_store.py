#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""usage: fill_store.py COW IMAGE CHUNK_BYTES

Fills the empty store COW (made by snapcreate) so that its view is IMAGE: every
chunk, in order, as a kernel would have written them one after the other."""
import struct
import sys

cow, image, chunk = sys.argv[1], sys.argv[2], int(sys.argv[3])
data = open(image, 'rb').read()
per_area = chunk // 16
records = []
new = 2
with open(cow, 'r+b') as f:
    for old in range(len(data) // chunk):
        area = len(records) // per_area
        if (new - 1) % (per_area + 1) == 0:
            new += 1
        f.seek(new * chunk)
        f.write(data[old * chunk:(old + 1) * chunk])
        records.append((old, new))
        new += 1
    for area in range(0, len(records), per_area):
        f.seek((1 + area // per_area * (per_area + 1)) * chunk)
        f.write(b''.join(struct.pack('<QQ', *r) for r in records[area:area + per_area]).ljust(chunk, b'\0'))
