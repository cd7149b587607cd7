#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Copyright (C) 2026 the libcow authors
# Inside the user-mode kernel: LVM makes a raid5 in each of its layouts, with
# random bytes and a snapshot of one of them. $1: a work directory, for "sums", a name and
# the digest of its device in each line; the disks are /dev/ubdb to /dev/ubde.
set -eux
dir=$1
export LC_ALL=C LVM_SYSTEM_DIR="$dir/lvm" LVM_SUPPRESS_FD_WARNINGS=1
# shellcheck source=tests/kernel/lvm_conf.sh disable=SC1091
. "$(dirname "$0")/lvm_conf.sh"
raid_modules
lvm_conf '/dev/ubd.*'
vgcreate -q -s 512k vg /dev/ubdb /dev/ubdc /dev/ubdd /dev/ubde

# raid NAME TYPE STRIPES SIZE_OF_STRIPE: filled, in units that tell their place apart.
raid() {
	lvcreate -q -y -Wn --type "$2" -i "$3" -I "$4" -l $(($3 * 5)) -n "$1" vg
	dd if=/dev/urandom of="/dev/vg/$1" bs=64k oflag=direct status=none || :
	while ! lvs --noheadings -o sync_percent "vg/$1" | grep -q 100.00; do sleep 0.2; done
}

raid ls raid5_ls 3 16k
raid la raid5_la 2 64k
raid ra raid5_ra 3 16k
raid rs raid5_rs 2 64k
raid n raid5_n 3 16k
lvcreate -q -y -s -c 4k -l 4 -n snap vg/ls
dd if=/dev/urandom of=/dev/vg/ls bs=64k seek=3 count=4 oflag=direct status=none
sync
for name in ls la ra rs n snap; do
	echo "$name $(dd if="/dev/vg/$name" bs=64k iflag=direct status=none | sha256sum | cut -d' ' -f1)" >>"$dir/sums"
done
vgchange -q -an vg
