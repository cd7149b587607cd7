#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# Several devices of one pool in one job: the pool is opened once, whatever its images are called. The judge of each view
# is what the kernel read (facts.txt, views.txt).
bats_require_minimum_version 1.8.0

load ../../common

unpack() {
	cd "$BATS_TEST_TMPDIR"
	cp "$COW_UNPACKED/thin/$1/meta.img" meta
	cp "$COW_UNPACKED/thin/$1/data.img" data
	ln -sf meta other-name
	sha256sum meta data >sums
	POOL=thin:metadata=meta,data=data
	OTHER=thin:metadata=./other-name,data=$PWD/data
}

# view NAME ID: what the kernel read from a device.
view() {
	awk -v id="$2" '$1 == "thin" && $2 == id { print $5 }' "$COW_FIXTURES/thin/$1/facts.txt"
}

sum() {
	sha256sum | cut -d' ' -f1
}

# bats test_tags=long
@test "the images of a pool are known by their bytes, not by their names" {
	unpack snaps-128k
	snapdump -q --map "$POOL,id=0,size=24576s" "$POOL,id=1,size=24576s" >same
	snapdump -q --map "$OTHER,id=0,size=24576s" "$POOL,id=1,size=24576s" >other
	cmp same other
	# as two images of one job
	snapcreate -q "--from=$OTHER,id=1,size=24576s" "$POOL,id=0,size=24576s" cow
	[ "$(snapdump -q --raw "$POOL,id=0,size=24576s" cow | sum)" = "$(view snaps-128k 1)" ]
	run -64 --separate-stderr snapcreate --json=j "--from=$OTHER,id=0,size=24576s" "$POOL,id=0,size=24576s" x
	[[ $stderr == *"uses the same device of the same store already"* ]]
	grep -q '"id":"overlap"' j
	cp data copy
	run -64 --separate-stderr snapcreate --json=j "--from=thin:metadata=other-name,data=copy,id=1,size=24576s" "$POOL,id=0,size=24576s" x
	[[ $stderr == *"belong to a store that this job uses with other data"* ]]
	run -64 snapcreate --json=j --from=data "$POOL,id=0,size=24576s" x
	grep -q '"id":"overlap"' j
	[ ! -e x ]
	sha256sum --quiet -c sums
}

@test "a device is compared with what it was in the metadata snapshot" {
	unpack held-128k
	now=$POOL,id=0,size=16384s past=$OTHER,id=0,size=16384s,metadata-snapshot=yes
	snapdump -q --raw -o now "$now"
	snapdump -q --raw -o past "$past"
	[ "$(sum <now)" = "$(view held-128k 0)" ]
	run ! cmp -s now past
	for pair in "$past $now" "$now $past"; do
		# shellcheck disable=SC2086
		run -0 --separate-stderr snapdump --map $pair
		[[ $output == *"# complete: 2 ranges, 262144 bytes" ]]
	done
	# both in one job, either first
	snapcreate -q "--from=$now" "$past" cow
	snapdump -q --raw "$past" cow | cmp - now
	snapcreate -q "--from=$past" "$now" cow2
	snapdump -q --raw "$now" cow2 | cmp - past
}

# bats test_tags=long
@test "thin volumes of one pool, and those on one external origin, are images of one job" {
	cd "$BATS_TEST_TMPDIR"
	cp "$COW_UNPACKED/thin/lvm-pool/pv.img" pv
	for pair in "root snap1" "ext1 ext1snap"; do
		read -r first second <<<"$pair"
		rm -f cow flat
		snapdump -q --raw -o flat "lvm:pv:vg0/$first"
		snapcreate -q "--from=lvm:pv:vg0/$second" "lvm:pv:vg0/$first" cow
		[ "$(snapdump -q --raw flat cow | sum)" = "$(awk -v name="$second" '$1 == name { print $2 }' "$COW_FIXTURES/thin/lvm-pool/views.txt")" ]
	done
	# one behind the other
	snapdump -q --raw concat:lvm:pv:vg0/root,lvm:pv:vg0/snap1,lvm:pv:vg0/ext1 >all
	cat <(snapdump -q --raw lvm:pv:vg0/root) <(snapdump -q --raw lvm:pv:vg0/snap1) <(snapdump -q --raw lvm:pv:vg0/ext1) | cmp - all
}

@test "--map says what another device has now, which the times do not know" {
	for name in snaps-128k held-128k deleted-64k; do
		unpack $name
		snapcheck -q --json "$POOL" | jq -r '.store.devices[] | "\(.id) \(.shared_blocks) \(.exclusive_blocks)"' >devices
		block=$(snapcheck -q --json "$POOL" | jq .store.chunk_bytes)
		while read -r id shared exclusive; do
			snapdump -q --map "$POOL,id=$id" | awk -v block="$block" -v shared="$shared" -v exclusive="$exclusive" '
				/ shared$/ { s += $2; next }
				/^[0-9]/ { e += $2 }
				END { exit s != shared * block || e != exclusive * block }'
		done <devices
	done
	# of damage in another device nobody knows whom it shares with
	cp "$COW_UNPACKED/thin/damaged/leaf-zero.meta.img" meta
	cp "$COW_UNPACKED/thin/damaged/data.img" data
	run -64 --separate-stderr snapdump --json=j --map "$POOL,id=7,size=36608s"
	[[ $stderr == *"who shares the blocks of the device cannot be told: "*--force=damaged* ]]
	run -4 snapdump --json=j --map --force=damaged "$POOL,id=7,size=36608s"
	[[ $output != *" shared"* && $output == *"# complete: "* ]]
}

@test "two devices are compared without a look at what both have" {
	unpack snaps-128k
	# A leaf that both have is damaged: their difference is not there.
	run -0 snapdump --map "$POOL,id=2,size=24576s" "$POOL,id=2,size=24576s"
	[[ $output == *"# complete: 0 ranges, 0 bytes" ]]
	root=$(python3 - meta 2 <<-'PY'
		import struct, sys
		meta = open(sys.argv[1], "rb").read()
		top = struct.unpack_from("<Q", meta, 320)[0] * 4096
		nr = struct.unpack_from("<I", meta, top + 16)[0]
		keys = struct.unpack_from(f"<{nr}Q", meta, top + 32)
		print(struct.unpack_from("<Q", meta, top + 32 + 8 * 252 + 8 * keys.index(int(sys.argv[2])))[0])
	PY
	)
	printf x | dd of=meta bs=1 seek=$((root * 4096 + 100)) conv=notrunc status=none
	run -64 snapdump -q --map "$POOL,id=2,size=24576s"
	run -0 snapdump --map "$POOL,id=2,size=24576s" "$POOL,id=2,size=24576s"
	[[ $output == *"# complete: 0 ranges, 0 bytes" ]]
}
