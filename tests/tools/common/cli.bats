#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# The command line itself: what is the same in all four tools.
bats_require_minimum_version 1.8.0
load ../../common

tools=(snapcreate snapcheck snapmerge snapdump)

setup() {
	cd "$BATS_TEST_TMPDIR"
}

@test "--help goes to stdout, fits 80 columns, exits 0" {
	for tool in "${tools[@]}"; do
		run -0 --separate-stderr "$tool" --help
		[ -z "$stderr" ]
		[[ ${lines[0]} == "usage: $tool "* ]]
		[ -z "$(awk 'length > 80' <<<"$output")" ]
		run -0 --separate-stderr "$tool" -h
	done
}

@test "--version names the tool and the version" {
	for tool in "${tools[@]}"; do
		run -0 --separate-stderr "$tool" --version
		[ "$output" = "$tool $(sed -n 's/^#define COW_VERSION_[A-Z]*[[:space:]]*//p' "$COW_SOURCE/include/libcow.h" | paste -sd.)" ]
		run -0 --separate-stderr "$tool" -V
	done
}

@test "every long and short option is in --help, and no other" {
	for tool in "${tools[@]}"; do
		in_help=$("$tool" --help | grep -o '^ \{2,6\}\(-[a-zA-Z], \)\?--[a-z-]*' | grep -o -- '--[a-z-]*' | sort)
		asked=$("$tool" --long-options | cut -f1 | sed 's/\[\?=.*//' | sort)
		[ "$in_help" = "$asked" ]
		in_help=$("$tool" --help | grep -o '^  -[a-zA-Z],' | grep -o -- '-[a-zA-Z]' | sort)
		[ "$in_help" = "$("$tool" --short-options | sort)" ]
		[ "$("$tool" --long-options | sort | uniq -d)" = "" ]
	done
}

@test "the common options mean the same in all four tools" {
	common() {
		"$1" --help | sed -n '/--dry-run/,/^$/p'
	}
	[ "$(common snapdump | grep -c -- --)" -eq 11 ]
	for tool in "${tools[@]}"; do
		[ "$(common "$tool")" = "$(common snapdump)" ]
	done
}

# bats test_tags=long
@test "a wrong call is one line on stderr that points to --help, and exits 16" {
	for tool in "${tools[@]}"; do
		for call in "" "--bogus" "-Z" "--type" "--progress=sometimes a b" "--force=bogus a b" "--yes=3 a b" "--force a"; do
			# shellcheck disable=SC2086
			run -16 --separate-stderr "$tool" $call
			[ -z "$output" ]
			one_sentence
			[[ $stderr == "$tool: "*"--help)" ]]
		done
	done
	run -16 --separate-stderr snapmerge -y a b c
	run -16 --separate-stderr snapcreate -c 3 a b
	[[ $stderr == *"power of two"* ]]
	run -16 --separate-stderr snapcreate -s 5MB a b
	[[ $stderr == *MiB* ]]
	run -16 --separate-stderr snapdump a b
	run -16 --separate-stderr snapdump --raw --tar a b
	run -16 --separate-stderr snapdump -o out.img a b
}

@test "a mistyped option is answered with the one that is like it, a short one with those it may be" {
	run -16 snapcheck --hedr-only c
	[[ $output == *"unknown option --hedr-only; did you mean --header-only?"* ]]
	run -16 snapcheck --is-emtpy c
	[[ $output == *"did you mean --is-empty?"* ]]
	run -16 snapmerge --syblings=s a b
	[[ $output == *"unknown option --syblings; did you mean --sibling?"* ]]
	run -16 snapcheck --he c
	[[ $output == *"option --he is ambiguous: --header-only, --help"* ]]
	# Hidden ones are not offered, and what is like none gets no guess.
	run -16 snapcheck --lng-options c
	[[ $output != *"did you mean"* ]] || return 1
	run -16 snapcheck --bogus c
	[[ $output == "snapcheck: unknown option --bogus (see snapcheck --help)" ]]
	run -16 snapcheck "--$(printf 'x%.0s' {1..500})" c
	[[ $output == *"unknown option --xxx"* ]]
}

# bats test_tags=long
@test "--json is one object, also after a wrong call and a refusal" {
	for tool in "${tools[@]}"; do
		run -16 --separate-stderr "$tool" --json --bogus
		echo "$output" >j
		[ "$(member j 'j["tool"], j["exit"], j["done"], j["error"]["id"]')" = "('$tool', 16, False, 'usage')" ]
		run --separate-stderr "$tool" --json=j missing.img missing2.img --map
		[ "$status" -ne 0 ]
		[ "$(member j 'j["exit"], j["done"]')" = "($status, False)" ]
	done
	[ -z "$(find . -name 'j.*')" ]
}

# bats test_tags=long
@test "--json holds every key on success, failure and refusal" {
	truncate -s 1M base.img
	mkdir directory
	for call in "snapcreate base.img cow.img" "snapcreate base.img missing/cow.img" "snapcreate directory cow2.img"; do
		run --separate-stderr $call --json
		echo "$output" >j
		[ "$status" = 0 ] && wanted="True, []" || wanted="False, ['force', 'id', 'message', 'offset_bytes', 'path']"
		[ "$(member j 'set("schema tool version exit done error next".split()) - set(j), j["exit"], j["done"], sorted(j["error"] or [])')" = "(set(), $status, $wanted)" ]
	done
}

@test "names that are no UTF-8 and control bytes neither break JSON nor reach the terminal" {
	name=$'evil\e[31m\xff\n.img'
	run -8 --separate-stderr snapmerge -y "$name" "$name"
	one_sentence
	[[ $stderr != *$'\e'* ]]
	[[ $stderr == *'\x1b[31m'* ]]
	run -8 --separate-stderr snapmerge -y --json "$name" "$name"
	python3 -m json.tool <<<"$output" >/dev/null
	# what is text stays text; a lone 0x9b starts a sequence on an 8-bit terminal
	run -8 --separate-stderr snapmerge -y $'caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x92\xbe' x
	[[ $stderr == *$'caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x92\xbe'* ]]
	for bytes in '\x9b' '\xc2\x9b' '\xe0\x80\x80' '\xed\xa0\x80' '\xf4\x90\x80\x80' '\xc3'; do
		printf -v name 'x%b' "$bytes"
		run -8 --separate-stderr snapmerge -y "$name" x
		[[ $stderr == *"x$bytes:"* ]]
	done
}

@test "a full or closed stdout is noticed: exit 8" {
	for tool in "${tools[@]}"; do
		run -8 bash -c "$tool --help >/dev/full"
		run -8 bash -c "$tool --help >&-"
		run -16 bash -c "$tool --json --bogus >/dev/full"
	done
	truncate -s 1M base.img
	snapcreate -q base.img cow.img
	run -8 bash -c "snapcheck base.img cow.img >/dev/full"
	run -8 bash -c "snapdump --raw base.img cow.img >/dev/full"
	run -8 bash -c "snapdump --tar base.img cow.img >/dev/full"
	run -8 bash -c "snapdump --map base.img cow.img >/dev/full"
	run -8 bash -c "snapdump --raw base.img cow.img >&-"
}

@test "with closed standard files no image is taken for one of them" {
	truncate -s 1M base.img
	run -0 bash -c "snapcreate base.img cow.img >&- 2>&- <&-"
	run -0 snapcheck base.img cow.img
	before=$(sum cow.img)
	run bash -c "snapcheck base.img cow.img >&- 2>&- <&-"
	[ "$status" -eq 8 ]
	[ "$(sum cow.img)" = "$before" ]
}

# bats test_tags=long
@test "a reader that goes away ends a stream quietly" {
	truncate -s 64M base.img
	for mode in --raw --tar; do
		head -c 64M /dev/urandom >base.img
		run -0 --separate-stderr bash -c "snapdump $mode base.img | head -c 1000 | wc -c"
		[ "$output" = 1000 ]
		[ -z "$stderr" ]
	done
}

@test "the locale changes nothing" {
	truncate -s 1536K base.img
	snapcreate base.img cow.img
	LC_ALL=de_DE.UTF-8 LANG=de_DE.UTF-8 snapcheck base.img cow.img >german
	snapcheck base.img cow.img >plain
	cmp plain german
}

# bats test_tags=long
@test "--json=FILE replaces a report, an empty file, and nothing else" {
	truncate -s 1M base.img
	snapcreate -q base.img cow.img
	before=$(cat base.img cow.img | sum /dev/stdin)
	for tool in "${tools[@]}"; do
		for file in cow.img base.img ./cow.img; do
			run -64 --separate-stderr "$tool" --json="$file" base.img cow.img
			one_sentence
			[[ $stderr == *"$file exists and is no report of an earlier run"* ]]
			run -64 "$tool" --bogus --json="$file"
			run -64 "$tool" --js="$file" base.img cow.img
		done
	done
	ln -s cow.img link
	run -64 snapcheck --json=link base.img cow.img
	run -8 snapcheck --json=. base.img cow.img
	[ "$(cat base.img cow.img | sum /dev/stdin)" = "$before" ]
	: >report
	for _ in 1 2; do
		run -0 snapcheck --json=report base.img cow.img
		[ "$(member report 'j["exit"]')" = 0 ]
	done
	run -0 --separate-stderr snapcheck --js base.img cow.img
	python3 -m json.tool <<<"$output" >/dev/null
	# What -o has made meanwhile is no report either.
	run -8 snapdump --raw --json=out.img -o out.img base.img
	cmp out.img base.img
}

@test "a short name that also stands in the sentence is said all the same" {
	mkdir dir
	run -64 --separate-stderr snapcheck dir
	[[ $stderr == "snapcheck: dir: it is a directory;"* ]]
	: >empty
	run -64 --separate-stderr snapcheck empty
	[[ $stderr == "snapcheck: empty: it is empty"* ]]
}

@test "the command that is printed next works as it stands" {
	truncate -s 1M base.img
	for cow in -x.img "a b.img" "it's.img" $'new\nline\\n\'.img' file:name@1M.img; do
		run -0 --separate-stderr snapcreate base.img -- "$cow"
		next=$(sed -n 's/^snapcreate: next: //p' <<<"$stderr")
		run -0 bash -c "$next"
		[[ $output == *"snapshot data: complete"* ]]
	done
	[ -e name@1M.img ]
	run -64 --separate-stderr snapdump --raw -q -o out.img -- -x.img base.img
	next=$(sed -n 's/.*looks swapped; try: \(.*\) (cannot.*/\1/p' <<<"$stderr")
	run -0 bash -c "$next"
	cmp out.img base.img
}

@test "snapcreate makes no file out of words that are no path" {
	truncate -s 1M base.img
	run -64 --separate-stderr snapcreate base.img zero:5M
	one_sentence
	run -16 --separate-stderr snapcreate base.img -
	one_sentence
	run -16 snapcreate base.img part:pv
	run -16 snapcreate base.img lvm:pv:vg
	run -8 snapcreate base.img thin:metadata=a,data=b
	run -8 snapcreate base.img nbd+unix:///x?socket=none
	run -8 snapcreate base.img concat:x
	run -1 compgen -G '*:*'
	[ ! -e - ]
}

# A kind that reads no image would call a full COW image empty.
@test "each kind that a tool offers refuses an image of zeros" {
	truncate -s 4M origin.img zeros.img
	kinds=$(snapcheck --long-options | awk -F'\t' '/^--type=/ { print $3 }')
	kinds=${kinds#words }
	kinds=${kinds//|/ }
	[[ " $kinds " == *" persistent "* ]]
	for kind in $kinds; do
		# refused; or a wrong call, where the kind has more images than these
		for command in "snapmerge -y" "snapdump --raw -o new.img"; do
			# shellcheck disable=SC2086
			run $command -t "$kind" origin.img zeros.img
			[ "$status" -eq 64 ] || [ "$status" -eq 16 ]
		done
		# no store, or a damaged one; or a wrong call, as above
		run snapcheck -t "$kind" zeros.img
		[ "$status" -eq 64 ] || [ "$status" -eq 4 ] || [ "$status" -eq 16 ]
		[[ $output != *"can be removed"* ]]
	done
	[ ! -e new.img ]
	for tool in "${tools[@]}"; do
		run -16 "$tool" -t transient origin.img zeros.img
	done
}

# bats test_tags=long
@test "JSON names the images that the run is about" {
	pair both-c32
	sizes() { stat -c %s origin.img cow.img | xargs; }
	for command in "snapcheck origin.img cow.img" "snapdump --raw -o new origin.img cow.img" \
		"snapmerge -o merged origin.img cow.img" "snapmerge -n origin.img cow.img" \
		"snapcreate --from-view=cow.img origin.img made"; do
		# shellcheck disable=SC2086
		${command%% *} -q --json=j ${command#* }
		[ "$(member j '[(i["role"], i["path"]) for i in j["images"]]')" = "[('origin', 'origin.img'), ('cow', 'cow.img')]" ] ||
			{ echo "$command"; cat j; return 1; }
		[ "$(member j '" ".join(str(i["size_bytes"]) for i in j["images"])')" = "$(sizes)" ]
	done
}
