#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# The real kernel as judge. Everything is in tests/kernel/run.py, which says how
# to run one case; here it is called. Nothing is ever skipped: a machine on
# which the kernel does not boot fails.
# bats file_tags=kernel,slow
bats_require_minimum_version 1.8.0

setup() {
	export TMPDIR=$BATS_TEST_TMPDIR
	lab=$COW_SOURCE/tests/kernel
}

@test "the judge is awake: naive tools agree with the kernel, and each bug planted in them is noticed" {
	"$lab/run.py" --self-test
}

@test "kernel, tools and model agree: 32 random cases" {
	"$lab/run.py" --count 32
}

@test "the lab works without HOME" {
	env -u HOME "$lab/run.py" --count 1
}

# no_way_past FILE: pasted into a shell that goes on after a failure, nothing follows one.
no_way_past() {
	[ "$(sed '$d' "$1" | grep -vc ' &&$')" = 0 ]
	! grep ' &&$' <<<"$(tail -1 "$1")" || return 1
}

@test "LVM: an upgrade is rolled back between active volumes; a damaged or unfinished one keeps its snapshot" {
	mkdir "$TMPDIR/job"
	echo "$COW_BUILD" >"$TMPDIR/job/path"
	"$COW_SOURCE/tests/house/pages.py" examples "$COW_SOURCE/man/snapmerge.8" "$TMPDIR/example"
	cp "$(grep -l 'dmsetup remove vg-snap vg-root' "$TMPDIR"/example-*)" "$TMPDIR/job/merge"
	cp "$(grep -l 'dmsetup remove vg-snap-cow vg-root-real' "$TMPDIR"/example-*)" "$TMPDIR/job/remove"
	grep -q 'snapmerge -y /dev/mapper/vg-root-real' "$TMPDIR/job/merge"
	[ "$(head -1 "$TMPDIR/job/remove")" = "snapcheck --is-empty /dev/mapper/vg-root-real /dev/mapper/vg-snap-cow &&" ]
	no_way_past "$TMPDIR/job/merge"
	no_way_past "$TMPDIR/job/remove"
	! grep lvremove "$TMPDIR/job/merge" || return 1
	truncate -s 128M "$TMPDIR/disk"
	"$lab/lab.py" "$TMPDIR/boot" "$lab/lvm.sh" "$TMPDIR/job" "$TMPDIR/disk"
}

@test "LVM: snapshots are merged by their names, and LVM goes on: activated in between, scheduled by LVM, two of them" {
	mkdir "$TMPDIR/job"
	echo "$COW_BUILD" >"$TMPDIR/job/path"
	for block in list:"Roll back an upgrade" merge:"Nothing may be active" remove:"After the next boot"; do
		"$COW_SOURCE/tests/house/pages.py" block "$COW_SOURCE/README.md" "${block#*:}" >"$TMPDIR/job/${block%%:*}"
		no_way_past "$TMPDIR/job/${block%%:*}"
	done
	[ "$(cat "$TMPDIR/job/list")" = "snapcheck --list /dev/sda3" ]
	grep -q '^snapmerge -y lvm:/dev/sda3:vg/snap$' "$TMPDIR/job/merge"
	truncate -s 128M "$TMPDIR/disk0" "$TMPDIR/disk1" "$TMPDIR/disk2"
	"$lab/lab.py" "$TMPDIR/boot" "$lab/lvm_offline.sh" "$TMPDIR/job" "$TMPDIR"/disk[012]
}

@test "LVM: a thin volume is rolled back on its disk; LVM activates, checks, writes, removes the snapshot and makes new ones" {
	mkdir "$TMPDIR/job"
	echo "$COW_BUILD" >"$TMPDIR/job/path"
	truncate -s 64M "$TMPDIR/disk"
	"$lab/lab.py" "$TMPDIR/boot" "$lab/lvm_thin.sh" "$TMPDIR/job" "$TMPDIR/disk"
}

@test "LVM: 10,000 volumes on two PVs of 8 TiB are listed as LVM lists them" {
	mkdir "$TMPDIR/job"
	"$COW_SOURCE/tests/aids/lvm_text.py" many 10000 "$TMPDIR/a" "$TMPDIR/b"
	"$lab/lab.py" "$TMPDIR/boot" "$lab/lvm_many.sh" "$TMPDIR/job" "$TMPDIR/a" "$TMPDIR/b"
	[ "$(wc -l <"$TMPDIR/job/lvs")" -eq 10000 ]
	snapcheck --list --json "$TMPDIR/a" "$TMPDIR/b" |
		python3 -c 'import json, sys
for v in json.load(sys.stdin)["volumes"]:
    if v["kind"] == "lv":
        print(v["name"], v["size_bytes"])' | diff <(awk '{ print $1, $2 }' "$TMPDIR/job/lvs") -
}

@test "LVM: raid5 in each layout reads as the kernel reads it; a snapshot on one, too" {
	mkdir "$TMPDIR/job"
	truncate -s 32M "$TMPDIR/disk0" "$TMPDIR/disk1" "$TMPDIR/disk2" "$TMPDIR/disk3"
	"$lab/lab.py" "$TMPDIR/boot" "$lab/lvm_raid.sh" "$TMPDIR/job" "$TMPDIR"/disk[0123]
	cd "$TMPDIR"
	[ "$(wc -l <job/sums)" -eq 6 ]
	while read -r name sum; do
		[ "$(snapdump -q --raw -o - "lvm:disk0,disk1,disk2,disk3:vg/$name" | sha256sum)" = "$sum  -" ] ||
			{ echo "$name"; return 1; }
	done <job/sums
	# a merge into one is refused, and so is a leg that is missing
	run -64 snapmerge -y lvm:disk0,disk1,disk2,disk3:vg/snap
	[[ $output == *'of the type "raid5_ls": it is read, but not written'* ]]
	run -64 snapdump --raw -o new lvm:disk0,disk2,disk3:vg/n
	[[ $output == *"read only if all legs are complete"* ]]
}

@test "LVM: a merge into a raid1, killed or not: the kernel finds its legs alike, and the snapshot in them" {
	mkdir "$TMPDIR/job"
	echo "$COW_BUILD" >"$TMPDIR/job/path"
	truncate -s 32M "$TMPDIR/disk0" "$TMPDIR/disk1"
	"$lab/lab.py" "$TMPDIR/boot" "$lab/lvm_raid1.sh" "$TMPDIR/job" "$TMPDIR"/disk[01]
}

@test "a root file system is rolled back from an initramfs that holds the static tools alone, and boots" {
	make -s --no-print-directory -C "$COW_SOURCE" static
	for tool in snapmerge snapcheck; do
		[ "$(stat -c %s "$COW_BUILD/static/$tool")" -lt $((5 << 19)) ]
		! readelf -lW "$COW_BUILD/static/$tool" | grep INTERP || return 1
	done
	cd "$TMPDIR"
	mkdir -p tree/bin tree/sbin tree/etc
	cp "$(command -v busybox)" tree/bin
	echo "version 1" >tree/etc/release
	printf '#!/bin/busybox sh\necho "BOOTED $(/bin/busybox cat /etc/release)"; echo JOB_RC=0\n/bin/busybox poweroff -f\n' >tree/sbin/init
	chmod +x tree/sbin/init
	truncate -s 48M old.img
	mke2fs -q -t ext4 -d tree old.img
	# The upgrade, after which nothing starts.
	cp --sparse=always old.img root.img
	head -c 6M /dev/urandom >new
	printf '%s\n' 'rm /sbin/init' 'rm /etc/release' "write new /sbin/new" "write new /etc/new" >commands
	debugfs -w -f commands root.img >/dev/null 2>&1
	snapcreate -q --from=old.img root.img cow.img
	! cmp -s old.img root.img || return 1
	{
		echo '#mtree'
		printf './%s type=dir mode=755\n' bin dev root
		echo './dev/console type=char mode=600 device=linux,5,1'
		echo './dev/ubda type=block mode=600 device=linux,98,0'
		echo './dev/ubdb type=block mode=600 device=linux,98,16'
		echo "./init type=file mode=755 contents=$lab/initramfs.sh"
		echo "./bin/busybox type=file mode=755 contents=$(command -v busybox)"
		for tool in snapmerge snapcheck; do
			echo "./bin/$tool type=file mode=755 contents=$COW_BUILD/static/$tool"
		done
	} >list
	bsdtar --format=newc -cf initrd.img @list
	cc -static -I"$COW_SOURCE/include" -o cut "$COW_SOURCE/tests/examples/merge_some.c" "$COW_BUILD/libcow.a" -lxxhash
	echo "./cut type=file mode=755 contents=$TMPDIR/cut" >>list
	bsdtar --format=newc -cf cut.img @list
	"$lab/lab.py" "$TMPDIR/boot-1" --initrd "$TMPDIR/cut.img" "$TMPDIR/root.img" "$TMPDIR/cow.img"
	! cmp -s old.img root.img || return 1
	run -0 "$lab/lab.py" "$TMPDIR/boot-2" --initrd "$TMPDIR/initrd.img" "$TMPDIR/root.img" "$TMPDIR/cow.img"
	[[ $output == *"continuing: "* ]]
	[[ $output == *"BOOTED version 1"* ]]
	cmp old.img root.img
	e2fsck -fn root.img
	run -0 snapcheck -q root.img cow.img
	snapcheck --json=j root.img cow.img
	[ "$(python3 -c 'import json; print(json.load(open("j"))["store"]["exceptions"])')" = 0 ]
}
