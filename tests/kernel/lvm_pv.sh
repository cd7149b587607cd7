#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Copyright (C) 2026 the libcow authors
# Inside the user-mode kernel: a snapshot was merged straight on the image of
# its physical volume, without LVM. What does LVM say? $1 is a work directory
# with "files", the hashes of what the snapshot showed; the disks /dev/ubdb and
# /dev/ubdc are two copies of the volume.
set -eux
dir=$1
export LC_ALL=C LVM_SYSTEM_DIR="$dir/lvm" LVM_SUPPRESS_FD_WARNINGS=1
# shellcheck source=tests/kernel/lvm_conf.sh disable=SC1091
. "$(dirname "$0")/lvm_conf.sh"

# The origin is what the snapshot was; the snapshot adds nothing to it: header
# and one empty area are all that is used.
judge() {
	lvm_conf "$1"
	vgchange -q -ay vg0
	[ "$(dmsetup status vg0-snap | awk '{ split($4, used, "/"); print used[1] - $5 }')" = 0 ]
	e2fsck -fn /dev/vg0/base
	e2fsck -fn /dev/vg0/snap
	cmp /dev/vg0/base /dev/vg0/snap
	mount -o ro /dev/vg0/base /mnt
	(cd /mnt && sha256sum --quiet --strict -c "$dir/files")
	[ "$(find /mnt -type f | wc -l)" -eq "$(wc -l <"$dir/files")" ]
	umount /mnt
}

judge /dev/ubdb
sha256sum </dev/vg0/base >"$dir/before"
lvconvert -q --merge vg0/snap
[ "$(lvs --noheadings -o lv_name vg0 | tr -d ' ' | sort | tr '\n' ' ')" = "base pad pad2 " ]
dmsetup table vg0-base | grep linear
sha256sum </dev/vg0/base | cmp - "$dir/before"
e2fsck -fn /dev/vg0/base
vgchange -q -an vg0

judge /dev/ubdc
lvremove -q -y vg0/snap
[ "$(lvs --noheadings -o lv_name vg0 | tr -d ' ' | sort | tr '\n' ' ')" = "base pad pad2 " ]
sha256sum </dev/vg0/base | cmp - "$dir/before"
e2fsck -fn /dev/vg0/base
vgchange -q -an vg0
