#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# The tools on dm-clone devices that a kernel made: every way out of what one shows, finishing it, and making one. The
# judge is what the kernel said of each fixture (meta.txt): its view, and the destination after it had finished itself.
bats_require_minimum_version 1.8.0

load ../../common
CLONE=clone:metadata=meta,source=source,destination=dest

# All three images of a fixture, and their sums.
unpack() {
	cd "$BATS_TEST_TMPDIR"
	for image in meta source dest; do
		cp "$COW_UNPACKED/clone/$1/$image.img" $image
	done
	sha256sum meta source dest >sums
}

# fact NAME KEY: what the kernel said.
fact() {
	sed -n "s/^$2 //p" "$COW_FIXTURES/clone/$1/meta.txt"
}

sum() {
	sha256sum <"$1" | cut -d' ' -f1
}

# bats test_tags=long
@test "every mode of snapdump gives out what the kernel showed" {
	unpack half-r8
	snapdump -q --raw -o view $CLONE
	[ "$(sum view)" = "$(fact half-r8 kernel_view_sha256)" ]
	snapdump -q --tar -o view.tar $CLONE
	tar -xOf view.tar view.img | cmp - view
	snapdump -q --raw -o again --table='0 16384 clone meta dest source 8 0'
	cmp again view
	snapdump -q --raw $CLONE | cmp - view
	snapdump -q --delta -o delta.tar $CLONE
	snapcreate -q --import=delta.tar source cow
	snapdump -q --raw -o folded source cow
	cmp folded view
	run -0 snapdump --map $CLONE
	[ "$(tail -1 <<<"$output")" = "# complete: 1 ranges, 4358144 bytes" ]
	snapdump -q --metadata -o pack.tar $CLONE
	run -0 snapcheck pack.tar
	[[ $output == *"1064 of 2048 hydrated"* ]]
	run -16 snapdump --map=ddrescue $CLONE
	run -16 snapdump --map source
	run -16 snapdump --raw -o x --bad-blocks=m $CLONE
	run -16 snapdump --raw -o x
	sha256sum --quiet -c sums
}

# bats test_tags=long
@test "holes of the source stay holes of what is written out, and only data is read" {
	cd "$BATS_TEST_TMPDIR"
	truncate -s 64M source dest
	printf 'source' | dd of=source bs=1M seek=9 conv=notrunc status=none
	snapcreate -q -c 4K clone:metadata=meta,source=source,destination=dest
	snapdump -q --raw -o view $CLONE
	cmp view source
	[ "$(du -k view | cut -f1)" -le 64 ]
	run -0 snapdump --json=j --raw -o view2 $CLONE
	[[ $(<j) == *'"data_bytes":4096'* ]]
}

@test "damage in the bitset is refused; by force the view is the kernel's, and doubtful" {
	cd "$BATS_TEST_TMPDIR"
	cp "$COW_UNPACKED/clone/damaged/b23-array-max.meta.img" meta
	for image in source dest; do
		cp "$COW_UNPACKED/clone/damaged/$image-a.img" $image
	done
	run -64 --separate-stderr snapdump --raw -o view $CLONE
	[[ $stderr == *--force=damaged* ]]
	[ ! -e view ]
	run -4 snapdump -q --raw --force=damaged -o view $CLONE
	[ "$(sum view)" = "$(awk '$1 == "b23-array-max"' FS='\t' "$COW_FIXTURES/clone/damaged/KERNEL-VERDICTS.tsv" | cut -f9)" ]
	run -64 snapmerge -y $CLONE
}

@test "a region that another whole tree has hydrated is a doubt: no verdict yes, no finish, no export in silence" {
	cd "$BATS_TEST_TMPDIR"
	for image in source dest; do
		cp "$COW_UNPACKED/clone/damaged/$image-a.img" $image
	done
	# The superblock of the commit before: sound by every rule of the format.
	cp "$COW_UNPACKED/clone/damaged/s12-previous.meta.img" meta
	sha256sum meta source dest >sums
	run -4 --separate-stderr snapcheck $CLONE
	[[ $output == *"clone.regions-in-doubt: 4 regions, the first of them 1982,"*"source and destination differ there"* ]]
	[[ $output != *"snapshot data: complete"* ]]
	run -4 snapcheck --json $CLONE
	[[ $output == *'"state":"doubtful"'* ]]
	run -64 --separate-stderr snapmerge --json -y $CLONE
	[[ $output == *'"id":"doubtful"'* ]]
	run -64 --separate-stderr snapmerge -y $CLONE
	[[ $stderr == *"4 regions are hydrated in another complete tree"*"--force=doubtful"* ]]
	run -64 --separate-stderr snapdump --raw -o view $CLONE
	[[ $stderr == *--force=doubtful* ]]
	run -4 snapdump -q --raw --force=doubtful -o view $CLONE
	[ "$(sum view)" = "$(awk '$1 == "s12-previous"' FS='\t' "$COW_FIXTURES/clone/damaged/KERNEL-VERDICTS.tsv" | cut -f9)" ]
	sha256sum --quiet -c sums
	# Finished all the same: as the superblock's tree has it, with a warning.
	mkdir done && cp --sparse=always meta source dest done && cd done
	run -64 --separate-stderr snapmerge --force=doubtful,origin $CLONE
	[[ $stderr == *"the tree of the superblock is used as the newest"*"their data on dest is overwritten"* ]]
	sha256sum --quiet -c ../sums
	run -4 --separate-stderr snapmerge -y --force=doubtful,origin --json=j $CLONE
	cmp -n "$(stat -c %s ../view)" dest ../view
	[ "$(member j 'j["plan"]["doubtful"]')" = True ]
	run -0 snapcheck $CLONE
	cd ..
	# Where both images hold the same, it makes no difference which tree is right.
	for region in $(seq 1982 1985); do
		dd if=source of=dest bs=4096 skip="$region" seek="$region" count=1 conv=notrunc status=none
	done
	run snapcheck $CLONE
	[[ $output != *"4 regions, the first of them 1982"* ]]
	grep -v dest sums | sha256sum --quiet -c
}

finished_as_the_kernel_does() {
	unpack "$1"
	snapmerge -q -y "${@:2}" $CLONE
	[ "$(sum dest)" = "$(fact "$1" finished_destination_sha256)" ]
	run -0 snapcheck --json $CLONE
	[[ $output == *'"state":"sound"'* ]]
	grep source sums | sha256sum --quiet -c
	sum meta >done
	run -0 --separate-stderr snapmerge -y $CLONE
	[[ $stderr == *"nothing to copy: every region is hydrated"* ]]
	[ "$(sum meta)" = "$(<done)" ]
}

# bats test_tags=long
@test "a clone is finished as the kernel finishes it, and the source is not written" {
	finished_as_the_kernel_does half-r8
	finished_as_the_kernel_does shortlast-r64
}

# bats test_tags=long
@test "a clone is finished as the kernel finishes it: target smaller, source larger, killed" {
	# bats test_tags=slow
	finished_as_the_kernel_does target-smaller
	finished_as_the_kernel_does source-larger
	# All hydrated regions were written to: nothing on the disks ties them to the source.
	unpack killed-write-1
	run -64 snapmerge -y $CLONE
	sha256sum --quiet -c sums
	finished_as_the_kernel_does killed-write-1 --force=origin
	finished_as_the_kernel_does fresh-r8
}

@test "a tree with two levels is finished as the kernel finishes it: 8 million regions, 31 GiB with holes" {
	# bats test_tags=slow
	cd "$BATS_TEST_TMPDIR"
	for image in source dest; do
		tar -xSf "$COW_UNPACKED/clone/two-level/$image.img.tar"
		mv $image.img $image
	done
	cp "$COW_UNPACKED/clone/two-level/meta.img" meta
	# 8 million regions were discarded, so nothing on them ties the images together.
	snapmerge -q -y --force=origin $CLONE
	# Of the finished destination the kernel read what it had shown before.
	grep -c '^range ' "$COW_FIXTURES/clone/two-level/meta.txt" | grep -qx 6
	while read -r _ start nr sha; do
		[ "$(dd if=dest bs=512 skip="$start" count="$nr" status=none | sha256sum)" = "$sha  -" ]
	done < <(grep '^range ' "$COW_FIXTURES/clone/two-level/meta.txt")
	run -0 snapcheck $CLONE
	[[ $output == *"8212153 of 8212153 hydrated"* ]]
	[[ $(fact two-level finished_status) == *" 8212153/8212153 "* ]]
}

@test "finishing asks, shows its plan with -n, and refuses what a clone has not" {
	unpack half-r8
	run -64 --separate-stderr snapmerge --json $CLONE </dev/null
	[[ $stderr == *"add -y"* ]]
	[[ $output == *'"id":"unanswered"'* ]]
	run -0 --separate-stderr snapmerge -n $CLONE
	[[ $stderr == *"plan: copy 984 of 2048 regions of 4 KiB from source to dest, and record that in meta"* ]]
	for option in --sibling=a --drop-sibling=a --save-undo=a --take-back --keep --discard --scrub --skip-unreadable; do
		run -16 --separate-stderr snapmerge -y "$option" $CLONE
		[[ $stderr == *"${option%%=*}"* ]]
	done
	run -16 snapmerge -y source
	run -16 snapmerge -y
	sha256sum --quiet -c sums
}

@test "finishing works from a read-only source, without permission to write it" {
	unpack half-r8
	chmod 400 source
	run -0 snapmerge -n $CLONE
	snapmerge -q -y --table='0 16384 clone meta dest source 8 0'
	[ "$(sum dest)" = "$(fact half-r8 finished_destination_sha256)" ]
}

@test "-o NEW writes what the clone shows, and leaves all three images alone" {
	unpack half-r8
	snapmerge -q -o new $CLONE
	[ "$(sum new)" = "$(fact half-r8 kernel_view_sha256)" ]
	run -16 snapmerge -q -o new2 source
	sha256sum --quiet -c sums
}

@test "a source or destination of another clone is a question: origin" {
	unpack half-r8
	tr '\0-\377' '\1-\377\0' <source >other
	run -64 --separate-stderr snapmerge -y clone:metadata=meta,source=other,destination=dest
	[[ $stderr == *"hydrated regions is the same on other and on dest"*--force=origin* ]]
	sha256sum --quiet -c sums
	run -64 snapmerge -n clone:metadata=meta,source=other,destination=dest
	snapmerge -q -y --force=origin clone:metadata=meta,source=other,destination=dest
}

# bats test_tags=long
@test "metadata without room for a commit is refused before the first byte, and so is a table of others" {
	unpack fresh-r8
	snapcreate -q -c 4K -s 40K clone:metadata=ten,source=source,destination=dest
	snapmerge -q -n clone:metadata=ten,source=source,destination=dest
	# As the kernel formats a device of 7 blocks: block 0 says so, and 6 are used.
	cp ten meta
	"$COW_SOURCE/tests/aids/clone_poke.py" meta 0:44:8:7
	truncate -s 28K meta
	sha256sum meta source dest >sums
	run -64 --separate-stderr snapmerge -n $CLONE
	[[ $stderr == *"meta has 1 free blocks, a commit takes 4: nothing was written"* ]]
	run -64 snapmerge -q -y $CLONE
	sha256sum --quiet -c sums
	unpack half-r8
	run -64 --separate-stderr snapmerge -y --table='0 16384 clone meta dest source 16' $CLONE
	[[ $stderr == *"the superblock says a region size of 8 sectors, the table says 16"* ]]
	sha256sum --quiet -c sums
}

@test "blocks that leaked are room for a commit" {
	cd "$BATS_TEST_TMPDIR"
	truncate -s 4M source dest
	printf 'source' | dd of=source bs=1M seek=1 conv=notrunc status=none
	snapcreate -q -c 64K -s 40K clone:metadata=meta,source=source,destination=dest
	# Every block is counted as used: bitmap in block 3, 2 bits each, "10" is 1.
	"$COW_SOURCE/tests/aids/clone_poke.py" meta 3:16:3:0x0aaaaa 1:24:4:16310 1:28:4:10 0:52:8:10
	run -4 snapcheck $CLONE
	[[ $output == *clone.block-leaked* ]]
	snapmerge -q -y $CLONE
	cmp source dest
	run -0 snapcheck $CLONE
	[[ $output == *"64 of 64 hydrated"* ]]
	[[ $output != *leaked* ]]
}

@test "holes of the source are written over what the destination held" {
	cd "$BATS_TEST_TMPDIR"
	truncate -s 8M source
	printf 'source' | dd of=source bs=1M seek=3 conv=notrunc status=none
	head -c 8M /dev/urandom >dest
	snapcreate -q -c 4K $CLONE
	snapmerge -q -y $CLONE
	cmp source dest
}

@test "a clone of 16 TiB with little data is finished in seconds" {
	# bats test_tags=limit
	cd "$BATS_TEST_TMPDIR"
	truncate -s 15T source dest
	printf 'source' | dd of=source bs=1M seek=5000000 conv=notrunc status=none
	snapcreate -q -c 1M $CLONE
	timeout 60 snapmerge -q -y $CLONE
	run -0 snapcheck $CLONE
	[[ $output == *"15728640 of 15728640 hydrated"* ]]
	cmp -n 1M -i 5242880000000 source dest
	[ "$(du -k dest | cut -f1)" -le 64 ]
}

@test "fresh metadata is the kernel's, byte for byte" {
	unpack fresh-r8
	size=$(stat -c %s meta)
	mv meta theirs
	snapcreate -q -c 4K -s "$size" $CLONE
	cmp meta theirs
	run -0 --separate-stderr snapcheck $CLONE
	[[ $output == *"0 of 2048 hydrated"* ]]
	grep -v meta sums | sha256sum --quiet -c
}

# bats test_tags=long
@test "a clone is made by its line of dmsetup table: region size and length are the table's" {
	unpack fresh-r8
	mv meta theirs
	run -0 --separate-stderr snapcreate -n --table='0 16384 clone meta dest source 8 0'
	[[ $stderr == *"regions of 4 KiB, none hydrated; nothing was written"* ]]
	[ ! -e meta ]
	snapcreate -q -s "$(stat -c %s theirs)" --table='my-clone: 0 16384 clone meta dest source 8 0'
	cmp meta theirs
	snapcreate -q --force=overwrite --table='0 16371 clone m d s 64' $CLONE
	run -0 snapcheck --table='0 16371 clone m d s 64' $CLONE
	[[ $output == *"0 of 256 hydrated"* ]]
	rm meta
	run -16 snapcreate -c 4K --table='0 16384 clone meta dest source 8'
	run -16 snapcreate --table='0 16384 clone meta dest source 8' source meta
	run -16 snapcreate --table='0 16384 linear meta 0'
	run -16 snapcreate
	run -64 --separate-stderr snapcreate --table='0 16392 clone meta dest source 8'
	[[ $stderr == *"the clone is to have 8392704 bytes, its source source has 8388608"* ]]
	run -64 snapcreate --table='0 16384 clone meta dest source 12'
	[ ! -e meta ]
	grep -v meta sums | sha256sum --quiet -c
}

# bats test_tags=long
@test "making a clone: -n, what exists, what does not fit, what has no meaning" {
	unpack fresh-r8
	run -64 --separate-stderr snapcreate -c 4K $CLONE
	[[ $stderr == *--force=overwrite* ]]
	sha256sum --quiet -c sums
	rm meta
	run -0 --separate-stderr snapcreate -n --json $CLONE
	[[ $stderr == *"meta would be made: metadata of a clone"*"nothing was written"* ]]
	[[ $output == *'"chunk_bytes":4096'* ]]
	[ ! -e meta ]
	run -64 --separate-stderr snapcreate -c 512 $CLONE
	[[ $stderr == *"a region of 512 bytes is not a power of two from 4096"* ]]
	run -64 snapcreate -s 16K $CLONE
	run -64 --separate-stderr snapcreate clone:metadata=meta,source=source,destination=dest@0+1M
	[[ $stderr == *"its destination dest@0+1M has 1048576"* ]]
	run -16 snapcreate --from=source $CLONE
	run -16 snapcreate -t persistent $CLONE
	run -16 snapcreate source
	[ ! -e meta ]
	snapcreate -q -t clone $CLONE
	snapcreate -q --force=overwrite -c 8K $CLONE
	run -0 snapcheck $CLONE
	[[ $output == *"regions of 8 KiB, 0 of 1024 hydrated"* ]]
}
