#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# Every image that a real kernel made: we say what the kernel said.
bats_require_minimum_version 1.8.0
load ../../common

setup() {
	cd "$BATS_TEST_TMPDIR"
}

# The folders with a pair that the kernel could read.
valid_folders() {
	for meta in "$COW_FIXTURES"/*/meta.txt; do
		grep -qE '^kernel_view_sha256 [0-9a-f]{64}' "$meta" && basename "$(dirname "$meta")"
	done
}

# status FOLDER: allocated/total metadata, as dmsetup printed it last.
status_line() {
	sed -n 's/^status: 0 [0-9]* snapshot //p' "$COW_FIXTURES/$1/meta.txt" | tail -1
}

@test "there are enough fixtures for this to mean something" {
	[ "$(valid_folders | wc -l)" -ge 14 ]
}

# bats test_tags=slow
@test "every view is the kernel's view, every number is the kernel's number" {
	for folder in $(valid_folders); do
		pair "$folder"
		[ "$(snapdump --raw origin.img cow.img | sha256sum | cut -d' ' -f1)" = "$(fact "$folder" kernel_view_sha256)" ] ||
			{ echo "$folder: another view"; return 1; }
		run --separate-stderr snapcheck --json=j origin.img cow.img
		[ "$status" -eq 0 ] || { echo "$folder: $output"; return 1; }
		numbers=$(member j '"%d/%d %d" % tuple(j["store"][k + "_sectors"] for k in ("allocated", "total", "metadata"))')
		[ "$numbers" = "$(status_line "$folder")" ] || { echo "$folder: $numbers"; return 1; }
		[ "$(member j 'j["store"]["exceptions"]')" = "$(sed -n 's/^# magic.* exceptions \([0-9]*\) .*/\1/p' "$COW_FIXTURES/$folder/meta.txt" | tail -1)" ]
	done
}

# bats test_tags=slow
@test "every merge gives the origin that the kernel's merge gave" {
	for folder in $(valid_folders); do
		pair "$folder"
		snapmerge -y -q origin.img cow.img
		[ "$(sum origin.img)" = "$(fact "$folder" merged_origin_sha256)" ] || { echo "$folder: another origin"; return 1; }
		snapcheck --json=j origin.img cow.img >/dev/null
		[ "$(member j 'j["store"]["exceptions"]')" = 0 ]
		numbers=$(member j '"%d/%d %d" % tuple(j["store"][k + "_sectors"] for k in ("allocated", "total", "metadata"))')
		[ "$numbers" = "$(sed -n 's/^merge_status: 0 [0-9]* snapshot-merge //p' "$COW_FIXTURES/$folder/meta.txt" | tail -1)" ]
	done
}

# bats test_tags=slow
@test "every tar is read alike by GNU tar, bsdtar and Python" {
	for folder in $(valid_folders); do
		pair "$folder"
		wanted=$(fact "$folder" kernel_view_sha256)
		snapdump -q -o v.tar --force=overwrite origin.img cow.img
		[ "$(tar -xOf v.tar view.img | sha256sum | cut -d' ' -f1)" = "$wanted" ] || { echo "$folder: GNU tar"; return 1; }
		[ "$(bsdtar -xOf v.tar view.img | sha256sum | cut -d' ' -f1)" = "$wanted" ] || { echo "$folder: bsdtar"; return 1; }
		[ "$(python3 -c 'import tarfile, hashlib; print(hashlib.sha256(tarfile.open("v.tar").extractfile("view.img").read()).hexdigest())')" = "$wanted" ]
	done
}

@test "the tar of a half-merged pair is that of the pair before, byte for byte" {
	for folder in half-merged-c128 half-merged-c8-60pct; do
		pair "$folder"
		snapdump --tar origin.img cow.img >half.tar
		unpack "$folder/origin-before-merge.img" origin.img
		unpack "$folder/cow-before-merge.img" cow.img
		snapdump --tar origin.img cow.img | cmp - half.tar
	done
}

@test "stores that the kernel invalidated are refused with the right words" {
	for folder in exactfit-258 full-P-snapwrite; do
		pair "$folder"
		before="$(sum origin.img) $(sum cow.img)"
		run -4 --separate-stderr snapcheck origin.img cow.img
		[[ $output == *persistent.invalid* ]]
		[[ $output == *"kernel: loads it as invalid: every read fails"* ]]
		run -64 --separate-stderr snapmerge -y origin.img cow.img
		[[ $stderr == *invalid* ]]
		run -64 --separate-stderr snapdump --raw -o out origin.img cow.img
		[[ $stderr == *--force=invalid ]]
		[ "$(sum origin.img) $(sum cow.img)" = "$before" ]
	done
}

# bats test_tags=long
@test "an origin and a COW image in two pieces inside one physical volume" {
	unpack lvm-1pv/pv0.img pv0.img
	origin=pv0.img@2097152+20971520
	cow=pv0.img@26214400+4194304,32505856+3145728
	wanted=$(fact lvm-1pv 'lvm_view_sha256 snap')
	run -0 snapcheck "$origin" "$cow"
	[ "$(snapdump --raw "$origin" "$cow" | sha256sum | cut -d' ' -f1)" = "$wanted" ]
	run -0 snapmerge -y "$origin" "$cow"
	[ "$(snapdump --raw "$origin" | sha256sum | cut -d' ' -f1)" = "$wanted" ]
	run -64 --separate-stderr snapmerge -y pv0.img@2097152+25M "$cow"
	one_sentence
}

# Damaged on purpose: what the kernel does not read and merge right is never
# merged by us either, and is damage.
# bats test_tags=slow
@test "damaged stores: never merged where the kernel would go wrong, always damage there" {
	unpack damaged/origin.img good.img
	while IFS=$'\t' read -r name _ load _ _ _ same _; do
		unpack "damaged/$name/cow.img" cow.img
		cp --sparse=always good.img origin.img
		run --separate-stderr snapcheck origin.img cow.img
		checked=$status
		case $name in
		m00-* | m08-* | m13-*) [ "$checked" -eq 0 ] || { echo "$name: check $checked"; return 1; } ;;
		esac
		[ "$load" = load=refused ] || [ "$same" = merged==view:NO ] || continue
		[ "$checked" -eq 4 ] || [ "$checked" -eq 64 ] || { echo "$name: check $checked"; return 1; }
		before="$(sum origin.img) $(sum cow.img)"
		run --separate-stderr snapmerge -y origin.img cow.img
		[ "$status" -eq 64 ] || { echo "$name: merge $status"; return 1; }
		[ "$(sum origin.img) $(sum cow.img)" = "$before" ] || { echo "$name: written to"; return 1; }
	done <"$COW_FIXTURES/damaged/KERNEL-VERDICTS.tsv"
}

# rss COMMAND...: runs it, prints its peak memory in KiB.
rss() {
	python3 -c 'import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)' "$@"
}

# bats test_tags=slow
@test "a 3 TiB origin of zeros: views, numbers and tar in little memory" {
	unpack huge-origin-3TiB-c1024/cow.img cow.img
	origin=zero:6442450944s
	run -0 snapcheck -v "$origin" cow.img
	[[ $output == *"$(status_line huge-origin-3TiB-c1024)"* ]]
	big=$(mktemp -d -p /dev/shm)
	peak=$(rss snapdump --raw -q -o "$big/view.img" "$origin" cow.img)
	grep '^range ' "$COW_FIXTURES/huge-origin-3TiB-c1024/meta.txt" | while read -r _ start sectors wanted; do
		[ "$(dd if="$big/view.img" bs=512 skip="$start" count="$sectors" status=none | sha256sum | cut -d' ' -f1)" = "$wanted" ]
	done
	rm -r "$big"
	echo "raw: $peak KiB"
	[ "$peak" -lt 50000 ]
	peak=$(rss snapdump --tar -q "$origin" cow.img)
	echo "tar: $peak KiB"
	[ "$peak" -lt 50000 ]
	snapdump --tar "$origin" cow.img | tar -tvf - | grep -q 3298534883328
}

# bats test_tags=slow
@test "a COW image of 16 TiB, sparse: made, checked, dumped, merged in little memory" {
	big=$(mktemp -d -p /dev/shm)
	truncate -s 1G "$big/origin.img"
	for command in "snapcreate -q -c 512K -s 16T $big/origin.img $big/cow.img" \
		"snapcheck $big/origin.img $big/cow.img" \
		"snapdump --tar $big/origin.img $big/cow.img" \
		"snapmerge -q -y $big/origin.img $big/cow.img"; do
		# shellcheck disable=SC2086
		peak=$(rss $command) || { rm -r "$big"; return 1; }
		echo "$command: $peak KiB"
		[ "$peak" -lt 100000 ] || { rm -r "$big"; return 1; }
	done
	rm -r "$big"
}
