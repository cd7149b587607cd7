#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# Kernel and tools take turns: tests/kernel/relay.py, which says how to repeat
# one relay; "make relay-soak" runs some hundreds.
# bats file_tags=kernel,slow
bats_require_minimum_version 1.8.0

@test "relays: kernel and tools take turns, are killed, go on; views, siblings and usage are the model's" {
	TMPDIR=$BATS_TEST_TMPDIR "$COW_SOURCE/tests/kernel/relay.py" --seed "${COW_SEED:-1}" --count 8
}
