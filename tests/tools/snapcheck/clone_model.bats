#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# Random single faults in the metadata of clones, judged by snapcheck and by a naive reader in Python, which must agree.
# "make clone-faults" tries 5,000 of them.
bats_require_minimum_version 1.8.0

# bats test_tags=slow
@test "snapcheck says of 100 random faults what a naive reader of the format says" {
	run -0 "$COW_SOURCE/tests/aids/clone_model.py" --count 100 --seed "${COW_SEED:-1}"
	[[ $output == *"100 faults, "*"; 0 judged otherwise by snapcheck" ]]
}
