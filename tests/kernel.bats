#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# The real kernel as judge. Everything is in tests/kernel/run.py, which says how
# to run one case; here it is called. Nothing is ever skipped: a machine on
# which the kernel does not boot fails.
# bats file_tags=kernel,slow
bats_require_minimum_version 1.8.0

setup() {
	export TMPDIR=$BATS_TEST_TMPDIR
	lab=$COW_SOURCE/tests/kernel
}

@test "the judge is awake: naive tools agree with the kernel, and each bug planted in them is noticed" {
	"$lab/run.py" --self-test
}

@test "kernel, tools and model agree: 128 random cases" {
	"$lab/run.py" --count 128
}

@test "the lab works without HOME" {
	env -u HOME "$lab/run.py" --count 1
}

@test "LVM: an upgrade is rolled back from rescue media, twice" {
	mkdir "$TMPDIR/work"
	echo "$COW_BUILD" >"$TMPDIR/work/path"
	truncate -s 128M "$TMPDIR/disk"
	"$lab/lab.py" "$TMPDIR/boot" "$lab/lvm.sh" "$TMPDIR/work" "$TMPDIR/disk"
}
