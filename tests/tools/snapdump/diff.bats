#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# snapcreate --from and --from-view: a store out of a difference.
bats_require_minimum_version 1.8.0
load ../../common

setup() {
	cd "$BATS_TEST_TMPDIR"
}

# image FILE SEED: 4 MiB and a bit with data, zeros and a hole; equal seeds
# give equal bytes, and all of them share most.
image() {
	python3 - "$1" "$2" <<-'END'
		import random, sys
		common, own = random.Random(7), random.Random(sys.argv[2])
		size = 4 * 1048576 + 1536
		with open(sys.argv[1], "wb") as f:
		    f.truncate(size)
		    for at in range(0, 3 * 1048576, 65536):
		        f.seek(at)
		        f.write(common.randbytes(32768))
		    for _ in range(40):
		        at = own.randrange(size // 512) * 512
		        n = min(own.choice([512, 4096, 50000]) // 512 * 512, size - at)
		        f.seek(at)
		        f.write(own.choice([bytes(n), own.randbytes(n)]))
	END
}

# bats test_tags=slow
@test "the view over the difference is the image, for every chunk size" {
	image o 1
	image v 2
	for chunk in 512 4K 16K 64K 1M 4M; do
		run -0 --separate-stderr snapcreate -c $chunk o c.$chunk --from v
		[[ $stderr == *"c.$chunk made: a snapshot with "* ]]
		snapdump --raw o c.$chunk | cmp - v
		run -0 snapcheck o c.$chunk
	done
}

# bats test_tags=limit,long
@test "a gigabyte as the chunk size takes no gigabyte of memory" {
	image o 1
	image v 2
	(ulimit -v 200000; run -0 snapcreate -c 1G o c --from v)
	snapdump --raw o c | cmp - v
	[ "$(du -k c | cut -f1)" -lt 5000 ]
}

@test "only chunks that differ are stored, and zeros as holes" {
	head -c 1M /dev/urandom >o
	cp o v
	poke v 8192 differs!
	dd if=/dev/zero of=v bs=64K seek=2 count=4 conv=notrunc status=none
	snapcreate -q o c --from v
	run -0 snapdump --map o c
	[ "${lines[2]}" = "8192 4096" ]
	[ "${lines[3]}" = "131072 262144" ]
	[ "${#lines[@]}" -eq 5 ]
	[ "$(du -k c | cut -f1)" -le 24 ]
}

@test "an equal image gives an empty store" {
	image o 1
	cp o v
	run -0 --separate-stderr snapcreate o c --from v
	[[ $stderr == *"an empty snapshot"* ]]
	run -0 snapdump --map o c
	[[ $output == *"# complete: 0 ranges, 0 bytes" ]]
}

@test "without an origin: zero:SIZE" {
	image v 2
	size=$(stat -c %s v)
	run -0 snapcreate "zero:$size" c --from v
	snapdump --raw "zero:$size" c | cmp - v
	run -64 --separate-stderr snapcreate zero:1M d --from v
	one_sentence
	[[ $stderr == *"$size"*1048576* ]]
	[ ! -e d ]
}

# bats test_tags=long
@test "a view is made again: flat, with another chunk size, without what equals the origin" {
	image o 1
	image v 2
	image w 3
	snapcreate -q o c1 --from v -c 16K
	snapdump -q --raw o c1 -o v1
	snapcreate -q v1 c2 --from w -c 64K
	run -0 snapcreate o flat --from-view c1,c2
	snapdump --raw o flat | cmp - w
	run -0 snapcreate o back --from-view c1 -c 512
	snapdump --raw o back | cmp - v
	# c1 has chunks of 16K of which most is the origin's.
	[ "$(du -k back | cut -f1)" -lt "$(du -k c1 | cut -f1)" ]
}

# bats test_tags=slow
@test "-n says what is needed, and a COW image of that size is enough" {
	image o 1
	image v 2
	for chunk in 512 4096 65536; do
		run -0 --separate-stderr snapcreate -n -c $chunk o c --from v
		[ ! -e c ]
		required=${lines[0]#required size: }
		full=${lines[1]#fully allocated size: }
		[ "$required" -lt "$full" ]
		run -0 snapcreate -c $chunk -s "$required" o c.$chunk --from v
		snapdump --raw o c.$chunk | cmp - v
		run -64 --separate-stderr snapcreate -c $chunk -s $((required - 2 * chunk)) o d --from v
		[ ! -e d ]
		run -0 --separate-stderr snapcreate -n --json -c $chunk o d --from v
		echo "$output" >j
		[ "$(member j 'j["required_bytes"], j["full_bytes"]')" = "($required, $full)" ]
	done
}

# bats test_tags=long
@test "the manifest is the one of the view" {
	image o 1
	image v 2
	snapcreate -q o c --from v --manifest=m
	snapdump --tar v | tar -xO manifest.json | cmp - m
	run -16 snapcreate o d --manifest=n
}

# bats test_tags=long
@test "an existing store survives a run that fails" {
	image o 1
	image v 2
	snapcreate -q o c --from v
	before=$(sum c)
	run -64 --separate-stderr snapcreate o c --from v
	one_sentence
	run --separate-stderr bash -c 'ulimit -f 300; snapcreate --force=overwrite o c --from v@0+4M'
	[ "$status" -eq 64 ]
	image w 3
	run --separate-stderr bash -c 'ulimit -f 300; snapcreate --force=overwrite o c --from w'
	[ "$status" -eq 8 ]
	one_sentence
	[ "$(sum c)" = "$before" ]
	[ "$(find . -name '.c*')" = "" ]
	run -0 snapcreate --force=overwrite o c --from w
	snapdump --raw o c | cmp - w
}

# bats test_tags=long
@test "in place, in a window of a file, nothing around it is touched" {
	image o 1
	image v 2
	head -c 12M /dev/urandom >disk
	cp disk old
	run -64 --separate-stderr snapcreate o disk@1M+10M --from v
	one_sentence
	cmp disk old
	run -0 snapcreate --force=overwrite o disk@1M+10M --from v
	snapdump --raw o disk@1M+10M | cmp - v
	cmp -n 1048576 disk old
	cmp -i 11534336 disk old
}

@test "a known signature is named and not overwritten unasked" {
	truncate -s 1M o
	truncate -s 8M fs
	mkfs.ext4 -q fs
	before=$(sum fs)
	run -64 --separate-stderr snapcreate o fs
	one_sentence
	[[ $stderr == *ext4*--force=overwrite ]]
	[ "$(sum fs)" = "$before" ]
	rm fs
	snapcreate -q o c
	run -64 --separate-stderr snapcreate o c
	[[ $stderr == *DM_snapshot_cow* ]]
}

# bats test_tags=slow
@test "a sparse pair of 16 TiB takes seconds" {
	truncate -s 16383G o 2>/dev/null || skip "the file system holds no file of 16 TiB"
	truncate -s 16383G v
	dd if=/dev/urandom of=v bs=1M count=8 seek=9000000 conv=notrunc status=none
	run -0 timeout 20 snapcreate o c --from v -c 64K -s 16M
	[ "$(snapdump --map o c | sed -n 3p)" = "9437184000000 8388608" ]
}

# bats test_tags=long
@test "ORIGIN, IMAGE and COW are three images" {
	image o 1
	image v 2
	for cow in o v ./v; do
		run -64 --separate-stderr snapcreate --force=overwrite o $cow --from v
		one_sentence
	done
	run -16 snapcreate o c --from v --from-view v
	run -64 --separate-stderr snapcreate o c --from-view v
	one_sentence
	run -8 --separate-stderr snapcreate o c --from missing
	one_sentence
	[ ! -e c ]
}

@test "a manifest under the name of the store is a wrong call, and makes nothing" {
	truncate -s 1M o n
	run -16 snapcreate --from=n --manifest=x o x
	[ ! -e x ]
}
