#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# snapcheck with bad sectors in the COW image. The judge is tests/aids/bad_model.py.
bats_require_minimum_version 1.8.0
load ../../common

setup() {
	cd "$BATS_TEST_TMPDIR"
}

# bad SECTOR [NUMBER]...: a map of cow.img with these bad places.
bad() {
	local at=0 total=$(($(stat -c %s cow.img) / 512))
	echo "0x0 + 1" >map
	while [ $# -gt 0 ]; do
		[ "$1" = "$at" ] || echo "$((at * 512)) $((($1 - at) * 512)) +" >>map
		echo "$(($1 * 512)) $(($2 * 512)) -" >>map
		at=$(($1 + $2))
		shift 2
	done
	echo "$((at * 512)) $(((total - at) * 512)) +" >>map
	ddrescuelog -q -t map >/dev/null
}

findings() {
	member j '" ".join(sorted(f["id"] for f in j["findings"] if f["class"] not in ("info", "note")))'
}

# bats test_tags=long
@test "data that cannot be read is named, by a map, without reading it" {
	for folder in both-c32 multiarea-c8 partial-last-chunk-c32; do
		pair $folder
		bad_model draw map cow.img $folder 9
		bad_model kept origin.img cow.img map >kept
		run -4 strace -qq -o trace -e trace=pread64 -P "$PWD/cow.img" snapcheck --json=j --bad-blocks=map origin.img cow.img
		[[ $output == *"kernel: loads it"* ]]
		[[ $output == *"snapshot data: not complete"* ]]
		[[ $output == *"merge: not safe"* ]]
		[ "$(findings | tr ' ' '\n' | sort | uniq -c | sed 's/^ *//')" = "$(wc -l <kept) persistent.data-unreadable" ]
		# where each record is: its chunk of the origin is in the sentence
		member j '"\n".join(f["sentence"].split("of the data of chunk ")[1].split()[0] for f in j["findings"] if f["class"] == "lost")' | sort >named
		cut -d' ' -f1 kept | sort | diff named -
		# no byte of a data chunk was read
		! grep -E ', (1048576|[0-9]{6}), ' trace || return 1
		[ "$(member j 'j["next"]')" = "['snapcheck', '-y', '--skip-unreadable', '--bad-blocks=map', '-o', 'repaired.img', 'origin.img', 'cow.img']" ]
	done
}

@test "what lies behind the end of the origin is not missed" {
	pair partial-last-chunk-c32
	last=$(($(stat -c %s origin.img) / 16384))
	new=$(bad_model left cow.img | sed -n "s/^$last //p")
	bad $((new * 32 + 31)) 1
	run -0 snapcheck --bad-blocks=map origin.img cow.img
	run -4 snapcheck --bad-blocks=map cow.img
	run -0 snapmerge -n --bad-blocks=map origin.img cow.img
}

# bats test_tags=long
@test "the map of a window has the positions of the window" {
	pair both-c32
	bad $((34 * 32 + 5)) 2
	run -4 snapcheck --json=j --bad-blocks=map origin.img cow.img
	(head -c 1M /dev/zero && cat cow.img && head -c 1M /dev/zero) >disk.img
	run -4 snapcheck --json=k --bad-blocks=map origin.img disk.img@1M+10M
	[ "$(member j '[f["sentence"] for f in j["findings"]]')" = "$(member k '[f["sentence"] for f in j["findings"]]')" ]
	cp origin.img copy.img
	run -4 snapmerge -y -q --skip-unreadable --force=bad-cow --bad-blocks=map copy.img disk.img@1M+10M
	run -4 snapmerge -y -q --skip-unreadable --force=bad-cow --bad-blocks=map origin.img cow.img
	cmp copy.img origin.img
	cmp <(tail -c +1048577 disk.img | head -c 10M) cow.img
}

# bats test_tags=long
@test "-o: what cannot be read is dropped, and the rest is a good store" {
	for folder in both-c32 multiarea-c8 partial-last-chunk-c32; do
		pair $folder
		rm -f map new.img
		bad_model draw map cow.img $folder 9
		bad_model readable origin.img cow.img map >readable
		before=$(sum cow.img)
		run -4 snapcheck --json=j -y --skip-unreadable --bad-blocks=map -o new.img origin.img cow.img
		[[ $output == *"now show the origin: bytes "* ]]
		[ "$(member j 'j["repair"]["data_lost"], j["repair"]["left"], j["verdict"]["view_trustworthy"]')" = "(True, 0, False)" ]
		bad_model left new.img | diff - readable
		run -0 snapcheck origin.img new.img
		[ "$(sum cow.img)" = "$before" ]
	done
}

# bats test_tags=long
@test "a metadata area that cannot be read in part: the check goes on behind it" {
	pair multiarea-c8
	# records 64 to 95 of area 0, 32 to 63 of area 1, and data
	bad 10 1 $((258 * 8 + 1)) 1 $((400 * 8)) 1
	bad_model readable origin.img cow.img map >readable
	run -8 snapcheck --bad-blocks=map origin.img cow.img
	run -4 snapcheck --json=j --skip-unreadable --bad-blocks=map origin.img cow.img
	[ "$(findings)" = "persistent.data-unreadable persistent.metadata-unreadable persistent.metadata-unreadable" ]
	[[ $output == *"512 bytes of area 0 cannot be read: up to 32 exceptions were recorded there, and it is not known which"* ]]
	[[ $output == *"kernel: refuses to load it"* ]]
	before=$(sum cow.img)
	run -4 snapcheck -n -y --skip-unreadable --bad-blocks=map -o new.img origin.img cow.img
	[[ $output == *"65 records dropped"* ]]
	# what is safe costs no data: all of it is still there, and said
	run -4 snapcheck -p --json=j --skip-unreadable --bad-blocks=map -o safe.img origin.img cow.img
	[ "$(member j '" ".join(sorted(f["id"] for f in j["findings_left"] if f["class"] != "note"))')" = "persistent.data-unreadable persistent.metadata-unreadable persistent.metadata-unreadable" ]
	[[ $output == *"snapshot data: not complete"* ]]
	run -4 snapcheck -y --skip-unreadable --bad-blocks=map -o new.img origin.img cow.img
	[[ $output == *"65 records dropped"* ]]
	bad_model left new.img | diff - readable
	run -0 snapcheck origin.img new.img
	[ "$(sum cow.img)" = "$before" ]
}

# bats test_tags=long
@test "behind the end of the list, and where a whole area is gone" {
	pair both-c32
	bad $((32 + 31)) 1
	run -4 snapcheck --json=j --skip-unreadable --bad-blocks=map origin.img cow.img
	[ "$(findings)" = persistent.metadata-unreadable ]
	[[ $output == *"they lie behind the end of the list"* ]]
	run -0 snapcheck -y --skip-unreadable --bad-blocks=map -o new.img origin.img cow.img
	cmp cow.img new.img
	pair multiarea-c8
	bad $((258 * 8)) 8
	bad_model readable origin.img cow.img map >readable
	run -4 snapcheck -y --skip-unreadable --bad-blocks=map -o other.img origin.img cow.img
	bad_model left other.img | diff - readable
	run -0 snapcheck origin.img other.img
}

# bats test_tags=long
@test "a header that cannot be read" {
	pair both-c32
	bad 0 1
	run -8 snapcheck --bad-blocks=map origin.img cow.img
	run -4 snapcheck --json=j --skip-unreadable --bad-blocks=map origin.img cow.img
	[ "$(findings)" = persistent.header-unreadable ]
	[[ $output == *"kernel: refuses to load it"* ]]
	run -1 snapcheck -y --skip-unreadable --bad-blocks=map -o new.img origin.img cow.img
	run -0 snapcheck origin.img new.img
	cmp cow.img new.img
}

# bats test_tags=long
@test "reads that fail, without a map" {
	pair multiarea-c8
	cp cow.img whole.img
	strace -qq -o trace -e trace=pread64 -P "$PWD/cow.img" snapcheck -q --skip-unreadable cow.img
	n=$(grep -n ', 4096, 4096) = ' trace | head -1 | cut -d: -f1)
	fail=(strace -qq -o trace -P "$PWD/cow.img" -e trace=pread64 -e "inject=pread64:error=EIO:when=$n..$((n + 1))")
	run -4 "${fail[@]}" snapcheck --json=j --skip-unreadable cow.img
	[ "$(findings)" = persistent.metadata-unreadable ]
	[[ $output == *"512 bytes of area 0 cannot be read"* ]]
	cmp cow.img whole.img
}

@test "in place nothing is repaired, and what is no store is none" {
	pair both-c32
	bad 100 1
	for with in -y -p "-y --save-undo=u" "-n -y"; do
		# shellcheck disable=SC2086
		run -16 snapcheck $with --skip-unreadable --bad-blocks=map origin.img cow.img
		# shellcheck disable=SC2086
		run -16 snapcheck $with --bad-blocks=map origin.img cow.img
	done
	run -16 snapcheck --bad-blocks=map --bad-blocks=map cow.img
	run -64 snapcheck --skip-unreadable origin.img
	run -0 snapcheck --skip-unreadable origin.img cow.img
}
