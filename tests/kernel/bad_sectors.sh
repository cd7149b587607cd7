#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Copyright (C) 2026 the libcow authors
# Job for the user-mode kernel: a COW image on a disk with bad sectors. Works in
# $1, where origin.img, cow.img, the tools and "bad" (first sector and number of
# sectors, a line for each bad place) are; leaves what came out there.
cd "$1" || exit 1
set -eu
PATH=$(cat path):$PATH
origin=$(losetup -f --show origin.img)
cow=$(losetup -f --show cow.img)
sectors=$(blockdev --getsz "$cow")
at=0
while read -r first nr; do
	[ "$first" -eq "$at" ] || echo "$at $((first - at)) linear $cow $at"
	echo "$first $nr error"
	at=$((first + nr))
done <bad >table
echo "$at $((sectors - at)) linear $cow $at" >>table
dmsetup create bad --noudevsync <table
dmsetup mknodes bad
code() {
	rc=0
	"$@" || rc=$?
	echo "$rc"
}
{
	code snapdump --raw -o none.img "$origin" /dev/mapper/bad
	code snapdump --raw --skip-unreadable --json=dump.json -o dump.img "$origin" /dev/mapper/bad
	code snapdump --tar --skip-unreadable --fill=zero -o dump.tar "$origin" /dev/mapper/bad
	code snapmerge -y "$origin" /dev/mapper/bad
	code snapmerge -y --skip-unreadable --force=bad-cow --bad-list=list --json=merge.json "$origin" /dev/mapper/bad
} >codes 2>words
dmsetup remove --noudevsync bad
blockdev --flushbufs "$origin"
dd if="$origin" of=merged.img bs=1M iflag=direct status=none
# The kernel on what was left, the sectors being good again: it loads the store,
# shows the whole snapshot, and merges the rest.
size=$(blockdev --getsz "$origin")
dmsetup create snap --noudevsync --table "0 $size snapshot $origin $cow P 8"
dmsetup mknodes snap
dmsetup status snap >loaded.txt
dd if=/dev/mapper/snap of=view.img bs=1M iflag=direct status=none
dmsetup remove --noudevsync snap
dmsetup create merging --noudevsync --table "0 $size snapshot-merge $origin $cow P 8"
for _ in $(seq 200); do
	dmsetup status merging >merging.txt
	read -r _ _ _ used metadata <merging.txt
	[ "${used%/*}" != "$metadata" ] || break
	busybox sleep 0.05
done
dmsetup remove --noudevsync merging
blockdev --flushbufs "$origin"
dd if="$origin" of=end.img bs=1M iflag=direct status=none
losetup -d "$origin"
losetup -d "$cow"
