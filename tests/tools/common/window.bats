#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# The snapshot of a whole disk, and a partition of the disk named as the origin:
# laid over the partition it would show old content in the wrong places.
bats_require_minimum_version 1.8.0
load ../../common

setup() {
	cd "$BATS_TEST_TMPDIR"
	mkdir src
	echo old >src/hello
	mke2fs -q -F -t ext4 -O ^has_journal -d src part.img 12M
	truncate -s 20M disk.img
	# one partition of type 83, sectors 10240 and following
	poke disk.img 450 '\203\0\0\0\0\050\0\0\0\140\0\0'
	poke disk.img 510 '\125\252'
	dd if=part.img of=disk.img bs=1M seek=5 conv=notrunc status=none
	cp part.img used.img
	echo changed >hello
	debugfs -w -R "rm hello" used.img 2>/dev/null
	debugfs -w -R "write hello hello" used.img 2>/dev/null
	debugfs -w -R "ssv mnt_count 7" used.img 2>/dev/null
	cp disk.img disk2.img
	dd if=used.img of=disk2.img bs=1M seek=5 conv=notrunc status=none
	snapcreate -q --from=disk2.img disk.img disk.cow
	snapcreate -q --from=used.img part.img part.cow
	part=disk.img@5M+12M
	sha256sum disk.img disk.cow part.cow >sums
}

# refused ORIGIN COW: by every tool, and it says which whole is meant.
refused() {
	for command in "snapdump --files -o new" "snapdump --raw -o new" "snapdump --tar -o new" "snapmerge -y" \
		"snapmerge -n -y" "snapmerge -y -o new" snapcheck "snapcheck -y"; do
		# shellcheck disable=SC2086
		run -64 --separate-stderr $command "$1" "$2"
		one_sentence
		[[ $stderr == *"$2 seems to be the snapshot of disk.img as a whole, not of the part $1"*"--force=origin" ]] ||
			{ echo "$command $1: $stderr"; return 1; }
		[ ! -e new ]
	done
	run -64 snapcreate --from-view="$2" "$1" new
	[ ! -e new ]
	sha256sum --quiet -c sums
}

# bats test_tags=long
@test "the snapshot of the disk is refused over a partition of it, by every tool" {
	refused $part disk.cow
	refused part:disk.img:1 disk.cow
	refused disk.img@5M+6M,11M+6M disk.cow
	refused window:5M+12M:disk.img disk.cow
	snapdump -q --raw --force=origin -o new $part disk.cow
}

# bats test_tags=long
@test "the snapshot of the partition is taken for what it is" {
	run -0 snapcheck $part part.cow
	snapdump -q --files -o files.tar $part part.cow
	[ "$(tar -xOf files.tar hello)" = changed ]
	# The partition as it is, without a change to its superblock: not judged.
	cp part.img other.img
	echo x | dd of=other.img bs=1M seek=9 conv=notrunc status=none
	snapcreate -q --from=other.img part.img late.cow
	run -0 snapcheck $part late.cow
}

# bats test_tags=long
@test "exceptions beyond the part that lie on the disk: it is the disk's snapshot" {
	# Nothing known at its beginning, there or here: only the numbers tell.
	truncate -s 0 disk.img
	head -c 20M /dev/urandom >disk.img
	cp disk.img disk3.img
	echo far | dd of=disk3.img bs=1M seek=18 conv=notrunc status=none
	snapcreate -q --force=overwrite --from=disk3.img disk.img disk.cow
	sha256sum disk.img disk.cow >sums
	refused $part disk.cow
	refused disk.img@0+12M disk.cow
	# Beyond the disk, too: another disk's, or damaged.
	truncate -s 16M disk.img
	run -64 --separate-stderr snapdump --raw -o new disk.img@0+12M disk.cow
	[[ $stderr == *"the origin has 3072 chunks"* ]]
}

# bats test_tags=long
@test "a file system that only the disk's view has: it is the disk's snapshot" {
	# The partition was blank when the snapshot was taken.
	dd if=/dev/zero of=disk.img bs=1M seek=5 count=12 conv=notrunc status=none
	snapcreate -q --force=overwrite --from=disk2.img disk.img disk.cow
	sha256sum disk.img disk.cow >sums
	refused $part disk.cow
	# Or it held another one.
	mke2fs -q -F -t ext4 disk.img -E offset=5242880 12M
	snapcreate -q --force=overwrite --from=disk2.img disk.img disk.cow
	sha256sum disk.img disk.cow >sums
	refused $part disk.cow
}

# bats test_tags=long
@test "a volume of a disk, and the snapshot of the disk as a whole" {
	cp "$COW_UNPACKED/lvm/whole/disk0.img" disk.img
	snapdump -q --raw -o lv.img lvm:disk.img:vg0/base
	cp disk.img disk2.img
	debugfs -w -R "ssv mnt_count 7" lv.img 2>/dev/null
	run -0 snapcheck --list disk.img
	# where it begins on the disk
	at=$(LC_ALL=C grep -obUaP '\x53\xef' disk.img | head -1 | cut -d: -f1)
	at=$((at - 1024 - 56))
	dd if=lv.img of=disk2.img bs=512 seek=$((at / 512)) count=256 conv=notrunc status=none
	snapcreate -q --force=overwrite --from=disk2.img disk.img disk.cow
	sha256sum disk.img disk.cow >sums
	refused lvm:disk.img:vg0/base disk.cow
}

# bats test_tags=long
@test "--files of a whole disk: the way out that is named leads there" {
	local base
	for base in "disk.img disk.cow" disk.img; do
		# shellcheck disable=SC2086
		run -64 --separate-stderr snapdump --files -o f.tar $base
		one_sentence
		[[ $stderr == *"a disk with a partition table; name the partition: --partition=N"* ]]
	done
	snapdump -q --files --partition=1 -o f.tar disk.img disk.cow
	[ "$(tar -xOf f.tar hello)" = changed ]
	snapdump -q --files --partition=1 -o g.tar disk.img
	[ "$(tar -xOf g.tar hello)" = old ]
	snapdump -q --files -o h.tar $part
	[ "$(tar -xOf h.tar hello)" = old ]
}

# bats test_tags=long
@test "a partition of the view is what that partition of the written view is, in each mode" {
	snapdump -q --raw -o view.img disk.img disk.cow
	dd if=view.img of=want.img bs=1M skip=5 count=12 status=none
	snapdump -q --raw --partition=1 -o part1.img disk.img disk.cow
	cmp want.img part1.img
	snapdump -q --tar --partition=1 -o part1.tar disk.img disk.cow
	tar -xOf part1.tar view.img | cmp - want.img
	# The difference to the same partition of the origin makes a layer of it.
	run -0 snapdump -q --delta --partition=1 -o delta.tar disk.img disk.cow
	dd if=disk.img of=base.img bs=1M skip=5 count=12 status=none
	snapcreate -q --import=delta.tar base.img layer.cow
	snapdump -q --raw -o - base.img layer.cow | cmp - want.img
	snapdump -q --tar --partition=1 -o before.tar disk.img
	tar -xOf before.tar manifest.json >before.json
	snapdump -q --delta --against=before.json --partition=1 -o delta2.tar disk.img disk.cow
	snapcreate -q --import=delta2.tar base.img layer2.cow
	snapdump -q --raw -o - base.img layer2.cow | cmp - want.img
	run -8 --separate-stderr snapdump --raw --partition=3 -o new disk.img disk.cow
	one_sentence
	run -16 snapdump --map=ddrescue --partition=1 disk.img disk.cow
	run -16 snapdump --raw --partition=1 --skip-unreadable -o new disk.img disk.cow
	[ ! -e new ]
}

# map_of_part WHOLE PLACES SIZE: the map of a part, out of that of the whole. PLACES: for each
# sector of the part the number of that of the whole, 8 bytes.
map_of_part() {
	python3 - "$@" <<-'END'
	import struct, sys
	ranges = [tuple(map(int, line.split()[:2])) for line in open(sys.argv[1]) if line[0] != "#"]
	held = {s for at, length in ranges for s in range(at // 512, (at + length) // 512)}
	places = struct.unpack("<%dQ" % (int(sys.argv[3]) // 512), open(sys.argv[2], "rb").read())
	out, total = [], 0
	for sector, place in enumerate(places):
	    if place in held:
	        if out and sum(out[-1]) == sector * 512:
	            out[-1][1] += 512
	        else:
	            out.append([sector * 512, 512])
	        total += 512
	print("# libcow map 1\n# view " + sys.argv[3])
	for run in out:
	    print(*run)
	print("# complete: %d ranges, %d bytes" % (len(out), total))
	assert out
	END
}

# bats test_tags=long
@test "--map of a partition or a volume inside the view: what of it the layers hold" {
	snapdump -q --map disk.img disk.cow >whole
	python3 -c 'import struct
open("places", "wb").write(b"".join(struct.pack("<Q", 10240 + i) for i in range(24576)))'
	snapdump -q --map --partition=1 disk.img disk.cow | diff <(map_of_part whole places 12582912) -
	snapdump -q --map --partition=1 --json disk.img disk.cow >j
	[ "$(member j 'len(j["ranges"])')" = "$(snapdump -q --map --partition=1 disk.img disk.cow | grep -vc '^#')" ]

	# A volume in pieces, in the middle of chunks: its sectors say where they lie.
	disks three-chunk-sizes
	lvm_text edit $'segment_count = 1\n\nsegment1 {\nstart_extent = 0\nextent_count = 6\n\ntype = "striped"\nstripe_count = 1\n\nstripes = [\n"pv0", 20\n]\n}' \
		$'segment_count = 2\n\nsegment1 {\nstart_extent = 0\nextent_count = 5\n\ntype = "striped"\nstripe_count = 1\n\nstripes = [\n"pv0", 21\n]\n}\n\nsegment2 {\nstart_extent = 5\nextent_count = 1\n\ntype = "striped"\nstripe_count = 1\n\nstripes = [\n"pv0", 20\n]\n}' disk0.img
	python3 - <<-'END'
	import struct
	data = bytearray(open("disk0.img", "rb").read())
	for at in range(1 << 20, len(data), 512):
	    data[at:at + 512] = struct.pack("<Q", at // 512) + bytes(504)
	open("stamped", "wb").write(data)
	for at in range((1 << 20) + 5000, len(data), 333333):
	    data[at] ^= 1
	open("changed", "wb").write(data)
	END
	snapcreate -q -c 32k --from=changed stamped layer.cow
	snapdump -q --raw --volume=vg0/snap1 -o - stamped | python3 -c 'import sys
data = sys.stdin.buffer.read()
open("places", "wb").write(b"".join(data[i:i + 8] for i in range(0, len(data), 512)))
print(len(data))' >size
	snapdump -q --map stamped layer.cow >whole
	snapdump -q --map --volume=vg0/snap1 stamped layer.cow | diff <(map_of_part whole places "$(cat size)") -
}

# bats test_tags=long
@test "a volume of LVM inside the view of a whole disk, and where it lies in a partition" {
	disks mbr-logical
	snapdump -q --raw -o snap.img lvm:disk0.img:vg0/snap
	snapdump -q --raw -o base.img lvm:disk0.img:vg0/base
	cp --sparse=always disk0.img merged.img
	snapmerge -q -y lvm:merged.img:vg0/snap
	# The layer is one of the whole disk.
	snapcreate -q --from=merged.img disk0.img disk0.cow
	snapdump -q --raw --volume=vg0/base -o view.img disk0.img disk0.cow
	cmp snap.img view.img
	snapdump -q --raw --partition=5 --volume=vg0/base -o view2.img disk0.img disk0.cow
	cmp snap.img view2.img
	snapdump -q --files --volume=vg0/base -o - disk0.img disk0.cow | tar -tf - | grep -q .
	snapdump -q --delta --partition=5 --volume=vg0/base -o delta.tar disk0.img disk0.cow
	snapcreate -q --import=delta.tar base.img layer.cow
	snapdump -q --raw -o - base.img layer.cow | cmp - snap.img
	run -8 --separate-stderr snapdump --raw --volume=vg0/nothing -o new disk0.img disk0.cow
	one_sentence
}

# bats test_tags=long
@test "a disk or a PV in the place of COW: what to name instead" {
	run -64 --separate-stderr snapcheck disk2.img
	[[ $stderr == *"looks like a disk with a partition table; where the store is a part of it, name that part, PATH@OFFSET+LENGTH"* ]]
}
