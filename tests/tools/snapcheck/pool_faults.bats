#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# Single faults in the metadata of a pool, against a naive reader and checker (tests/aids/thin_faults.py says how to run
# one of them). "make thin-faults" runs 5,000.
bats_require_minimum_version 1.8.0

# bats test_tags=slow
@test "30 single faults in a pool: found where a naive checker finds something, and never called right where a device shows something else" {
	TMPDIR=$BATS_TEST_TMPDIR run -0 "$COW_SOURCE/tests/aids/thin_faults.py" --seed "${COW_SEED:-1}" --count 30
	[[ $output == *"30 faults, "*", 0 disagreements"* ]]
}
