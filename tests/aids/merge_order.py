#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""usage: merge_order.py TRACE ORIGIN COW

Reads the strace of a merge and proves I1: a write to the COW image comes only
after a flush of the origin that covers everything written there, and the COW
image is flushed before the origin is written again and at the end.
"""
import re
import sys

trace, origin, cow = sys.argv[1:4]
origin_dirty = cow_dirty = False
origin_writes = cow_writes = 0
for line in open(trace, errors='replace'):
    found = re.match(r'(\w+)\(\d+<([^>]*)>', line)
    if not found or ' = -1 ' in line:
        continue
    call, path = found.groups()
    name = path.rsplit('/', 1)[-1]
    writes = call in ('pwrite64', 'pwritev', 'fallocate', 'copy_file_range') or (call == 'ioctl' and 'FICLONE' in line)
    if name == origin and writes:
        assert not cow_dirty, 'origin written while metadata is not durable: ' + line
        origin_dirty = True
        origin_writes += 1
    elif name == cow and writes:
        assert not origin_dirty, 'metadata written before the origin was flushed: ' + line
        cow_dirty = True
        cow_writes += 1
    elif name == origin and call == 'fdatasync':
        origin_dirty = False
    elif name == cow and call == 'fdatasync':
        cow_dirty = False
assert not origin_dirty and not cow_dirty, 'not flushed at the end'
assert origin_writes and cow_writes, 'no writes seen'
print(origin_writes, 'writes to the origin,', cow_writes, 'to the COW image')
