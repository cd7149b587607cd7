#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# snapcheck: the verdict, in words and numbers.
bats_require_minimum_version 1.8.0
load ../../common

setup() {
	cd "$BATS_TEST_TMPDIR"
}

teardown() {
	[ -z "${loop:-}" ] || losetup -d "$loop"
}

# A small store with a few exceptions, made by the kernel.
clean_pair() {
	pair both-c32
}

@test "a clean store: every answer is yes, exit 0, nothing written" {
	clean_pair
	chmod 0444 origin.img cow.img
	before=$(sum cow.img)
	run -0 --separate-stderr snapcheck origin.img cow.img
	[[ $output == *"kernel: loads it"* ]]
	[[ $output == *"snapshot data: complete"* ]]
	[[ $output == *"merge: safe"* ]]
	[[ $output == *"chunks of 16 KiB, 35 % full (3.5 MiB of 10 MiB), 223 chunks changed"* ]]
	[[ $output != *7200* ]]
	[[ $stderr == *"next: snapmerge --dry-run origin.img cow.img"* ]]
	run -0 --separate-stderr snapcheck -v origin.img cow.img
	[[ $output == *"dmsetup status: 7200/20480 64 "* ]]
	[ "$(sum cow.img)" = "$before" ]
}

@test "ORIGIN may be left out or given as --origin" {
	clean_pair
	run -0 snapcheck cow.img
	run -0 snapcheck --origin=origin.img cow.img
	run -16 snapcheck --origin=origin.img origin.img cow.img
}

# bats test_tags=long
@test "the same verdict as JSON" {
	clean_pair
	snapcheck --json=j origin.img cow.img >report
	[ "$(member j 'j["verdict"]')" = "{'kernel_loads': True, 'view_trustworthy': True, 'merge_right': True, 'valid': True, 'may_have_lost': False, 'origin_in_doubt': False, 'kernel_dies': 'never', 'kernel_writes': 'work', 'state': 'sound'}" ]
	[ "$(member j 'j["store"]["exceptions"], j["store"]["allocated_sectors"], j["store"]["total_sectors"], j["store"]["metadata_sectors"]')" = "(223, 7200, 20480, 64)" ]
	[ "$(member j 'j["findings"]')" = "[]" ]
	run -0 --separate-stderr snapcheck --json origin.img cow.img
	python3 -m json.tool <<<"$output" >/dev/null
}

@test "damage is listed with id, place, sentence, and exits 4" {
	clean_pair
	poke cow.img 8 '\x02'
	run -4 --separate-stderr snapcheck --json=j origin.img cow.img
	[[ $output == *"damage: persistent.header-version, byte "* ]]
	[[ $output == *"kernel: refuses to load it"* ]]
	[ "$(member j 'j["exit"], j["done"], j["findings"][0]["id"], j["findings"][0]["class"]')" = "(4, True, 'persistent.header-version', 'damage')" ]
}

@test "a header that the kernel refuses, or would format, is damage" {
	clean_pair
	cp cow.img good.img
	while read -r offset bytes id; do
		cp good.img cow.img
		poke cow.img "$offset" "$bytes"
		run -4 --separate-stderr snapcheck origin.img cow.img
		[[ $output == *": $id"* ]]
	done <<-'END'
		8 \x02 persistent.header-version
		12 \x00\x00\x00\x00 persistent.chunk-size
		12 \x03\x00\x00\x00 persistent.chunk-size
		12 \x00\x00\x40\x00 persistent.chunk-size
		0 \x00\x00\x00\x00 persistent.header-magic-zero
		4 \x00\x00\x00\x00 persistent.invalid
	END
}

@test "--chunk-size asserts" {
	clean_pair
	run -0 snapcheck --chunk-size=16K origin.img cow.img
	run --separate-stderr snapcheck --chunk-size=8K origin.img cow.img
	[ "$status" -eq 4 ] || [ "$status" -eq 64 ]
}

@test "--header-only does not look at records" {
	clean_pair
	poke cow.img $((16384 + 8 + 5 * 16)) '\xff\xff\xff\xff\xff\xff\xff\xff'
	run -0 snapcheck --header-only --json=j origin.img cow.img
	[[ $output == *"the header is sound; the rest was not checked"*"chunks of 16 KiB; the exceptions were not counted"* ]]
	[[ $output == *"kernel: not checked"*"snapshot data: not checked"*"merge: not checked"* ]]
	[[ $output != *"complete"* && $output != *"safe"* && $output != *" % full"* ]]
	[ "$(member j 'j["verdict"]')" = "{'kernel_loads': None, 'view_trustworthy': None, 'merge_right': None, 'valid': True, 'may_have_lost': False, 'origin_in_doubt': False, 'kernel_dies': 'never', 'kernel_writes': 'work', 'state': None}" ]
	run -4 snapcheck cow.img
}

@test "--header-only says what a bad header tells" {
	clean_pair
	poke cow.img 8 '\x02'
	run -4 snapcheck --header-only --json=j cow.img
	[[ $output == *"kernel: refuses"*"snapshot data: not complete"*"merge: not safe"* ]]
	[ "$(member j 'j["verdict"]["kernel_loads"], j["verdict"]["state"]')" = "(False, 'damaged')" ]
	poke cow.img 4 '\x00\x00\x00\x00\x01'
	run -4 snapcheck --header-only cow.img
	[[ $output == *"kernel: loads it as invalid"*"snapshot data: not complete"* ]]
	poke cow.img 0 '\x00\x00\x00\x00'
	run -4 snapcheck -t persistent --header-only cow.img
	[[ $output == *"kernel: takes it for a new store"*"snapshot data: not complete"* ]]
}

@test "chunks of 512 bytes beside a disk with blocks of 4096: a note, and the data can be had" {
	head -c 1M /dev/urandom >o.img
	cp o.img n.img
	head -c 1536 /dev/urandom | dd of=n.img bs=512 seek=77 conv=notrunc status=none
	snapcreate -q -c 512 o.img c.img --from n.img
	loop=$(losetup -b 4096 -f --show o.img)
	run -0 --separate-stderr snapcheck --json=j "$loop" c.img
	[[ $output == *"kernel: refuses"*"snapshot data: complete"*"merge: not in place, only with -o"*"note: persistent.chunk-below-block"* ]]
	[[ $stderr == *"next: snapmerge -o merged.img $loop c.img"* ]]
	[ "$(member j 'j["verdict"]["state"]')" = sound ]
	snapdump -q --raw "$loop" c.img >v.img
	cmp v.img n.img
	snapmerge -q -o m.img "$loop" c.img
	cmp m.img n.img
	# in place the kernel could not go on with it
	for option in -n -y; do
		run -64 snapmerge --json=j "$option" "$loop" c.img
		[ "$(member j 'j["error"]["id"]')" = chunk-size ]
	done
	run -0 snapcheck --header-only "$loop" c.img
	[[ $output == *"kernel: refuses"*"snapshot data: not checked"* ]]
}

# bats test_tags=long
@test "--max-findings limits the list, not the count" {
	clean_pair
	python3 - <<-'END'
		import struct
		with open('cow.img', 'r+b') as f:
		    for i in range(100, 120):
		        f.seek(16384 + 16 * i + 8)
		        f.write(struct.pack('<Q', 1 << 40))
	END
	run -4 snapcheck --json=j cow.img
	[ "$(grep -c '^damage' <<<"$output")" -eq 1 ]
	[[ $output == *"records 100-119 of area 0, bytes 17984-18303: "*" (20 records, 320 KiB of the snapshot)"* ]]
	[ "$(member j 'j["counts"]["damage"]')" = 20 ]
	[ "$(member j 'len(j["findings"])')" = 20 ]
	run -4 snapcheck -v cow.img
	[ "$(grep -c '^damage' <<<"$output")" -eq 20 ]
	run -4 snapcheck -v --max-findings=3 --json=j cow.img
	[ "$(grep -c '^damage' <<<"$output")" -eq 3 ]
	[[ $output == *"and 17 more (--max-findings=N lists so many)"* ]]
	[ "$(member j 'j["counts"]["damage"], len(j["findings"])')" = "(20, 3)" ]
	# each second one: 50 places
	clean_pair
	python3 - <<-'END'
		import struct
		with open('cow.img', 'r+b') as f:
		    for i in range(100, 200, 2):
		        f.seek(16384 + 16 * i + 8)
		        f.write(struct.pack('<Q', 1 << 40))
	END
	run -4 snapcheck cow.img
	[ "$(grep -c '^damage' <<<"$output")" -eq 10 ]
	[[ $output == *"; and 40 more in 40 places, in all 800 KiB of the snapshot (-v lists each)"* ]]
	run -4 snapcheck --max-findings=20 cow.img
	[ "$(grep -c '^damage' <<<"$output")" -eq 20 ]
}

@test "a full store that is still valid: how to make room" {
	pair overflow-PO-snapwrite
	run -0 snapcheck origin.img cow.img
	[[ $output == *"make the image larger"* ]]
}

@test "what is no store at all is refused in one sentence: exit 64" {
	: >empty
	mkdir dir
	mkfifo fifo
	truncate -s 16M fs.img
	mke2fs -q -t ext4 fs.img
	qemu-img create -q -f qcow2 disk.qcow2 16M
	head -c 1M /dev/urandom >noise.img
	for image in dir fifo fs.img disk.qcow2 noise.img; do
		run --separate-stderr timeout 10 snapcheck "$image"
		[ "$status" -eq 64 ] || { echo "$image: $status"; return 1; }
		one_sentence
	done
	# where somebody looks for a store that never was on the disk
	[[ $stderr == *"a transient snapshot, type N in its table, leaves none"* ]]
	run --separate-stderr snapcheck empty
	[ "$status" -ne 0 ]
	one_sentence
	run -8 --separate-stderr snapcheck missing
	one_sentence
	[[ $stderr == *missing* ]]
}

# bats test_tags=limit
@test "an unreadable image is an error of the system: exit 8" {
	[ "$(id -u)" -eq 0 ] || skip "needs root, to become somebody else"
	clean_pair
	chmod 0000 cow.img
	chmod 0755 .
	cp "$(command -v snapcheck)" snapcheck-copy
	run --separate-stderr setpriv --reuid=65534 --clear-groups ./snapcheck-copy cow.img
	[ "$status" -eq 8 ] || skip "the directory above is closed to others"
	one_sentence
}

@test "operands the wrong way round are seen" {
	clean_pair
	run -64 --separate-stderr snapcheck cow.img origin.img
	one_sentence
	[[ $stderr == *"looks swapped; try: snapcheck origin.img cow.img"* ]]
}

@test "how to make room in a full store, if it works; the report before the next step" {
	cd "$BATS_TEST_TMPDIR"
	unpack overflow-PO-snapwrite/cow.img cow.img
	run -0 snapcheck cow.img
	[[ $output == *": full: "*"make the image larger"* ]]
	[[ ${lines[-1]} == *"next: snapcheck ORIGIN cow.img"* ]]
	rm cow.img
	unpack full-P-snapwrite/cow.img cow.img
	run -4 snapcheck cow.img
	[[ $output != *": full: "* ]]
	[[ ${lines[-1]} == *"next: snapdump --tar --force=invalid"* ]]
}

@test "records behind the end that look live are counted in the sentence" {
	cd "$BATS_TEST_TMPDIR"
	printf 'header\nrecord 5 2 31\nzero 1\nrecord 40 34 7\n' | "$COW_BUILD/tests/examples/mkstore" cow.img
	run -0 snapcheck cow.img
	[[ $output == *"note: persistent.torn-commit, byte 4608 "*"; 7 records stand behind it,"* ]]
}

@test "an image of which nothing can be read: the next step works all the same" {
	cd "$BATS_TEST_TMPDIR"
	printf 'header\nauto 5 2\nsize 4096\n' | "$COW_BUILD/tests/examples/mkstore" cow.img
	run -4 --separate-stderr snapcheck cow.img
	[[ $output == *"lost: persistent.image-cut-metadata"* ]]
	next=$(sed -n 's/^snapcheck: next: //p' <<<"$stderr")
	[ "$next" = "snapdump --metadata -o report.tar.zst cow.img" ]
	run -0 bash -c "$next"
	run -4 snapcheck report.tar.zst
}
