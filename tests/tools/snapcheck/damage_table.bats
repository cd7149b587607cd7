#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# Words against bytes: tests/aids/damage_table.py, and the table that it keeps.
bats_require_minimum_version 1.8.0
load ../../common

setup() {
	cd "$BATS_TEST_TMPDIR"
}

# bats test_tags=slow
@test "no clean verdict beside a wrong view, but for the rows that say why; tests/cases/README has the measured table" {
	"$COW_SOURCE/tests/aids/damage_table.py" "$COW_FIXTURES" "$COW_SOURCE/tests/cases/README"
}
