#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Copyright (C) 2026 the libcow authors
# Inside the user-mode kernel: snapshots of LVM are merged by their names, on disks
# where nothing is active, and LVM then goes on with what it finds. $1 is a work
# directory that holds "path" (where our tools are), "list", "merge" and "remove" (the
# README's own words); the disks are /dev/ubdb, and /dev/ubdc and /dev/ubdd, which
# become one volume group.
set -eux
dir=$1
PATH=$(cat "$dir/path"):$PATH
export LC_ALL=C LVM_SYSTEM_DIR="$dir/lvm" LVM_SUPPRESS_FD_WARNINGS=1
# shellcheck source=tests/kernel/lvm_conf.sh disable=SC1091
. "$(dirname "$0")/lvm_conf.sh"

# Names, modes, times and contents below $1.
list() {
	(cd "$1" && find . -xdev -printf '%p %m %U %G %T@ %l\n' | sort && \
		find . -xdev -type f -exec sha256sum {} + | sort)
}

# list_volume DEVICE FILE
list_volume() {
	mount -o ro "$1" /mnt
	list /mnt >"$dir/$2"
	umount /mnt
}

# change NAME: what every file holds from now on.
change() {
	for i in $(seq 40); do echo "$1 $i" >"/mnt/$i.conf"; done
	dd if=/dev/urandom of=/mnt/program bs=64k seek=3 count=60 conv=notrunc status=none
	sync
}

# make VG/LV EXTRA...: an ext4 volume of 32 MiB, mounted.
make() {
	lvcreate -q -y -Wn -L 32M -n "${1#*/}" "${1%/*}"
	mkfs.ext4 -q -b 4096 "/dev/$1"
	mount "/dev/$1" /mnt
	dd if=/dev/urandom of=/mnt/program bs=1M count=8 status=none
	change first
}

# The README's story. LVM activates the group by itself between the two commands.
roll_back() {
	vgcreate -q vg /dev/ubdb
	make vg/root
	list /mnt >"$dir/before"
	lvcreate -q -s -c 4k -L 16M -n snap vg/root
	change broken
	umount /mnt
	sh -eux "$dir/list" >"$dir/list.out"
	grep 'lvm:/dev/sda3:vg/snap.*snapshot of root' "$dir/list.out"
	status=0
	snapmerge -y lvm:/dev/sda3:vg/snap 2>"$dir/refused" || status=$?
	[ "$status" = 64 ]
	grep 'vgchange -an vg' "$dir/refused"
	status=0
	sed 's/^snapmerge/vgchange -aay vg \&\& snapmerge/' "$dir/merge" | sh 2>"$dir/refused" || status=$?
	[ "$status" = 64 ]
	grep 'vgchange -an vg' "$dir/refused"
	# Nothing was written: the snapshot is what it was.
	status=0
	sh -eux "$dir/remove" || status=$?
	[ "$status" = 4 ]
	vgchange -q -an vg
	sh -eux "$dir/merge"
	vgck vg
	vgchange -q -ay vg
	[ "$(dmsetup status vg-snap | awk '{ split($4, used, "/"); print used[1] - $5 }')" = 0 ]
	e2fsck -fn /dev/vg/root
	snapcheck --is-empty --force=busy /dev/mapper/vg-snap-cow
	sh -eux "$dir/remove"
	[ "$(lvs --noheadings -o lv_name vg | tr -d ' ')" = root ]
	list_volume /dev/vg/root after
	cmp "$dir/before" "$dir/after"
	vgchange -q -an vg
}

# By their devices LVM's metadata are not asked, but the device-mapper knows which snapshots
# are active. Takes the devices of the-root away.
by_devices() {
	dmsetup remove my--vg-snap--1 my--vg-the--root
	status=0
	snapmerge -y /dev/mapper/my--vg-the--root-real /dev/mapper/my--vg-snap--1-cow 2>"$dir/refused" || status=$?
	[ "$status" = 64 ]
	grep 'it is the origin of my--vg-snap--2 (COW image /dev/dm-[0-9]*): a merge of any other snapshot' "$dir/refused"
	dmsetup remove my--vg-snap--2
	snapmerge -n --sibling=/dev/mapper/my--vg-snap--2-cow /dev/mapper/my--vg-the--root-real \
		/dev/mapper/my--vg-snap--1-cow
	snapmerge -n /dev/mapper/my--vg-the--root-real /dev/mapper/my--vg-snap--1-cow 2>"$dir/words"
	grep 'name each with --sibling (no active one stands on it; others are not looked for)' "$dir/words"
	dmsetup remove my--vg-snap--1-cow my--vg-snap--2-cow my--vg-the--root-real
}

# Two disks, names with hyphens, two snapshots of different times, volumes in pieces.
two_snapshots() {
	disks=/dev/ubdc,/dev/ubdd
	vgcreate -q my-vg /dev/ubdc /dev/ubdd
	lvcreate -q -y -Wn -l 3 -n pad-1 my-vg /dev/ubdc
	make my-vg/the-root
	list /mnt >"$dir/first"
	lvcreate -q -s -c 4k -L 16M -n snap-1 my-vg/the-root
	change second
	list /mnt >"$dir/second"
	lvcreate -q -s -c 16k -L 16M -n snap-2 my-vg/the-root /dev/ubdd
	lvextend -q -L 24M my-vg/snap-1 /dev/ubdd
	change third
	umount /mnt
	by_devices
	vgchange -q -an my-vg
	lvextend -q -L 40M my-vg/the-root /dev/ubdc /dev/ubdd
	status=0
	snapmerge -y lvm:$disks:my-vg/snap-1 2>"$dir/refused" || status=$?
	[ "$status" = 64 ]
	grep 'my-vg/snap-2' "$dir/refused"
	status=0
	snapmerge -y lvm:/dev/ubdc:my-vg/snap-1 || status=$?
	[ "$status" = 8 ]
	snapmerge -y --all-siblings lvm:$disks:my-vg/snap-1
	vgck my-vg
	vgchange -q -ay my-vg
	[ "$(blockdev --getsize64 /dev/my-vg/the-root)" = $((40 << 20)) ]
	e2fsck -fn /dev/my-vg/the-root
	list_volume /dev/my-vg/the-root after
	cmp "$dir/first" "$dir/after"
	list_volume /dev/my-vg/snap-2 after
	cmp "$dir/second" "$dir/after"
	lvremove -q -y my-vg/snap-1
	# The same in the other direction, by LVM's own schedule.
	mount /dev/my-vg/the-root /mnt
	lvconvert -q --merge my-vg/snap-2
	umount /mnt
	vgchange -q -an my-vg
	# Alone, the origin is what its device would show.
	snapdump -q --raw -o "$dir/shown" lvm:$disks:my-vg/the-root
	snapmerge -y lvm:$disks:my-vg/snap-2 2>"$dir/words"
	grep 'LVM removes my-vg/snap-2 by itself' "$dir/words"
	vgck my-vg
	vgchange -q -ay my-vg
	for _ in $(seq 50); do
		[ "$(lvs --noheadings -a -o lv_name my-vg | tr -d ' \n')" != pad-1the-root ] || break
		sleep 0.1
	done
	dmsetup table my--vg-the--root | grep -v linear && false
	cmp -n $((32 << 20)) /dev/my-vg/the-root "$dir/shown"
	list_volume /dev/my-vg/the-root after
	cmp "$dir/second" "$dir/after"
	vgck my-vg
	vgchange -q -an my-vg
}

ln -s ubdb /dev/sda3
lvm_conf '/dev/ubd.*'
pvcreate -q /dev/ubdb /dev/ubdc /dev/ubdd
roll_back
two_snapshots
