#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# snapmerge -o: a new image, everything else untouched.
bats_require_minimum_version 1.8.0
load ../../common

setup() {
	cd "$BATS_TEST_TMPDIR"
}

# bats test_tags=long
@test "-o writes the view to a new file, with holes, and leaves the pair alone" {
	pair both-c32
	before="$(sum origin.img) $(sum cow.img)"
	chmod 0444 origin.img cow.img
	run -0 --separate-stderr snapmerge --json=j -o new.img origin.img cow.img
	[ "$(sum new.img)" = "$(fact both-c32 merged_origin_sha256)" ]
	[ "$(sum origin.img) $(sum cow.img)" = "$before" ]
	[ "$(stat -c %b new.img)" -le "$(($(stat -c %b origin.img) + $(stat -c %b cow.img)))" ]
	[[ $stderr == *"wrote new.img"* ]]
	[ "$(member j 'j["output"]["copied_bytes"] > 0, j["done"]')" = "(True, True)" ]
}

# bats test_tags=long
@test "-o: an existing name, an operand's name, -n" {
	pair both-c32
	echo precious >new.img
	before="$(sum origin.img) $(sum cow.img) $(sum new.img)"
	run -64 --separate-stderr snapmerge --json=j -o new.img origin.img cow.img
	[ "$(member j 'j["error"]["id"], j["error"]["force"]')" = "('exists', 'overwrite')" ]
	for name in origin.img cow.img; do
		run -64 --separate-stderr snapmerge --force=overwrite --json=j -o $name origin.img cow.img
		[ "$(member j 'j["error"]["id"]')" = overlap ]
	done
	run -0 snapmerge -n -o other.img origin.img cow.img
	[ ! -e other.img ]
	[ "$(sum origin.img) $(sum cow.img) $(sum new.img)" = "$before" ]
	run -0 snapmerge --force=overwrite -o new.img origin.img cow.img
	[ "$(sum new.img)" = "$(fact both-c32 merged_origin_sha256)" ]
}

@test "-o takes a stack of COW images" {
	pair both-c32
	snapmerge -q -o lower.img origin.img cow.img
	cp lower.img upper.img
	poke upper.img 1000000 hello
	snapcreate -q lower.img second.img
	run -0 snapmerge -o copy.img origin.img cow.img second.img
	cmp copy.img lower.img
}

@test "-o killed or failing leaves no file, and starts over" {
	pair both-c32
	for fault in pwrite64:signal=SIGKILL:when=2 pwrite64:error=ENOSPC:when=2 pwrite64:signal=SIGTERM:when=1; do
		run strace -qq -o /dev/null -e "inject=$fault" snapmerge --reflink=never -o new.img origin.img cow.img
		[ "$status" -ne 0 ]
		[ ! -e new.img ]
	done
	run -0 snapmerge -o new.img origin.img cow.img
	[ "$(sum new.img)" = "$(fact both-c32 merged_origin_sha256)" ]
}

@test "-o is flushed before it has its name" {
	pair both-c32
	strace -qq -e trace=pwrite64,fdatasync,linkat,renameat,renameat2 -o trace snapmerge -o new.img origin.img cow.img
	[[ $(grep -v pwrite64 trace | sed -n 1p) == fdatasync* ]]
	[[ $(tail -1 trace) == linkat* ]] || [[ $(tail -1 trace) == renameat* ]]
}

@test "-o reads what is damaged or invalid if forced, and exits 4" {
	pair both-c32
	poke cow.img 4 '\x00\x00\x00\x00'
	run -64 --separate-stderr snapmerge --json=j -o new.img origin.img cow.img
	[ "$(member j 'j["error"]["force"]')" = invalid ]
	[ ! -e new.img ]
	run -4 snapmerge --force=invalid -o new.img origin.img cow.img
	[ "$(sum new.img)" = "$(fact both-c32 merged_origin_sha256)" ]
}

# bats test_tags=slow
@test "on a block device every byte is written" {
	[ "$(id -u)" -eq 0 ] || skip "needs root"
	pair both-c32
	size=$(stat -c %s origin.img)
	head -c "$size" /dev/urandom >disk.bin
	loop=$(losetup -f --show disk.bin) || skip "no loop device"
	run snapmerge -o "$loop" origin.img cow.img
	result=$status
	digest=$(head -c "$size" "$loop" | sha256sum | cut -d' ' -f1)
	losetup -d "$loop"
	[ "$result" -eq 0 ]
	[ "$digest" = "$(fact both-c32 merged_origin_sha256)" ]
}

# bats test_tags=slow
@test "a device that holds something known is not overwritten unasked" {
	[ "$(id -u)" -eq 0 ] || skip "needs root"
	pair both-c32
	truncate -s "$(stat -c %s origin.img)" disk.bin
	mke2fs -q -F disk.bin
	before=$(sum disk.bin)
	loop=$(losetup -f --show disk.bin) || skip "no loop device"
	run --separate-stderr snapmerge -y -o "$loop" origin.img cow.img
	refused_status=$status refused_words=$stderr refused_sum=$(sum "$loop")
	run snapmerge -y --force=overwrite -o "$loop" origin.img cow.img
	forced_status=$status
	losetup -d "$loop"
	[ "$refused_status" -eq 64 ]
	[[ $refused_words == *"ext2"*"--force=overwrite"* ]]
	[ "$refused_sum" = "$before" ]
	[ "$forced_status" -eq 0 ]
}

# bats test_tags=slow
@test "extents are shared where the file system can, in place and with -o" {
	[ "$(id -u)" -eq 0 ] || skip "needs root"
	truncate -s 600M fs.bin
	mkfs.xfs -q -m reflink=1 fs.bin || skip "no mkfs.xfs"
	mkdir xfs
	mount -o loop fs.bin xfs || skip "cannot mount"
	(
		set -e
		cd xfs
		head -c 32M /dev/urandom >origin.img
		head -c 32M /dev/urandom >new.bin
		snapcreate -q -c 64K origin.img cow.img
		python3 "$COW_SOURCE/tests/aids/fill_store.py" cow.img new.bin 65536
		snapmerge -q --json=j --reflink=always -o out.img origin.img cow.img
		[ "$(member j 'j["output"]["cloned_bytes"] > 0, j["output"]["copied_bytes"]')" = "(True, 0)" ]
		cmp out.img new.bin
		snapmerge -q --reflink=never -o out2.img origin.img cow.img
		cmp out2.img new.bin
		cp origin.img o2.img
		cp cow.img c2.img
		snapmerge -y -q --json=j --reflink=always origin.img cow.img
		[ "$(member j 'j["merge"]["cloned_bytes"]')" -eq $((32 << 20)) ]
		cmp origin.img new.bin
		snapmerge -y -q --json=j --reflink=never o2.img c2.img
		[ "$(member j 'j["merge"]["cloned_bytes"]')" -eq 0 ]
		cmp o2.img new.bin
		# The other file system is asked, too.
		cp "$COW_UNPACKED/runs-c8/origin.img" far.img
		cp "$COW_UNPACKED/runs-c8/cow.img" ../far.cow
		before=$(sum far.img)
		snapmerge -y -q --json=j --reflink=always far.img ../far.cow && exit 1
		[ "$(member j 'j["error"]["id"], j["exit"]')" = "('unsupported', 64)" ]
		[ "$(sum far.img)" = "$before" ]
	) || result=$?
	umount xfs
	[ "${result:-0}" -eq 0 ]
}

# bats test_tags=long
@test "--reflink=always where nothing can be shared is an error, not a copy" {
	[ "$(stat -f -c %T .)" = ext2/ext3 ] || skip "the file system may be able to"
	pair runs-c8
	run --separate-stderr snapmerge --reflink=always -o new.img origin.img cow.img
	[ "$status" -eq 64 ] || [ "$status" -eq 8 ]
	[ ! -e new.img ]
	run -0 snapmerge --reflink=never -o new.img origin.img cow.img
	# In place it is refused before the origin is a mixture, and nothing says that it is one.
	before=$(cat origin.img cow.img | sha256sum)
	run -64 --separate-stderr snapmerge -y --reflink=always origin.img cow.img
	[[ $stderr == *"extents cannot be shared here"* ]]
	[[ $stderr != *mixture* ]]
	[ "$(cat origin.img cow.img | sha256sum)" = "$before" ]
	run -0 snapmerge -y origin.img cow.img
}
