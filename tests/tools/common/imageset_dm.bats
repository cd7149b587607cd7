#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# Images on device-mapper devices, in a kernel that has them (user-mode-linux).
# bats file_tags=kernel,slow
bats_require_minimum_version 1.8.0

says() {
	grep -qE -- "$2" "$1.out" || {
		echo "$1: expected $2, found:"
		cat "$1.out"
		return 1
	}
}

@test "a snapshot, an origin, a merge, and what they stand on are refused; a new file needs no O_TMPFILE" {
	cd "$BATS_TEST_TMPDIR"
	truncate -s 8M origin.img cow.img
	ln -s "$COW_BUILD/tests/kernel/image_open" .
	PYTHONPATH=$COW_SOURCE/tests/kernel python3 -B -c 'if True:
		import lab, sys
		boot = lab.Boot(sys.argv[1] + "/boot", sys.argv[2], sys.argv[1], timeout=120)
		boot.start()
		boot.wait()' "$PWD" "$COW_SOURCE/tests/kernel/image_dm.sh"
	for name in snapshot-read snapshot-busy snapshot-write; do
		says $name '^EPERM dm-snapshot -: .*"snap" of type snapshot;.*/dev/loop0 and /dev/loop1.*dmsetup remove snap"'
	done
	says origin-write '^EPERM dm-snapshot -: .*"whole" of type snapshot-origin;.*/dev/loop0,'
	says merge-write '^EPERM dm-snapshot -: .*"merging" of type snapshot-merge;'
	says linear-write '^ok 8388608 512 device'
	says held-read '^EBUSY held busy: /dev/dm-[01] stands on it'
	says held-read 'it is the origin of snap \(COW image /dev/loop1\): a merge of any other snapshot corrupts those that are not named as siblings'
	! grep 'the origin of' held-write.out || return 1
	says held-busy '^ok 8388608'
	says held-write '^EBUSY held -: /dev/dm-[0-9] stands on it'
	says backing-write '^EBUSY loop -: it is behind /dev/loop0'
	[ "$(grep -c '^ok' free-write.out)" = 2 ]
	[ "$(grep -c '^ok' partition.out)" = 2 ]
	[ "$(grep -c '^ok' output.out)" = 3 ]
	[ "$(stat -c %s new.img)" = 1048576 ]
	[ "$(head -c 5 new.img)" = hello ]
	says output-again '^EEXIST exists overwrite'
	[ ! -e dropped.img ]
	run ls -A
	[[ $output != *.img.* ]]
}
