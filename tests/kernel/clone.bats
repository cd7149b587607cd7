#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# Relays over dm-clone devices: kernel and library take turns, both are stopped half-way.
# bats file_tags=kernel,slow
bats_require_minimum_version 1.8.0

@test "12 relays over clones: kernel and library hydrate in turns, killed and stopped; each view is the model's" {
	TMPDIR=$BATS_TEST_TMPDIR "$COW_SOURCE/tests/kernel/clone_relay.py" --relays 12
}
