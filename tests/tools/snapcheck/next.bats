#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# The command that is named next keeps every operand, and who follows it comes to an end.
# bats file_tags=slow
bats_require_minimum_version 1.8.0
load ../../common

setup() {
	cd "$BATS_TEST_TMPDIR"
}

# follow COMMAND: runs it, then what it names next, until nothing is named, or a word that
# only a person can fill in. A command that comes again is a circle.
follow() {
	local command=$1 seen=() before
	while [ -n "$command" ]; do
		for before in "${seen[@]}"; do
			[ "$before" != "$command" ] || { echo "a circle: $(printf '%s; ' "${seen[@]}")$command"; return 1; }
		done
		seen+=("$command")
		[ "${#seen[@]}" -le 8 ] || { echo "no end: $(printf '%s; ' "${seen[@]}")"; return 1; }
		bash -c "$command" </dev/null >out 2>err && status=0 || status=$?
		[ "$status" -ne 16 ] || { echo "a wrong call: $command: $(<err)"; return 1; }
		command=$(sed -n 's/^snap[a-z]*: next: //p' err | grep -vE '(^| )(ORIGIN|COW|--chunk-size=SIZE)( |$)') || true
		# with the operands that were given
		if [[ ${seen[0]} == *origin.img* && $command == snapcheck* ]]; then
			[[ $command == *origin.img* ]] || { echo "${seen[-1]}: lost the origin: $command"; return 1; }
		fi
	done
}

@test "next is followed from each damaged fixture to a fixed point" {
	local nr=0
	for dir in "$COW_UNPACKED"/damaged/m*; do
		for command in "snapcheck origin.img cow.img" "snapcheck -t persistent cow.img" \
			"snapcheck --header-only -t persistent origin.img cow.img"; do
			rm -f ./*
			unpack damaged/origin.img origin.img
			cp "$dir/cow.img" cow.img
			follow "$command" || { echo "$dir"; return 1; }
		done
		nr=$((nr + 1))
	done
	[ "$nr" -ge 20 ]
}

@test "a header that is lost: what tells the store is kept, and nothing leads in a circle" {
	pair both-c32
	dd if=/dev/zero of=cow.img bs=512 count=1 conv=notrunc status=none
	follow "snapcheck origin.img cow.img"
	rm -f repaired.img
	run -4 --separate-stderr snapcheck -t persistent -c 16K origin.img cow.img
	[[ $stderr == *"next: snapcheck -y -o repaired.img -t persistent --chunk-size=16384 origin.img cow.img" ]]
	follow "snapcheck -t persistent -c 16K origin.img cow.img"
	[ -e repaired.img ]
}
