#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# The source archive, and the Debian packages built from it: the archive builds
# and passes unit tests (debian/rules runs them: here some, which need files besides,
# and make check runs all of them on the same sources), lintian has nothing to
# say, and the packages install, work and go away again in a root of their own.
# bats file_tags=slow,limit
bats_require_minimum_version 1.8.0

setup_file() {
	cd "$COW_SOURCE"
	# What is tested is the tree as it is, committed or not.
	tree=
	[ ! -e .git ] || tree=$(git -c user.name=test -c user.email=test@localhost stash create)
	UNITS="base/test_base image/test_image core/test_exmap engine/test_merge store/test_fixtures volume/test_lvm" \
		make --no-print-directory deb TREE="$tree" >"$BATS_FILE_TMPDIR/log" 2>&1 || {
		cat "$BATS_FILE_TMPDIR/log"
		return 1
	}
	export debs=$COW_BUILD/deb
}

# From the header: the one place.
version() {
	sed -n 's/^#define COW_VERSION_[A-Z]*[[:space:]]*//p' "$COW_SOURCE/include/libcow.h" | paste -sd.
}

@test "the archive holds the source alone, and unit tests pass there" {
	run -0 tar -tzf "$debs"/libcow-*.tar.gz
	[[ $output == *"libcow-$(version)/tests/quickstart.sh"* ]]
	! grep -E '\.(o|a|so|img)$|/build' <<<"$output" || return 1
	[ "$(grep -c ' tests ok$' "$BATS_FILE_TMPDIR/log")" -eq 6 ]
}

@test "an unpacked archive, without git, makes the same archive" {
	tar -xzf "$debs"/libcow-*.tar.gz
	make -s --no-print-directory -C libcow-* dist DISTDIR="$BATS_TEST_TMPDIR"
	files() { tar -tzf "$1" | grep -v '/$' | sort; }
	diff <(files "$debs"/libcow-*.tar.gz) <(files "$BATS_TEST_TMPDIR"/libcow-*.tar.gz)
}

@test "four packages hold everything that is installed, each thing once, and nothing else" {
	for package in libcow0 libcow-dev snaptools nbdkit-plugin-snapshot; do
		dpkg-deb -c "$debs/$package"_*.deb | awk '!/^d/ { print $6 }' | grep -v ^./usr/share/doc/
	done| sed 's/\.gz$//; s|/[a-z0-9_]*-linux-gnu[a-z0-9]*/|/ARCH/|' | sort >have
	make -s --no-print-directory -C "$COW_SOURCE" install DESTDIR="$BATS_TEST_TMPDIR/d" prefix=/usr \
		libdir=/usr/lib/ARCH zshcompdir=/usr/share/zsh/vendor-completions
	(cd d && find . ! -type d | sort) | diff - have
}

@test "the packages install into an empty root, work there, and leave nothing when they go" {
	root=$BATS_TEST_TMPDIR/root
	mkdir -p "$root"/var/lib/dpkg/info "$root"/var/lib/dpkg/updates "$root"/var/lib/dpkg/triggers
	touch "$root/var/lib/dpkg/status"
	in_root() { dpkg --root="$root" --force-depends --force-not-root --log=/dev/null "$@"; }
	in_root -i "$debs"/libcow0_*.deb "$debs"/libcow-dev_*.deb "$debs"/snaptools_*.deb
	export LD_LIBRARY_PATH=$(dirname "$root"/usr/lib/*/libcow.so.0)
	[[ $(ldd "$root/usr/bin/snapmerge") == *"$LD_LIBRARY_PATH/libcow.so.0"* ]]
	truncate -s 1M base.img
	"$root/usr/bin/snapcreate" -q base.img cow.img
	run -0 "$root/usr/bin/snapcheck" base.img cow.img
	run -0 "$root/usr/bin/snapmerge" -y base.img cow.img
	cc -I"$root/usr/include" -o p "$COW_SOURCE/tests/examples/version.c" -L"$LD_LIBRARY_PATH" -lcow
	[ "$(./p)" = "$(version)" ]
	[ "$(in_root -s snaptools | sed -n 's/^Version: //p')" = "$(version)" ]
	in_root -P snaptools libcow-dev libcow0
	[ -z "$(find "$root/usr" ! -type d 2>/dev/null)" ]
}

@test "built in another folder, at another time, the packages are the same, byte for byte" {
	mkdir -p there/deeper
	tar -C there/deeper -xzf "$debs"/libcow-*.tar.gz
	find there -exec touch -d yesterday {} +
	(
		cd there/deeper/libcow-* && unset MAKEFLAGS MAKEOVERRIDES MFLAGS && umask 077 &&
			TZ=Asia/Tokyo LC_ALL=C.UTF-8 DEB_BUILD_OPTIONS="parallel=2 nocheck" dpkg-buildpackage -b -us -uc >log 2>&1
	) || { tail -20 there/deeper/libcow-*/log; return 1; }
	for package in "$debs"/*.deb; do
		cmp "$package" "there/deeper/${package##*/}"
	done
	[ "$(find there/deeper -name '*.deb' | wc -l)" = "$(find "$debs" -maxdepth 1 -name '*.deb' | wc -l)" ]
}

# Unpacked below a folder, found there first: what autopkgtest sees in a machine
# of its own.
@test "the tests that the packages bring (autopkgtest) pass with what the packages hold" {
	root=$BATS_TEST_TMPDIR/root
	for package in "$debs"/*.deb; do
		[[ $package == *-dbgsym_* ]] || dpkg-deb -x "$package" "$root"
	done
	pc=$(dirname "$root"/usr/lib/*/pkgconfig/libcow.pc)
	export LD_LIBRARY_PATH=$(dirname "$pc") PATH=$root/usr/bin:$root/usr/sbin:/usr/bin:/bin:/usr/sbin:/sbin
	[[ $(command -v snapmerge) == "$root"/usr/* ]]
	cd "$COW_SOURCE"
	debian/tests/tools
	PKG_CONFIG_SYSROOT_DIR=$root PKG_CONFIG_PATH=$pc debian/tests/library
	# Each is named in the list, and those listed are there.
	diff <(sed -n 's/^Tests: //p' debian/tests/control | sort) <(cd debian/tests && find . -type f ! -name control -printf '%f\n' | sort)
}

setup() {
	cd "$BATS_TEST_TMPDIR"
}
