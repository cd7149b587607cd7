#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Copyright (C) 2026 the libcow authors
# Inside the user-mode kernel: an upgrade is rolled back from rescue media, the
# way LVM is used today. $1 is a work directory that holds "path" (where our
# tools are), "merge" and "remove" (the words of snapmerge's page for it); the disk is
# /dev/ubdb.
set -eux
dir=$1
PATH=$(cat "$dir/path"):$PATH
export LC_ALL=C LVM_SYSTEM_DIR="$dir/lvm" LVM_SUPPRESS_FD_WARNINGS=1
# shellcheck source=tests/kernel/lvm_conf.sh disable=SC1091
. "$(dirname "$0")/lvm_conf.sh"

# Names, contents, owners, modes and times below $1.
list() {
	(cd "$1" && find . -xdev -printf '%p %m %U %G %T@ %l\n' | sort && \
		find . -xdev -type f -exec sha256sum {} + | sort)
}

install_system() {
	pvcreate -q /dev/ubdb
	vgcreate -q vg /dev/ubdb
	lvcreate -q -y -Wn -L 48M -n root vg
	mkfs.ext4 -q -b 4096 /dev/vg/root
	mount /dev/vg/root /mnt
	mkdir /mnt/etc /mnt/usr
	for i in $(seq 40); do echo "setting $i" >"/mnt/etc/$i.conf"; done
	cp -r "$LVM_SYSTEM_DIR" /mnt/usr/lvm
	dd if=/dev/urandom of=/mnt/usr/program bs=1M count=8 status=none
	sync
	list /mnt >"$dir/before"
}

# What the snapshot must bring back: here it is the *origin's* state at the
# time of the snapshot.
upgrade() {
	lvcreate -q -s -c "$1" -L 24M -n snap vg/root
	rm -r /mnt/usr/lvm /mnt/etc/1?.conf
	for i in $(seq 40); do echo "broken $i" >"/mnt/etc/$i.conf"; done
	dd if=/dev/urandom of=/mnt/usr/program bs=64k seek=3 count=60 conv=notrunc status=none
	dd if=/dev/urandom of=/mnt/usr/new bs=1M count=6 status=none
	umount /mnt
}

# After the reboot into rescue media: the tools refuse what is in use.
refuse() {
	vgchange -q -an vg
	vgchange -q -ay vg
	# The tools refuse what is a snapshot itself, or in use.
	status=0
	snapmerge -y /dev/mapper/vg-root /dev/mapper/vg-snap || status=$?
	[ "$status" = 64 ]
	status=0
	snapmerge -y /dev/mapper/vg-root-real /dev/mapper/vg-snap-cow || status=$?
	[ "$status" = 64 ]
}

# The story begins, but the merge stops half-way, and the machine goes down.
cut_off() {
	vgchange -q -an vg
	vgchange -q -ay vg
	dmsetup remove vg-snap vg-root
	status=0
	"$(cat "$dir/path")/tests/examples/merge_some" /dev/mapper/vg-root-real /dev/mapper/vg-snap-cow 4M || status=$?
	[ "$status" = 32 ]
	dmsetup remove vg-snap-cow vg-root-real
}

# The README's blocks, without the last line.
roll_back() {
	refuse
	sed '$d' "$dir/remove" | sed '$s/ &&$//' | cat "$dir/merge" - >"$dir/but-last"
	sh -eux "$dir/but-last"
}

snapshot_is_there() {
	[ "$(lvs --noheadings -o lv_name vg/snap | tr -d ' []')" = snap ]
}

# Both blocks, pasted into shells that go on after a failure. $1: a directory in
# front of PATH.
paste_in_vain() {
	for shell in sh bash; do
		vgchange -q -an vg
		cat "$dir/merge" "$dir/remove" | PATH=$1:$PATH "$shell" || true
		snapshot_is_there
		dmsetup remove vg-snap-cow vg-root-real
	done
}

# record WORD: the third record of the store, zeroed for "damaged", or put back.
record() {
	vgchange -q -an vg
	vgchange -q -ay vg
	dmsetup remove vg-snap vg-root
	if [ "$1" = damaged ]; then
		dd if=/dev/mapper/vg-snap-cow of="$dir/sector" bs=512 skip=8 count=1 status=none
		cp "$dir/sector" "$dir/bad"
		printf '\377\377\377' | dd of="$dir/bad" bs=1 seek=42 conv=notrunc status=none
	else
		cp "$dir/sector" "$dir/bad"
	fi
	dd if="$dir/bad" of=/dev/mapper/vg-snap-cow bs=512 seek=8 count=1 conv=notrunc,fsync status=none
	dmsetup remove vg-snap-cow vg-root-real
}

# A damaged list, and then a merge that is interrupted: the snapshot stays.
keep_snapshot() {
	record damaged
	paste_in_vain "$dir"
	record mended
	mkdir "$dir/interrupted"
	cat >"$dir/interrupted/snapmerge" <<-END
		#!/bin/sh
		path=\$(cat "$dir/path")
		[ "\$1" != -n ] || exec "\$path/snapmerge" "\$@"
		exec "\$path/tests/examples/merge_some" "\$2" "\$3" 1M
	END
	chmod +x "$dir/interrupted/snapmerge"
	paste_in_vain "$dir/interrupted"
}

# LVM itself was to merge, when the volume is next activated.
scheduled() {
	lvcreate -q -s -c 4k -L 24M -n snap vg/root
	dd if=/dev/urandom of=/mnt/usr/program bs=64k seek=3 count=60 conv=notrunc status=none
	lvconvert -q --merge vg/snap
	umount /mnt
	vgchange -q -an vg
	# Activation would start the kernel's merge; here ours must do all of it.
	dmsetup create vg-root-real --noudevsync --table "0 98304 linear /dev/ubdb $(first_sector root)"
	dmsetup create vg-snap-cow --noudevsync --table "0 49152 linear /dev/ubdb $(first_sector snap)"
	dmsetup mknodes
	snapmerge -y /dev/mapper/vg-root-real /dev/mapper/vg-snap-cow
	dmsetup remove vg-snap-cow vg-root-real
	sed "s/ -ay/ -ay --poll n/" "$dir/remove" >"$dir/remove-no-poll"
	sh -eux "$dir/merge"
	status=0
	sh -eux "$dir/remove-no-poll" || status=$?
	[ "$status" != 0 ]
	snapshot_is_there
	vgchange --poll y vg
	for _ in $(seq 50); do
		[ "$(lvs --noheadings -a -o lv_name vg | tr -d ' ')" != root ] || return 0
		sleep 0.1
	done
	false
}

# $1: a volume in one piece.
first_sector() {
	pe=$(lvs --noheadings -a -o seg_pe_ranges "vg/$1" | sed 's/.*:\([0-9]*\)-.*/\1/')
	size=$(vgs --noheadings --nosuffix --units s -o vg_extent_size vg)
	start=$(pvs --noheadings --nosuffix --units s -o pe_start /dev/ubdb)
	echo $((start + pe * size))
}

judge() {
	# 2 chunks: header and an empty area.
	dmsetup status vg-snap
	[ "$(dmsetup status vg-snap | awk '{ split($4, used, "/"); print used[1] - $5 }')" = 0 ]
	judge_root
}

judge_root() {
	e2fsck -fn /dev/vg/root
	mount -o ro /dev/vg/root /mnt
	list /mnt >"$dir/after"
	umount /mnt
	cmp "$dir/before" "$dir/after"
}

lvm_conf '/dev/ubd.*'
install_system
upgrade 4k
keep_snapshot
cut_off
roll_back
judge
lvconvert -q --merge vg/snap
[ "$(lvs --noheadings -o lv_name vg | tr -d ' ')" = root ]
judge_again=$(dmsetup table vg-root)
[ "${judge_again#*linear}" != "$judge_again" ]
e2fsck -fn /dev/vg/root

mount /dev/vg/root /mnt
list /mnt >"$dir/before"
upgrade 64k
refuse
cat "$dir/merge" "$dir/remove" | sh
judge_root
[ "$(lvs --noheadings -o lv_name vg | tr -d ' ')" = root ]

mount /dev/vg/root /mnt
list /mnt >"$dir/before"
scheduled
judge_root
vgchange -q -an vg
