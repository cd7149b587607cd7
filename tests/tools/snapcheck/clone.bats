#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# The metadata of clones that a kernel made or judged, alone: what snapcheck says of it. The library's own test
# (test_clone) compares all of them with the kernel's answers.
bats_require_minimum_version 1.8.0

load ../../common
unpack() {
	cp "$COW_UNPACKED/clone/$1.img" "$BATS_TEST_TMPDIR/meta"
}

@test "a sound clone: regions, status numbers, exit status 0" {
	unpack half-r8/meta
	run -0 --separate-stderr snapcheck -v "$BATS_TEST_TMPDIR/meta"
	[[ $output == *"dm-clone device of 8 MiB, regions of 4 KiB, 1064 of 2048 hydrated (51 %)"* ]]
	[[ $output == *"dmsetup status: 48/2048 sectors of metadata"* ]]
	[[ $output == *"kernel: loads it"* ]]
	# with -v a build under a sanitizer says that it has no sandbox
	[ -z "${stderr//snapcheck: sandbox: left out of this build/}" ]
}

@test "metadata that crashes a kernel is named before anybody loads it" {
	unpack damaged/m10-counted-3.meta
	run -4 --separate-stderr snapcheck --json "$BATS_TEST_TMPDIR/meta"
	[[ $output == *'"kernel_dies":"writing"'* ]]
	[[ $output == *'"id":"clone.count-without-entry"'* ]]
	unpack damaged/b08-root-empty.meta
	run -4 --separate-stderr snapcheck "$BATS_TEST_TMPDIR/meta"
	[[ $output == *"clone.node-empty"* ]]
	[[ $output == *"kernel: crashes when it loads it"* ]]
}

@test "a clone's metadata goes into a report, and is judged from it as it was" {
	unpack damaged/m20-superblock-free.meta
	cd "$BATS_TEST_TMPDIR"
	run -4 --separate-stderr snapcheck meta
	before=$output
	snapdump --metadata -o pack.tar.zst meta
	run -4 --separate-stderr snapcheck pack.tar.zst
	[ "${output//pack.tar.zst/meta}" = "$before" ]
}

@test "nothing is written to a clone's metadata by -y" {
	unpack damaged/m08-leaked.meta
	cp "$BATS_TEST_TMPDIR/meta" "$BATS_TEST_TMPDIR/before"
	run snapcheck -y "$BATS_TEST_TMPDIR/meta"
	cmp "$BATS_TEST_TMPDIR/meta" "$BATS_TEST_TMPDIR/before"
}

# All three images of a fixture.
unpack_all() {
	for image in meta source dest; do
		cp "$COW_UNPACKED/clone/$1/$image.img" "$BATS_TEST_TMPDIR/$image"
	done
	cd "$BATS_TEST_TMPDIR"
	sha256sum meta source dest >sums
}
CLONE=clone:metadata=meta,source=source,destination=dest

@test "a clone is named by its three images, or by its line of dmsetup table" {
	unpack_all half-r8
	run -0 --separate-stderr snapcheck $CLONE
	[ -z "$stderr" ]
	[[ $output == *"1064 of 2048 hydrated"*"snapshot data: complete"* ]]
	by_spec=$output
	run -0 snapcheck --table='0 16384 clone meta dest source 8 1 no_hydration 4 hydration_threshold 1 x 2'
	[ "$output" = "$by_spec" ]
	run -0 snapcheck --table='my-clone: 0 16384 clone meta dest source 8' $CLONE
	[ "$output" = "$by_spec" ]
	run -0 snapcheck --json $CLONE
	[[ $output == *'"kind":"clone"'*'"exceptions":1064'* ]]
	[[ $output == *'"state":"sound"'* ]]
	sha256sum --quiet -c sums
}

@test "a table with other numbers than the superblock is a finding" {
	unpack_all half-r8
	run -4 snapcheck --table='0 16384 clone meta dest source 16' $CLONE
	[[ $output == *"clone.table-mismatch"*"regions of 8 sectors, the table says 16"* ]]
	run -4 snapcheck --header-only --table='0 16376 clone meta dest source 8' $CLONE
	[[ $output == *"clone.table-mismatch"*"target of 16384 sectors, the table says 16376"* ]]
}

@test "source and destination that are too short are findings, each by its name" {
	unpack_all half-r8
	truncate -s -512 source
	run -4 snapcheck $CLONE
	[[ $output == *"clone.source-short: source has 8388096 bytes, the clone 8388608"* ]]
	[[ $output == *"kernel: refuses to load it"* ]]
	truncate -s -4096 dest
	run -4 snapcheck $CLONE
	[[ $output == *"clone.destination-short: dest has 8384512 bytes"* ]]
}

# bats test_tags=long
@test "what names a clone in a wrong way is said, and nothing is opened" {
	unpack_all half-r8
	run -16 snapcheck --table='0 16384 clone meta dest'
	run -16 snapcheck --table='0 16384 linear meta 0'
	run -16 snapcheck --table='0 16384 clone meta dest source 8' meta
	run -16 snapcheck source $CLONE
	run -16 snapcheck -t persistent $CLONE
	run -16 snapcheck --save-undo=u -y $CLONE
	run -16 snapcheck --list --table='0 16384 clone meta dest source 8' meta
	run -16 snapcheck
	run -8 snapcheck clone:metadata=meta,source=nothing,destination=dest
	run -64 --separate-stderr snapcheck --json clone:metadata=dest,source=source,destination=meta
	[[ $stderr == *"meta is the metadata of a clone and dest is not: looks swapped"* ]]
	[[ $output == *'"id":"swapped"'* ]]
	run -64 --separate-stderr snapcheck clone:metadata=meta,source=source,destination=source
	[[ $stderr == *overlap* ]]
	sha256sum --quiet -c sums
}

@test "bytes that never were the metadata of a clone are no store, not a damaged one" {
	head -c 1M /dev/urandom >"$BATS_TEST_TMPDIR/noise"
	run -64 --separate-stderr snapcheck -t clone "$BATS_TEST_TMPDIR/noise"
	[[ $stderr == *"not the metadata of a clone"* ]]
	unpack damaged/s13-lost-garbage.meta
	run -4 snapcheck -t clone "$BATS_TEST_TMPDIR/meta"
	[[ $output == *clone.tree-candidate* ]]
}

@test "--list shows the metadata of a clone, and a clone" {
	unpack_all half-r8
	run -0 --separate-stderr snapcheck --list meta
	[[ $output == "meta  disk: metadata of a clone  1 MiB  48/2048 sectors  1064 of 2048 regions hydrated" ]]
	run -0 snapcheck --list $CLONE
	[[ $output == "$CLONE  clone  8 MiB" ]]
	cp "$COW_UNPACKED/clone/damaged/b04-root-lost.meta.img" meta
	run -4 snapcheck --list meta
	[[ $output == *"damaged: run snapcheck on it" ]]
}

@test "--verify compares what a clone shows with a manifest" {
	unpack_all half-r8
	snapdump -q --tar -o view.tar $CLONE
	run -0 snapcheck --verify=view.tar $CLONE
	[[ $output == *"byte for byte"* ]]
	printf x | dd of=source bs=1 seek=8388600 conv=notrunc status=none
	printf x | dd of=dest bs=1 seek=8388600 conv=notrunc status=none
	run -4 snapcheck --verify=view.tar $CLONE
	[[ $output == *"1 ranges of 1 MiB differ"* ]]
	run -16 snapcheck --verify=view.tar meta
}

@test "what a clone shows is an image like others: parts of it, other tools" {
	unpack_all half-r8
	snapdump -q --raw -o view $CLONE
	[ "$(sha256sum <view)" = "$(sed -n 's/^kernel_view_sha256 //p' "$COW_FIXTURES/clone/half-r8/meta.txt")  -" ]
	snapdump -q --raw -o part "window:1M+1M:$CLONE"
	cmp part <(tail -c +1048577 view | head -c 1M)
	snapcreate -q --from=view source cow
	run -0 snapdump -q --raw -o again source cow
	cmp again view
	run -64 --separate-stderr snapmerge -y "window:0+1M:$CLONE" cow
	[[ $stderr == *"can only be read"* ]]
	sha256sum --quiet -c sums
}

@test "a clone may have a name, and so may its images" {
	unpack_all half-r8
	run -0 snapcheck --image=c=$CLONE image:c
	[[ $output == *"1064 of 2048 hydrated"* ]]
	run -0 snapcheck --image=m=meta clone:metadata=image:m,source=source,destination=dest
	run -0 snapcheck --image=c=$CLONE --list image:c
	[[ $output == "image:c  clone  8 MiB" ]]
}
