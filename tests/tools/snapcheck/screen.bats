#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# What snapcheck shows without -v fits a terminal of 25 lines, whatever it finds, and
# begins with the verdict.
bats_require_minimum_version 1.8.0
load ../../common

setup() {
	cd "$BATS_TEST_TMPDIR"
}

# fits STATUS COMMAND: all that it prints, on both streams.
fits() {
	local wanted=$1
	shift
	run "$@"
	[ "$status" -eq "$wanted" ] || { echo "$*: $status: $output"; return 1; }
	[ "${#lines[@]}" -le 25 ] || { echo "$*: ${#lines[@]} lines: $output"; return 1; }
}

# bats test_tags=slow
@test "64 bad records: of one kind, of several, scattered" {
	truncate -s 8000K origin.img
	for random in 1 2 3 4 5 6; do
		store "size 4M\nheader\nauto 100 700\n"
		python3 - "$random" <<-'END'
			import random, sys
			rng = random.Random(int(sys.argv[1]))
			with open("cow.img", "r+b") as image:
			    for i in range(64):
			        # one after the other, or somewhere; noise, or one of the rules broken
			        index = 56 + i if rng.randrange(3) else rng.randrange(200)
			        new = rng.choice([0, 1, 258, 1 << 30, 7 << 56 | 5, rng.randrange(2, 700)])
			        old = rng.choice([rng.randrange(100, 800), 1 << 60, rng.getrandbits(64)])
			        image.seek(4096 + 16 * index)
			        image.write(old.to_bytes(8, "little") + (new or 1 << 40).to_bytes(8, "little"))
		END
		for command in "snapcheck cow.img" "snapcheck origin.img cow.img"; do
			fits 4 $command
			[[ ${lines[0]} == "cow.img: "* && ${lines[0]} != *"no problems"* ]]
			[[ ${lines[1]} == "cow.img: snapshot store, chunks of 4 KiB, "*" % full ("*" of 4 MiB), 700 chunks changed" ]]
		done
		fits 4 snapcheck -q cow.img
		[ "$(grep -vc ': next: ' <<<"$output")" = 1 ]
		rm -f new.img
		run snapcheck -y -o new.img origin.img cow.img
		[ "${#lines[@]}" -le 25 ] || { echo "${#lines[@]} lines: $output"; return 1; }
		[[ ${lines[0]} == "new.img: "* ]]
		cp cow.img changed.img
		run snapcheck -y --force=lost origin.img changed.img
		[ "${#lines[@]}" -le 25 ] || { echo "${#lines[@]} lines: $output"; return 1; }
	done
	store "size 4M\nheader\nauto 100 700\n"
	python3 -c 'import sys; sys.stdout.buffer.write(b"\xa5" * 1024)' | dd of=cow.img bs=16 seek=300 conv=notrunc status=none
	fits 4 snapcheck cow.img
	[ "${#lines[@]}" -le 10 ]
	[[ $output == *"records 44-107 of area 0, bytes 4800-5823: "*" (64 records, 256 KiB of the snapshot)"* ]]
}

@test "256 records that stand twice" {
	store "size 4M\nheader\nauto 100 256\nauto 100 256\nauto 500 5\n"
	fits 4 snapcheck cow.img
	[[ $output == *"persistent.duplicate-old-chunk, records 0-255 of area 1, "*" (256 records, 1 MiB of the snapshot)"* ]]
	# each second record, so that no two are neighbours
	for i in $(seq 256); do echo "record $((1000 + i)) $((300 + i))"; echo "record 7 $((700 + i))"; done >twice
	{ printf 'size 8M\nheader\n'; cat twice; } | "$COW_BUILD/tests/examples/mkstore" two.img
	fits 4 snapcheck two.img
	[[ $output == *" more in "*" places, in all "*" of the snapshot (-v lists each)"* ]]
	fits 5 snapcheck -y -o new.img two.img
	[[ ${lines[0]} == "new.img: "* && $output == *"records dropped"* ]]
}

@test "a wrong origin: too short, of another snapshot, none at all" {
	pair both-c32
	truncate -s 64K short.img
	fits 4 snapcheck short.img cow.img
	[[ ${lines[0]} == *"short.img is too short for this snapshot, or is not its origin"* ]]
	[[ $output == *"cow.img: not checked against short.img, which does not seem to be its origin"* ]]
	qemu-img create -q -f qcow2 disk.qcow2 16M
	fits 4 snapcheck disk.qcow2 cow.img
	truncate -s $(($(stat -c %s origin.img) / 2)) origin.img
	fits 4 snapcheck origin.img cow.img
	fits 4 snapcheck -y -o new.img origin.img cow.img
}

# bats test_tags=slow
@test "every damaged fixture fits the screen, also of clones" {
	local nr=0
	for file in "$COW_UNPACKED"/damaged/m*/cow.img "$COW_UNPACKED"/clone/damaged/*.meta.img; do
		cp "$file" cow.img
		run snapcheck cow.img
		[ "${#lines[@]}" -le 25 ] || { echo "$file: $output"; return 1; }
		nr=$((nr + 1))
	done
	[ "$nr" -ge 70 ]
}

# bats test_tags=slow
@test "hundreds of faults in a clone, hundreds of devices in a pool, and faults in those" {
	truncate -s 64G source dest
	snapcreate -q -c 4K clone:metadata=meta,source=source,destination=dest
	# 300 blocks of the bitset are noise, one here and one there
	for block in $(seq 40 3 400); do
		head -c 1000 /dev/urandom | dd of=meta bs=4096 seek="$block" conv=notrunc status=none
	done
	fits 4 snapcheck clone:metadata=meta,source=source,destination=dest
	[[ $output == *" more in "*" places (-v lists each)"* ]]
	fits 1 snapcheck -y -o new clone:metadata=meta,source=source,destination=dest
	rm new
	truncate -s 64M pool
	awk 'BEGIN { print "<superblock uuid=\"\" time=\"0\" transaction=\"0\" data_block_size=\"128\" nr_data_blocks=\"1000\">"
		for (d = 1; d <= 300; d++) printf "<device dev_id=\"%d\" mapped_blocks=\"1\" transaction=\"0\" creation_time=\"0\" snap_time=\"0\"><single_mapping origin_block=\"0\" data_block=\"%d\" time=\"0\"/></device>\n", d, d
		print "</superblock>" }' >xml
	thin_restore -i xml -o pool
	truncate -s 64000K data
	fits 0 snapcheck thin:metadata=pool,data=data
	[[ $output == *" more devices (-v lists each)"* ]]
	run -0 snapcheck -v thin:metadata=pool,data=data
	[ "$(grep -cE '^ +[0-9]+ +1 +1 +0 ' <<<"$output")" = 300 ]
	for block in $(seq 20 3 320); do
		head -c 1000 /dev/urandom | dd of=pool bs=4096 seek="$block" conv=notrunc status=none
	done
	fits 4 snapcheck thin:metadata=pool,data=data
	[[ $output == *", "*" of them damaged (-v lists each)"* || $output == *"damaged: some of it was not read"* ]]
	fits 4 snapcheck -y -o new thin:metadata=pool,data=data
	fits 0 snapcheck thin:metadata=new,data=data
}

# bats test_tags=long
@test "the numbers of the kernel mean something where records name chunks beyond the end" {
	store "size 4M\nheader\nauto 100 300\n"
	head -c 4096 /dev/zero | tr '\0' '\245' | dd of=cow.img bs=4096 seek=258 conv=notrunc status=none
	run -4 snapcheck -v --json=j cow.img
	[[ $output == *"dmsetup status: "*"/8192 "* ]]
	[ "$(member j '0 < j["store"]["allocated_sectors"] <= j["store"]["total_sectors"] == 8192')" = True ]
	[ "$(member j 'j["store"]["allocated_bytes"] == 512 * j["store"]["allocated_sectors"], j["store"]["total_bytes"], j["store"]["used_percent"]')" = "(True, 4194304, 25)" ]
	[ "$(member j 'j["images"]')" = "[{'role': 'cow', 'path': 'cow.img', 'size_bytes': 4194304}]" ]
}
