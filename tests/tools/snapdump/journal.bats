#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# A journal that needs recovery: snapdump replays it in memory. Judges: e2fsck over random
# journals here, the kernel over its own in kernel/looks.bats.
bats_require_minimum_version 1.8.0
load ../../common

setup() {
	cd "$BATS_TEST_TMPDIR"
}

# bats test_tags=slow
@test "24 random journals, of each version of checksums: the same bytes as after e2fsck's replay" {
	"$COW_SOURCE/tests/aids/journal_make.py" 24
}

# one VERSION: cut.img, with a journal of one or more transactions.
one() {
	"$COW_SOURCE/tests/aids/journal_make.py" --keep "$1"
}

@test "the replay is told, and nothing is written; --journal=ignore shows the files as they lie there" {
	one 3
	before=$(sum cut.img)
	chmod a-w cut.img
	run -0 --separate-stderr snapdump --cat=victim -o replayed cut.img
	[[ ${stderr_lines[0]} == "snapdump: the journal was replayed in memory: "*" transactions, "*" blocks" ]]
	run -4 --separate-stderr snapdump --cat=victim --journal=ignore -o ignored cut.img
	[[ ${stderr_lines[0]} == *"needs recovery and was not replayed: the last changes"* ]]
	! cmp -s replayed ignored || return 1
	[ "$(tr -d v <ignored | wc -c)" -eq 0 ]
	[ "$(sum cut.img)" = "$before" ]
	snapdump --ls --json --journal=replay cut.img >j
	[ "$(member j 'j["problems"][0]["damage"]')" = False ]
	snapdump -q --files cut.img | tar -xO victim | cmp - replayed
	run -16 --separate-stderr snapdump --raw --journal=ignore cut.img
	run -16 --separate-stderr snapdump --ls --journal=maybe cut.img
}

@test "the journal of what a snapshot shows is replayed, not that of its origin" {
	one 0
	cp base.img origin.img
	snapcreate -q --from=cut.img origin.img cow.img
	snapdump -q --cat=victim cut.img >wanted
	snapdump -q --cat=victim origin.img cow.img | cmp - wanted
	snapdump -q --cat=victim origin.img | tr -d v | cmp - /dev/null
}

@test "a damaged journal is told with exit status 4: what stands before the damage counts" {
	block() { debugfs -R "bmap <8> $1" cut.img 2>/dev/null; }
	one 3
	start=$(od -An -tu1 -j $(($(block 0) * 1024 + 30)) -N2 cut.img | awk '{ print $1 * 256 + $2 }')
	cp cut.img whole.img
	# A block of data, then a descriptor, then the superblock, then a hole in its place.
	poke cut.img $(($(block $((start + 1))) * 1024 + 100)) 'xyz'
	run -4 --separate-stderr snapdump --cat=victim -o a cut.img
	[[ $stderr == *"wrong checksum"*"kernel does not mount"* ]]
	cp whole.img cut.img
	poke cut.img $(($(block "$start") * 1024 + 100)) 'xyz'
	run -4 --separate-stderr snapdump --cat=victim -o b cut.img
	[[ $stderr == *"transaction "*" has a wrong checksum"* ]]
	cp whole.img cut.img
	poke cut.img $(($(block 0) * 1024 + 60)) 'xyz'
	run -4 --separate-stderr snapdump --cat=victim -o c cut.img
	[[ $stderr == *"was not replayed: the journal cannot be read: the checksum of its superblock is wrong"* ]]
	cp whole.img cut.img
	poke cut.img $(($(block 0) * 1024)) 'xyz'
	run -4 --separate-stderr snapdump --ls -o d cut.img
	[[ $stderr == *"it has no superblock"* ]]
	debugfs -w -R 'set_inode_field <8> mode 040755' cut.img 2>/dev/null
	run -4 --separate-stderr snapdump --ls -o e cut.img
	[[ $stderr == *"inode 8 is no file"* ]]
}
