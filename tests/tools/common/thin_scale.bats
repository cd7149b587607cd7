#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# Pools that thin_restore and thin_repair have written, large ones and forged ones: what snapcheck says of them, in bounded
# time and memory. thin-provisioning-tools read with O_DIRECT, which a file system in memory has not.
bats_require_minimum_version 1.8.0

load ../../common

# restore BLOCKS: metadata of so many blocks in "meta", by thin_restore, from the XML on standard input.
restore() {
	cat >xml
	rm -f meta
	truncate -s $(($1 * 4096)) meta
	thin_restore -i xml -o meta >/dev/null
}

@test "what thin_repair and thin_restore write is sound" {
	cd "$BATS_TEST_TMPDIR"
	for name in snaps-128k held-128k ext-many-64k; do
		rm -f new
		truncate -s "$(stat -c %s "$COW_UNPACKED/thin/$name/meta.img")" new
		thin_repair -i "$COW_UNPACKED/thin/$name/meta.img" -o new >/dev/null
		run -0 snapcheck -t thin new
		[[ $output == *": sound: no problems found"* ]]
	done
	# more than one bitmap of metadata, and one that is full but for what is hidden
	for blocks in 1024 16384 20000; do
		awk 'BEGIN { print "<superblock uuid=\"\" time=\"0\" transaction=\"0\" data_block_size=\"128\" nr_data_blocks=\"4200000\">"
			print "<device dev_id=\"1\" mapped_blocks=\"80000\" transaction=\"0\" creation_time=\"0\" snap_time=\"0\">"
			print "<range_mapping origin_begin=\"0\" data_begin=\"7\" length=\"80000\" time=\"0\"/></device></superblock>" }' | restore "$blocks"
		run -0 snapcheck -t thin meta
		[[ $output == *": sound: no problems found"*"info: thin.map-hidden"* ]]
	done
	# the same numbers where a block in use is counted as free are damage
	run -4 snapcheck -t thin "$COW_UNPACKED/thin/damaged/meta-ref-low.meta.img"
	[[ $output == *thin.map-nr-free* && $output != *thin.map-hidden* ]]
}

# forge EDIT...: "OFFSET:SIZE:VALUE" in block 0 of "meta", whose checksum fits again.
forge() {
	python3 - meta "$@" <<-'PY'
		import sys
		table = []
		for n in range(256):
		    for _ in range(8):
		        n = n >> 1 ^ (0x82F63B78 if n & 1 else 0)
		    table.append(n)
		with open(sys.argv[1], "r+b") as f:
		    block = bytearray(f.read(4096))
		    for edit in sys.argv[2:]:
		        at, size, value = (int(word, 0) for word in edit.split(":"))
		        block[at:at + size] = value.to_bytes(size, "little")
		    crc = 0xFFFFFFFF
		    for byte in block[4:]:
		        crc = crc >> 8 ^ table[(crc ^ byte) & 255]
		    block[:4] = (crc ^ 160774).to_bytes(4, "little")
		    f.seek(0)
		    f.write(block)
	PY
}

# bats test_tags=limit
@test "forged numbers cost neither time nor memory" {
	cd "$BATS_TEST_TMPDIR"
	cp "$COW_UNPACKED/thin/snaps-128k/data.img" data
	pool=thin:metadata=meta,data=data
	all=0xFFFFFFFFFFFFFFFF
	# size of the data, of both; blocks in use; where the maps are; the metadata snapshot
	for edits in 64:8:0x10000000000 64:8:$all "64:8:$all 192:8:$all" "72:8:$all 200:8:$all" 80:8:$all 88:8:$all 208:8:$all 216:8:$all \
		56:8:$all 56:8:1023 "40:4:0xFFFFFFFF 44:4:0xFFFFFFFF 48:8:$all" "320:8:$all" "328:8:$all" 320:8:0 328:8:0; do
		cp "$COW_UNPACKED/thin/snaps-128k/meta.img" meta
		# shellcheck disable=SC2086
		forge $edits
		# 4 s of processor time; the machine may be busy
		for command in "snapcheck -q $pool" "snapdump -q --map $pool,id=1" "snapdump -q --map $pool,id=1 $pool,id=4"; do
			# shellcheck disable=SC2086
			run bash -c 'ulimit -t 4 -v 400000; "$@"' - $command
			[[ $status == 0 || $status == 4 || $status == 8 || $status == 64 ]] || { echo "$edits: $command: $status"; false; }
		done
	done
	# the plain case, as numbers: the map is as long as the device that is given
	cp "$COW_UNPACKED/thin/snaps-128k/meta.img" meta
	forge 64:8:0x10000000000
	run -4 snapcheck "$pool"
	[[ $output == *thin.data-short*thin.map-* ]]
}

# A pool of 16 TiB whose devices have the same blocks, in runs, each with some of its own, by thin_restore.
many_devices() { # DEVICES RUNS LENGTH
	awk -v devices="$1" -v runs="$2" -v len="$3" 'BEGIN {
		print "<superblock uuid=\"\" time=\"1\" transaction=\"0\" data_block_size=\"128\" nr_data_blocks=\"268435456\">"
		for (d = 0; d < devices; d++) {
			printf "<device dev_id=\"%d\" mapped_blocks=\"%d\" transaction=\"0\" creation_time=\"0\" snap_time=\"1\">\n", d, runs * len
			for (r = 0; r < runs; r++) {
				data = r % 10 == d % 10 ? 100000000 + (d * runs + r) * len : r * 997 * len
				printf "<range_mapping origin_begin=\"%d\" data_begin=\"%d\" length=\"%d\" time=\"0\"/>\n", r * 2 * len, data, len
			}
			print "</device>"
		}
		print "</superblock>" }'
}

# bats test_tags=slow,limit
@test "a pool of 16 TiB with many devices: sound, each block counted, in bounded memory" {
	cd "$BATS_TEST_TMPDIR"
	# LARGE=1: 1000 devices and 10,000,000 mappings
	devices=100 runs=40 blocks=32768
	[ -z "${LARGE:-}" ] || { devices=1000 runs=400 blocks=131072; }
	many_devices "$devices" "$runs" 25 | restore "$blocks"
	thin_check -q meta
	/usr/bin/time -f '%M' -o peak snapcheck --json -t thin meta >j
	jq -e --argjson nr "$((devices * runs * 25))" '.store.exceptions == $nr' j
	# of the blocks of a device nine tenths are others', too
	[ "$(jq '.store.devices[7] | "\(.mapped_blocks) \(.shared_blocks)"' j)" = "\"$((runs * 25)) $((runs * 25 * 9 / 10))\"" ]
	# 60,000 KiB; of 10,000,000 mappings 100,000
	[ "$(cat peak)" -lt $((LARGE ? 100000 : 60000)) ] || { cat peak; false; }
}
