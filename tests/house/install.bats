#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# What "make install" puts where, and that it works from there: nothing below
# uses the build tree.
# bats file_tags=limit
bats_require_minimum_version 1.8.0

# The shell of the tests stands in a make recipe: its flags reach this make.
in_source() {
	make -s --no-print-directory -C "$COW_SOURCE" "$@"
}

setup_file() {
	export root=$BATS_FILE_TMPDIR/root
	in_source install prefix="$root"
	export PKG_CONFIG_PATH=$root/lib/pkgconfig LD_LIBRARY_PATH=$root/lib
}

setup() {
	cd "$BATS_TEST_TMPDIR"
}

# The files and links below a directory, sorted.
tree() {
	(cd "$1" && find . ! -type d | sort)
}

@test "each thing is where its readers look, and readable by all" {
	tree "$root" >have
	for tool in snapcreate snapcheck snapmerge snapdump; do
		echo "./bin/$tool"
		echo "./share/bash-completion/completions/$tool"
		echo "./share/fish/vendor_completions.d/$tool.fish"
	done >want
	printf './%s\n' include/libcow.h lib/libcow.a lib/libcow.so lib/libcow.so.0 \
		lib/nbdkit/plugins/nbdkit-snapshot-plugin.so \
		"lib/libcow.so.$(cow_version)" lib/pkgconfig/libcow.pc share/zsh/site-functions/_libcow >>want
	for page in "$COW_SOURCE"/man/*.[0-9]; do
		echo "./share/man/man${page##*.}/${page##*/}"
	done >>want
	sort want | diff - have
	[ -z "$(find "$root" -type f ! -perm -444)" ]
	for tool in snapcreate snapcheck snapmerge snapdump; do
		run -0 "$root/bin/$tool" --version
		[[ $output == *"$(cow_version)"* ]]
	done
}

# The version, from the header: the one place.
cow_version() {
	sed -n 's/^#define COW_VERSION_[A-Z]*[[:space:]]*//p' "$root/include/libcow.h" | paste -sd.
}

@test "the version stands in one place: tools, pkg-config, pages, news and packages agree with it" {
	v=$(cow_version)
	[[ $v =~ ^[0-9]+\.[0-9]+\.[0-9]+$ ]]
	[ "$(pkg-config --modversion libcow)" = "$v" ]
	for page in "$root"/share/man/man*/*; do
		[[ $(mandoc "$page" | col -b | tail -n 1) == "libcow $v"* ]] || { echo "$page"; return 1; }
	done
	[[ $(grep -m 1 '^## ' "$COW_SOURCE/NEWS.md") == "## $v"* ]]
	[[ $(head -n 1 "$COW_SOURCE/debian/changelog") == "libcow ($v) "* ]]
	grep -q "^LIBCOW_${v%.*} {" "$COW_SOURCE/libcow/libcow.map"
	# And nowhere else, but where it says since when something is there.
	cd "$COW_SOURCE"
	! grep -rnF "$v" Makefile libcow tools tests/*.* tests/unit tests/aids tests/tools tests/house tests/examples completions man README.md HACKING.md || return 1
}

@test "the shared object has its soname, needs little, and gives versioned names only" {
	run -0 readelf -dW "$root/lib/libcow.so"
	[[ $output == *"soname: [libcow.so.0]"* ]]
	[ "$(grep -o 'Shared library: .*' <<<"$output" | sort | paste -sd' ')" = \
		"Shared library: [libc.so.6] Shared library: [libxxhash.so.0]" ]
	nm -D --defined-only "$root/lib/libcow.so" | awk '$2 != "A" { print $3 }' | sort >names
	! grep -v '^cow_[a-z0-9_]*@@LIBCOW_0\.1$' names || return 1
	# Each function that the header promises is there.
	sed -n 's/^COW_EXPORT .*[ *]\(cow_[a-z0-9_]*\)(.*/\1@@LIBCOW_0.1/p' "$root/include/libcow.h" |
		sort | diff - names
}

@test "each tool needs the libraries that it uses, and no other" {
	needed() {
		readelf -dW "$root/bin/$1" | sed -n 's/.*NEEDED.*\[\(.*\)\.so.*/\1/p' | sort | paste -sd' '
	}
	# Of them snapcheck has libarchive for metadata packs, and the static one not.
	[ "$(needed snapmerge)" = "libblkid libc libjson-c libseccomp libxxhash" ]
	[ "$(needed snapcheck)" = "libarchive libblkid libc libjson-c libseccomp libxxhash" ]
	[ "$(needed snapcreate)" = "libarchive libblkid libc libjson-c libseccomp libxxhash" ]
	[ "$(needed snapdump)" = "libarchive libblkid libc libcom_err libext2fs libjson-c libseccomp libxxhash" ]
}

# bats test_tags=long
@test "a program of ten lines builds with what pkg-config says: shared, static, as C++" {
	program=$COW_SOURCE/tests/examples/version.c
	cc -Wall -Wextra -Werror -std=c99 -o shared "$program" $(pkg-config --cflags --libs libcow)
	[[ $(ldd shared) == *"$root/lib/libcow.so.0"* ]]
	cc -static -o static "$program" $(pkg-config --static --cflags --libs libcow)
	! readelf -lW static | grep INTERP || return 1
	c++ -Wall -Wextra -Werror -pedantic -x c++ -o plus "$program" $(pkg-config --cflags --libs libcow)
	for p in ./shared ./static ./plus; do
		run -0 "$p"
		[ "$output" = "$(cow_version)" ]
	done
	[ "$(pkg-config --modversion libcow)" = "$(cow_version)" ]
}

# bats test_tags=long
@test "DESTDIR with a blank is kept to, and uninstall leaves nothing" {
	dest="$BATS_TEST_TMPDIR/a b"
	in_source install DESTDIR="$dest" prefix=/opt/cow libdir=/opt/cow/lib/arch
	grep -qx 'libdir=/opt/cow/lib/arch' "$dest/opt/cow/lib/arch/pkgconfig/libcow.pc"
	! grep -r "$dest" "$dest" || return 1
	[ "$(ls "$dest")" = opt ]
	[ "$(tree "$dest" | wc -l)" -eq "$(tree "$root" | wc -l)" ]
	touch "$dest/opt/cow/bin/somebody-elses"
	in_source uninstall DESTDIR="$dest" prefix=/opt/cow libdir=/opt/cow/lib/arch
	[ "$(tree "$dest")" = ./opt/cow/bin/somebody-elses ]
}
