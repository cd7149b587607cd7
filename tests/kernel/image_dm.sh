#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Copyright (C) 2026 the libcow authors
# Job for the user-mode kernel: opens devices below, and made of, a snapshot.
# Works in the directory $1, where image_open is; writes NAME.out there.
cd "$1" || exit 1
set -e
origin=$(losetup -f --show origin.img)
cow=$(losetup -f --show cow.img)
try() {
	name=$1
	shift
	timeout 20 ./image_open "$@" >"$name.out" 2>&1 || true
}
make() { dmsetup create "$1" --noudevsync --table "0 16384 $2" && dmsetup mknodes "$1"; }
make snap "snapshot $origin $cow P 8"
make whole "snapshot-origin $origin"
make plain "linear $cow 0"
try snapshot-read r /dev/mapper/snap
try snapshot-busy b /dev/mapper/snap
try snapshot-write w /dev/mapper/snap
try origin-write w /dev/mapper/whole
try linear-write w /dev/mapper/plain
try held-read r "$origin"
try held-busy b "$origin"
try held-write w "$cow"
try backing-write w origin.img
dmsetup remove --noudevsync snap
dmsetup remove --noudevsync whole
make merging "snapshot-merge $origin $cow P 8"
try merge-write w /dev/mapper/merging
dmsetup remove --noudevsync plain
dmsetup remove --noudevsync merging
try free-write w "$origin" w "$cow"
try partition r "$origin@0+1M" w "$origin@1M"
# This file system (hostfs) makes no files without a name.
try output o new.img 1M put 0 hello publish
try output-again o new.img 1M
try output-dropped o dropped.img 1M put 0 hello
losetup -d "$origin"
losetup -d "$cow"
