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
	ln -s meta other-name
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
