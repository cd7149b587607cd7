#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Copyright (C) 2026 the libcow authors
# tools.sh [WHAT...]: the whole tools, and the plugin for nbdkit, on i386: built and tested in
# a Debian of their own (debootstrap) below build-cross-tools/, which an x86-64 kernel runs as
# it is. Nothing outside of it is changed: no architecture is added to this machine's packages.
# WHAT: bats files or folders; without one, those below. 1 GiB; the first time it is made.
#
# What is seen here only: the filters of the sandbox on a 32-bit processor by a real kernel,
# calls by way of socketcall(2), sizes of memory that are 32 bits wide, images of 16 TiB.
set -eu
cd "$(dirname "$0")/../.."
root=$PWD/build-cross-tools/i386
mirror=${MIRROR:-http://deb.debian.org/debian}
[ "$(uname -m)" = x86_64 ] || { echo "tools.sh: an x86-64 kernel is needed, which runs i386 programs" >&2; exit 2; }
packages="gcc g++ make pkg-config libxxhash-dev libarchive-dev libext2fs-dev comerr-dev libblkid-dev libjson-c-dev
libseccomp-dev nbdkit nbdkit-plugin-dev libnbd-dev libnbd-bin python3 python3-libnbd bats parallel xz-utils zstd jq
e2fsprogs strace thin-provisioning-tools xxhash acl attr gddrescue fdisk bsdextrautils bsdutils openssl libarchive-tools
dmsetup mount git time qemu-utils fio"
if [ ! -e "$root/.complete" ]; then
	command -v debootstrap >/dev/null || {
		apt-get update -qq
		DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends debootstrap >/dev/null
	}
	rm -rf "$root"
	mkdir -p "$root"
	echo "making a Debian for i386 in $root"
	# shellcheck disable=SC2086
	debootstrap --arch=i386 --variant=minbase --include="$(echo $packages | tr ' ' ,)" bookworm "$root" "$mirror" \
		>"$root.log" 2>&1 || { tail -20 "$root.log"; exit 1; }
	touch "$root/.complete"
fi
# The sources as they are; what was built there before is kept.
mkdir -p "$root/src"
find "$root/src" -mindepth 1 -maxdepth 1 ! -name 'build*' -exec rm -rf {} +
tar --exclude='./build*' --exclude=./.git -cf - . | tar -C "$root/src" -xf -
[ $# -gt 0 ] || set -- tests/tools tests/house/big.bats
# A mount namespace: nothing stays mounted, however this ends.
# shellcheck disable=SC2016
exec unshare -m sh -euc '
root=$1
shift
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
mount --rbind /dev "$root/dev"
exec setarch i686 chroot "$root" env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root \
	LC_ALL=C.UTF-8 /src/tests/cross/inside.sh "$@"' sh "$root" "$@"
