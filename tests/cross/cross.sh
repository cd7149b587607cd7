#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# cross.sh short|all ARCHITECTURE...: libcow and its C tests, built by Debian's
# cross compilers, static, run here or under qemu-user. They need libc alone:
# xxHash is inlined. The formats are the same on every processor, so the tests
# with kernel-made images show it.
#   i386 s390x (big-endian)   in "make check", the short ones
#   armhf arm64               in "make check-cross", with all others
set -eu
cd "$(dirname "$0")/../.."
length=$1
shift
packages() {
	case $1 in
	i386) echo gcc-i686-linux-gnu libc6-dev-i386-cross ;;
	s390x) echo gcc-s390x-linux-gnu libc6-dev-s390x-cross ;;
	armhf) echo gcc-arm-linux-gnueabihf libc6-dev-armhf-cross ;;
	arm64) echo gcc-aarch64-linux-gnu libc6-dev-arm64-cross ;;
	esac
}
compiler() {
	case $1 in
	i386) echo i686-linux-gnu-gcc ;;
	s390x) echo s390x-linux-gnu-gcc ;;
	armhf) echo arm-linux-gnueabihf-gcc ;;
	arm64) echo aarch64-linux-gnu-gcc ;;
	*) echo "cross.sh: $1: i386, s390x, armhf and arm64 are known" >&2; exit 2 ;;
	esac
}
emulator() {
	case $1 in
	i386) echo qemu-i386-static ;;
	s390x) echo qemu-s390x-static ;;
	armhf) echo qemu-arm-static ;;
	arm64) echo qemu-aarch64-static ;;
	esac
}
# What takes long under an emulator is left to "all".
programs() {
	if [ "$length" = short ]; then
		set -- base/test_base core/test_chunkset core/test_exmap core/test_report image/test_image image/test_bad \
			snapshot/test_patch store/test_append store/test_check store/test_fixtures store/test_persistent engine/test_diff
		printf 'tests/unit/%s\n' "$@"
	else
		for source in tests/unit/*/test_*.c tests/crash/crash_*.c; do
			# handles in two threads: valgrind and TSan look at those
			case $source in */test_threads.c | */test_plugin_threads.c) ;; *) echo "${source%.c}" ;; esac
		done
	fi
}
for arch; do
	cc=$(compiler "$arch")
	if ! command -v "$cc" >/dev/null || ! command -v "$(emulator "$arch")" >/dev/null; then
		apt-get update -qq
		# shellcheck disable=SC2046
		DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
			qemu-user-static $(packages "$arch") >/dev/null
	fi
	build=build-cross-$arch
	mkdir -p "$build/inline"
	cp /usr/include/xxhash.h /usr/include/xxh3.h "$build/inline"
	# shellcheck disable=SC2046
	make --no-print-directory -s -j2 B="$build" CC="$cc" CPPFLAGS="-DXXH_INLINE_ALL -I$build/inline" lib_cflags= lib_libs= \
		tool_cflags= tool_libs= LDFLAGS=-static CFLAGS=-O1 WERROR=1 $(programs | sed "s|^|$build/|")
	file=$(programs | head -1)
	# Is it really for that processor?
	readelf -h "$build/$file" | grep -q "$(case $arch in
		i386) echo 'Intel 80386' ;; s390x) echo 'big endian' ;; armhf) echo ARM ;; arm64) echo AArch64 ;; esac)"
	export COW_BUILD="$PWD/$build" COW_FIXTURES="$PWD/tests/fixtures" COW_UNPACKED="$PWD/build/unpacked"
	# Two at a time.
	# shellcheck disable=SC2016
	programs | xargs -P 2 -I {} sh -c '"$1" "$2/$3" >"$2/$3.log" 2>&1 || { cat "$2/$3.log"; echo "cross.sh: $2/$3 failed"; exit 255; }' \
		sh "$(emulator "$arch")" "$build" {} || exit 1
	echo "$arch: $(programs | wc -l) programs passed"
done
