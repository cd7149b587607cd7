#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# What is no snapshot, or no file system of ours, is called by its name: images
# that other programs made.
# bats file_tags=slow
bats_require_minimum_version 1.8.0
load ../../common

setup() {
	cd "$BATS_TEST_TMPDIR"
}

# named IMAGE WORDS: in the refusals of two tools.
named() {
	run -64 --separate-stderr snapcheck --header-only "$1"
	[[ $stderr == *"$2"* ]] || { echo "$1: $stderr"; return 1; }
	run -64 --separate-stderr snapdump --files "$1"
	[[ $stderr == *"$2"* ]] || { echo "$1: $stderr"; return 1; }
}

@test "file systems, volumes, image formats and archives are named in the refusal" {
	truncate -s 320M xfs.img
	mkfs.xfs -q xfs.img
	named xfs.img "an XFS file system"
	truncate -s 128M btrfs.img
	mkfs.btrfs -q btrfs.img
	named btrfs.img "a Btrfs file system"
	truncate -s 1M swap.img
	chmod 600 swap.img
	mkswap -q swap.img >/dev/null
	named swap.img "swap space"
	qemu-img create -q -f qcow2 d.qcow2 16M
	named d.qcow2 "a qcow2 image"
	qemu-img create -q -f vmdk d.vmdk 16M
	named d.vmdk "a VMDK image"
	qemu-img create -q -f vhdx d.vhdx 16M
	named d.vhdx "a VHDX image"
	truncate -s 4M disk.img
	poke disk.img 510 '\125\252'
	named disk.img "a disk with a partition table"
	poke disk.img 510 '\0\0EFI PART'
	named disk.img "a disk with a partition table"
	head -c 1M /dev/urandom >data
	tar -cf d.tar data
	named d.tar "a tar archive"
	for packer in gzip zstd xz; do
		$packer -q -k data
		named data.* "compressed with $packer"
		rm data.*
	done
}

# bats test_tags=slow
@test "--sparse=no: busybox, GNU tar, bsdtar and Python give out the same files, and the same view" {
	cd "$BATS_TEST_TMPDIR"
	long=src/$(printf 'd%.0s' {1..80})/$(printf 'e%.0s' {1..60})
	mkdir -p "$long" src/lost+found
	echo deep >"$long/file"
	truncate -s 3M src/middle src/empty
	printf abc | dd of=src/middle bs=1 seek=1500000 conv=notrunc status=none
	echo begin >src/begin
	truncate -s 100001 src/begin
	mke2fs -q -F -t ext4 -d src fs.img 16M
	snapdump -q --files --sparse=no -o plain.tar fs.img
	snapdump -q --files -o sparse.tar fs.img
	[ "$(stat -c %s plain.tar)" -gt 6100001 ]
	[ "$(stat -c %s sparse.tar)" -lt 100000 ]
	mkdir busybox gnu bsd python
	busybox tar -C busybox -xf plain.tar
	tar -C gnu -xf plain.tar
	bsdtar -C bsd -xf plain.tar
	python3 -c 'import tarfile; tarfile.open("plain.tar").extractall("python")'
	for reader in busybox gnu bsd python; do diff -r src "$reader"; done
	snapcreate -q fs.img cow.img
	snapdump -q --tar --sparse=no -o view.tar fs.img cow.img
	busybox tar -xOf view.tar view.img | cmp - fs.img
	# It can be imported all the same.
	truncate -s 16M zeros
	snapcreate -q --import=view.tar zeros back.cow
	snapdump -q --raw zeros back.cow | cmp - fs.img
	run -16 snapdump --delta --sparse=no -o x fs.img cow.img
}

# bats test_tags=long
@test "what the page says of bsdtar is so" {
	cd "$BATS_TEST_TMPDIR"
	mkdir src
	echo x | tee src/time src/attribute src/acl >/dev/null
	setfacl -m u:4000000000:r src/acl
	mke2fs -q -F -t ext4 -I 256 -d src fs.img 4M
	debugfs -w -f - fs.img >debugfs.log 2>&1 <<-END
		set_inode_field /time mtime -2
		set_inode_field /time mtime_extra 0x77359400
		ea_set /attribute user.a=b% value
	END
	snapdump -q --files -o fs.tar fs.img
	mkdir gnu bsd
	tar --xattrs --xattrs-include='*' --acls -C gnu -xpf fs.tar
	bsdtar -C bsd -xpf fs.tar
	[ "$(stat -c %.1Y gnu/time)/$(stat -c %.1Y bsd/time)" = -1.5/-0.5 ]
	python3 -c 'import os; print(os.listxattr("gnu/attribute")[0], os.listxattr("bsd/attribute")[0])' | grep -qx 'user.a=b% user.a%3Db%25'
	getfacl -n gnu/acl | grep -q 'user:4000000000:r'
	getfacl -n bsd/acl | grep -q 'user:2147483647:r'
}
