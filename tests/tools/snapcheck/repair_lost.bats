#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# What a repair says of data that is gone: exit status 4, the verdict, JSON.
bats_require_minimum_version 1.8.0
load ../../common

setup() {
	cd "$BATS_TEST_TMPDIR"
}

@test "a list that was overwritten from its beginning is lost, and said to be" {
	store "size 1M\nheader\nauto 5 20\ndata 2 22\n"
	yes "words that are no records " | head -c 4096 | dd of=cow.img bs=4096 seek=1 conv=notrunc status=none
	run -4 snapcheck -y -o new.img --json=j cow.img
	[[ $output == *"new.img: repaired, but at least 4 KiB of the snapshot are lost"*"snapshot data: not complete"*"merge: not safe"*"lost: at least 1 exception of new.img"*"keep this report"* ]]
	[ "$(member j 'j["repair"]["data_lost"], j["repair"]["left"], j["store"]["exceptions"]')" = "(True, 0, 0)" ]
	run -0 snapcheck -y new.img
}

@test "what the kernel reads of a run that nobody wrote does not stand for lost data" {
	truncate -s 400K origin.img
	store "size 40960\nheader\nrecord 20 0x0200000000000002\nrecord 30 3\nrecord 31 4\nrecord 32 5\nrecord 21 90000\ndata 2 4\n"
	run -5 snapcheck -y --force=lost --json=j origin.img cow.img
	[ "$(member j 'j["repair"]["data_lost"], j["repair"]["left"]')" = "(True, 0)" ]
}

# given_up BEFORE AFTER: the ranges of the view of 2000 chunks that the list of
# BEFORE names and that of AFTER does not, by a reader that knows nothing else.
given_up() {
	python3 - "$@" <<-'END'
		import struct, sys
		def olds(path):
		    data = open(path, "rb").read()
		    found, area = set(), 0
		    while True:
		        at = 4096 * (1 + area * 257)
		        for i in range(256):
		            old, new = struct.unpack_from("<QQ", data, at + 16 * i)
		            if not new:
		                return found
		            if old < 2000:
		                found.add(old)
		        area += 1
		gone = sorted(olds(sys.argv[1]) - olds(sys.argv[2]))
		ranges = []
		for c in gone:
		    if ranges and ranges[-1][0] + ranges[-1][1] == c * 4096:
		        ranges[-1][1] += 4096
		    else:
		        ranges.append([c * 4096, 4096])
		print(ranges)
	END
}

# bats test_tags=long
@test "noise over 64 records, whole areas: what is given up is listed, by range" {
	truncate -s 8000K origin.img
	for noise in "1024 5000" "512 4608" "4096 4096" "4096 1056768" "96 4112"; do
		store "size 4M\nheader\nauto 100 700\n"
		cp cow.img sound.img
		python3 -c 'import random, sys; random.seed(7); sys.stdout.buffer.write(random.randbytes(int(sys.argv[1])))' "${noise% *}" |
			dd of=cow.img bs=1 seek="${noise#* }" conv=notrunc status=none
		rm -f new.img
		run --separate-stderr snapcheck -y -o new.img --json=j origin.img cow.img
		[ "$status" -eq 4 ] || [ "$status" -eq 5 ] || { echo "$noise: $status"; return 1; }
		[[ $output == *"snapshot data: not complete"*"keep this report" ]]
		[[ $stderr != *"next: snapcheck new.img"* ]]
		[ "$(member j '[[r["offset_bytes"], r["length_bytes"]] for r in j["lost"]]')" = "$(given_up cow.img new.img)" ]
		# all of the sound list is there, or listed, or counted
		missing=$(given_up sound.img new.img | python3 -c 'import json, sys; print(sum(r[1] for r in json.load(sys.stdin)))')
		[ "$missing" -gt 0 ]
		[ "$(member j "j['repair']['lost_bytes'] + j['repair']['lost_elsewhere'] > 0")" = True ]
	done
}

# bats test_tags=long
@test "an origin that is a container, or another disk: nothing is given up for it" {
	store "size 4M\nheader\nauto 100 700\n"
	qemu-img create -q -f qcow2 origin.qcow2 8000K
	truncate -s 256K short.img
	# its format is said where it is known
	for origin in origin.qcow2 short.img; do
		words="$origin is too short for this snapshot, or is not its origin"
		[ "$origin" = short.img ] || words="$origin looks like a qcow2 image"
		rm -f new.img
		run -4 --separate-stderr snapcheck -y -o new.img --json=j "$origin" cow.img
		[[ $stderr == *"$words"* ]]
		[[ $output == *"not checked against $origin, which does not seem to be its origin"*"snapshot data: not complete"*"repair: 0 problems repaired; "* ]]
		[ "$(member j 'j["verdict"]["origin_in_doubt"], j["repair"]["data_lost"]')" = "(True, False)" ]
		cmp new.img cow.img
	done
}
