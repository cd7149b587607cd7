#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# Snapshots of LVM: one alone brings its origin, the others are found by themselves,
# the view is as long as the origin was, and the words say what LVM does next.
bats_require_minimum_version 1.8.0
load ../../common

setup() {
	cd "$BATS_TEST_TMPDIR"
}

# raw SPEC...: the digest of a view.
raw() {
	snapdump -q --raw -o - "$@" | sha256sum | cut -d' ' -f1
}

# bats test_tags=long
@test "a snapshot alone brings its origin, in each tool" {
	disks whole
	local snap=lvm:disk0.img:vg0/snap wanted
	wanted=$(kernel_sha whole vg0/snap)
	run -0 --separate-stderr snapcheck $snap
	[[ $stderr == *"$snap is a snapshot of lvm:disk0.img:vg0/base"* ]]
	[[ $stderr == *"next: snapmerge --dry-run lvm:disk0.img:vg0/base $snap"* ]]
	[ "$(raw $snap)" = "$wanted" ]
	snapdump -q --files -o - $snap | tar -tf - | grep -q .
	run -0 snapdump -q --map $snap
	snapdump -q --metadata -o pack $snap
	snapcheck -q pack
	run -4 snapcheck --is-empty $snap
	run -0 --separate-stderr snapmerge -n $snap
	[ "$(raw $snap)" = "$wanted" ]
	run -0 snapmerge -q -o new.img $snap
	[ "$(sum new.img)" = "$wanted" ]
	run -0 snapmerge -y -q --save-undo=undo $snap
	[ "$(raw lvm:disk0.img:vg0/base)" = "$wanted" ]
	run -0 snapcheck --is-empty $snap
	run -0 snapmerge -y -q --take-back lvm:disk0.img:vg0/base undo
	[ "$(raw lvm:disk0.img:vg0/base)" = "$(kernel_sha whole vg0/base)" ]
	disks whole
	run -0 --separate-stderr snapmerge -y --image=s=$snap --image=o=lvm:disk0.img:vg0/base image:o image:s
	[[ ${stderr_lines[-1]} == *"lvremove vg0/snap removes it" ]]
	[ "$(raw lvm:disk0.img:vg0/base)" = "$wanted" ]
	# Anything else alone is not enough.
	run -16 --separate-stderr snapmerge -y lvm:disk0.img:vg0/base
	one_sentence
	run -16 snapmerge -y disk0.img
}

@test "without its origin the store is checked, and packed; the rest needs it" {
	disks whole
	lvm_text edit '"pv0", 0' '"pv1", 0' disk0.img
	run -0 --separate-stderr snapcheck lvm:disk0.img:vg0/snap
	[[ $stderr == *"the origin of this snapshot, lvm:disk0.img:vg0/base, cannot be used"* ]]
	run -0 --separate-stderr snapdump --metadata -o pack lvm:disk0.img:vg0/snap
	run -64 --separate-stderr snapmerge -y lvm:disk0.img:vg0/snap
	one_sentence
	run -64 --separate-stderr snapdump --raw -o - lvm:disk0.img:vg0/snap
	one_sentence
}

# bats test_tags=long
@test "an origin that grew afterwards keeps its tail: the view has the length of the snapshot" {
	disks extended
	local base=lvm:disk0.img:vg0/base snap=lvm:disk0.img:vg0/snap wanted tail
	wanted=$(kernel_sha extended vg0/snap)
	tail=$(raw window:10M+2M:$base)
	[ "$(snapdump -q --raw -o - $base $snap | wc -c)" -eq $((10 << 20)) ]
	[ "$(raw $base $snap)" = "$wanted" ]
	[ "$(raw $snap)" = "$wanted" ]
	run -0 --separate-stderr snapcheck --origin=$base $snap
	[[ $stderr == *"grew to 12582912 bytes after $snap was taken, which shows the first 10485760"* ]]
	run -0 snapmerge -q -y $base $snap
	[ "$(raw window:0+10M:$base)" = "$wanted" ]
	[ "$(raw window:10M+2M:$base)" = "$tail" ]
}

# bats test_tags=long
@test "--all-siblings keeps every other snapshot that LVM knows" {
	disks three-chunk-sizes
	local d=lvm:disk0.img:vg0 lv
	run -64 --separate-stderr snapmerge -y $d/snap1
	[[ ${stderr_lines[-1]} == *"$d/snap2"*"--all-siblings keeps all of them"* ]]
	run -0 --separate-stderr snapmerge -y --json=j --all-siblings --drop-sibling lvm:./disk0.img:vg0/snap3 $d/snap1
	[[ $stderr == *"siblings: $d/snap2: kept true; LVM knows no other one that is not given up"* ]]
	[ "$(member j '(j["plan"]["siblings"], j["plan"]["dropped"])')" = "(['$d/snap2'], ['lvm:./disk0.img:vg0/snap3'])" ]
	[ "$(member j 'j["lvm"]')" = "{'snapshot': 'vg0/snap1', 'merging': False}" ]
	[ "$(raw $d/snap2)" = "$(kernel_sha three-chunk-sizes vg0/snap2)" ]
	[ "$(raw $d/base)" = "$(kernel_sha three-chunk-sizes vg0/snap1)" ]
	run -4 snapcheck -q $d/snap3
	run -16 --separate-stderr snapmerge -y --all-siblings new.img cow.img
}

@test "a snapshot that is marked invalid cannot be kept, and need not be" {
	disks overflowed
	run -64 snapmerge -y lvm:disk0.img:vg0/ok
	run -0 --separate-stderr snapmerge -y --all-siblings lvm:disk0.img:vg0/ok
	[[ $stderr == *"vg0/snap is marked invalid already: nothing of it can be kept"* ]]
	[ "$(raw lvm:disk0.img:vg0/base)" = "$(kernel_sha overflowed vg0/ok)" ]
}

# bats test_tags=long
@test "snapshots that show another length of the origin are not kept, and nothing is written" {
	disks three-chunk-sizes
	# The joint of snap2 says that the origin had 19 extents when it was taken.
	local joint=$'extent_count = 20\n\ntype = "snapshot"\nchunk_size = 32\norigin = "base"\ncow_store = "snap2"'
	lvm_text edit "$joint" "${joint/ = 20/ = 19}" disk0.img
	sum disk0.img >before
	run -64 --separate-stderr snapmerge -y --all-siblings lvm:disk0.img:vg0/snap1
	[[ ${stderr_lines[-1]} == *"the origin grew in between"* ]]
	[ "$(sum disk0.img)" = "$(cat before)" ]
}

# bats test_tags=long
@test "an origin into which LVM merges another snapshot is refused; alone it is shown as what it will be" {
	disks merge-pending
	[ "$(raw lvm:disk0.img:vg0/base)" = "$(kernel_sha merge-pending vg0/base)" ]
	run -0 --separate-stderr snapmerge -y lvm:disk0.img:vg0/snap
	[[ ${stderr_lines[-1]} == *"LVM removes vg0/snap by itself when the volume group is activated" ]]
	disks three-chunk-sizes
	lvm_text edit 'cow_store = "snap2"' 'merging_store = "snap2"' disk0.img
	sum disk0.img >before
	run -64 --separate-stderr snapmerge -y --json=j --all-siblings lvm:disk0.img:vg0/snap1
	[ "$(member j 'j["error"]["id"]')" = merging ]
	[ "$(sum disk0.img)" = "$(cat before)" ]
	[ "$(raw lvm:disk0.img:vg0/base)" = "$(kernel_sha three-chunk-sizes vg0/snap2)" ]
	[ "$(raw lvm:disk0.img:vg0/snap1)" = "$(kernel_sha three-chunk-sizes vg0/snap1)" ]
}

@test "every tool refuses an origin that the volume group does not name" {
	disks two-vgs
	local other=lvm:disk1.img,disk2.img:vg0b/base snap=lvm:disk0.img,disk2.img:vg0a/snap tool
	for tool in "snapmerge -y" "snapcheck" "snapdump --raw -o -" "snapcheck --origin=$other"; do
		# shellcheck disable=SC2086
		run -64 --separate-stderr $tool $([[ $tool == *origin* ]] || echo $other) $snap
		one_sentence
		[[ $stderr == *"LVM says that $snap is a snapshot of lvm:disk0.img,disk2.img:vg0a/base, not of $other"*--force=origin ]]
	done
}

# bats test_tags=long
@test "a raid0 origin is written; cached ones are read, and refused before the first write" {
	disks raid0-origin
	local d=disk0.img,disk1.img name
	run -0 snapmerge -q -y lvm:$d:vg0/snap
	[ "$(raw lvm:$d:vg0/base)" = "$(kernel_sha raid0-origin vg0/snap)" ]
	for name in cached; do
		disks $name
		sha256sum disk*.img >sums
		[ "$(raw lvm:$d:vg0/snap)" = "$(kernel_sha $name vg0/snap)" ]
		run -64 --separate-stderr snapmerge -y --json=j lvm:$d:vg0/snap
		[ "$(member j 'j["error"]["id"]')" = lv-write ]
		sha256sum --quiet -c sums
		run -0 --separate-stderr snapmerge -q -o new.img lvm:$d:vg0/snap
		[ "$(sum new.img)" = "$(kernel_sha $name vg0/snap)" ]
		rm new.img
	done
	run -0 snapcheck --list disk0.img disk1.img
	[[ $output == *"vg0/base "*"LV cache"*"origin of 1 snapshot; the origin of the cache is read"* ]]
	[[ $output == *"vg0/wc "*"which is not supported"* ]]
	disks thin
	run -0 snapcheck --list disk0.img
	[[ $output == *'vg0/t1s1 '*'device 2 of the pool vg0/pool, snapshot of t1'* ]]
	disks snapshot-of-thin
	run -0 --separate-stderr snapcheck lvm:disk0.img:vg0/snap
	[[ $stderr == *"vg0/snap is a snapshot of lvm:disk0.img:vg0/base"* ]]
	run -64 snapmerge -y lvm:disk0.img:vg0/snap
}

# of_legs: the digests of both legs of vg0/base, in one line.
of_legs() {
	local leg
	for leg in 0 1; do raw lvm:disk0.img,disk1.img:vg0/base_rimage_$leg; done | paste -sd' '
}

# refused ID WORDS [OPTION...]: so is the merge of the snapshot, and nothing is written.
refused() {
	local id=$1 words=$2 how
	shift 2
	sha256sum disk*.img >sums
	for how in -y -n; do
		run -64 --separate-stderr snapmerge $how --json=j "$@" $snap
		[[ $stderr == *"$words"* ]] || { echo "$stderr"; return 1; }
		[ "$(member j 'j["error"]["id"]')" = "$id" ]
		rm j
	done
	sha256sum --quiet -c sums
}

# bats test_tags=long
@test "a raid1 origin: all legs are written alike, and taken back; a run that was cut off between them is finished" {
	local snap=lvm:disk0.img,disk1.img:vg0/snap wanted before
	disks raid1-origin
	wanted=$(kernel_sha raid1-origin vg0/snap) before=$(kernel_sha raid1-origin vg0/base)
	snapdump -q --raw -o super0 lvm:disk0.img,disk1.img:vg0/base_rmeta_0
	snapdump -q --raw -o super1 lvm:disk0.img,disk1.img:vg0/base_rmeta_1
	run -0 --separate-stderr snapmerge -n $snap
	[[ $stderr == *"vg0/base is a raid1: all 2 legs are written alike; elsewhere they hold the same bytes"* ]]
	# One leg has what the snapshot holds, the other one does not.
	cp disk1.img was
	run -0 snapmerge -q -y --keep $snap
	cp was disk1.img
	[ "$(of_legs)" = "$wanted $before" ]
	run -0 --separate-stderr snapmerge -y --json=j --save-undo=undo $snap
	[ "$(of_legs)" = "$wanted $wanted" ]
	[ "$(member j 'j["plan"]["legs"]')" = 2 ]
	run -0 snapcheck --is-empty $snap
	[ "$(raw lvm:disk0.img,disk1.img:vg0/base_rmeta_0)" = "$(sum super0)" ]
	[ "$(raw lvm:disk0.img,disk1.img:vg0/base_rmeta_1)" = "$(sum super1)" ]
	disks raid1-origin
	rm undo
	run -0 snapmerge -q -y --save-undo=undo $snap
	run -0 snapmerge -q -y --take-back lvm:disk0.img,disk1.img:vg0/base undo
	[ "$(of_legs)" = "$before $before" ]
}

# bats test_tags=long
@test "a raid1 whose legs are not all complete, or differ elsewhere, is refused before the first write" {
	local snap=lvm:disk0.img,disk1.img:vg0/snap super=$((1 << 20)) data=1572864
	disks raid1-origin
	snap=lvm:disk0.img:vg0/snap refused lv-legs "leg 1 of vg0/base is missing"
	# The second leg: an older event, failed, not rebuilt; both: not synchronised.
	poke disk1.img $((super + 16)) '\023'
	refused lv-legs "leg 1 of vg0/base is missing, has failed, or was not rebuilt"
	disks raid1-origin
	poke disk1.img $((super + 24)) '\002'
	refused lv-legs "leg 1 of vg0/base is missing, has failed, or was not rebuilt"
	disks raid1-origin
	poke disk1.img $((super + 32)) '\200'
	refused lv-legs "leg 1 of vg0/base is missing, has failed, or was not rebuilt"
	disks raid1-origin
	poke disk0.img $((super + 40)) '\200'
	refused lv-legs "the legs of vg0/base were not synchronised to their end"
	disks raid1-origin
	# A byte that no exception covers: which of the two is right?
	poke disk1.img $((data + (9 << 20))) X
	refused lv-legs "disk0.img at byte $((data + (9 << 20))) and disk1.img at byte $((data + (9 << 20)))"
	refused unsupported "has several legs, and what cannot be read today" --skip-unreadable --force=legs
	run -0 --separate-stderr snapmerge -y --force=legs $snap
	[[ $stderr == *"elsewhere they were not compared"* ]]
	[ "$(of_legs | cut -d' ' -f1)" = "$(kernel_sha raid1-origin vg0/snap)" ]
	poke disk1.img $((data + (9 << 20))) "$(dd if=disk0.img bs=1 skip=$((data + (9 << 20))) count=1 status=none | od -An -to1 | sed 's/ */\\/')"
	[ "$(of_legs)" = "$(kernel_sha raid1-origin vg0/snap) $(kernel_sha raid1-origin vg0/snap)" ]
}
