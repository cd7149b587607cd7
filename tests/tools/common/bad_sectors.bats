#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# Bad sectors: maps of ddrescue, and what the tools do where they cannot read.
# The judge is tests/aids/bad_model.py; ddrescue itself reads what we write.
bats_require_minimum_version 1.8.0
load ../../common

setup() {
	cd "$BATS_TEST_TMPDIR"
}

# drawn FOLDER SEED [NUMBER]: a pair with a map of bad places.
drawn() {
	pair "$1"
	bad_model draw map cow.img "$2" "${3-7}"
	ddrescuelog -q -t map
}

# bats test_tags=slow
@test "--raw: what cannot be read is the origin's, or zeros; exit 4, and said" {
	for folder in both-c32 multiarea-c8 partial-last-chunk-c32; do
		drawn $folder $folder
		for fill in origin zero; do
			bad_model view origin.img cow.img map $fill expected
			run -4 --separate-stderr snapdump --json=j --raw --skip-unreadable --fill=$fill --bad-blocks=map -o new origin.img cow.img
			cmp new expected
			rm new
			[[ $stderr == *"cannot be read; byte "*" of the view is shown as "* ]]
			[ "$(member j 'j["skipped_bytes"] == sum(s["length_bytes"] for s in j["skipped"]), j["doubtful"], j["done"]')" = "(True, True, True)" ]
			member j '"\n".join("%d %d %d" % (s["offset_bytes"], s["shown_at_bytes"], s["length_bytes"]) for s in j["skipped"])' >said
			diff said <(bad_model list origin.img cow.img map)
		done
	done
}

@test "without --skip-unreadable a bad block is an I/O error, and no file appears" {
	drawn both-c32 1
	for mode in --raw --tar --delta; do
		run -8 --separate-stderr snapdump $mode --bad-blocks=map -o new origin.img cow.img
		[[ $stderr == *"count as unreadable"* ]]
		[ ! -e new ]
	done
}

# bats test_tags=long
@test "--tar and --delta: the same bytes, marked doubtful" {
	drawn multiarea-c8 2
	bad_model view origin.img cow.img map origin expected
	run -4 snapdump --tar --skip-unreadable --bad-blocks=map -o v.tar origin.img cow.img
	tar -xOf v.tar view.img | cmp - expected
	[ "$(tar -xOf v.tar manifest.json | python3 -c 'import json, sys; j = json.load(sys.stdin); print(j["doubtful"], j["complete"])')" = "True True" ]
	run -4 snapdump --delta --skip-unreadable --bad-blocks=map -o d.tar origin.img cow.img
	[ "$(tar -xOf d.tar manifest.json | python3 -c 'import json, sys; j = json.load(sys.stdin); print(j["doubtful"])')" = "True" ]
	run -4 snapcreate -q --import=d.tar origin.img again.img
	run -0 snapdump -q --raw -o again origin.img again.img
	cmp again expected
	bad_model view origin.img cow.img map zero expected
	run -4 snapdump --delta --skip-unreadable --fill=zero --bad-blocks=map -o d0.tar origin.img cow.img
	rm again.img again
	run -4 snapcreate -q --import=d0.tar origin.img again.img
	run -0 snapdump -q --raw -o again origin.img again.img
	cmp again expected
}

@test "a map without bad blocks in the way changes nothing" {
	pair both-c32
	snapdump --map=ddrescue origin.img cow.img >map
	run -0 snapdump -q --raw --skip-unreadable --bad-blocks=map -o new origin.img cow.img
	[ "$(sum new)" = "$(fact both-c32 merged_origin_sha256)" ]
	run -0 snapdump -q --raw --bad-blocks=map -o newer origin.img cow.img
	cmp new newer
}

# nth_read FILE PATTERN TOOL...: which pread64 of a file is the first (or, with "last", the last) of 64 KiB and more.
nth_read() {
	local file=$1 which=$2
	shift 2
	strace -qq -o trace -e trace=pread64 -P "$PWD/$file" "$@"
	grep -n ', [0-9]\{5,\}, [0-9]*) = ' trace | cut -d: -f1 | if [ "$which" = last ]; then tail -1; else head -1; fi
}

# bats test_tags=long
@test "a sector of the origin that cannot be read: zeros with --fill=zero, else an error" {
	pair both-c32
	n=$(nth_read origin.img first snapdump -q --raw -o new origin.img cow.img)
	mv new expected
	# read at once, in 64 KiB, 4 KiB, 512 bytes: all of them fail
	fail=(strace -qq -o trace -P "$PWD/origin.img" -e trace=pread64 -e "inject=pread64:error=EIO:when=$n..$((n + 3))")
	run -8 "${fail[@]}" snapdump --raw -o new origin.img cow.img
	# nor can the origin stand in for itself
	run -8 "${fail[@]/%..$((n + 3))/+}" snapdump --raw --skip-unreadable -o new origin.img cow.img
	[ ! -e new ]
	run -4 --separate-stderr "${fail[@]}" snapdump --json=j --raw --skip-unreadable --fill=zero -o new origin.img cow.img
	[[ $stderr == *"origin.img: "*" bytes at byte "*" of it is shown as zeros"* ]]
	[ "$(member j 'len(j["skipped"])')" = 1 ]
	read -r at len <<<"$(member j '"%(offset_bytes)d %(length_bytes)d" % j["skipped"][0]')"
	[ "$len" -le 1024 ]
	head -c "$len" /dev/zero | dd of=expected bs=512 seek=$((at / 512)) conv=notrunc status=none
	cmp new expected
}

@test "--files goes on, too" {
	truncate -s 8M origin.img
	mke2fs -q -t ext4 -d "$COW_SOURCE/man" origin.img
	snapcreate -q -s 4M origin.img cow.img
	truncate -s 8M new.img
	mke2fs -q -t ext4 -d "$COW_SOURCE/tools" new.img
	snapcreate -q --from=new.img origin.img two.img
	bad_model draw map two.img 3 3
	run -4 --separate-stderr snapdump --files --skip-unreadable --bad-blocks=map -o f.tar origin.img two.img
	tar -tf f.tar >/dev/null
	[[ $stderr == *"doubtful: "*"could not be read"* ]]
}

# bats test_tags=long
@test "a stack takes one map for each COW image" {
	pair both-c32
	snapmerge -q -o lower.img origin.img cow.img
	cp lower.img upper.img
	for at in 100000 3000000 5000000; do poke upper.img $at hello; done
	snapcreate -q --from=upper.img lower.img second.img
	bad_model draw map1 cow.img 4
	bad_model draw map2 second.img 5 2
	bad_model view origin.img cow.img map1 origin below
	bad_model view below second.img map2 origin expected
	run -4 snapdump --raw --skip-unreadable --bad-blocks=map1 --bad-blocks=map2 -o new origin.img cow.img second.img
	cmp new expected
	run -16 --separate-stderr snapdump --raw --bad-blocks=map1 -o newer origin.img cow.img second.img
	[[ $stderr == *"one MAPFILE for each COW image"* ]]
}

# bats test_tags=long
@test "--map=ddrescue: ddrescue copies that domain, and the copy has the view" {
	for folder in both-c32 multiarea-c8 area-255 area-256; do
		pair $folder
		rm -f copy copymap
		run -0 snapdump -q --map=ddrescue -o domain origin.img cow.img
		run -0 ddrescuelog -t domain
		snapdump -q --map=ddrescue origin.img cow.img | cmp - domain
		ddrescue -q -m domain cow.img copy copymap
		truncate -r cow.img copy
		snapdump -q --raw -o view1 origin.img cow.img
		snapdump -q --raw --bad-blocks=copymap -o view2 origin.img copy
		cmp view1 view2
		rm view1 view2 domain
	done
	[ "$(snapdump --json --map=ddrescue origin.img cow.img | python3 -c 'import json, sys; j = json.load(sys.stdin); print(sum(r["length_bytes"] for r in j["ranges"]) == j["data_bytes"])')" = True ]
	run -16 snapdump --map=csv origin.img cow.img
	run -16 snapdump --map=ddrescue origin.img cow.img copy
}

# bats test_tags=long
@test "a map that is none: the line is named; one of a larger image is refused" {
	pair both-c32
	try() {
		printf "$1" >map
		run -64 --separate-stderr snapdump --json=j --raw --bad-blocks=map -o new origin.img cow.img
		[[ $stderr == *"$2"* ]] || { echo "$stderr"; return 1; }
		[ ! -e new ]
		one_sentence
		[ "$(member j 'j["error"]["id"]')" = "${3-mapfile}" ]
	}
	try '' 'it ends without a block'
	try '0 +\n' 'line 1: it ends without a block'
	try '# c\n0 512 +\n' 'line 2: the first line must say'
	try '0 + 0\n' 'line 1: the pass'
	try '0 + -1\n' 'line 1: the pass'
	try '0x0 Z\n' 'line 1: the first line must say'
	try '0 + 1\n0 512 +\n1024 512 -\n' 'line 3: there is a gap'
	try '0 + 1\n0 1024 +\n\n512 512 -\n' 'line 4: the block overlaps'
	try '0 + 1\n0 0128 +\n' 'line 2: the size is no number'
	try '0 + 1\n-5 512 +\n' 'line 2: the position'
	try '0 + 1\n0 512 x+\n' 'line 2: the status'
	try '0 + 1\n0 512x +\n' 'line 2: the size'
	try '0 + 1\n0 0x8000000000000000 +\n' 'line 2: the size'
	try '0 + 1\n0 512 \0 +\n' 'not text'
	try "0 + 1\n0 512 $(printf '%0300d' 0) +\n" 'line 2: the status'
	try "0 + 1\n0 512 $(printf '%0300d' 0) $(printf '%065600d' 0) +\n" 'too long'
	try '0 + 1\n0 0x100000000 +\n' 'of another image' bad-blocks
	run -8 snapdump --raw --bad-blocks=none -o new origin.img cow.img
	run -16 snapdump --raw --fill=zero -o new origin.img cow.img
	run -16 snapdump --map --skip-unreadable origin.img cow.img
}

# bats test_tags=long
@test "a map is read as ddrescue reads it: comments and further fields behind those it knows" {
	pair both-c32
	size=$(stat -c %s cow.img)
	with() { # status line, what follows a block
		printf '%s\n0 4096 +%s\n4096 65536 -%s\n69632 %s +%s\n' "$1" "$2" "$2" $((size - 69632)) "$2" >map
		ddrescuelog -b1 -l- map >bad 2>&1 || { cat bad; return 1; }
		[ "$(head -1 bad)" -eq 4096 ] && [ "$(wc -l <bad)" -eq 65536 ]
		run -8 snapdump -q --map --bad-blocks=map origin.img cow.img
		[[ $output == *"read failed at byte 16384: 53248 bytes there count as unreadable"* ]] || { echo "$1 $2: $output"; return 1; }
	}
	long=$(printf '%0300d' 0)
	for line in '0 +' '0 + 1' '0 + 1 # a comment' '0 + 1#c' '0 + 1 2 more' '0 + x' '0 + 1x' '0+' "0 + 1 # $long"; do
		with "$line" ''
	done
	for more in ' # a comment' '#c' ' x' x ' 7 8' " # $long" $'\t\r'; do
		with '0 + 1' "$more"
	done
}

@test "an image that goes on dying between two passes ends in an error, not in a wrong digest" {
	pair both-c32
	n=$(nth_read cow.img last snapdump -q --tar -o v.tar origin.img cow.img)
	run -8 --separate-stderr strace -qq -o trace -P "$PWD/cow.img" -e trace=pread64 -e "inject=pread64:error=EIO:when=$n..$((n + 3))" \
		snapdump --tar --skip-unreadable -o w.tar origin.img cow.img
	[[ $stderr == *"have become unreadable during this run"* ]]
	[ ! -e w.tar ]
}
