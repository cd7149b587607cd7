#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# snapdump --files against the kernel: file systems that it filled, mounted on a
# loop device, one of every kind of file in them (kernel/files_populate.py).
# What GNU tar makes of our archive must be what the kernel shows, in every
# field of kernel/files_list.py. Needs root and loop devices; never skipped.
# bats file_tags=kernel,slow
bats_require_minimum_version 1.8.0
load ../common

GNU_OPTIONS="--xattrs --xattrs-include=* --acls --numeric-owner --sparse"

setup() {
	cd "$BATS_TEST_TMPDIR"
	mkdir fs out
}

teardown() {
	for at in fs out; do
		! mountpoint -q "$BATS_TEST_TMPDIR/$at" || umount "$BATS_TEST_TMPDIR/$at"
	done
}

lines_of() {
	"$COW_SOURCE/tests/kernel/files_list.py" "$@"
}

# fresh FILE DIR MKFS-OPTION...: a new file system, mounted.
fresh() {
	rm -f "$1"
	truncate -s 400M "$1"
	mke2fs -q -F -N 20000 "${@:3}" "$1"
	mount -o loop "$1" "$2"
}

# A file system that takes everything, to extract into.
target() {
	fresh out.img out -t ext4 -b 4096 -O ea_inode -I 1024 -O ^has_journal
	rmdir out/lost+found
}

# populated MKFS-OPTION...: fs.img, what the kernel shows of it (kernel.list),
# and our archive (ours.tar).
populated() {
	fresh fs.img fs "$@"
	"$COW_SOURCE/tests/kernel/files_populate.py" fs
	umount fs
	mount -o loop,ro fs.img fs
	lines_of fs >kernel.list
	[ "$(wc -l <kernel.list)" -gt 2000 ]
}

archived() {
	snapdump --files --force=busy fs.img >ours.tar 2>notes
	[ "$(cat notes)" = "snapdump: /special/socket: socket, left out" ]
}

# matches MKFS-OPTION...: the proof.
matches() {
	populated "$@"
	archived
	target
	# shellcheck disable=SC2086
	tar -C out $GNU_OPTIONS -xpf ours.tar 2>tar.notes
	! grep -v -e hdrcharset -e 'implausibly old' -e 'in the future' tar.notes || return 1
	lines_of out >ours.list
	diff kernel.list ours.list
}

@test "ext2, blocks of 1 KiB, inodes of 128 bytes" {
	matches -t ext2 -b 1024 -I 128
}

@test "ext3, block maps and a journal" {
	matches -t ext3 -b 4096
}

@test "ext4 as it is made today" {
	matches -t ext4 -b 4096
}

@test "ext4 without checksums, 32 bit, blocks of 1 KiB" {
	matches -t ext4 -b 1024 -O ^metadata_csum,^64bit
}

@test "ext4 with data inside inodes and attributes in inodes of their own" {
	matches -t ext4 -b 4096 -O inline_data,ea_inode -I 512
}

@test "ext4 with metadata groups, large directories and blocks of 2 KiB" {
	matches -t ext4 -b 2048 -O meta_bg,large_dir,^resize_inode
}

@test "ext4 with clusters" {
	# The kernel calls a part of a cluster that was never written data; the
	# list ends before that.
	list() { sed 's/\( data=[^ ]*\)//' "$1"; }
	matches -t ext4 -b 4096 -O bigalloc -C 65536 || diff <(list kernel.list) <(list ours.list)
}

@test "GNU tar's own archive of the mounted files, bsdtar and Python agree with ours" {
	populated -t ext4 -b 4096
	archived
	# shellcheck disable=SC2086
	tar -C fs --format=pax --sort=name $GNU_OPTIONS -cf gnu.tar . 2>/dev/null
	lines_of --tar ours.tar | grep -v 'fifo2 ' >ours.list
	lines_of --tar gnu.tar | grep -v 'fifo2 ' >gnu.list
	diff gnu.list ours.list
	target
	# Its names are UTF-8: it needs a locale that has it.
	LC_ALL=C.UTF-8 bsdtar -C out --numeric-owner -xpf ours.tar
	lines_of out >bsd.list
	# What libarchive 3.6 gets wrong, from GNU tar's archives too: the time of
	# the top, fractions before 1970, ids beyond 2^31 in ACLs, '=' in the name
	# of an attribute.
	known=(-e '^\. ' -e 'times/1969\.[1-9]' -e acl/large-id -e xattr/names)
	diff <(grep -v "${known[@]}" kernel.list) <(grep -v "${known[@]}" bsd.list)
}
