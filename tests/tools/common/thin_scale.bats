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
