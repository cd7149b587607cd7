#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# snapdump: the view as tar, raw, map.
bats_require_minimum_version 1.8.0
load ../../common

setup() {
	cd "$BATS_TEST_TMPDIR"
	pair both-c32
	view=$(fact both-c32 kernel_view_sha256)
}

# digest FILE: SHA-256 of standard input or a file, bare.
digest() {
	sha256sum "$@" | cut -d' ' -f1
}

@test "raw: as a stream, as a sparse file" {
	[ "$(snapdump --raw origin.img cow.img | digest)" = "$view" ]
	run -0 --separate-stderr snapdump --raw -o view.img origin.img cow.img
	[ -z "$output" ]
	[ "$(digest view.img)" = "$view" ]
	truncate -s 64M zeros.img
	snapdump --raw -o out.img zeros.img
	[ "$(du -k out.img | cut -f1)" -lt 100 ]
	[ "$(stat -c %s out.img)" -eq $((64 << 20)) ]
}

@test "raw: zeros by content become holes in a file" {
	head -c 8M /dev/zero >dense.img
	head -c 4096 /dev/urandom | dd of=dense.img bs=4096 seek=100 conv=notrunc status=none
	snapdump --raw -o out.img dense.img
	cmp out.img dense.img
	[ "$(du -k out.img | cut -f1)" -le 16 ]
}

@test "raw: every byte of a block device is written, zeros too" {
	[ "$(id -u)" -eq 0 ] || skip "needs root"
	head -c $((8 << 20)) /dev/urandom >disk.img
	loop=$(losetup -f --show disk.img) || skip "no loop device"
	run snapdump --raw --force=overwrite -o "$loop" origin.img cow.img
	losetup -d "$loop"
	[ "$status" -eq 0 ]
	[ "$(digest disk.img)" = "$view" ]
}

# bats test_tags=long
@test "raw: a device that holds something known is not overwritten unasked" {
	[ "$(id -u)" -eq 0 ] || skip "needs root"
	truncate -s 8M disk.img
	mkswap -q disk.img
	before=$(sum disk.img)
	loop=$(losetup -f --show disk.img) || skip "no loop device"
	run -64 --separate-stderr snapdump --raw -o "$loop" origin.img cow.img
	refusal=$stderr
	run -64 snapdump -n --raw -o "$loop" origin.img cow.img
	after=$(sum disk.img)
	wipefs -qa "$loop"
	run snapdump --raw -o "$loop" origin.img cow.img
	losetup -d "$loop"
	[[ $refusal == *"$loop holds something already: swap"*"--force=overwrite" ]]
	[ "$after" = "$before" ]
	[ "$status" -eq 0 ]
	[ "$(digest disk.img)" = "$view" ]
}

# bats test_tags=long
@test "tar: GNU tar, bsdtar and Python read the view out of it" {
	snapdump -o view.tar origin.img cow.img
	[ "$(tar -tf view.tar | paste -sd' ')" = "view.img manifest.json" ]
	mkdir gnu bsd python
	tar -xf view.tar -C gnu
	bsdtar -xf view.tar -C bsd
	python3 -c 'import tarfile; tarfile.open("view.tar").extractall("python")'
	for reader in gnu bsd python; do
		[ "$(digest $reader/view.img)" = "$view" ]
	done
	[ "$(tar -xOf view.tar view.img | digest)" = "$view" ]
}

# bats test_tags=long
@test "tar: sparse members extract sparse, and the archive holds data only" {
	truncate -s 64M big.img
	for at in 0 500 1000 16383; do
		head -c 4096 /dev/urandom | dd of=big.img bs=4096 seek=$at conv=notrunc status=none
	done
	snapdump -o big.tar big.img
	[ "$(stat -c %s big.tar)" -lt 100000 ]
	mkdir gnu bsd
	tar -xf big.tar -C gnu
	bsdtar -xf big.tar -C bsd
	for reader in gnu bsd; do
		cmp big.img $reader/view.img
		[ "$(du -k $reader/view.img | cut -f1)" -lt 200 ]
	done
}

# bats test_tags=long
@test "tar: a view of nothing but zeros, and one that ends in data" {
	truncate -s 3M zeros.img
	snapdump -o zeros.tar zeros.img
	for image in zeros; do
		[ "$(tar -xOf $image.tar view.img | digest)" = "$(digest $image.img)" ]
		[ "$(bsdtar -xOf $image.tar view.img | digest)" = "$(digest $image.img)" ]
	done
	head -c 1537K /dev/urandom >tail.img
	truncate -s $((1537 * 1024 + 512)) tail.img
	snapdump --tar tail.img >tail.tar
	[ "$(tar -xOf tail.tar view.img | digest)" = "$(digest tail.img)" ]
	[ "$(bsdtar -xOf tail.tar view.img | digest)" = "$(digest tail.img)" ]
}

# bats test_tags=long
@test "the manifest is JSON, complete, and names every range that is not zeros" {
	snapdump --tar origin.img cow.img | tar -xOf - manifest.json >manifest
	[ "$(member manifest 'j["schema"], j["complete"], j["view_bytes"], j["range_bytes"]')" = "('libcow.manifest/1', True, 8388608, 1048576)" ]
	snapdump --raw -o view.img origin.img cow.img
	ranges=$(python3 -c 'print([i for i, part in enumerate(iter(lambda f=open("view.img", "rb"): f.read(1 << 20), b"")) if part.strip(b"\0")])')
	[ "$(member manifest '[r[0] for r in j["ranges"]]')" = "$ranges" ]
	dd if=view.img bs=1M count=1 status=none | xxhsum -H2 >first
	[ "$(member manifest 'j["ranges"][0][1]')" = "$(cut -d' ' -f1 first)" ]
}

# bats test_tags=long
@test "the tar depends on the view alone: merged, layered or flat give the same bytes" {
	snapdump --tar origin.img cow.img >before.tar
	snapdump --raw -o flat.img origin.img cow.img
	snapdump --tar flat.img >flat.tar
	cmp before.tar flat.tar
	snapcreate -q flat.img empty.img
	snapdump --tar flat.img empty.img | cmp - before.tar
	snapmerge -y -q origin.img cow.img
	snapdump --tar origin.img cow.img | cmp - before.tar
	TZ=Asia/Tokyo snapdump --tar origin.img | cmp - before.tar
}

@test "times of members: none, SOURCE_DATE_EPOCH, --mtime" {
	[ "$(snapdump --tar origin.img | tar --utc -tvf - | grep -c 1970-01-01)" -eq 2 ]
	[ "$(SOURCE_DATE_EPOCH=86400 snapdump --tar origin.img | tar --utc -tvf - | grep -c 1970-01-02)" -eq 2 ]
	[ "$(SOURCE_DATE_EPOCH=86400 snapdump --mtime=2026-05-06T07:08:09Z --tar origin.img | tar --utc -tvf - | grep -c '2026-05-06 07:08')" -eq 2 ]
	run -16 snapdump --mtime=yesterday --tar origin.img
}

# bats test_tags=slow
@test "compression by suffix or by name; the same bytes each time" {
	snapdump --tar origin.img cow.img >plain.tar
	while read -r suffix name program; do
		snapdump -o a.$suffix origin.img cow.img
		snapdump --tar --compress=$name -o b.tar origin.img cow.img
		cmp a.$suffix b.tar
		$program <a.$suffix | cmp - plain.tar
		[ "$(bsdtar -xOf a.$suffix view.img | digest)" = "$view" ]
		rm b.tar
	done <<-END
		tar.gz gzip gzip -dc
		tgz gzip gzip -dc
		tar.xz xz xz -dc
		tar.zst zstd zstd -dcq
		tar none cat
	END
	snapdump --tar --compress=lz4 origin.img cow.img | bsdtar -xOf - view.img | digest >sum
	[ "$(cat sum)" = "$view" ]
	snapdump --tar --compress=zstd:19 origin.img >/dev/null
	for wrong in bzip9 gzip:x zstd:9999; do
		run -16 snapdump --tar --compress=$wrong origin.img
	done
	run -16 snapdump --raw --compress=gzip origin.img
}

# bats test_tags=slow
@test "a stream that fails is cut, and every reader notices" {
	head -c 3M /dev/urandom >origin.img
	snapcreate -q origin.img cow2.img
	for compress in none gzip xz zstd lz4; do
		for n in 4 6; do
			run bash -c "strace -qq -o /dev/null -P $PWD/origin.img -e inject=pread64:error=EIO:when=$n snapdump --tar --compress=$compress origin.img >cut.tar"
			[ "$status" -eq 8 ] || { echo "$compress $n: status $status"; return 1; }
			for reader in "bsdtar -tf cut.tar" "tar -tf cut.tar" "python3 -c 'import tarfile; t = tarfile.open(\"cut.tar\"); t.extractfile(t.getmembers()[0]).read()'"; do
				run bash -c "$reader >/dev/null 2>&1"
				[ "$status" -ne 0 ] || { echo "$compress $n: $reader is content"; return 1; }
			done
		done
	done
}

@test "a file of -o appears complete or not at all" {
	head -c 3M /dev/urandom >origin.img
	for mode in --raw --tar; do
		run --separate-stderr strace -qq -o /dev/null -P $PWD/origin.img -e inject=pread64:error=EIO:when=3 snapdump $mode -o out origin.img
		[ "$status" -eq 8 ]
		one_sentence
		[ ! -e out ]
		run --separate-stderr bash -c "ulimit -f 1000; snapdump $mode -o out origin.img"
		[ "$status" -eq 8 ]
		one_sentence
		[ ! -e out ]
	done
	[ -z "$(find . -name '*out*' -o -name '.*' -type f)" ]
}

# bats test_tags=long
@test "an existing file of -o needs --force=overwrite, and stays whole until then" {
	echo precious >out
	for mode in --raw --tar --map; do
		run -64 --separate-stderr snapdump $mode -o out origin.img cow.img
		one_sentence
		[[ $stderr == *--force=overwrite* ]]
		[ "$(cat out)" = precious ]
	done
	run -0 snapdump --raw --force=overwrite -o out origin.img cow.img
	[ "$(digest out)" = "$view" ]
	before=$(sum origin.img)
	run -64 --separate-stderr snapdump --raw --force=overwrite -o origin.img origin.img cow.img
	[ "$(sum origin.img)" = "$before" ]
}

@test "data never goes to a terminal" {
	for mode in --raw --tar; do
		run script -qec "snapdump $mode origin.img cow.img" /dev/null
		[ "$status" -eq 64 ]
		[[ $output == *"give -o FILE or a pipe"* ]]
	done
}

# bats test_tags=long
@test "map: the ranges that the layers hold" {
	run -0 --separate-stderr snapdump --map origin.img cow.img
	[ "${lines[0]}" = "# libcow map 1" ]
	[ "${lines[1]}" = "# view 8388608" ]
	echo "$output" >map
	python3 - "$COW_FIXTURES/both-c32/exceptions.tsv" <<-'END'
		import sys
		chunks = {int(line.split()[0]) for line in open(sys.argv[1]) if line[:1].isdigit()}
		mapped = set()
		last = -1
		for line in open('map'):
		    if line[0] == '#':
		        continue
		    offset, length = map(int, line.split())
		    assert offset > last and length % 16384 == 0
		    last = offset + length
		    mapped |= set(range(offset // 16384, last // 16384))
		assert mapped == chunks, (mapped ^ chunks)
	END
	[[ ${lines[-1]} == "# complete: "*" ranges, $((223 * 16384)) bytes" ]]
	snapdump --map --json origin.img cow.img >j
	[ "$(member j 'sum(r["length_bytes"] for r in j["ranges"])')" -eq $((223 * 16384)) ]
	run -0 snapdump --map -o mapfile origin.img cow.img
	cmp mapfile map
	run -16 snapdump --map origin.img
}

@test "a stack of layers, lowest first" {
	snapdump --raw -o flat.img origin.img cow.img
	snapcreate -q -c 4K flat.img top.img
	run -0 --separate-stderr snapdump --raw -o out.img origin.img cow.img top.img
	[[ $stderr == *"layers"* ]]
	cmp out.img flat.img
}

# bats test_tags=long
@test "an invalid store needs --force=invalid: doubtful, exit 4" {
	snapdump --raw -o good.img origin.img cow.img
	poke cow.img 4 '\x00'
	for mode in --raw --tar --map; do
		run -64 --separate-stderr bash -c "snapdump $mode origin.img cow.img | cat; exit \${PIPESTATUS[0]}"
		one_sentence
		[ -z "$output" ]
		[[ $stderr == *invalid*--force=invalid ]]
	done
	run -4 --separate-stderr snapdump --force=invalid -o v.tar origin.img cow.img
	[[ $stderr == *doubtful* ]]
	[ "$(tar -xOf v.tar manifest.json | python3 -c 'import json, sys; print(json.load(sys.stdin)["doubtful"])')" = True ]
	tar -xOf v.tar view.img | cmp - good.img
	[ "$(od -An -tx1 -j4 -N1 cow.img | tr -d ' ')" = 00 ]
}

@test "a damaged store needs --force=damaged" {
	poke cow.img $((16384 + 5 * 16 + 8)) '\xff\xff\xff\x7f'
	run -64 --separate-stderr snapdump --raw -o v.img origin.img cow.img
	one_sentence
	[[ $stderr == *--force=damaged ]]
	[ ! -e v.img ]
}

@test "what is no image, no store, or the wrong way round: one sentence" {
	: >empty
	mkdir dir
	mkfifo fifo
	truncate -s 16M fs.img
	mke2fs -q -t ext4 fs.img
	for cow in dir fifo fs.img; do
		run -64 --separate-stderr timeout 10 snapdump --raw -o out origin.img "$cow"
		one_sentence
	done
	run -64 --separate-stderr snapdump --raw -o out cow.img origin.img
	[[ $stderr == *"looks swapped; try: snapdump --raw -o out origin.img cow.img"* ]]
	run -8 --separate-stderr snapdump --raw -o out missing
	one_sentence
	[ ! -e out ]
}

@test "a dry run writes nothing" {
	for mode in --raw --tar; do
		run -0 snapdump -n $mode -o out origin.img cow.img
		[ ! -e out ]
	done
}
