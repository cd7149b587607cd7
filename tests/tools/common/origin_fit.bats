#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# Is ORIGIN the origin of this snapshot? The file system in the view is asked: does it
# fit, and are the copies of its superblock that the COW image does not hold there?
bats_require_minimum_version 1.8.0
load ../../common

setup() {
	cd "$BATS_TEST_TMPDIR"
}

# fs KIND FILE [SIZE]: a new file system, with a UUID of its own.
fs() {
	truncate -s 0 "$2"
	truncate -s "${3:-$(size_of "$1")}" "$2"
	case $1 in
	ext4) mke2fs -q -F -t ext4 -b 1024 -g 1024 "$2" ;;
	ext2) mke2fs -q -F -t ext2 -b 4096 -O ^sparse_super,^resize_inode -g 512 "$2" ;;
	sparse2) mke2fs -q -F -t ext4 -b 1024 -g 1024 -O sparse_super2,^resize_inode "$2" ;;
	xfs) mkfs.xfs -q -f "$2" ;;
	btrfs) mkfs.btrfs -q "$2" ;;
	gpt) printf 'label: gpt\n, 1M\n' | sfdisk -q "$2" ;;
	gpt4k)
		loop=$(losetup -b 4096 -f --show "$2")
		printf 'label: gpt\n, 1M\n' | sfdisk -q "$loop"
		losetup -d "$loop"
		loop=
		;;
	swap) mkswap -q "$2" 2>/dev/null >&2 ;;
	esac
}

size_of() {
	case $1 in
	xfs) echo 336M ;;
	btrfs) echo 130M ;;
	*) echo 16M ;;
	esac
}

teardown() {
	[ -z "${loop:-}" ] || losetup -d "$loop"
}

# layer ORIGIN: cow.img, which holds a new first 128 KiB of it and nothing else: a
# file system writes its superblock, and leaves the copies alone.
layer() {
	cp --sparse=always "$1" changed.img
	head -c 128K "$1" >head
	# behind what is looked at, in blocks of its own
	printf x | dd of=changed.img bs=1 seek=300 conv=notrunc status=none
	printf 'y' | dd of=changed.img bs=1 seek=1440 conv=notrunc status=none
	printf 'z' | dd of=changed.img bs=1 seek=$((65536 + 3900)) conv=notrunc status=none
	case ${2:-} in gpt4k) printf x | dd of=changed.img bs=1 seek=8000 conv=notrunc status=none ;; esac
	rm -f cow.img
	snapcreate -q --from=changed.img "$1" cow.img
}

id() {
	member j 'j["error"]["id"]'
}

# foreign ORIGIN: each tool refuses it, and snapcheck says what snapmerge says.
foreign() {
	for command in "snapmerge -y" "snapmerge -n" "snapmerge -o new" "snapdump --raw -o new"; do
		rm -f j
		run -64 $command --json=j "$1" cow.img
		[ "$(id)" = origin ] || { echo "$command: $output"; return 1; }
		[ ! -e new ]
	done
	run -4 --separate-stderr snapcheck --json=j "$1" cow.img
	[[ $stderr == *"--force=origin"* ]]
	[[ $output == *"snapshot data: not complete"*"merge: not safe"* ]]
	[ "$(member j 'j["verdict"]["merge_right"], j["verdict"]["origin_in_doubt"], j["verdict"]["state"]')" = "(False, True, 'damaged')" ]
	run -0 snapcheck --force=origin,uuid "$1" cow.img
}

right() {
	run -0 --separate-stderr snapcheck --json=j "$1" cow.img
	[[ $output == *"snapshot data: complete"*"merge: safe"* ]]
	[ "$(member j 'j["origin_fit"]["content"]')" = "$2" ]
	[ "$(member j 'j["origin_fit"]["places_right"] >= '"$3"', j["origin_fit"]["places_wrong"]')" = "(True, 0)" ]
	run -0 snapmerge -n "$1" cow.img
}

# bats test_tags=slow
@test "another file system of the same kind and size is no origin; the right one is" {
	while read -r kind places name; do
		fs "$kind" base.img
		fs "$kind" other.img
		layer base.img "$kind"
		right base.img "$name" "$places"
		foreign other.img
		[[ $stderr == *"at byte "*" the snapshot needs a superblock of $name with UUID "*", and other.img has that of UUID "* ]]
		truncate -s 0 zeros.img
		truncate -s "$(size_of "$kind")" zeros.img
		foreign zeros.img
		[[ $stderr == *"and zeros.img has zeros"* ]]
	done <<-'END'
		ext4 5 an ext file system
		ext2 7 an ext file system
		sparse2 2 an ext file system
		xfs 3 an XFS file system
		btrfs 1 a Btrfs file system
		gpt 1 a GPT partition table
		gpt4k 1 a GPT partition table
	END
}

# bats test_tags=slow
@test "a file system that is larger than the view does not fit; smaller is fine; swap too" {
	for kind in ext4 xfs btrfs gpt swap; do
		fs "$kind" base.img
		layer base.img
		size=$(stat -c %s base.img)
		# the file system is as large as the image
		cp --sparse=always base.img longer.img
		truncate -s +1M longer.img
		run -0 snapcheck longer.img cow.img
		fs "$kind" short.img $((size * 15 / 16))
		[ "$kind" != swap ] || cp base.img full.img
		foreign short.img
		[[ $stderr == *"of $size bytes, and short.img ends at byte"*"it is not its origin, or was cut short"* ]] ||
			[[ $stderr == *"at byte "* && $kind != swap ]] || { echo "$kind: $stderr"; return 1; }
	done
}

@test "an origin that was cut before its snapshot was taken: a note" {
	fs ext4 base.img
	truncate -s 15M base.img
	layer base.img
	run -0 --separate-stderr snapcheck base.img cow.img
	[[ $stderr == *"of 16777216 bytes, and base.img ends at byte 15728640: so does it alone"* ]]
	snapmerge -q -y base.img cow.img
	cmp base.img changed.img
}

@test "some copies are wrong: a note" {
	fs ext4 base.img
	layer base.img
	head -c 1K /dev/zero | dd of=base.img bs=1K seek=1025 conv=notrunc status=none
	run -0 --separate-stderr snapcheck base.img cow.img
	[[ $stderr == *"at byte 1049600 the snapshot needs a superblock of an ext file system with UUID "*", and base.img has zeros" ]] ||
		[[ $stderr == *"at byte 1049600 the snapshot needs"*"base.img has zeros"* ]]
	run -0 snapmerge -n base.img cow.img
}

@test "a UUID that was changed in the snapshot: snapcheck says what snapmerge says" {
	fs ext4 base.img
	cp base.img changed.img
	tune2fs -U random changed.img >/dev/null 2>&1
	snapcreate -q --from=changed.img base.img cow.img
	run -64 snapmerge --json=j -y base.img cow.img
	[ "$(id)" = uuid ]
	[[ $output == *"the UUID was changed since (tune2fs, xfs_admin)"* ]]
	run -4 --separate-stderr snapcheck base.img cow.img
	[[ $stderr == *"tune2fs"*"--force=uuid"* ]]
	[[ $output == *"snapshot data: not complete"*"merge: not safe"* ]]
	run -0 snapcheck --force=uuid base.img cow.img
	snapmerge -q -y --force=uuid base.img cow.img
	cmp base.img changed.img
}

# bats test_tags=long
@test "honest uses: a file system made in an overlay, undoing a wipefs and an mkfs" {
	truncate -s 16M blank.img
	cp blank.img made.img
	mke2fs -q -F -t ext4 made.img
	snapcreate -q --from=made.img blank.img cow.img
	run -0 --separate-stderr snapcheck blank.img cow.img
	[[ $stderr == *"the snapshot shows an ext file system, and blank.img alone holds none"* ]]
	snapmerge -q -y blank.img cow.img
	cmp blank.img made.img
	fs ext4 base.img
	cp base.img wiped.img
	wipefs -q -a wiped.img
	snapcreate -q --force=overwrite --from=base.img wiped.img cow.img
	run -0 snapcheck wiped.img cow.img
	snapmerge -q -y wiped.img cow.img
	cmp wiped.img base.img
	cp base.img new.img
	mke2fs -q -F -t ext4 -b 4096 new.img
	snapcreate -q --force=overwrite --from=base.img new.img cow.img
	run -0 snapdump -q --raw -o view.img new.img cow.img
	cmp view.img base.img
	snapmerge -q -y --force=uuid new.img cow.img
	cmp new.img base.img
}

# bats test_tags=long
@test "what is not judged: LUKS, LVM, ISO 9660, FAT, squashfs, with an old superblock behind them" {
	for name in 0:LUKS 512:LABELONE 32769:CD001 54:FAT16 82:FAT32 0:hsqs 3:NTFS; do
		fs ext4 base.img
		case $name in
		*LUKS) poke base.img 0 'LUKS\xba\xbe' ;;
		*NTFS) poke base.img 3 'NTFS    ' ;;
		*) printf '%s' "${name#*:}" | dd of=base.img bs=1 seek="${name%:*}" conv=notrunc status=none ;;
		esac
		layer base.img
		head -c 15M base.img >short.img
		printf 'q' | dd of=short.img bs=1 seek=1440 conv=notrunc status=none
		run snapcheck --json=j short.img cow.img
		[ "$status" -eq 0 ] || { echo "$name: $output"; return 1; }
		[ "$(member j 'j["origin_fit"]["content"]')" = None ]
	done
}

@test "layers: each must belong to what it stands on, not the lowest alone" {
	fs ext4 base.img
	layer base.img
	mv cow.img low.img
	snapdump -q --raw -o mid.img base.img low.img
	cp mid.img high.img
	printf 'q' | dd of=high.img bs=1 seek=1440 conv=notrunc status=none
	snapcreate -q --from=high.img mid.img top.img
	snapdump -q --raw -o view.img base.img low.img top.img
	cmp view.img high.img
	rm view.img
	# a layer of another file system, above one that fits
	fs ext4 other.img
	layer other.img
	for command in "snapdump --raw -o view.img" "snapdump --map" "snapmerge -o view.img"; do
		run -64 $command --json=j base.img low.img cow.img
		[ "$(id)" = origin ] || { echo "$command: $output"; return 1; }
		[[ $output == *"and low.img has that of UUID "* ]] || { echo "$command: $output"; return 1; }
		[ ! -e view.img ]
	done
	run -0 snapdump --force=origin -q --raw -o view.img base.img low.img cow.img
}

@test "snapcheck --verify asks about the origin, too" {
	fs ext4 base.img
	fs ext4 other.img
	layer base.img
	snapdump -q --tar -o view.tar base.img cow.img
	run -0 snapcheck --verify=view.tar base.img cow.img
	run -4 --separate-stderr snapcheck --verify=view.tar other.img cow.img
	[[ $stderr == *"--force=origin"* && $output == *"ranges of 1 MiB differ"* ]]
	# the view of the wrong pair: what the manifest says, and not the snapshot
	snapdump -q --force=origin --tar -o wrong.tar other.img cow.img
	run -4 --separate-stderr snapcheck --verify=wrong.tar other.img cow.img
	[[ $stderr == *"--force=origin"* && $output == *"the view is what the manifest says, byte for byte"* ]]
	run -0 snapcheck --force=origin,uuid --verify=wrong.tar other.img cow.img
}
