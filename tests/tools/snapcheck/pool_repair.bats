#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# New metadata for a pool from damaged ones, by snapcheck -o. Every damaged fixture is repaired in the library's own test
# (test_thin_repair), and the kernel judges some of them (proofs.bats).
bats_require_minimum_version 1.8.0

load ../../common
POOL=thin:metadata=meta,data=data
NEW=thin:metadata=new,data=data

damaged() {
	cd "$BATS_TEST_TMPDIR"
	cp "$COW_UNPACKED/thin/damaged/$1.meta.img" meta
	[ -e data ] || cp --sparse=always "$COW_UNPACKED/thin/damaged/data.img" data
	sha256sum meta >sums
	rm -f new
}

@test "a leaf is lost: the rest stays, and what is gone is listed for each device; exit status 4" {
	damaged leaf-zero
	run -4 --separate-stderr snapcheck -y -o new $POOL
	[[ $output == "new: repaired, but 8.8 MiB of the pool's devices are lost"*"1 problem repaired (8.8 MiB of the pool's devices lost); no problems left"* ]]
	[[ $output == *"lost, and now zeros, or the external origin, are there:"*"device 0: bytes 8781824-end"* ]]
	[[ $output == *"a later check of new cannot know this, so keep this report"* ]]
	run -0 snapcheck $NEW
	[[ $output == "thin:metadata=new,data=data: sound: no problems found"* || $output == "new: sound: no problems found"* ]]
	rm new
	run -4 --separate-stderr snapcheck --json -y -o new $POOL
	[ "$(jq -c '[.verdict.state, .repair.lost_bytes, .lost]' <<<"$output")" = '["lost",9175040,[{"device":0,"offset_bytes":8781824,"length_bytes":null}]]' ]
	# The other devices show what they showed, and this one what is left.
	for id in 0 3; do
		rm -f old shown
		snapdump -q --raw --force=damaged --skip-unreadable -o old thin:metadata=meta,data=data,id=$id,size=8781824 || [ $? = 4 ]
		snapdump -q --raw -o shown thin:metadata=new,data=data,id=$id,size=8781824
		cmp old shown
	done
	sha256sum --quiet -c sums
}

@test "counts and leaks: made anew with exit status 1, also by -p; needs_check goes; a sound pool has exit status 0" {
	for name in data-bitmap-zero meta-bitmap-csum data-leak sb-needs-check internal-keys-order; do
		damaged $name
		run -1 snapcheck -y -o new $POOL
		[[ $output == *"no problems left"* ]]
		run -0 snapcheck --json $NEW
		[ "$(jq -c '[.findings, .verdict.kernel_writes]' <<<"$output")" = '[[],"work"]' ] || { echo "$name: $output" && false; }
	done
	damaged meta-bitmap-csum
	run -1 snapcheck -p -o new $POOL
	damaged leaf-zero
	run -4 --separate-stderr snapcheck -p -o new $POOL
	[[ $stderr == *"new is not made: not everything may be repaired"* ]]
	[ ! -e new ]
	damaged sound
	run -0 snapcheck -o new $POOL
	sha256sum --quiet -c sums
}

@test "a data block that is counted wrongly: the finding names the devices that have it, also in JSON" {
	damaged data-bitmap-zero
	run -4 --separate-stderr snapcheck -v $POOL
	[[ $output == *"data block 49 of device 1: mapped 1 times, and counted as free"* ]]
	[[ $output == *"data blocks 272 to 281 of devices 0, 2, 3 and 4: mapped 2 times, and counted as free"* ]]
	damaged data-ref-2to1
	run -4 --separate-stderr snapcheck --json $POOL
	[[ "$(jq -r '.findings[].sentence' <<<"$output")" == *"data block 272 of devices 0 and 3: mapped 2 times, counted 1 times"* ]] || { echo "$output" && false; }
}

@test "two devices on one tree, a mapping to a block of nobody: the ranges are in doubt, for each device" {
	damaged two-ids-one-root
	run -4 --separate-stderr snapcheck --json -y -o new $POOL
	[ "$(jq -c '[.verdict.state, .repair.regions_in_doubt, .in_doubt]' <<<"$output")" = '["doubtful",265,[{"device":7,"offset_bytes":0,"length_bytes":18350080}]]' ] || { echo "$output" && false; }
	damaged map-free-block
	run -4 snapcheck -y -o new $POOL
	[[ $output == *"64 KiB of it are in doubt"*"in doubt, and the bytes there may be those of another device, or of an earlier commit:"*"device 7: bytes "* ]]
}

@test "where new metadata cannot be made none are; without -o nothing is written, and -n shows what would be" {
	damaged sb-blocksize-0
	run -4 --separate-stderr snapcheck -y -o new $POOL
	[[ $stderr == *"new is not made: the block size of the pool is lost: --chunk-size or --table must say it"* ]]
	[ ! -e new ]
	run -1 snapcheck -y -c 64K -o new $POOL
	damaged sb-compat-ro
	run -4 --separate-stderr snapcheck -y -o new $POOL
	[[ $stderr == *"asks for features that are not known"* ]]
	damaged leaf-zero
	run -4 --separate-stderr snapcheck -y $POOL
	[[ $stderr == *"is repaired into a new image only: add -o NEW"* ]]
	run -4 --separate-stderr snapcheck $POOL
	[[ $stderr == *"next: snapcheck -y -o repaired.img $POOL"* ]]
	run -4 snapcheck -n -y -o new $POOL
	[[ $output == *"can be repaired, but 8.8 MiB of the pool's devices would be lost"*"repair, in memory only"* ]]
	[ ! -e new ]
	sha256sum --quiet -c sums
}

@test "a lost root, and a lost tree of devices: what is below is found by its counts, and told; what fits several is not guessed" {
	damaged sub-root-csum
	run -1 snapcheck -y -o new $POOL
	[[ $output == *"found although the nodes above it are lost, of transaction 3 and time 4:"$'\n'"  device 0: 266 blocks"* ]]
	run -0 snapcheck --json $NEW
	[ "$(jq -c '[.findings, .store.exceptions]' <<<"$output")" = '[[],1327]' ]
	damaged sb-mapping-root-beyond
	run -1 --separate-stderr snapcheck --json -y -o new $POOL
	[ "$(jq -c '[.lost, .in_doubt, (.found | length), .repair.found_blocks]' <<<"$output")" = '[[],[],6,1327]' ]
	# Three devices have 265 blocks each.
	damaged top-node-zero
	run -4 --separate-stderr snapcheck --json -y -o new $POOL
	[ "$(jq -c '[[.lost[].device], [.found[].device]]' <<<"$output")" = '[[2,3,4],[0,1,7]]' ]
	damaged top-node-zero
	run -4 --separate-stderr snapcheck --json -y --force=doubtful -o new $POOL
	[ "$(jq -c '[.lost, [.in_doubt[].device], .repair.found_blocks]' <<<"$output")" = '[[],[2,3,4],1327]' ]
	sha256sum --quiet -c sums
}

# bats test_tags=slow
@test "a lost root above three levels of nodes: thin_dump reads the same out of the new metadata" {
	cd "$BATS_TEST_TMPDIR"
	python3 - >xml <<-'PY'
		print('<superblock uuid="" time="1" transaction="5" version="2" data_block_size="128" nr_data_blocks="80000">')
		for ident in 3, 8:
		    print('<device dev_id="%d" mapped_blocks="40000" transaction="0" creation_time="0" snap_time="1">' % ident)
		    for i in range(0, 40000):
		        print('<single_mapping origin_block="%d" data_block="%d" time="0"/>' % (2 * i, 2 * (i ^ 5) + (ident == 8)))
		    print('</device>')
		print('</superblock>')
	PY
	truncate -s 8M meta new
	truncate -s 5000M data
	thin_restore -i xml -o meta
	python3 - <<-'PY'
		import struct
		with open("meta", "r+b") as f:
		    def at(block):
		        f.seek(block * 4096)
		        return f.read(4096)
		    top = struct.unpack_from("<Q", at(0), 320)[0]
		    root = struct.unpack_from("<Q", at(top), 32 + 8 * 252)[0]
		    child = struct.unpack_from("<Q", at(root), 32 + 8 * 252)[0]
		    assert struct.unpack_from("<I", at(child), 4)[0] == 1, "a node of the second level"
		    f.seek(root * 4096)
		    f.write(bytes(4096))
	PY
	rm new
	run -1 snapcheck -y -o new $POOL
	[[ $output == *"  device 3: 40000 blocks"* ]]
	thin_dump new | grep -v superblock >got
	thin_restore -i xml -o meta
	thin_dump meta | grep -v superblock | cmp - got
}

@test "a lost superblock: the block size must be said; what it still says decides, else all is in doubt, by force alone" {
	damaged sb-csum
	run -4 --separate-stderr snapcheck -y -o new $POOL
	[[ $stderr == *"new is not made: the superblock is lost, and with it the block size and the size of the data: --chunk-size or --table"* ]]
	run -1 snapcheck -y -c 64K -o new $POOL
	run -0 snapcheck --json $NEW
	[ "$(jq -c '[.findings, .store.exceptions]' <<<"$output")" = '[[],1327]' ]
	damaged sb-zero
	run -4 --separate-stderr snapcheck -y -c 64K -o new $POOL
	[[ $stderr == *"the trees of 13 commits are whole on it, and nothing tells which is the last; --force=doubtful"* ]]
	[ ! -e new ]
	run -4 --separate-stderr snapcheck -y -c 64K --force=doubtful -o new $POOL
	[[ $output == "new: repaired, but 82.9 MiB of it are in doubt"*"or of an earlier commit:"*"device 7: bytes 0-15007743"* ]]
	run -0 snapcheck $NEW
	sha256sum --quiet -c sums
}

# bats test_tags=long
@test "thin_check accepts each of them, and thin_repair never recovers more" {
	damaged sound
	while IFS=$'\t' read -r name word lost _ _ theirs wrong; do
		# Of the others both make the same, or thin_repair makes nothing.
		[[ $name =~ ^(leaf-zero|cycle-up|internal-keys-order|max-entries-small|swapped-sealed|value-size-4|sub-root-csum|map-free-block)$ ]] || continue
		[ "$word" = made ]
		damaged "$name"
		snapcheck -q -y -o new $POOL >report 2>&1 || [ $? -le 5 ]
		thin_check -q new
		ours=$(thin_dump new | "$COW_SOURCE/tests/aids/thin_count.py")
		truncate -s 1M old
		if timeout 20 thin_repair -i meta -o old >log 2>&1; then
			them=$(thin_dump old | "$COW_SOURCE/tests/aids/thin_count.py")
		else
			them=0
		fi
		# What they have and we have not is wrong: the table says how much.
		[ $((ours + wrong)) -ge "$them" ] || { echo "$name: $ours $them" && false; }
		[ $((ours)) -ge $((1327 - lost)) ]
		[ "$them" = 0 ] || [ "$them" -ge $((1327 - theirs)) ]
	done <"$COW_FIXTURES/thin/damaged/REPAIR.tsv"
}
