#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# Every system call of a tool fails in turn; tests/faults/states.py has the jobs, and says what of them
# is done here: "make fault-states" does all.
# bats file_tags=slow,limit
bats_require_minimum_version 1.8.0

@test "creating and importing, every call failing, torn, short, killed: nothing, the old store, or the whole new one" {
	"$COW_SOURCE/tests/faults/states.py" --share create
}

@test "merging, with siblings, undo, take-back, --keep, -o: whatever call fails, nothing is lost and the same command finishes" {
	"$COW_SOURCE/tests/faults/states.py" --share merge
}

@test "repairing with an undo file, every call failing, torn, short, killed: it is exact, and the same command goes on" {
	"$COW_SOURCE/tests/faults/states.py" --share repair
}

@test "a device of a pool made, snapshotted, deleted, exchanged, every call failing, torn, short, killed: as it was, or all of it" {
	"$COW_SOURCE/tests/faults/states.py" --share pool
}
