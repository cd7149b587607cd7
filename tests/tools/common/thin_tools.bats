#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# The tools on dm-thin pools that a kernel made. The judge is what the kernel said of each fixture (facts.txt), thin_ls,
# and thin_check; the library's own test (test_thin) holds all fixtures against the kernel's answers.
bats_require_minimum_version 1.8.0

load ../../common

# All images of a fixture, their sums, and the beginning of a specification.
unpack() {
	cd "$BATS_TEST_TMPDIR"
	for image in meta data ext; do
		[ ! -e "$COW_FIXTURES/thin/$1/$image.img.xz" ] || cp "$COW_UNPACKED/thin/$1/$image.img" $image
	done
	sha256sum meta data >sums
	POOL=thin:metadata=meta,data=data
}

# view NAME ID: what the kernel read from a device.
view() {
	awk -v id="$2" '$1 == "thin" && $2 == id { print $5 }' "$COW_FIXTURES/thin/$1/facts.txt"
}

sum() {
	sha256sum <"$1" | cut -d' ' -f1
}

# bats test_tags=long
@test "every mode of snapdump gives out what the kernel showed" {
	unpack snaps-128k
	device=$POOL,id=1,size=24576s
	snapdump -q --raw -o view "$device"
	[ "$(sum view)" = "$(view snaps-128k 1)" ]
	snapdump -q --tar -o view.tar "$device"
	tar -xOf view.tar view.img | cmp - view
	snapdump -q --raw "$device" | cmp - view
	snapdump -q --delta -o delta.tar "$device"
	snapcreate -q --import=delta.tar zero:24576s cow
	snapdump -q --raw zero:24576s cow | cmp - view
	run -0 snapdump --map "$device"
	[[ $(tail -1 <<<"$output") == "# complete: "*" ranges, 4587520 bytes" ]]
	[[ $output == *" shared"* ]]
	snapmerge -q -o new "$device"
	cmp new view
	snapdump -q --metadata -o pack.tar "$POOL"
	run -0 snapcheck pack.tar
	[[ $output == *"thin pool, blocks of 128 KiB, 5 devices"* ]]
	sha256sum --quiet -c sums
}

# bats test_tags=long
@test "an external origin shows through up to its end, and zeros behind it" {
	unpack ext-unaligned-192k
	read -r _ id sectors _ < <(awk '$4 == "ext"' "$COW_FIXTURES/thin/ext-unaligned-192k/facts.txt")
	snapdump -q --raw -o view "$POOL,id=$id,size=${sectors}s,origin=ext"
	[ "$(sum view)" = "$(view ext-unaligned-192k "$id")" ]
}

# bats test_tags=long
@test "two devices of a pool are compared by their maps, and the delta makes the second of the first" {
	unpack snaps-192k
	a=$POOL,id=2,size=24576s b=$POOL,id=0,size=24576s
	snapdump -q --raw -o a "$a"
	snapdump -q --raw -o b "$b"
	run -0 snapdump --map "$a" "$b"
	# Where the map names no range, the bytes are the same.
	python3 - a b <<-PY
		import sys
		a, b = (bytearray(open(name, "rb").read()) for name in sys.argv[1:])
		ranges = [tuple(map(int, line.split())) for line in """$output""".splitlines() if line[0] != "#"]
		assert ranges and a != b
		for at, length in ranges:
		    a[at:at + length] = b[at:at + length]
		assert a == b
	PY
	snapdump -q --delta -o delta.tar "$a" "$b"
	snapcreate -q --import=delta.tar a cow
	snapdump -q --raw a cow | cmp - b
	run -16 --separate-stderr snapdump --map thin:metadata=meta,data=meta,id=2 "$POOL,id=0"
	[[ $stderr == *"these are not of the same metadata and data"* ]]
	run -64 --separate-stderr snapdump --json=j --map "$POOL,id=2" "$POOL,id=0,origin=a"
	grep -q '"id":"origin"' j
	sha256sum --quiet -c sums
}

@test "a thick snapshot stands on a thin device" {
	unpack snaps-128k
	device=$POOL,id=2,size=24576s
	snapdump -q --raw -o flat "$device"
	cp flat later
	printf 'a later byte' | dd of=later bs=1M seek=5 conv=notrunc status=none
	snapcreate -q --from=later "$device" cow
	snapdump -q --raw "$device" cow | cmp - later
	snapdump -q --raw flat cow | cmp - later
	sha256sum --quiet -c sums
}

@test "a device of which nobody says how long it is: looked at with a note, refused where the length counts" {
	unpack snaps-128k
	run -0 --separate-stderr snapdump --map "$POOL,id=1"
	[[ $stderr == *"the length of device 1 is not known"*size=* ]]
	for command in "snapdump --raw -o x $POOL,id=1" "snapmerge -o x $POOL,id=1" "snapcreate $POOL,id=1 x"; do
		# shellcheck disable=SC2086
		run -64 --separate-stderr ${command/ / --json=j }
		grep -q '"id":"size"' j
		[ ! -e x ]
	done
}

@test "which device: one that is not there, none named, a number that is none, no metadata snapshot" {
	unpack snaps-128k
	run -8 --separate-stderr snapdump --json=j --map "$POOL,id=9"
	[[ $stderr == *"has no device 9; it has 0, 1, 2, 3, 4"* ]]
	grep -q '"id":"no-device"' j
	run -16 --separate-stderr snapdump --map "$POOL"
	[[ $stderr == *"which device of the pool?"* ]]
	run -16 snapdump --map "$POOL,id=16777216"
	run -16 snapdump --map "$POOL,id=1,size=700"
	run -16 snapdump --map "$POOL,id=1,metadata-snapshot=maybe"
	run -8 snapdump --json=j --map "$POOL,id=1,metadata-snapshot=yes"
	grep -q '"id":"no-metadata-snapshot"' j
	run -4 snapcheck "$POOL,id=9"
	[[ $output == *"thin.device-missing"* ]]
	run -64 --separate-stderr snapcheck thin:metadata=data,data=meta
	[[ $stderr == *"meta is the metadata of a thin and data is not: looks swapped"* ]]
}

@test "nothing is written to a pool, and each way to ask for it is refused by its name" {
	unpack snaps-128k
	run -64 --separate-stderr snapmerge -y "$POOL,id=1,size=24576s"
	[[ $stderr == *"a single device of a thin pool cannot be merged"* ]]
	run -64 --separate-stderr snapcreate -t thin "$POOL"
	[[ $stderr == *"meta holds something already: a store of kind thin"*--force=overwrite* ]]
	run -0 snapcheck -y "$POOL"
	sha256sum --quiet -c sums
}

@test "a pool is made: the bytes of the kernel's, -n, what exists, what does not fit, what has no meaning" {
	unpack empty-64k
	mv meta theirs
	rm sums
	run -0 --separate-stderr snapcreate -n --json -t thin "$POOL"
	[[ $stderr == *"meta would be made: metadata of a thin pool, 2097152 bytes (2 MiB), 256 data blocks of 64 KiB, no device; nothing was written"* ]]
	[[ $output == *'"data_bytes":16777216'* ]]
	[ ! -e meta ]
	truncate -s "$(stat -c %s theirs)" meta
	run -0 --separate-stderr snapcreate --force=overwrite "$POOL"
	[[ $stderr == *"next: snapcheck $POOL"* ]]
	# all blocks in use; the kernel has memory in its superblock that nobody initialised
	for block in 2 5 6 7 8 9 10 11; do cmp -i $((block * 4096)) -n 4096 meta theirs; done
	snapdump -q --metadata -o pack.tar "$POOL"
	run -0 snapcheck "$POOL"
	[[ $output == *"thin pool, blocks of 64 KiB, 0 devices"* ]]
	rm meta
	snapcreate -q -c 192K -s 1M "$POOL"
	run -0 snapcheck "$POOL"
	[[ $output == *"blocks of 192 KiB"*"0/1920,"* ]]
	run -64 --separate-stderr snapcreate "$POOL"
	[[ $stderr == *"meta holds something already: a store of kind thin"*--force=overwrite* ]]
	rm meta
	for call in "64 -c 4K" "64 -c 96K" "64 -s 1K" "64 -s 17M" "16 -t persistent" "16 --from=theirs"; do
		# shellcheck disable=SC2086
		run -${call%% *} snapcreate ${call#* } "$POOL"
	done
	run -16 --separate-stderr snapcreate "$POOL,id=1"
	[[ $stderr == *"a new pool has no device: leave id= out"* ]]
	mke2fs -q data
	run -64 --separate-stderr snapcreate --json=j "$POOL"
	[[ $stderr == *"data holds something already, which the devices of the pool will overwrite: ext2"* ]]
	grep -q '"id":"signature"' j
	[ ! -e meta ]
}

# refused ID WORDS STATUS COMMAND...: before anything is written.
refused() {
	run "-$3" --separate-stderr "${@:4}" --json=j
	[[ $stderr == *"$2"* ]] || { echo "$stderr"; false; }
	[ "$(jq -r .error.id j)" = "$1" ] || { cat j; false; }
	sha256sum --quiet -c sums
}

# details ID: mapped blocks, times and transaction of a device, by thin_dump.
details() {
	thin_dump meta | sed -n "s/.*<device dev_id=\"$1\" mapped_blocks=\"\([0-9]*\)\" transaction=\"\([0-9]*\)\" creation_time=\"\([0-9]*\)\" snap_time=\"\([0-9]*\)\">/\1 \2 \3 \4/p"
}

@test "devices are made and deleted: -n, the next free id, what exists, what has no meaning" {
	unpack snaps-128k
	before=$(thin_dump meta | grep -c '<device')
	run -0 --separate-stderr snapcreate -n --force=lvm --snapshot-of=1 "$POOL"
	[[ $stderr == *"meta: device 5 would be made: a snapshot of device 1; nothing was written"* ]]
	sha256sum --quiet -c sums
	run -0 --separate-stderr snapcreate --force=lvm --json --snapshot-of=1 "$POOL"
	[[ $stderr == *"meta: device 5 made: a snapshot of device 1"*"next: snapcheck $POOL"* ]]
	[ "$(jq .device <<<"$output")" = 5 ]
	time=$(details 1 | cut -d' ' -f4)
	read -r blocks _ <<<"$(details 1)"
	[ "$(details 5)" = "$blocks $(thin_dump meta | sed -n 's/.* transaction="\([0-9]*\)" flags.*/\1/p') $time $time" ]
	[ "$(sum <(snapdump -q --raw "$POOL,id=5,size=24576s"))" = "$(view snaps-128k 1)" ]
	run -0 --separate-stderr snapcreate --force=lvm --thin -s 4M "$POOL,id=9"
	[[ $stderr == *"name it with id=9,size=4194304"* ]]
	[ "$(details 9 | cut -d' ' -f1,3,4)" = "0 $time $time" ]
	thin_check -q meta
	run -0 snapcheck "$POOL"
	[[ $output == *"sound: no problems found"* ]]
	# the old pool goes: what its snapshot shows stays
	run -64 --separate-stderr snapcreate --force=lvm --delete "$POOL,id=1"
	[[ $stderr == *"device 1 of meta will be deleted, and what it holds is lost. Delete it? There is no terminal"* ]]
	snapcreate -q -y --force=lvm --delete "$POOL,id=1"
	for id in 0 2 3 4 9; do snapcreate -q -y --force=lvm --delete "$POOL,id=$id"; done
	[ "$(thin_dump meta | grep -c '<device')" -eq 1 ]
	[ "$before" -eq 5 ]
	[ "$(sum <(snapdump -q --raw "$POOL,id=5,size=24576s"))" = "$(view snaps-128k 1)" ]
	thin_check -q meta
	cmp data "$COW_UNPACKED/thin/snaps-128k/data.img"
	run -64 --separate-stderr snapcreate --json=j --force=lvm --thin "$POOL,id=5"
	[[ $stderr == *"the pool of meta has a device 5 already"* ]]
	grep -q '"id":"device-exists"' j
	sha256sum meta data >sums
	run -8 --separate-stderr snapcreate --json=j --force=lvm --snapshot-of=3 "$POOL"
	grep -q '"id":"no-device"' j
	for call in "--thin --delete $POOL,id=5" "--delete $POOL" "--thin $POOL,id=16777216" "--snapshot-of=x $POOL" \
		"--snapshot-of=5 -s 1M $POOL" "--delete --from=data $POOL,id=5" "--thin --from-view=data $POOL" "--thin -s 1M $POOL,id=6,size=1M" \
		"--delete $POOL,id=5,metadata-snapshot=yes" "--thin data" "--thin data meta"; do
		# shellcheck disable=SC2086
		run -16 snapcreate $call
	done
	# no room, and nothing is begun
	truncate -s 64K small
	snapcreate -q --force=overwrite thin:metadata=small,data=data
	for _ in 1 2; do snapcreate -q --thin thin:metadata=small,data=data; done
	cp small before
	run -8 --separate-stderr snapcreate --json=j --thin thin:metadata=small,data=data
	grep -q '"id":"metadata-space"' j
	cmp small before
	sha256sum --quiet -c sums
	snapcreate -q -y --delete thin:metadata=small,data=data,id=1
	thin_check -q small
}

# bats test_tags=slow
@test "a device shows an image: it stores what differs from its parent or its origin, and nothing else" {
	# bats test_tags=slow
	cd "$BATS_TEST_TMPDIR"
	POOL=thin:metadata=meta,data=data
	truncate -s 4M data
	snapcreate -q -c 192K "$POOL"
	head -c 1000448 /dev/urandom >mon
	cp mon tue
	printf changed | dd of=tue bs=1 seek=700000 conv=notrunc status=none
	dd if=/dev/zero of=tue bs=64K seek=1 count=1 conv=notrunc status=none
	snapcreate -q --thin --from=mon "$POOL,id=1"
	run -0 --separate-stderr snapcreate -n --snapshot-of=1 --from=tue "$POOL"
	[ "$output" = $'required size: 393216\nfully allocated size: 1000448' ]
	[[ $stderr == *"meta: device 2 would be made: a snapshot of device 1 that shows tue; blocks of its own: 2 (384 KiB); nothing was written"* ]]
	run -0 --separate-stderr snapcreate --json --snapshot-of=1 --from=tue "$POOL"
	[ "$(jq -c '[.device, .chunks, .required_bytes]' <<<"$output")" = "[2,2,393216]" ]
	[[ $stderr == *"name it with id=2,size=1000448"* ]]
	[ "$(details 2)" = "6 0 1 1" ]
	snapdump -q --raw "$POOL,id=1,size=1000448" | cmp - mon
	snapdump -q --raw "$POOL,id=2,size=1000448" | cmp - tue
	# the same again stores nothing; zeros over nothing neither, and over data they do
	snapcreate -q --snapshot-of=2 --from=tue "$POOL,id=3"
	[ "$(details 3)" = "6 0 2 2" ]
	snapcreate -q --thin --from=zero:3M "$POOL,id=4"
	[ "$(details 4)" = "0 0 2 2" ]
	snapcreate -q --snapshot-of=3 --from=zero:1000448 "$POOL,id=5"
	[ "$(details 5)" = "6 0 3 3" ]
	[ "$(thin_dump meta | "$COW_SOURCE/tests/aids/thin_count.py")" = 24 ]
	run -0 snapcheck "$POOL"
	[[ $output == *"sound: no problems found"* ]]
	# over an external origin only what differs, and zeros where it has data
	snapcreate -q --thin --from=tue "$POOL,id=6,origin=mon"
	[ "$(details 6)" = "2 0 3 3" ]
	snapdump -q --raw "$POOL,id=6,size=1000448,origin=mon" | cmp - tue
	# no room: of data, of metadata; refused; nothing is changed
	head -c 4M /dev/urandom >large
	sha256sum meta >sums
	refused data-space "has no free data block left, of 21 blocks; the pool is as it was" 8 snapcreate --thin --from=large "$POOL"
	refused data-space "" 8 snapcreate -n --thin --from=large "$POOL"
	refused size "the device is to have 1048576" 64 snapcreate --thin --from=mon "$POOL,size=1M"
	refused size "would be shorter than device 1, which has data at byte 196608" 64 snapcreate --snapshot-of=1 --from=zero:192K "$POOL"
	refused overlap "" 64 snapcreate --thin --from=data "$POOL"
	refused no-device "" 8 snapcreate --snapshot-of=9 --from=mon "$POOL"
	snapdump -q --raw "$POOL,id=2,size=1000448" | cmp - tue
	thin_check -q meta
	qemu-img create -q -f qcow2 disk.qcow2 1M
	refused content "looks like a qcow2 image" 64 snapcreate --thin --from=disk.qcow2 "$POOL"
	snapcreate -q -y --delete "$POOL,id=1"
	snapdump -q --raw "$POOL,id=2,size=1000448" | cmp - tue
	thin_check -q meta
}

@test "a pool that is not sound, or that LVM manages, is not changed; a leak is no reason" {
	unpack snaps-128k
	run -64 --separate-stderr snapcreate --json=j --thin "$POOL"
	[[ $stderr == *"LVM manages the pool of meta"*--force=lvm* ]]
	grep -q '"id":"lvm"' j
	run -64 snapcreate -y --delete "$POOL,id=1"
	sha256sum --quiet -c sums
	snapcreate -q --force=lvm --thin "$POOL"
	unpack needscheck-64k
	run -64 --separate-stderr snapcreate --json=j --force=lvm --thin "$POOL"
	[[ $stderr == *"meta is not sound, so nothing is written to it: thin.needs-check at byte 0: "* ]]
	grep -q '"id":"damaged"' j
	sha256sum --quiet -c sums
	unpack crash-leak-64k
	run -0 snapcheck "$POOL"
	[[ $output == *thin.data-leaked* ]]
	snapcreate -q --force=lvm --thin "$POOL"
	run -0 snapcheck "$POOL"
	[[ $output == *"sound: no problems found"* ]]
	# so is what thin_restore writes, which hides a free block
	cat >xml <<-'END'
		<superblock uuid="" time="0" transaction="0" data_block_size="128" nr_data_blocks="192">
		<device dev_id="1" mapped_blocks="4" transaction="0" creation_time="0" snap_time="0">
		<range_mapping origin_begin="0" data_begin="0" length="4" time="0"/></device></superblock>
	END
	rm meta
	truncate -s 256K meta
	thin_restore -i xml -o meta >/dev/null
	run -0 snapcheck "$POOL"
	[[ $output == *thin.map-hidden* ]]
	snapcreate -q --thin "$POOL"
	thin_check -q meta
	run -0 snapcheck "$POOL"
	[[ $output == *"sound: no problems found"* && $output != *thin.map-hidden* ]]
}

# bats test_tags=slow
@test "a roll back in a pool: both devices exchange what they show, and the same command takes it back" {
	# bats test_tags=slow
	unpack snaps-128k
	run -0 --separate-stderr snapmerge -n "$POOL,id=0,size=12M" "$POOL,id=2,size=12M"
	[[ $stderr == *"meta: device 0 would show what device 2 shows, and the reverse; nothing was written"* ]]
	run -64 --separate-stderr snapmerge --json=j "$POOL,id=0" "$POOL,id=2" </dev/null
	[[ $stderr == *"device 0 of meta will show what device 2 shows, and device 2 what device 0 shows; nothing is lost. Exchange them? There is no terminal"*"add -y"* ]]
	grep -q '"id":"unanswered"' j
	sha256sum --quiet -c sums
	before=$(thin_dump meta | grep -c '<device')
	run -0 --separate-stderr snapmerge --json -y "$POOL,id=0" "$POOL,id=2"
	[[ $stderr == *"meta: device 0 now shows what device 2 showed, and device 2 what device 0 showed"* ]]
	[[ $stderr == *"the same command takes it back: snapmerge $POOL,id=0 $POOL,id=2"* ]]
	[ "$(jq -c .swap <<<"$output")" = '{"metadata":"meta","origin":0,"snapshot":2}' ]
	thin_check -q meta
	run -0 snapcheck "$POOL"
	[[ $output == *"sound: no problems found"* ]]
	for pair in "0 2" "2 0" "1 1" "3 3" "4 4"; do
		[ "$(sum <(snapdump -q --raw "$POOL,id=${pair% *},size=24576s"))" = "$(view snaps-128k "${pair#* }")" ]
	done
	[ "$(thin_dump meta | grep -c '<device')" = "$before" ]
	run -0 --separate-stderr snapmerge -q -y "$POOL,id=0" "$POOL,id=2"
	[ -z "$stderr$output" ]
	for id in 0 2; do
		[ "$(sum <(snapdump -q --raw "$POOL,id=$id,size=24576s"))" = "$(view snaps-128k $id)" ]
	done
	cmp data "$COW_UNPACKED/thin/snaps-128k/data.img"
	# a snapshot of it, however the pool is called
	ln -s meta other
	snapcreate -q --force=lvm --snapshot-of=2 "$POOL,id=9"
	snapmerge -q -y "$POOL,id=9" thin:metadata=other,data=data,id=2
}

@test "a roll back in a pool is refused, by its reason, before anything is written" {
	unpack snaps-128k
	cp meta meta2
	a=$POOL,id=1 b=$POOL,id=2
	refused overlap "are one device (cannot be forced)" 64 snapmerge -y "$a" "$a"
	refused unsupported "are devices of different pools" 64 snapmerge -y "$a" thin:metadata=meta2,data=data,id=2
	refused no-device "has no device 9" 8 snapmerge -y "$a" "$POOL,id=9"
	refused read-only "is of the metadata snapshot, which is read-only" 64 snapmerge -y "$a" "$b,metadata-snapshot=yes"
	refused grow "--force=grow" 64 snapmerge -y "$a,size=12M" "$b,size=11M"
	refused origin "have different external origins" 64 snapmerge -y "$a,origin=meta2" "$b"
	refused usage "add id=N" 16 snapmerge -y "$a" "$POOL"
	for option in --sibling=meta2 --drop-sibling=meta2 --save-undo=u --take-back --keep --sparse --discard --scrub --skip-unreadable; do
		refused usage "${option%%=*}: not inside a pool" 16 snapmerge -y $option "$a" "$b"
	done
	refused locked "" 64 flock -n meta snapmerge -y "$a" "$b"
	snapmerge -q -y --force=grow "$a,size=12M" "$b,size=11M"
	snapcreate -q --force=lvm --thin "$POOL,id=9"
	sha256sum meta data >sums
	refused origin "devices 1 and 9 of meta have no data block in common: the one may be no snapshot of the other; to do it anyway: --force=origin" 64 \
		snapmerge -y "$a" "$POOL,id=9"
	snapmerge -q -y --force=origin "$a" "$POOL,id=9"
	thin_check -q meta
	unpack needscheck-64k
	snapcheck -q --json "$POOL" >j || true
	mapfile -t ids < <(jq '.store.devices[].id' j)
	refused damaged "meta is not sound, so nothing is written to it: thin.needs-check" 64 snapmerge -y "$POOL,id=${ids[0]}" "$POOL,id=$((ids[0] + 1))"
	unpack snaps-128k
	printf x | dd of=meta bs=1 seek=5000 conv=notrunc status=none
	for block in $(seq 1 40); do printf x | dd of=meta bs=1 seek=$((block * 4096 + 100)) conv=notrunc status=none; done
	sha256sum meta data >sums
	run -64 snapmerge -y "$a" "$b"
	sha256sum --quiet -c sums
}

# bats test_tags=long
@test "each device is listed as thin_ls does, also where there are hundreds" {
	for name in snaps-128k held-128k many-64k; do
		unpack $name
		# it reads with O_DIRECT, which a file system in memory has not
		thin_ls --no-headers -o DEV,MAPPED_BLOCKS,EXCLUSIVE_BLOCKS,SHARED_BLOCKS,CREATE_TIME,SNAP_TIME,TRANSACTION meta |
			awk '{ $1 = $1 } 1' >theirs
		snapcheck -q --json "$POOL" | jq -r '.store.devices[] | [.id, .mapped_blocks, .exclusive_blocks, .shared_blocks,
			.created, .snapshotted, .transaction] | join(" ")' >ours
		cmp theirs ours
	done
}

@test "damage in one part of a device leaves the rest readable by force, and the rest is an error" {
	cd "$BATS_TEST_TMPDIR"
	for file in leaf-zero.meta data; do
		cp "$COW_UNPACKED/thin/damaged/$file.img" ${file/leaf-zero./}
	done
	device=thin:metadata=meta,data=data,id=0,size=36608s
	run -64 --separate-stderr snapdump --raw -o view "$device"
	[[ $stderr == *--force=damaged* ]]
	run -8 snapdump --raw --force=damaged -o view "$device"
	run -4 snapdump -q --raw --force=damaged --skip-unreadable -o view "$device"
	[ "$(stat -c %s view)" = $((36608 * 512)) ]
	# The other devices are not touched by it.
	run -0 snapdump -q --raw -o view7 thin:metadata=meta,data=data,id=7,size=36608s
	run -4 snapcheck thin:metadata=meta,data=data
	[[ $output == *"thin.node, byte"*"blocks 134 to"*"of device 0 are lost"* || $output == *"from block 134 on of device 0 are lost"* ]]
	[[ $output == *"damaged: 8.8 MiB of it cannot be read"* ]]
	run -4 --separate-stderr snapcheck --json thin:metadata=meta,data=data
	[[ $(jq -c '.store.devices[0] | [.id, .damaged, .lost_blocks]' <<<"$output") == '[0,true,140]' ]]
}

@test "what the kernel does with writes is said beside that it loads the pool, and which devices a finding is about" {
	cd "$BATS_TEST_TMPDIR"
	cp "$COW_UNPACKED/thin/damaged/data.img" data
	while IFS='|' read -r name writes line; do
		cp "$COW_UNPACKED/thin/damaged/$name.meta.img" meta
		run snapcheck thin:metadata=meta,data=data
		[[ $output == *"$line"* ]] || { echo "$name: $output" && false; }
		run --separate-stderr snapcheck --json thin:metadata=meta,data=data
		[ "$(jq -r .verdict.kernel_writes <<<"$output")" = "$writes" ] || { echo "$name" && false; }
	done <<-'EOF'
		sound|work|kernel: loads it
		sb-needs-check|read-only|kernel: loads it read-only: reads work, writes that need a new block fail (EIO)
		meta-bitmap-csum|fail|kernel: loads it; the first write that needs a new block fails
		data-ref-2to1|harm|kernel: loads it; a write may change or destroy what other devices show
		two-ids-one-root|harm|shared blocks of devices 4 and 7, the first of them 180
	EOF
}

@test "metadata of zeros are not an empty pool: the kernel would format them" {
	unpack snaps-128k
	dd if=/dev/zero of=meta bs=4096 count=1 conv=notrunc status=none
	run -4 snapcheck "$POOL"
	[[ $output == *"lost: thin.superblock-zero"*"formats the device: every device of the pool is lost"* ]]
	[[ $output == *"takes it for a new store and wipes what is in it"* ]]
	run -4 snapcheck --json "$POOL"
	[[ $output == *'"state":"lost"'* ]]
	truncate -s 0 meta
	truncate -s 4M meta
	run -4 snapcheck "$POOL"
	[[ $output == *"thin.superblock-zero"* ]]
	run -64 --separate-stderr snapdump --map "$POOL,id=0"
	[[ $stderr == *"the kernel would format it"* ]]
}

# bats test_tags=slow
@test "thin_check says the same of each kind of damage, but for what it does not look at" {
	# bats test_tags=slow
	cd "$BATS_TEST_TMPDIR"
	cp "$COW_UNPACKED/thin/damaged/data.img" data
	# It looks at no count of data, no time, no magic, no block size, no bounds, no details beside the trees; a metadata
	# block that is counted too high is a leak here.
	blind='sb-magic|sb-blocksize-0|sb-compat-ro|map-beyond-.*|map-free-block|map-time-future|data-ref-.*|data-leak|sb-time-0|mapping-no-details|dev-id-25bit|data-bitmap-zero|nr-free-0|none-free-before|nr-blocks-large|max-entries-small|meta-truncated|table-short|meta-leak'
	while IFS=$'\t' read -r name _ _ _ _; do
		[[ $name != "#"* ]] || continue
		cp "$COW_UNPACKED/thin/damaged/$name.meta.img" meta
		ours=0 theirs=0
		snapcheck -q thin:metadata=meta,data=data >report 2>&1 || ours=$?
		timeout 20 thin_check -q meta >/dev/null 2>&1 || theirs=$?
		if [[ $name =~ ^($blind)$ ]]; then
			continue
		fi
		if [ $((ours != 0)) != $((theirs != 0)) ]; then
			echo "$name: $ours $theirs"
			false
		fi
	done <"$COW_FIXTURES/thin/damaged/VERDICTS.tsv"
}

@test "--list shows a pool and its devices, with what to type" {
	unpack snaps-128k
	run -0 snapcheck --list meta data
	[[ $output == *"metadata of a thin pool"*"pool of 5 devices, blocks of 128 KiB"* ]]
	[[ $output == *"thin:metadata=meta,data=DATA,id=4"*"44 blocks"*"8 exclusive, 36 shared"* ]]
	run -0 snapcheck --list --json meta
	[ "$(jq -c '.volumes[0].devices[3] | [.id, .mapped_blocks, .exclusive_blocks, .shared_blocks]' <<<"$output")" = '[3,51,15,36]' ]
}

# The volume group of a fixture, and an edit of its text.
unpack_pv() {
	cd "$BATS_TEST_TMPDIR"
	cp "$COW_UNPACKED/thin/lvm-pool/pv.img" pv
}
edit() {
	"$COW_SOURCE/tests/aids/lvm_text.py" edit "$@" pv
}

# bats test_tags=long
@test "thin volumes of LVM: size and external origin come from the volume group" {
	unpack_pv
	while read -r name sha256; do
		[ "$(snapdump -q --raw "lvm:pv:vg0/$name" | sha256sum | cut -d' ' -f1)" = "$sha256" ]
	done <"$COW_FIXTURES/thin/lvm-pool/views.txt"
	run -0 snapcheck --list pv
	[[ $output == *"vg0/ext1snap "*"device 7 of the pool vg0/pool, snapshot of ext1, on the external origin vg0/base"* ]]
	snapdump -q --files -o files.tar lvm:pv:vg0/snap1
	run -0 snapdump --map lvm:pv:vg0/root lvm:pv:vg0/snap1
	[[ $output == *"# complete: "* ]]
	run -64 --separate-stderr snapmerge --json=j -y lvm:pv:vg0/root
	grep -q '"id":"unsupported"' j
	run -16 --separate-stderr snapdump --raw lvm:pv:vg0/pool
	[[ $stderr == *"which device of the pool?"* ]]
	# in the place of an image
	snapcreate -q lvm:pv:vg0/ext2 cow
	[ "$(snapdump -q --raw lvm:pv:vg0/ext2 cow | sha256sum | cut -d' ' -f1)" = "$(awk '$1 == "ext2" { print $2 }' "$COW_FIXTURES/thin/lvm-pool/views.txt")" ]
	run -64 --separate-stderr snapdump --json=j --raw lvm:pv:vg0/pool cow
	grep -q '"id":"lv-type"' j
}

# bats test_tags=slow
@test "a thin snapshot of LVM is enough alone to roll its origin back; not where LVM has something to do" {
	# bats test_tags=slow
	unpack_pv
	sha256sum pv >sums
	wanted() { awk -v n="$1" '$1 == n { print $2 }' "$COW_FIXTURES/thin/lvm-pool/views.txt"; }
	shows() { [ "$(snapdump -q --raw "lvm:pv:vg0/$1" | sha256sum | cut -d' ' -f1)" = "$(wanted "$2")" ]; }
	run -0 --separate-stderr snapmerge -n lvm:pv:vg0/snap1
	[[ $stderr == *"device 1 would show what device 2 shows"*"nothing was written"* ]]
	sha256sum --quiet -c sums
	run -0 --separate-stderr snapmerge -y lvm:pv:vg0/snap1
	[[ $stderr == *"the same command takes it back: snapmerge lvm:pv:vg0/root lvm:pv:vg0/snap1"*"lvremove vg0/snap1"* ]]
	shows root snap1
	shows snap1 root
	shows snap2 snap2
	shows snap1a snap1a
	run -0 snapcheck lvm:pv:vg0/pool
	snapmerge -q -y lvm:pv:vg0/root lvm:pv:vg0/snap1
	shows root root
	shows snap1 snap1
	# LVM's text names the origin where no block is shared; other external origins stay apart
	snapmerge -q -y lvm:pv:vg0/ext1snap
	shows ext1 ext1snap
	sha256sum pv >sums
	refused origin "have different external origins" 64 snapmerge -y lvm:pv:vg0/ext1 lvm:pv:vg0/root
	refused grow "--force=grow" 64 snapmerge -y lvm:pv:vg0/root lvm:pv:vg0/big
	refused unsupported "a single device of a thin pool" 64 snapmerge -y lvm:pv:vg0/root
	edit 'transaction_id = 10' 'transaction_id = 11'
	sha256sum pv >sums
	refused lvm "at transaction 10, LVM at 11" 64 snapmerge -y lvm:pv:vg0/snap1
	unpack_pv
	edit 'origin = "root"' 'merge = "root"'
	sha256sum pv >sums
	refused merging "LVM merges a device of the pool" 64 snapmerge -y lvm:pv:vg0/root lvm:pv:vg0/snap1
}

# bats test_tags=long
@test "a pool is checked against what LVM has: transaction, ids, block size" {
	unpack_pv
	run -0 snapcheck lvm:pv:vg0/pool
	[[ $output == *"thin pool, blocks of 64 KiB, 8 devices"* ]]
	run -0 snapcheck lvm:pv:vg0/snap1
	edit 'device_id = 4' 'device_id = 9'
	for name in lvm:pv:vg0/pool thin:metadata=lvm:pv:vg0/pool_tmeta,data=lvm:pv:vg0/pool_tdata; do
		run -4 snapcheck $name
		[[ $output == *"thin.device-missing: LVM has a volume with device 9"* ]]
		[[ $output == *"thin.device-unlisted: no volume of LVM has device 4"* ]]
	done
	unpack_pv
	edit 'transaction_id = 10' 'transaction_id = 11'
	run -4 snapcheck lvm:pv:vg0/pool
	[[ $output == *"thin.transaction, byte 0 (chunk 0): transaction 10 in the pool, 11 in LVM"* ]]
	run -0 --separate-stderr snapdump --map lvm:pv:vg0/root
	[[ $stderr == *"the pool is at transaction 10, LVM at 11"* ]]
	unpack_pv
	edit 'chunk_size = 128' 'chunk_size = 256'
	run -4 snapcheck lvm:pv:vg0/pool
	[[ $output == *thin.table-mismatch* ]]
	run -64 snapdump --map lvm:pv:vg0/root
	# A volume that LVM has made and not told the pool of is no fault.
	cp "$COW_UNPACKED/lvm/thin-message/disk0.img" disk
	run -0 snapcheck lvm:disk:vg0/pool
	[[ $output == *"info: thin.message-pending"* ]]
}
