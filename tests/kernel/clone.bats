#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# Relays over dm-clone devices: kernel and library take turns, both are stopped half-way. And metadata that crash a kernel.
# bats file_tags=kernel,slow
bats_require_minimum_version 1.8.0

@test "12 relays over clones: kernel and library hydrate in turns, killed and stopped, and repaired metadata are loaded" {
	TMPDIR=$BATS_TEST_TMPDIR "$COW_SOURCE/tests/kernel/clone_relay.py" --relays 12
}

@test "metadata that snapcheck calls deadly: a kernel dies of loading one, of writing to another, each in a boot of its own" {
	TMPDIR=$BATS_TEST_TMPDIR "$COW_SOURCE/tests/kernel/clone_dies.py" root-empty eight-blocks
}
