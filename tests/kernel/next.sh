#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Copyright (C) 2026 the libcow authors
# next.sh DIRECTORY: makes DIRECTORY/linux, a user-mode-linux of Linux 6.12 as Debian 12
# ships its source (linux-source-6.12), with all that the kernel tests need built in. What
# is there already is not made again. About 25 minutes of one processor, 2 GiB.
set -eu
where=$1
jobs=${JOBS:-2}
source=/usr/src/linux-source-6.12.tar.xz
[ ! -e "$where/linux" ] || exit 0
for p in linux-source-6.12 bc flex bison; do
	dpkg-query -W -f '${db:Status-Status}\n' "$p" 2>/dev/null | grep -qx installed || missing="${missing:-} $p"
done
if [ -n "${missing:-}" ]; then
	echo "installing:$missing"
	export DEBIAN_FRONTEND=noninteractive
	apt-get update -qq
	# shellcheck disable=SC2086
	apt-get install -y -qq --no-install-recommends $missing >/dev/null
fi
mkdir -p "$where/source" "$where/build"
where=$(cd "$where" && pwd)
tar -xf "$source" -C "$where/source" --strip-components=1
kernel() {
	make -s -C "$where/source" ARCH=um O="$where/build" "$@"
}
config() {
	"$where/source/scripts/config" --file "$where/build/.config" "$@"
}
kernel defconfig
for option in MD BLK_DEV_DM DM_SNAPSHOT DM_THIN_PROVISIONING DM_CLONE DM_LOG_WRITES DM_FLAKEY DM_DELAY DM_ZERO DM_MIRROR \
	BLK_DEV_LOOP BLK_DEV_NBD BLK_DEV_INITRD BLK_DEV_UBD EXT4_FS EXT4_FS_POSIX_ACL XFS_FS BTRFS_FS FUSE_FS HOSTFS TMPFS \
	TMPFS_XATTR DEVTMPFS; do
	config -e "$option"
done
config --set-val BLK_DEV_LOOP_MIN_COUNT 0 -d MODULES -e DEBUG_INFO_NONE -d SOUND -d WIRELESS
kernel olddefconfig
kernel -j "$jobs" linux
cp "$where/build/linux" "$where/linux"
rm -rf "$where/source" "$where/build"
"$where/linux" --version
