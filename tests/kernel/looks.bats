#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# What snapdump says of file systems that a running kernel changed, and of their journals,
# as that kernel shows them (looks.py).
# bats file_tags=kernel,slow
bats_require_minimum_version 1.8.0

@test "30 images cut from a running kernel: lists and files are what it shows after its replay, as after e2fsck's; --changes of 20 pairs is right, and what --only-changed gives out makes one state the other" {
	"$COW_SOURCE/tests/kernel/looks.py" "$BATS_TEST_TMPDIR/work" both --cuts 5 --seed 3
}
