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

@test "the snapshot of the disk is refused over a partition of it, by every tool" {
	for command in "snapdump --files -o new" "snapdump --raw -o new" "snapdump --tar -o new" "snapmerge -y" \
		"snapmerge -n -y" "snapmerge -y -o new" snapcheck; do
		run -64 --separate-stderr $command $part disk.cow
		one_sentence
		[[ $stderr == *"disk.cow seems to be the snapshot of disk.img as a whole, not of the part $part"*"--force=origin" ]]
		[ ! -e new ]
	done
	run -64 snapcreate --from-view=disk.cow $part new
	[ ! -e new ]
	sha256sum --quiet -c sums
	snapdump -q --raw --force=origin -o new $part disk.cow
}

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

@test "--files of a whole disk: the way out that is named leads there" {
	run -64 --separate-stderr snapdump --files -o f.tar disk.img disk.cow
	one_sentence
	[[ $stderr == *"a disk with a partition table; write the view to a file with --raw, then name the partition of that file"* ]]
	[[ $stderr != *window* ]]
	snapdump -q --raw -o view.img disk.img disk.cow
	snapdump -q --files -o f.tar view.img@5M+12M
	[ "$(tar -xOf f.tar hello)" = changed ]
	run -64 --separate-stderr snapdump --files disk.img
	[[ $stderr == *"a disk with a partition table; name the partition, PATH@OFFSET+LENGTH"* ]]
	snapdump -q --files -o g.tar $part
	[ "$(tar -xOf g.tar hello)" = old ]
}

@test "a disk or a PV in the place of COW: what to name instead" {
	run -64 --separate-stderr snapcheck disk2.img
	[[ $stderr == *"looks like a disk with a partition table; where the store is a part of it, name that part, PATH@OFFSET+LENGTH"* ]]
}
