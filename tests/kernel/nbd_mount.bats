#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# "Just let me mount it": what a snapshot shows, served by nbdkit, mounted in a kernel
# that has FUSE (user-mode-linux); the host mounts nothing.
# bats file_tags=kernel,slow
bats_require_minimum_version 1.8.0
load ../common

setup() {
	cd "$BATS_TEST_TMPDIR"
	plugin_as_installed bin
	# What a file system holds before the change, and after it.
	mkdir -p old/dir now/dir
	head -c 300000 /dev/urandom >old/dir/kept
	cp old/dir/kept now/dir/kept
	echo "before" >old/note
	echo "after the upgrade" >now/note
	head -c 500000 /dev/urandom >now/dir/new
	ln -s dir/new now/link
}

run_story() {
	sha256sum ./*.img ./*.cow >sums
	python3 -B "$COW_SOURCE/tests/kernel/lab.py" "$PWD/boot" "$COW_SOURCE/tests/kernel/nbd_mount.sh" "$PWD" || {
		cat words
		return 1
	}
	sha256sum --quiet -c sums
}

@test "the README's story: a partition of a whole disk is mounted, and its files are those of the snapshot" {
	for state in old now; do
		truncate -s 24M $state.disk
		poke $state.disk 462 '\0\0\0\0\203\0\0\0\0\040\0\0\0\200\0\0'
		poke $state.disk 510 '\125\252'
		mke2fs -q -t ext4 -E offset=4194304 -d $state $state.disk 16M
	done
	mv old.disk disk.img
	snapcreate -q --from=now.disk disk.img disk.cow
	"$COW_SOURCE/tests/house/pages.py" block "$COW_SOURCE/README.md" "Just let me mount it" |
		sed 's|^umount|cp -a files/. copy; &|' >story
	grep -q 'cp -a files' story
	mkdir copy
	run_story
	grep -qx "after the upgrade" words
	rm -rf copy/lost+found
	diff -r --no-dereference copy now
}

@test "files out of an XFS, which no tool of ours reads, by way of a mount" {
	printf '/\n0 0\nd--755 0 0\nnote ---644 0 0 now/note\nnew ---644 0 0 now/dir/new\n$\n' >prototype
	truncate -s 320M base.img
	cp --sparse=always base.img xfs.now
	mkfs.xfs -q -p prototype xfs.now
	snapcreate -q --from=xfs.now base.img xfs.cow
	rm xfs.now
	cat >story <<-'END'
		mkdir view files copy
		nbdfuse -r view/disk [ nbdkit -f snapshot origin=base.img cow=xfs.cow ] &
		while [ ! -e view/disk ]; do sleep 0.1; done
		mount -o loop,ro,norecovery view/disk files
		cp files/note files/new copy
		umount files
		umount view
	END
	run_story
	cmp copy/note now/note
	cmp copy/new now/dir/new
}

@test "written through the plugin: an ext4 without an error, and the kernel's device shows the same" {
	truncate -s 24M base.img
	mke2fs -q -t ext4 -d old base.img
	snapcreate -q base.img rw.snap
	cat >story <<-'END'
		mkdir view files
		nbdfuse view/disk [ nbdkit -f snapshot origin=base.img cow=rw.snap mode=rw ] &
		while [ ! -e view/disk ]; do sleep 0.1; done
		mount -o loop view/disk files
		cp -a now/. files
		rm -r files/dir/kept
		umount files
		umount view
		wait
		origin=$(losetup -f --show base.img)
		cow=$(losetup -f --show rw.snap)
		dmsetup create shown --noudevsync --table "0 49152 snapshot $origin $cow P 8"
		dmsetup mknodes shown
		cp /dev/mapper/shown kernel.view
		dmsetup status shown
		dmsetup remove --noudevsync shown
		losetup -d "$cow"
		losetup -d "$origin"
	END
	cp rw.snap before.cow
	run_story
	! cmp -s rw.snap before.cow
	cat words
	snapcheck -q --json=sound.json base.img rw.snap
	[ "$(member sound.json 'j["verdict"]["state"]')" = sound ]
	snapdump -q --raw -o ours.view base.img rw.snap
	cmp ours.view kernel.view
	e2fsck -fn kernel.view
	[ "$(sum <(snapdump -q --cat=/dir/new base.img rw.snap))" = "$(sum now/dir/new)" ]
	run ! snapdump -q --cat=/dir/kept base.img rw.snap
	[ "$(snapdump -q --cat=/dir/kept base.img | sha256sum)" = "$(sha256sum <old/dir/kept)" ]
}
