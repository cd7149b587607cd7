#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# The budgets of make check: processor time counts, not the time that passes.
# bats file_tags=limit
bats_require_minimum_version 1.8.0

# in_part BUDGET COMMAND...: as check.sh does it, with its shell.
in_part() {
	sh -eu -c '. "$COW_SOURCE/tests/part.sh"; slower=${SLOWER:-100}; part name "$@"; echo went on' sh "$@"
}

busy='i=0; while [ $i -lt 400000 ]; do i=$((i + 1)); done'

# bats test_tags=slow
@test "a part that takes more processor time than one and a half times its budget fails, one that waits does not" {
	run -1 in_part 0 sh -c "$busy"
	[[ ${lines[1]} =~ ^"== name: "[0-9]+" s, "[0-9]+" s of processor time (budget 0 s)"$ ]]
	[[ ${lines[2]} == "== name FAILED: more than 0 s of processor time" ]]
	# also what a child of a child takes
	run -1 in_part 0 sh -c "sh -c '$busy'; true"
	run -0 in_part 1 sleep 1.6
	[[ ${lines[2]} == "went on" ]]
	SLOWER=100000 run -0 in_part 1 sh -c "$busy"
	run -1 in_part 1 false
	[[ ${lines[1]} == "== name FAILED" ]]
}

# bats test_tags=slow
@test "a slow machine has more, a fast one not less" {
	run -0 sh -eu -c '. "$COW_SOURCE/tests/part.sh"; speed; [ $slower -ge 100 ]'
	[[ $output =~ ^"== budgets are for a machine that takes 100, this one takes "[0-9]+$ ]]
}

@test "each part of make check has a budget" {
	[ "$(grep -c '^part "[^"]*" [1-9][0-9]* ' "$COW_SOURCE/tests/check.sh")" = "$(grep -c '^part ' "$COW_SOURCE/tests/check.sh")" ]
}
