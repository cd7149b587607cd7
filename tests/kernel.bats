#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# The real kernel as judge. Everything is in tests/kernel/run.py, which says how
# to run one case; here it is called. Nothing is ever skipped: a machine on
# which the kernel does not boot fails.
# bats file_tags=kernel,slow
bats_require_minimum_version 1.8.0

run_py() {
	TMPDIR=$BATS_TEST_TMPDIR "$COW_SOURCE/tests/kernel/run.py" "$@"
}

@test "the judge is awake: naive tools agree with the kernel, and each bug planted in them is noticed" {
	run_py --self-test
}

@test "the lab works without HOME" {
	env -u HOME TMPDIR="$BATS_TEST_TMPDIR" "$COW_SOURCE/tests/kernel/run.py" --peer naive --count 1
}
