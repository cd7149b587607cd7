#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# snapmerge with bad sectors in the COW image, by maps of ddrescue and by reads
# that fail. The judge is tests/aids/bad_model.py.
bats_require_minimum_version 1.8.0
load ../../common

setup() {
	cd "$BATS_TEST_TMPDIR"
	skip=(--skip-unreadable --bad-blocks=map)
	place=("${skip[@]}" --force=bad-cow)
}

# drawn FOLDER SEED [NUMBER]: a pair with a map, and what must come of it.
drawn() {
	pair "$1"
	bad_model draw map cow.img "$2" "${3-7}"
	bad_model view origin.img cow.img map origin expected
	bad_model kept origin.img cow.img map >kept
	bad_model list origin.img cow.img map >list
}

# bats test_tags=long
@test "in place it needs --force=bad-cow, and nothing is written without" {
	drawn both-c32 1
	before="$(sum origin.img) $(sum cow.img)"
	for n in "" -n; do
		# shellcheck disable=SC2086
		run -64 --separate-stderr snapmerge -y --json=j $n "${skip[@]}" origin.img cow.img
		[ "$(member j 'j["error"]["id"], j["error"]["force"]')" = "('bad-cow', 'bad-cow')" ]
		[[ $stderr == *"($(wc -l <kept) exceptions by the map)"* ]]
		one_sentence
	done
	run -64 snapmerge -y --skip-unreadable origin.img cow.img
	# known before anything is read, and not asked to be skipped
	run -64 --separate-stderr snapmerge -y --json=j --bad-blocks=map origin.img cow.img
	[ "$(member j 'j["error"]["id"], j["error"]["force"]')" = "('bad-cow', None)" ]
	[[ $stderr == *"--skip-unreadable"* ]]
	run -0 snapmerge -n "${place[@]}" --bad-list=out origin.img cow.img
	[ "$(sum origin.img) $(sum cow.img)" = "$before" ]
	[ ! -e out ]
}

# bats test_tags=long
@test "in place nothing goes with it that writes to the COW image first or reads it twice" {
	drawn both-c32 1
	snapcreate -q origin.img sib.img
	before="$(sum origin.img) $(sum cow.img) $(sum sib.img)"
	for option in --sibling=sib.img --all-siblings --save-undo=u --discard --scrub; do
		run -16 --separate-stderr snapmerge -y "${place[@]}" $option origin.img cow.img
		[[ $stderr == *"--skip-unreadable only reads COW until the end"* ]]
	done
	[ "$(sum origin.img) $(sum cow.img) $(sum sib.img)" = "$before" ]
	[ ! -e u ]
}

# bats test_tags=slow
@test "in place: readable sectors are merged, bad exceptions stay, the list says which" {
	for folder in both-c32 multiarea-c8 partial-last-chunk-c32 half-merged-c8-60pct; do
		drawn $folder $folder 9
		run -4 --separate-stderr snapmerge -y --json=j "${place[@]}" --bad-list=out origin.img cow.img
		cmp origin.img expected
		bad_model left cow.img | diff - kept
		grep -v '^#' out | diff - list
		[[ $(tail -1 out) == "# complete: $(wc -l <list) ranges, "* ]]
		[ "$(member j 'j["merge"]["chunks_left"], j["merge"]["bad_chunks"], j["merge"]["skipped_bytes"] == sum(s["length_bytes"] for s in j["skipped"]), j["done"]')" = \
			"($(wc -l <kept), $(wc -l <kept), True, True)" ]
		[[ $stderr == *"of the origin stays what it was"* ]]
		[[ $stderr == *"next: snapdump --map=ddrescue -o domain.map origin.img cow.img"* ]]
		run -0 snapcheck origin.img cow.img
		rm out
	done
}

# bats test_tags=long
@test "the same command again: the same origin, records and list" {
	drawn multiarea-c8 3
	run -4 snapmerge -y "${place[@]}" --bad-list=out origin.img cow.img
	before="$(sum origin.img) $(sum cow.img) $(sum out)"
	run -64 --separate-stderr snapmerge -y --json=j "${place[@]}" --bad-list=out origin.img cow.img
	[ "$(member j 'j["error"]["id"], j["error"]["force"]')" = "('exists', 'overwrite')" ]
	run -4 snapmerge -y "${place[@]}" --force=overwrite --bad-list=out origin.img cow.img
	[ "$(sum origin.img) $(sum cow.img) $(sum out)" = "$before" ]
	# once the rest can be read, an ordinary merge ends it
	run -0 snapmerge -y origin.img cow.img
	[ "$(sum origin.img)" = "$(fact multiarea-c8 merged_origin_sha256)" ]
}

# bats test_tags=long
@test "without bad sectors it is an ordinary merge" {
	pair both-c32
	run -0 --separate-stderr snapmerge -y --skip-unreadable --force=bad-cow --bad-list=out origin.img cow.img
	[ "$(sum origin.img)" = "$(fact both-c32 merged_origin_sha256)" ]
	[ "$(grep -vc '^#' out)" = 0 ]
	[[ $(tail -1 out) == "# complete: 0 ranges, 0 bytes" ]]
	mv cow.img skipped.img
	pair both-c32
	snapmerge -y -q origin.img cow.img
	# Each has a label of its own behind the header.
	cmp -n 16 cow.img skipped.img
	cmp -i 512 cow.img skipped.img
}

# bats test_tags=long
@test "-o NEW leaves everything alone and needs no force" {
	drawn both-c32 4
	before="$(sum origin.img) $(sum cow.img)"
	run -4 --separate-stderr snapmerge "${skip[@]}" --bad-list=out -o new.img origin.img cow.img
	cmp new.img expected
	grep -v '^#' out | diff - list
	[[ $stderr == *"doubtful: "*"the origin stands in for it"* ]]
	run -8 snapmerge --bad-blocks=map -o other.img origin.img cow.img
	[ ! -e other.img ]
	run -0 snapmerge --skip-unreadable -o other.img origin.img cow.img
	[ "$(sum other.img)" = "$(fact both-c32 merged_origin_sha256)" ]
	[ "$(sum origin.img) $(sum cow.img)" = "$before" ]
}

# bats test_tags=long
@test "reads that fail, without a map" {
	pair both-c32
	snapmerge -q -o expected origin.img cow.img
	cp origin.img old.img
	strace -qq -o trace -e trace=pread64 -P "$PWD/cow.img" snapmerge -q -n origin.img cow.img
	# behind those: the header and the list are read again, then the data, at once,
	# in 64 KiB, 4 KiB and 512 bytes
	first=$(($(wc -l <trace) + 3))
	run -4 --separate-stderr strace -qq -o trace -P "$PWD/cow.img" -e trace=pread64 \
		-e "inject=pread64:error=EIO:when=$first..$((first + 3))" \
		snapmerge -y --skip-unreadable --force=bad-cow --json=j --bad-list=out origin.img cow.img
	[ "$(member j '[s["length_bytes"] for s in j["skipped"]], j["merge"]["bad_chunks"]')" = "([512], 1)" ]
	read -r _ at len <<<"$(grep -v '^#' out)"
	dd if=old.img of=expected bs=512 skip=$((at / 512)) seek=$((at / 512)) count=$((len / 512)) conv=notrunc status=none
	cmp origin.img expected
	# now all of it can be read
	run -0 snapmerge -y origin.img cow.img
	[ "$(sum origin.img)" = "$(fact both-c32 merged_origin_sha256)" ]
}

# bats test_tags=long
@test "metadata that cannot be read is refused, with the way out" {
	pair multiarea-c8
	before="$(sum origin.img) $(sum cow.img)"
	printf '0 + 1\n0 0x1000 +\n4096 512 -\n4608 0xffee00 +\n' >map
	for how in "${place[*]}" "${skip[*]} -o new.img"; do
		# shellcheck disable=SC2086
		run -8 --separate-stderr snapmerge -y $how origin.img cow.img
		[[ $stderr == *"metadata area 0 cannot be read, and what of the list lies in it and behind it is not known: copy the image with ddrescue, and repair the copy with snapcheck -o: "* ]]
		one_sentence
	done
	printf '0 + 1\n0 512 -\n512 0xfffe00 +\n' >map
	run -8 --separate-stderr snapmerge -y "${place[@]}" origin.img cow.img
	one_sentence
	[ "$(sum origin.img) $(sum cow.img)" = "$before" ]
}

# bats test_tags=long
@test "what does not go together" {
	drawn both-c32 1
	snapcreate -q origin.img other.img
	for with in --sibling=other.img --save-undo=u --discard --scrub --take-back --reflink=always; do
		run -16 snapmerge -y "${place[@]}" $with origin.img cow.img
	done
	run -16 snapmerge -y --bad-list=l origin.img cow.img
	run -16 snapmerge --bad-blocks=map --bad-blocks=map -o new origin.img cow.img
	run -16 snapmerge -y --take-back --bad-blocks=map origin.img cow.img
	# this one is only marked; it is not read
	run -4 snapmerge -y "${place[@]}" --drop-sibling=other.img origin.img cow.img
	cmp origin.img expected
}

# bats test_tags=slow
@test "killed at any write, the same command ends with the same" {
	drawn multiarea-c8 6
	cp origin.img o
	cp cow.img c
	strace -qq -o trace -e trace=pwrite64,pwritev,fdatasync snapmerge -y -q "${place[@]}" o c || [ $? = 4 ]
	cp c kept.img
	for call in pwritev pwrite64 fdatasync; do
		n=$(grep -c "^$call" trace)
		for at in $(seq 1 $((n > 6 ? n / 3 : 1)) "$n"); do
			cp origin.img o
			cp cow.img c
			run strace -qq -o /dev/null -e "inject=$call:signal=KILL:when=$at" snapmerge -y -q "${place[@]}" o c
			[ "$status" -eq 137 ]
			run -4 snapmerge -y -q "${place[@]}" o c
			cmp o expected
			cmp c kept.img
		done
	done
}
