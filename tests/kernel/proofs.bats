#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# What other tests made, judged by the real kernel: many small cases in one
# boot, by tests/kernel/proofs.py, which says how to run one of them.
# bats file_tags=kernel,slow
bats_require_minimum_version 1.8.0

setup() {
	export TMPDIR=$BATS_TEST_TMPDIR
	lab=$COW_SOURCE/tests/kernel
}

@test "crash states of merges, with siblings, undo and take-back: the kernel completes 200 of them" {
	"$lab/proofs.py" --seed 1 states
}

@test "snapshot-origin: two snapshots of different chunk sizes, by the kernel and by us, are equal" {
	"$lab/proofs.py" origin 24
}

@test "the kernel finishes a merge that we began, and the store is used again: nothing of it is under way" {
	"$lab/proofs.py" --seed 1 reused 6
}

@test "where a list ends: 132 stores of the kernel, one over the other; none is cut, and damaged ones are not sound" {
	run -0 "$lab/list_end.py"
	[[ $output == *"132 stores of the kernel"* ]]
}

@test "snapcheck -y -o NEW of damaged stores: the kernel loads 300 of them and sees what we see" {
	"$lab/proofs.py" --seed 1 damaged
}

@test "the computed size, at the edges of areas, for every chunk size: enough, and one chunk less is not" {
	"$lab/proofs.py" --seed 1 sizes
}

@test "devices with logical blocks of 1024, 2048 and 4096 bytes: what we refuse and make, the kernel refuses and takes" {
	"$lab/proofs.py" blocks
}

@test "thin pools in which the tools and the kernel take turns: every device shows what it should" {
	"$lab/proofs.py" --seed 1 pools 15
}

@test "merges into an origin on which devices of a pool stand: the kernel shows what they showed, and goes on" {
	"$lab/proofs.py" --seed 1 pool_origin 5
}

@test "snapcheck -y -o NEW of damaged pools: the kernel shows what was kept, and goes on writing, snapshotting and deleting" {
	"$lab/proofs.py" --seed 1 repairs leaf-zero cycle-self internal-keys-order details-csum two-ids-one-root data-bitmap-zero
}

@test "fixtures made anew: the kernel hands out the same chunks, and we read what it reads" {
	cd "$TMPDIR"
	"$lab/fixtures.py" new smallest-3chunks partial-last-chunk-c32 exactfit-258 discard-c8
	for folder in smallest-3chunks partial-last-chunk-c32 discard-c8; do
		for image in origin cow; do xz -dc "new/$folder/$image.img.xz" >$image.img; done
		wanted=$(sed -n 's/^kernel_view_sha256 //p' "new/$folder/meta.txt")
		[ "${#wanted}" -eq 64 ]
		[ "$(snapdump --raw origin.img cow.img | sha256sum | cut -d' ' -f1)" = "$wanted" ]
		diff <(grep -v '^#' "new/$folder/exceptions.tsv") <(grep -v '^#' "$COW_FIXTURES/$folder/exceptions.tsv")
	done
	xz -dc new/exactfit-258/cow.img.xz >cow.img
	run -4 snapcheck cow.img
	[[ $output == *persistent.invalid* ]]
}

@test "LVM: a snapshot merged straight on the image of its physical volume is one with nothing left in it" {
	mkdir "$TMPDIR/job"
	cp "$COW_FIXTURES/lvm-1pv/snap-files.sha256" "$TMPDIR/job/files"
	cp "$COW_UNPACKED/lvm-1pv/pv0.img" "$TMPDIR/pv"
	cp "$TMPDIR/pv" "$TMPDIR/disk1"
	snapmerge -q -y "$TMPDIR/disk1@2097152+20971520" "$TMPDIR/disk1@26214400+4194304,32505856+3145728"
	# Metadata of LVM and the other volumes are as they were.
	for part in "0 2097152" "23068672 3145728" "30408704 2097152" "35651584 31457280"; do
		cmp -i "${part% *}" -n "${part#* }" "$TMPDIR/pv" "$TMPDIR/disk1"
	done
	cp "$TMPDIR/disk1" "$TMPDIR/disk2"
	"$lab/lab.py" "$TMPDIR/boot" "$lab/lvm_pv.sh" "$TMPDIR/job" "$TMPDIR/disk1" "$TMPDIR/disk2"
}
