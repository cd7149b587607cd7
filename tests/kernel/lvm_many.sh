#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Copyright (C) 2026 the libcow authors
# Inside the user-mode kernel: the volume group "big", whose text a script wrote, as
# LVM reads it. $1: a work directory, for "lvs": names and sizes; the disks are
# /dev/ubdb and /dev/ubdc.
set -eux
dir=$1
export LC_ALL=C LVM_SYSTEM_DIR="$dir/lvm" LVM_SUPPRESS_FD_WARNINGS=1
# shellcheck source=tests/kernel/lvm_conf.sh disable=SC1091
. "$(dirname "$0")/lvm_conf.sh"
lvm_conf '/dev/ubd.*'
lvs --noheadings --nosuffix --units b -o lv_name,lv_size big >"$dir/lvs"
