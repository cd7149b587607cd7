#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# snapdump --delta out, snapcreate --import in, through pipes.
bats_require_minimum_version 1.8.0
load ../../common

setup() {
	cd "$BATS_TEST_TMPDIR"
}

# next IMAGE FROM SEED: an image that differs from another one here and there.
next() {
	cp "$2" "$1"
	python3 - "$1" "$3" <<-'END'
		import os, random, sys
		r = random.Random(sys.argv[2])
		size = os.path.getsize(sys.argv[1])
		with open(sys.argv[1], "r+b") as f:
		    for _ in range(20):
		        at = r.randrange(size // 512) * 512
		        n = min(r.choice([512, 4096, 20480, 200000]) // 512 * 512, size - at)
		        f.seek(at)
		        f.write(r.choice([bytes(n), r.randbytes(n)]))
	END
}

# chain: o, v1, v2, v3 with stores c1, c2, c3 of o; d1, d2, d3 from each to the
# next, full of the first and base of o.
chain() {
	truncate -s 5243392 empty
	next o empty 0
	next v1 o 1
	next v2 v1 2
	next v3 v2 3
	for i in 1 2 3; do snapcreate -q -c 16K o c$i --from v$i; done
	snapdump --delta o c1 >d1
	tar -xOf d1 manifest.json >m1
	snapdump --delta --against=m1 o c2 >d2
	tar -xOf d2 manifest.json >m2
	snapdump --delta --against=m2 o c3 >d3
	snapdump --tar o c1 >full
	snapdump --tar o >base
}

# nothing_made: no COW image, nor a part of one under another name.
nothing_made() {
	[ ! -e c ] && [ -z "$(find . -name '.c*')" ]
}

# bats test_tags=slow
@test "a delta gives a store with the same view, for every fixture" {
	for folder in "$COW_FIXTURES"/*/; do
		folder=$(basename "$folder")
		[ -e "$COW_FIXTURES/$folder/origin.img.xz" ] && [ -e "$COW_FIXTURES/$folder/cow.img.xz" ] || continue
		pair "$folder"
		if ! snapdump -q --raw origin.img cow.img -o view.img --force=overwrite 2>err; then
			grep -q -e invalid -e damaged err
			continue
		fi
		snapdump --delta origin.img cow.img | snapcreate -q --force=overwrite origin.img c --import=-
		snapdump --raw origin.img c | cmp - view.img
		run -0 snapcheck -q origin.img c
	done
}

# bats test_tags=slow
@test "random stores: a delta and back, with any chunk size on either side" {
	for seed in 1 2 3 4; do
		truncate -s $((seed * 1234 * 512)) empty
		next o empty "o$seed"
		next v o "v$seed"
		rm -f a b
		snapcreate -q -c $((512 << seed)) o a --from v
		snapdump --delta o a | snapcreate -q -c $((8192 << (2 * (seed % 3)))) o b --import=-
		snapdump --raw o b | cmp - v
		rm b
		snapdump --delta o a --compress=zstd | snapcreate -q -c 512 o b --import=-
		snapdump --raw o b | cmp - v
		run -0 snapcheck -q o b
	done
}

# bats test_tags=long
@test "a delta is a tar that people can use: members, ranges, and nothing but changed data" {
	chain
	run -0 tar -tf d1
	[ "$output" = $'delta.json\nranges.txt\ndelta.img\nmanifest.json' ]
	tar -xSf d1
	[ "$(stat -c %s delta.img)" -eq 5243392 ]
	python3 - <<-'END'
		import json
		o, v, d = (open(n, "rb").read() for n in ("o", "v1", "delta.img"))
		lines = open("ranges.txt").read().split("\n")
		assert lines[0] == "# libcow delta 1" and lines[1] == f"# view {len(v)}"
		assert lines[-2].startswith("# complete: ") and lines[-1] == ""
		got, end, n = bytearray(o), 0, 0
		for line in lines[2:-2]:
		    at, length, kind = line.split()
		    at, length = int(at), int(length)
		    assert at >= end and length
		    end = at + length
		    got[at:end] = d[at:end] if kind == "data" else bytes(length)
		    assert (kind == "zero") == (not any(v[at:end]))
		    n += length if kind == "data" else 0
		assert got == v
		head, manifest = json.load(open("delta.json")), json.load(open("manifest.json"))
		assert head["data_bytes"] == n and head["nr_ranges"] == len(lines) - 4
		assert manifest["complete"] is True
		assert head["parent"] == manifest["parent"] and head["digest"] == manifest["digest"]
	END
	[ "$(snapdump --delta o c1 | sum /dev/stdin)" = "$(sum d1)" ]
}

# bats test_tags=long
@test "bsdtar reads a delta, and what it packs again can be imported" {
	chain
	mkdir x
	bsdtar -xf d1 -C x
	cmp <(tar -xOf d1 delta.img) x/delta.img
	(cd x && tar -cf ../again delta.json ranges.txt delta.img manifest.json)
	run -0 snapcreate o c --import again
	snapdump --raw o c | cmp - v1
}

# bats test_tags=long
@test "a whole view: without an origin, or over one" {
	chain
	size=$(stat -c %s o)
	run -0 snapcreate zero:$size c --import full
	snapdump --raw zero:$size c | cmp - v1
	run -0 snapcreate o c1b --import full
	snapdump --raw o c1b | cmp - v1
	# Not the whole again, and zeros of the view hide the origin's data.
	[ "$(du -k c1b | cut -f1)" -lt "$(du -k c | cut -f1)" ]
}

# bats test_tags=slow
@test "a chain is folded into one store" {
	chain
	run -0 snapcreate o c --import d1 --import d2 --import d3 --manifest=m
	snapdump --raw o c | cmp - v3
	run -0 snapcheck o c
	snapdump --tar v3 | tar -xO manifest.json | cmp - m
	size=$(stat -c %s o)
	run -0 snapcreate -c 64K zero:$size z --import full --import d2 --import d3
	snapdump --raw zero:$size z | cmp - v3
	run -0 snapcreate -c 512 o s --import d1 --import d2
	snapdump --raw o s | cmp - v2
	cat d1 | run -0 snapcreate o p --import=- --import d2
	run -0 snapdump --raw o p
}

@test "against a manifest: only what changed since, in ranges of a megabyte" {
	truncate -s 8M o
	next v o 9
	poke v 3145728 x
	snapdump --tar v | tar -xO manifest.json >m
	poke v 3145729 y
	snapdump --delta --against=m v >d
	run -0 tar -xOf d ranges.txt
	for line in "${lines[@]}"; do
		[ "${line:0:1}" = "#" ] && continue
		read -r at length kind <<<"$line"
		[ "$at" -ge 3145728 ] && [ $((at + length)) -le 4194304 ]
	done
	[ "$(stat -c %s d)" -lt 1100000 ]
	# Nothing changed: a delta of nothing.
	tar -xOf d manifest.json >m2
	snapdump --delta --against=m2 v >d2
	run -0 tar -xOf d2 ranges.txt
	[ "${#lines[@]}" -eq 3 ]
	run -64 --separate-stderr snapdump --delta --against=m v@0+4M
	one_sentence
	run -16 snapdump --delta v
	run -16 snapdump --raw --against=m v
}

# bats test_tags=long
@test "a gap in a chain is refused by name" {
	chain
	run -64 --separate-stderr snapcreate o c --import d1 --import d3
	one_sentence
	[[ $stderr == *"d3 continues"*"d1 ends"* ]]
	nothing_made
	run -64 --separate-stderr snapcreate o c --import d2 --import d1
	one_sentence
	run -64 --separate-stderr snapcreate o c --import d1 --import d1
	one_sentence
	run -64 --separate-stderr snapcreate o c --import d1 --import full
	one_sentence
	nothing_made
}

# bats test_tags=long
@test "another origin than the delta was made from is refused" {
	chain
	run -64 --separate-stderr snapcreate v1 c --import d1
	one_sentence
	[[ $stderr == *"d1 applies to"*"v1"* ]]
	run -64 --separate-stderr snapcreate o@0+4M c --import d1
	one_sentence
	[[ $stderr == *5243392*4194304*zero:5243392* ]]
	run -64 --separate-stderr snapcreate zero:1M c --import full
	one_sentence
	nothing_made
}

# bats test_tags=slow
@test "a tar that was cut anywhere makes no store" {
	chain
	for tar in d1 full; do
		size=$(content_bytes $tar)
		for cut in 0 1 511 512 1000 2000 4096 $((size / 3)) $((size / 2)) $((size - 12000)) $((size - 600)) $((size - 1)); do
			head -c $cut $tar >bad
			run --separate-stderr snapcreate o c --import bad
			[ "$status" -eq 8 ] || [ "$status" -eq 64 ]
			one_sentence
			nothing_made
		done
	done
	for filter in gzip xz zstd lz4; do
		$filter -c <d1 >whole.$filter
		head -c $(($(stat -c %s whole.$filter) / 2)) whole.$filter >bad
		run --separate-stderr snapcreate o c --import bad
		[ "$status" -eq 8 ] || [ "$status" -eq 64 ]
		one_sentence
		nothing_made
		run -0 snapcreate o c --import whole.$filter
		rm c
	done
}

# bats test_tags=slow
@test "a tar with a flipped byte makes no wrong store" {
	chain
	size=$(stat -c %s d1)
	for i in $(seq 1 40); do
		cp d1 bad
		at=$((size * i / 41))
		byte=$(od -An -tu1 -j $at -N 1 bad)
		poke bad $at "\\x$(printf %02x $((byte ^ 16)))"
		run --separate-stderr snapcreate -q o c --import bad
		if [ "$status" -eq 0 ]; then
			# A byte that means nothing, such as a member's time.
			snapdump --raw o c | cmp - v1
			rm c
			continue
		fi
		one_sentence
		nothing_made
	done
}

# bats test_tags=slow
@test "wrong data under a right structure is found by its digest" {
	chain
	mkdir x
	tar -xSf d1 -C x
	read -r at length kind < <(grep -m1 data x/ranges.txt)
	poke x/delta.img "$at" XYZ
	(cd x && tar -cSf ../bad delta.json ranges.txt delta.img manifest.json)
	run -8 --separate-stderr snapcreate o c --import bad
	one_sentence
	[[ $stderr == *"not what its manifest says"* ]]
	nothing_made
	# A manifest that was made to fit itself only.
	tar -xSf d1 -C x
	sed -i '0,/\[[0-9]*, "./s/\(\[[0-9]*, "\)./\1x/' x/manifest.json
	(cd x && tar -cSf ../bad delta.json ranges.txt delta.img manifest.json)
	run -64 --separate-stderr snapcreate o c --import bad
	one_sentence
	# Data where the ranges have none.
	tar -xSf d1 -C x
	grep -v "^$at " x/ranges.txt >y && mv y x/ranges.txt
	(cd x && tar -cSf ../bad delta.json ranges.txt delta.img manifest.json)
	run -64 --separate-stderr snapcreate o c --import bad
	one_sentence
	nothing_made
}

# bats test_tags=long
@test "what is no export is said to be none" {
	chain
	head -c 100K /dev/urandom >noise
	tar -cf foreign o
	tar -cf half d1 d2
	: >nothing
	mkdir dir
	for bad in noise foreign half o v1 dir; do
		run --separate-stderr snapcreate o c --import $bad
		[ "$status" -eq 64 ] || [ "$status" -eq 8 ]
		one_sentence
		nothing_made
	done
	run -64 --separate-stderr snapcreate o c --import nothing
	one_sentence
	run -64 --separate-stderr bash -c 'snapcreate o c --import=- </dev/null'
	one_sentence
	run -8 --separate-stderr snapcreate o c --import missing
	one_sentence
	nothing_made
}

# bats test_tags=long
@test "a manifest that is none, was cut or was changed" {
	chain
	head -c 200 m1 >bad
	run -64 --separate-stderr snapdump --delta --against=bad o c2
	one_sentence
	sed 's/"complete": true/"complete": false/' m1 >bad
	run -64 --separate-stderr snapdump --delta --against=bad o c2
	one_sentence
	[[ $stderr == *complete* ]]
	sed 's/"view_bytes": 5243392/"view_bytes": 5243904/' m1 >bad
	run -64 --separate-stderr snapdump --delta --against=bad o c2
	one_sentence
	for bad in '' '{' '{}' '[]' 'x' '{"schema": "libcow.manifest/2"}' '{"schema": 1}' '{"x": [[[' '{"ranges": [[0]]}'; do
		printf '%s' "$bad" >bad
		run -64 --separate-stderr snapdump --delta --against=bad o c2
		one_sentence
	done
	run -8 --separate-stderr snapdump --delta --against=missing o c2
	one_sentence
}

# bats test_tags=long
@test "a full disk, a limit, a terminal: nothing half-made" {
	chain
	run --separate-stderr bash -c 'ulimit -f 100; snapcreate o c --import d1'
	[ "$status" -eq 8 ]
	one_sentence
	nothing_made
	run --separate-stderr bash -c 'ulimit -f 100; snapdump --delta o c1 -o c'
	[ "$status" -eq 8 ]
	one_sentence
	nothing_made
	run --separate-stderr snapcreate -s 64K o c --import d1
	[ "$status" -eq 8 ]
	one_sentence
	nothing_made
	run -64 --separate-stderr script -qec "snapdump --delta o c1 2>err" /dev/null
	grep -q terminal err
	[ "$(wc -l <err)" -eq 1 ]
}

# bats test_tags=long
@test "a dry run reads the exports and says what is needed" {
	chain
	run -0 --separate-stderr snapcreate -n o c --import d1
	nothing_made
	required=${lines[0]#required size: }
	run -0 snapcreate -s "$required" o c --import d1
	rm c
	run -64 --separate-stderr snapcreate -n o c --import d1 --import d3
	one_sentence
	nothing_made
}

@test "the delta of a half-merged pair imports over the origin as it is now" {
	pair half-merged-c8-60pct
	snapdump --raw origin.img cow.img >view.img
	snapdump --delta origin.img cow.img | snapcreate -q origin.img c --import=-
	snapdump --raw origin.img c | cmp - view.img
}

@test "an export of a doubtful store stays doubtful" {
	pair full-P-snapwrite
	run -4 snapdump --delta --force=invalid origin.img cow.img -o d
	[[ $(tar -xOf d manifest.json) == *'"doubtful": true'* ]]
	run -4 snapcreate origin.img c --import d --manifest=m
	[[ $(cat m) == *'"doubtful": true'* ]]
}
