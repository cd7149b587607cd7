#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# What other tests made, judged by the real kernel: many small cases in one
# boot, by tests/kernel/proofs.py, which says how to run one of them.
# bats file_tags=kernel,slow
bats_require_minimum_version 1.8.0

setup() {
	export TMPDIR=$BATS_TEST_TMPDIR
	lab=$COW_SOURCE/tests/kernel
}

@test "crash states of merges, with siblings, undo and take-back: the kernel completes 200 of them" {
	"$lab/proofs.py" --seed 1 states
}

@test "snapshot-origin: two snapshots of different chunk sizes, by the kernel and by us, are equal" {
	"$lab/proofs.py" origin 24
}

@test "snapcheck -y -o NEW of damaged stores: the kernel loads 300 of them and sees what we see" {
	"$lab/proofs.py" --seed 1 damaged
}

@test "the computed size, at the edges of areas, for every chunk size: enough, and one chunk less is not" {
	"$lab/proofs.py" --seed 1 sizes
}

@test "devices with logical blocks of 1024, 2048 and 4096 bytes: what we refuse and make, the kernel refuses and takes" {
	"$lab/proofs.py" blocks
}
