#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Copyright (C) 2026 the libcow authors
# Job for the user-mode kernel: runs "story", a script that mounts what nbdkit serves,
# in a kernel with FUSE. Works in $1, where the images are and "bin" with nbdkit.
cd "$1" || exit 1
PATH=$1/bin:$PATH
modules=/usr/lib/uml/modules/$(uname -r)/kernel
for m in fs/fuse/fuse lib/libcrc32c fs/xfs/xfs; do
	busybox insmod "$modules/$m.ko" 2>/dev/null
done
sh -eu story >words 2>&1
