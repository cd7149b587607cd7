#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Installs what build and tests need, where something is missing (Debian 12).
set -eu
packages="gcc g++ clang libclang-rt-14-dev make pkg-config git
nbdkit nbdkit-plugin-dev libnbd-bin libnbd-dev python3-libnbd
libxxhash-dev libarchive-dev libext2fs-dev comerr-dev libblkid-dev libjson-c-dev libseccomp-dev
bats parallel python3 zstd xz-utils strace valgrind clang-format clang-tidy cppcheck shellcheck mandoc
gcc-i686-linux-gnu libc6-dev-i386-cross gcc-s390x-linux-gnu libc6-dev-s390x-cross qemu-user-static
debhelper dpkg-dev lintian libarchive-tools
user-mode-linux dmsetup lvm2 thin-provisioning-tools e2fsprogs xfsprogs btrfs-progs qemu-utils fio
xxhash openssl jq acl attr gddrescue util-linux mount fdisk bsdutils bsdextrautils busybox-static zsh fish bash-completion"
missing=
for p in $packages; do
	dpkg-query -W -f '${db:Status-Status}\n' "$p" 2>/dev/null | grep -qx installed || missing="$missing $p"
done
[ -n "$missing" ] || exit 0
echo "installing:$missing"
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086
apt-get install -y -qq --no-install-recommends $missing >/dev/null 2>&1 || {
	apt-get update -qq
	apt-get install -y -qq --no-install-recommends $missing >/dev/null
}
