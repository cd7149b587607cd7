#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# System calls and allocations that fail, one after the other, in commands that
# once answered wrongly; "make faults" tries all commands.
# bats file_tags=limit
bats_require_minimum_version 1.8.0
load ../common

# every_fault KIND COMMAND: each call of a kind fails once.
every_fault() {
	run -0 "$COW_SOURCE/tests/faults/run.py" --pairs 1 --count 0 --brief --kind "$1" --only "$2"
	[[ $output == *" 0 wrong"* ]]
	echo "$output"
}

# bats test_tags=slow,limit
@test "a repair that runs out of memory does not keep the other of two records" {
	every_fault malloc 'store-repair persistent-twice-old-run-decides'
}

# bats test_tags=long
@test "a file whose name could not be made durable is not there, and the command can be repeated" {
	every_fault flush 'dump-raw 0'
}

# bats test_tags=slow,limit
@test "a manifest is not there without its store" {
	every_fault rename 'create-from 0'
	every_fault flush 'create-from 0'
}

# bats test_tags=long
@test "a report that cannot be written is told with its name and the byte" {
	every_fault write 'check-json 0'
}

# bats test_tags=slow,limit
@test "a tar that cannot be read is told with the byte" {
	every_fault read 'import-delta 0'
}

# bats test_tags=slow,limit
@test "a library that ends the program is no success" {
	every_fault libarchive 'dump-zstd'
	every_fault libarchive 'import-tar 0'
}

# bats test_tags=slow,limit
@test "a library that finds no memory neither crashes nor finds damage" {
	every_fault libarchive 'files-xz'
	every_fault libarchive 'import-delta 0'
}

# bats test_tags=slow,limit
@test "a list of volumes without memory is an error, and calls no volume damaged" {
	run -0 "$COW_SOURCE/tests/faults/run.py" --pairs 0 --count 20 --seed 1 --kind malloc --only volume-list
	[[ $output == *" 0 wrong"* ]]
}
