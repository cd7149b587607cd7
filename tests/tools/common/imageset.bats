#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# Images on block devices: loop devices, which each test makes and frees. Needs
# root. What needs no device is in tests/unit/image/test_imageset.c.
# bats file_tags=slow
bats_require_minimum_version 1.8.0

setup() {
	[ "$(id -u)" = 0 ] || skip "needs root"
	losetup -f >/dev/null || skip "no loop device here"
	cd "$BATS_TEST_TMPDIR"
	PATH=$COW_BUILD/tests/kernel:$PATH
	truncate -s 8M disk.img
}

teardown() {
	if [ -n "${mounted:-}" ]; then umount "$mounted"; fi
	if [ -n "${partition:-}" ]; then delpart "$partition" 1; fi
	for device in ${devices:-}; do losetup -d "$device"; done
}

# attach FILE [OPTION...]: the name of the loop device in $device.
attach() {
	file=$1
	shift
	device=$(losetup -f --show "$@" "$file")
	devices="$device ${devices:-}"
}

@test "a device is opened with its size and its block size" {
	attach disk.img
	run -0 image_open r "$device"
	[ "$output" = "ok 8388608 512 device" ]
	attach disk.img -b 4096
	run -0 image_open w "$device@4k+8k"
	[ "$output" = "ok 8192 4096 device" ]
}

@test "what is written to a device is there after a flush" {
	attach disk.img
	run -0 image_open w "$device@1M" put 3 hello zero 1000 1M flush
	[ "$(dd if=disk.img bs=1 skip=1048579 count=5 status=none)" = hello ]
}

@test "zeros and discards on a device keep to their range, aligned or not" {
	tr '\0' x <disk.img >x.img
	cp x.img expected.img
	dd if=/dev/zero of=expected.img bs=1 seek=777 count=99999 conv=notrunc status=none
	attach x.img -b 4096
	run -0 image_open w "$device" zero 777 99999 flush
	losetup -d "$device"
	devices=
	cmp x.img expected.img
	attach x.img
	run image_open w "$device" discard 2M 1M flush
	cmp -n 2097152 x.img expected.img
	cmp -i 3145728 x.img expected.img
}

@test "a read-only device is refused for writing" {
	attach disk.img -r
	run -0 image_open r "$device"
	run -1 image_open w "$device"
	[[ $output == "EROFS read-only -: "*"device is read-only"* ]]
}

@test "a device that somebody holds exclusively is refused for writing" {
	attach disk.img
	mkfifo held release
	python3 -c 'if True:
		import os, sys
		os.open(sys.argv[1], os.O_RDWR | os.O_EXCL)
		open("held", "w").close()
		open("release").close()' "$device" 3>&- &
	cat held
	run -1 image_open w "$device"
	: >release
	wait
	[[ $output == "EBUSY held -: "* ]]
	run -0 image_open w "$device"
}

@test "a file behind a loop device is in use" {
	attach disk.img
	run -1 image_open w disk.img
	[[ $output == "EBUSY loop -: "*"losetup -d $device"* ]]
	run -1 image_open r disk.img@4M
	[[ $output == "EBUSY loop busy: "* ]]
	run -0 image_open b disk.img
}

# elsewhere COMMAND: with other mounts, which nobody else sees.
elsewhere() {
	unshare -m sh -ec "mount --make-rprivate /; $1"
}

@test "a file behind a loop device is in use, also where /sys is not there" {
	attach disk.img
	run -1 elsewhere "mount -t tmpfs none /sys; image_open w disk.img"
	[[ $output == "EBUSY loop -: "*"losetup -d $device"* ]]
}

@test "a file behind a loop device is in use, also under another path and without nodes" {
	mkdir data work dev
	mv disk.img data
	attach data/disk.img
	run -1 elsewhere "mount --bind data work; mount -t tmpfs none data; mount -t tmpfs none dev
		cp -a /dev/null /dev/urandom dev; mount --bind dev /dev; image_open w work/disk.img"
	[[ $output == "EBUSY loop -: "*"losetup -d $device"* ]]
	# Another file of that name is not.
	mkdir third
	cp data/disk.img third
	run -0 elsewhere "mount -t tmpfs none dev; cp -a /dev/null /dev/urandom dev; mount --bind dev /dev
		image_open w third/disk.img"
}

@test "a file on btrfs behind a loop device is in use: its device numbers are its own" {
	truncate -s 200M fs.img
	mkfs.btrfs -q fs.img
	mkdir mnt
	mount -o loop fs.img mnt
	mounted=$PWD/mnt
	truncate -s 8M mnt/disk.img
	attach mnt/disk.img
	run -1 image_open w mnt/disk.img
	[[ $output == "EBUSY loop -: "*"losetup -d $device"* ]]
	losetup -d "$device"
	devices=
	run -0 image_open w mnt/disk.img
}

@test "what cannot be found out about a file that is to be written is said" {
	truncate -s 1M origin.img
	snapcreate -q origin.img cow.img
	: >empty
	run -0 --separate-stderr elsewhere "mount -t tmpfs none /sys; mount --bind empty /proc/partitions
		snapmerge -y origin.img cow.img"
	[[ $stderr == *"origin.img: could not be checked: whether a loop device stands on it: neither /sys/block nor /proc/partitions is there"* ]]
	run -0 --separate-stderr snapmerge -y origin.img cow.img
	[[ $stderr != *"could not be checked"* ]]
	# A loop device of which neither node nor path is there.
	attach disk.img
	run -0 --separate-stderr elsewhere "mount -t tmpfs none /sys; mkdir dev; mount -t tmpfs none dev
		cp -a /dev/null /dev/urandom dev; mount --bind dev /dev; snapmerge -y origin.img cow.img"
	[[ $stderr == *"origin.img: could not be checked: whether a loop device stands on it: one is in use"* ]]
}

@test "a mounted device, and a file behind one, are in use" {
	mkfs.ext2 -q disk.img
	attach disk.img
	mkdir mnt
	mount "$device" mnt
	mounted=mnt
	run -1 image_open w "$device"
	[[ $output == "EBUSY mounted -: "*"mounted on "*/mnt* ]]
	run -1 image_open r "$device"
	[[ $output == "EBUSY mounted busy: "* ]]
	run -0 image_open b "$device"
	run -1 image_open w disk.img
	[[ $output == "EBUSY mounted -: "*"behind $device"* ]]
}

@test "a device and its alias share one open, and overlap" {
	attach disk.img
	ln -s "$device" link
	mknod node b "$((0x$(stat -c %t "$device")))" "$((0x$(stat -c %T "$device")))"
	run -0 image_open w "$device@0+1M" w link@1M+1M w node@2M+1M r "$device@3M"
	run -1 image_open w "$device@0+1M" r node@512k
	[[ ${lines[1]} == "EPERM overlap -: "* ]]
}

@test "a loop device overlaps with its file, in the range it shows" {
	attach disk.img -o 1M --sizelimit 2M
	run -1 image_open b "$device" b disk.img
	[[ ${lines[1]} == "EPERM overlap -: "* ]]
	run -1 image_open w "$device" w disk.img@2M
	[[ ${lines[1]} == "EPERM overlap -: "* ]]
	run -1 image_open b disk.img@2M+512 b "$device"
	[[ ${lines[1]} == "EPERM overlap -: "* ]]
	run -0 image_open b "$device" b disk.img@0+1M,3M+5M
	run -0 image_open b "$device@1M" b disk.img@0+2M
	one=$device
	attach disk.img -o 2M --sizelimit 2M
	run -1 image_open w "$one" w "$device"
	[[ ${lines[1]} == "EPERM overlap -: "* ]]
	run -0 image_open w "$one@0+1M" w "$device"
}

@test "a partition overlaps with its disk" {
	attach disk.img
	addpart "$device" 1 2048 2048
	partition=$device
	[ -b "${device}p1" ] # by devtmpfs, no udev needed
	run -1 image_open r "$device" r "${device}p1"
	[[ ${lines[1]} == "EPERM overlap -: "* ]]
	run -0 image_open r "$device@0+1M" r "${device}p1"
	run -1 image_open b disk.img@1M+512 b "${device}p1"
	[[ ${lines[1]} == "EPERM overlap -: "* ]]
}

@test "a device that was read can be opened for writing in the same job" {
	attach disk.img
	run -0 image_open r "$device@0+1M" w "$device@1M" put 0 x flush
	[ "$(dd if=disk.img bs=1 skip=1M iflag=skip_bytes count=1 status=none)" = x ]
}

@test "an output to a device writes every byte of the image and none behind it" {
	tr '\0' x <disk.img >x.img
	cp x.img expected.img
	dd if=/dev/zero of=expected.img bs=1M count=2 conv=notrunc status=none
	printf hello | dd of=expected.img bs=1 seek=5000 conv=notrunc status=none
	attach x.img
	ln -s "$device" link
	run -0 image_open o link 2M put 5000 hello publish
	[ -L link ]
	cmp x.img expected.img
	run -1 image_open o "$device" 9M
	[[ $output == "ENOSPC no-space -: "* ]]
}

@test "a device that takes the name of a file between look and opening is not opened without O_EXCL" {
	attach disk.img
	found=0
	for at in 1 2 3 4 5 6 7 8; do
		rm -f x.img done
		truncate -s 8M x.img
		ln -sf "$device" with
		run env LD_PRELOAD="$COW_BUILD/tests/sandbox/swap.so" SWAP_NAME=x.img SWAP_WITH=with SWAP_DONE=done SWAP_AT=$at \
			"$COW_BUILD/tests/kernel/image_open" w x.img
		[ -e done ] || break
		[[ $output == "EBUSY changed -: "*"a block device when it was opened"* ]] || continue
		[ "$status" -eq 1 ]
		found=$at
	done
	[ "$found" -gt 0 ]
}
