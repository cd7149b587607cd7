#!/bin/busybox sh
# shellcheck shell=dash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Copyright (C) 2026 the libcow authors
# /init of an initramfs that holds busybox and the static tools, and nothing
# else; nothing is mounted, not even /proc. The root file system on /dev/ubda
# is rolled back with the COW image on /dev/ubdb, then it is started. With /cut
# the merge stops half-way and the machine goes off.
PATH=/bin
fail() {
	echo "INITRAMFS: $*"
	echo "JOB_RC=1"
	busybox poweroff -f
}
[ ! -e /proc/mounts ] || fail "something is mounted"
if [ -e /cut ]; then
	/cut /dev/ubda /dev/ubdb 4M
	[ $? = 32 ] || fail "it did not stop half-way"
	echo "JOB_RC=0"
	busybox poweroff -f
fi
snapcheck /dev/ubda /dev/ubdb || fail "snapcheck: $?"
snapmerge -y /dev/ubda /dev/ubdb || fail "snapmerge: $?"
snapcheck -q /dev/ubda /dev/ubdb || fail "snapcheck afterwards: $?"
busybox mount -t ext4 -o ro /dev/ubda /root || fail "the root does not mount"
exec busybox switch_root /root /sbin/init
