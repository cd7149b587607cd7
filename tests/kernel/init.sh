#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Copyright (C) 2026 the libcow authors
# The first process of the user-mode kernel: mounts, modules, one job, off.
# The kernel's command line gives job=PROGRAM, jobarg=WORD and limit=SECONDS. Whoever started
# us looks for JOB_RC=n on the console: a kernel that dies prints none.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /dev/shm 2>/dev/null
modules=/usr/lib/uml/modules/$(uname -r)/kernel/drivers
busybox insmod "$modules/dax/dax.ko" 2>/dev/null
for m in md/dm-mod md/dm-bufio md/persistent-data/dm-persistent-data md/dm-clone md/dm-bio-prison md/dm-thin-pool md/dm-snapshot md/dm-delay md/dm-flakey md/dm-log-writes; do
	[ ! -d "$modules" ] || busybox insmod "$modules/$m.ko"
done
[ ! -d "$modules" ] || busybox insmod "$modules/block/loop.ko" max_loop=0
read -r words </proc/cmdline
for word in $words; do
	case $word in
	job=*) job=${word#job=} ;;
	jobarg=*) jobarg=${word#jobarg=} ;;
	limit=*) limit=${word#limit=} ;;
	esac
done
(sleep "${limit:-600}" && echo "TIME IS UP" && busybox poweroff -f) &
"$job" "$jobarg"
rc=$?
sync
echo "JOB_RC=$rc"
exec busybox poweroff -f
