#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Copyright (C) 2026 the libcow authors
# Inside the user-mode kernel: merges into a raid1 that is not activated. Afterwards the
# kernel compares its legs, and reads what the snapshot showed. One merge is killed with
# legs that differ: the same command finishes it, or LVM does. $1: a work directory that
# holds "path", where our tools are; the disks are /dev/ubdb and /dev/ubdc.
set -eux
dir=$1
PATH=$(cat "$dir/path"):$PATH
export LC_ALL=C LVM_SYSTEM_DIR="$dir/lvm" LVM_SUPPRESS_FD_WARNINGS=1
# shellcheck source=tests/kernel/lvm_conf.sh disable=SC1091
. "$(dirname "$0")/lvm_conf.sh"
raid_modules
busybox insmod "$modules/kernel/drivers/md/raid1.ko"
echo 1000000 >/proc/sys/dev/raid/speed_limit_min
lvm_conf '/dev/ubd.*'
vgcreate -q -s 512k vg /dev/ubdb /dev/ubdc
lvcreate -q -y -Wn --type raid1 -m 1 -l 20 -n base vg
dd if=/dev/urandom of=/dev/vg/base bs=64k oflag=direct status=none || :
snap=lvm:/dev/ubdb,/dev/ubdc:vg/snap

idle() {
	while ! lvs --noheadings -o sync_percent,raid_sync_action vg/base | grep -q '100.00 *idle'; do
		sleep 0.1
	done
}

# How many sectors differ between the legs, by the kernel.
mismatches() {
	lvchange -q --syncaction check vg/base
	idle
	lvs --noheadings -o raid_mismatch_count vg/base | tr -d ' '
}

digest() {
	dd if="$1" bs=64k iflag=direct status=none | sha256sum
}

# A snapshot, after which most of the origin changes; "want" is what it shows.
take() {
	lvcreate -q -y -s -c 4k -l 24 -n snap vg/base
	digest /dev/vg/snap >"$dir/want"
	dd if=/dev/urandom of=/dev/vg/base bs=64k seek=3 count=140 oflag=direct status=none
	vgchange -q -an vg
}

judge() {
	vgchange -q -ay vg
	idle
	digest "$1" | cmp - "$dir/want"
	[ "$(mismatches)" = 0 ]
}

# A merge that is killed while it writes. The volumes are active then, and the snapshot is right.
cut_off() {
	take
	snapmerge -q -y --batch=1M --rate-limit=2m "$snap" &
	sleep 2
	kill -9 $!
	wait $! || :
	! snapcheck --is-empty "$snap" || exit 1
	snapcheck "$snap"
	vgchange -q -ay vg
	digest /dev/vg/snap | cmp - "$dir/want"
}

idle
take
snapmerge -y "$snap"
judge /dev/vg/base
lvremove -q -y vg/snap

cut_off
vgchange -q -an vg
snapmerge -y "$snap"
judge /dev/vg/base
lvremove -q -y vg/snap

cut_off
lvconvert -q --merge vg/snap
while lvs --noheadings -o lv_name vg/snap 2>/dev/null; do sleep 0.1; done
judge /dev/vg/base

# A leg that differs where the merge does not write: the kernel sees it, and so do we.
take
vgchange -q -ay vg
place=$(dmsetup table vg-base_rimage_1 | awk '{ print $5 }')
vgchange -q -an vg
printf X | dd of=/dev/ubdc bs=1 seek=$((place * 512 + 1000)) conv=notrunc,fsync status=none
status=0
snapmerge -y "$snap" 2>"$dir/refused" || status=$?
[ "$status" = 64 ]
grep 'two of its legs differ where the merge will not write: /dev/ubdb at byte' "$dir/refused"
vgchange -q -ay vg
idle
[ "$(mismatches)" != 0 ]
vgchange -q -an vg
snapmerge -y --force=legs "$snap"
vgchange -q -ay vg
[ "$(mismatches)" != 0 ]
vgchange -q -an vg
