#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Copyright (C) 2026 the libcow authors
# Inside the user-mode kernel: a thin volume of LVM is rolled back on the disk where
# nothing is active, and LVM goes on with the pool. $1 is a work directory that holds
# "path" (where our tools are); the disk is /dev/ubdb.
set -eux
dir=$1
PATH=$(cat "$dir/path"):$PATH
export LC_ALL=C LVM_SYSTEM_DIR="$dir/lvm" LVM_SUPPRESS_FD_WARNINGS=1
# shellcheck source=tests/kernel/lvm_conf.sh disable=SC1091
. "$(dirname "$0")/lvm_conf.sh"

# shown LV: the hash of what the kernel reads from it.
shown() {
	lvchange -q -ay -K "vg/$1"
	sha256sum <"/dev/vg/$1"
}

fill() { # LV SEED: a megabyte and a half of its own
	seq "$2" $(($2 + 300000)) | head -c 1500000 | dd of="/dev/vg/$1" bs=64k conv=notrunc,fsync status=none
}

lvm_conf /dev/ubdb
pvcreate -q /dev/ubdb
vgcreate -q vg /dev/ubdb
lvcreate -q -y -L 24M -T vg/pool --poolmetadatasize 4M
lvcreate -q -y -Wn -V 16M -T vg/pool -n root
fill root 1000000
lvcreate -q -y -s -n snap vg/root
lvcreate -q -y -s -n other vg/root
shown root >"$dir/before"
fill root 5000000
shown root >"$dir/after"
cmp "$dir/before" "$dir/after" && exit 1
vgchange -q -an vg
snapmerge -y lvm:/dev/ubdb:vg/snap
vgck vg
vgchange -q -ay vg
shown root | cmp - "$dir/before"
shown snap | cmp - "$dir/after"
shown other | cmp - "$dir/before"
# LVM writes to both, takes the snapshot away, and makes new volumes, which are empty.
fill root 7000000
shown root >"$dir/new"
shown snap | cmp - "$dir/after"
shown other | cmp - "$dir/before"
lvremove -q -y vg/snap
lvcreate -q -y -Wn -V 16M -T vg/pool -n fresh
[ "$(tr -d '\0' </dev/vg/fresh | wc -c)" = 0 ]
lvcreate -q -y -s -n again vg/root
shown again | cmp - "$dir/new"
fill fresh 9000000
shown root | cmp - "$dir/new"
shown other | cmp - "$dir/before"
vgck vg
vgchange -q -an vg
snapcheck lvm:/dev/ubdb:vg/pool >"$dir/check" || { cat "$dir/check"; exit 1; }
grep 'sound: no problems found' "$dir/check"
