#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# snapcheck --verify: the view against the digests that an export left.
bats_require_minimum_version 1.8.0
load ../../common

setup() {
	cd "$BATS_TEST_TMPDIR"
	pair both-c32
}

# bats test_tags=long
@test "a view that is what the manifest says: exit 0, from JSON, tar, compressed tar and delta" {
	snapdump -q --tar -o v.tar origin.img cow.img
	snapdump -q --tar -o v.tar.zst origin.img cow.img
	snapdump -q --delta -o d.tar.gz origin.img cow.img
	tar -xOf v.tar manifest.json >m.json
	for manifest in m.json v.tar v.tar.zst d.tar.gz; do
		run -0 --separate-stderr snapcheck --verify="$manifest" --json=j origin.img cow.img
		[[ $output == *"the view is what the manifest says, byte for byte"* ]]
		[ "$(member j 'j["verify"]["ranges_differ"]')" = 0 ]
	done
	run -0 snapcheck --verify=- origin.img cow.img <m.json
}

@test "snapcreate --manifest writes what --verify reads" {
	snapdump -q --raw -o changed.img origin.img cow.img
	snapcreate -q --from=changed.img --manifest=m.json origin.img new.img
	run -0 snapcheck --verify=m.json origin.img new.img
}

# bats test_tags=long
@test "data that changed under a sound store is found, and where it lies" {
	snapdump -q --tar -o v.tar origin.img cow.img
	cp cow.img good.img
	# a data chunk of the COW image
	poke cow.img $((20 * 16384 + 100)) 'XXXXXXXX'
	run -0 snapcheck origin.img cow.img
	run -4 --separate-stderr snapcheck --verify=v.tar --json=j origin.img cow.img
	[[ $output == *"lost: image.digest-mismatch, byte "* ]]
	[[ $output == *"snapshot data: not complete"* ]]
	[[ $output == *"merge: not safe"* ]]
	[ "$(member j 'j["counts"]["lost"], j["verify"]["ranges_differ"], j["exit"]')" = "(1, 1, 4)" ]
	offset=$(member j 'j["findings"][0]["offset_bytes"]')
	snapdump -q --raw -o good.raw origin.img good.img
	first=$(snapdump --raw origin.img cow.img | cmp -l - good.raw | awk 'NR == 1 { print $1 }')
	[ $(((first - 1) / 1048576 * 1048576)) -eq "$offset" ]
	# and of the origin
	cp good.img cow.img
	# the first place that the COW image does not hold
	hole=$(snapdump --map origin.img cow.img | awk '!/^#/ { if ($1 > end) { print end; exit } end = $1 + $2 }')
	[ "$hole" -lt $((8 << 20)) ]
	poke origin.img "$hole" 'XXXXXXXX'
	run -4 --separate-stderr snapcheck --verify=v.tar --json=j origin.img cow.img
	[ "$(member j 'j["findings"][0]["offset_bytes"]')" -eq $((hole / 1048576 * 1048576)) ]
	[[ $output == *"lie there"* || $output == *"all of it is the origin's"* ]]
}

# bats test_tags=long
@test "the wrong manifest, a cut one and a changed one: one sentence, exit 64" {
	snapdump -q --tar -o v.tar origin.img cow.img
	tar -xOf v.tar manifest.json >m.json
	truncate -s 4M small.img
	snapdump -q --tar -o small.tar small.img
	tar -xOf small.tar manifest.json >small.json
	head -c 500 m.json >cut.json
	sed 's/"complete": true/"complete": false/' m.json >incomplete.json
	sed '/\[0, "/s/"[0-9a-f]\{8\}/"00000000/' m.json >changed.json
	! cmp -s m.json changed.json || return 1
	head -c 100000 v.tar >cut.tar
	tar -cf other.tar m.json
	for manifest in small.json cut.json incomplete.json changed.json cut.tar other.tar; do
		run --separate-stderr snapcheck --verify="$manifest" origin.img cow.img
		[ "$status" -eq 64 ] || [ "$status" -eq 8 ] || { echo "$manifest: $status"; return 1; }
		one_sentence
		[[ $stderr == *"$manifest"* ]] || { echo "$manifest: $stderr"; return 1; }
	done
	run --separate-stderr snapcheck --verify=small.json origin.img cow.img
	[[ $stderr == *"4194304 bytes, but origin.img has 8388608"* ]]
	run -8 --separate-stderr snapcheck --verify=missing.json origin.img cow.img
	one_sentence
	run -16 snapcheck --verify=m.json cow.img
	run -16 snapcheck --verify=m.json --header-only origin.img cow.img
	snapdump -q --metadata -o p origin.img cow.img
	run -64 --separate-stderr snapcheck --verify=m.json origin.img p
	one_sentence
}

# bats test_tags=long
@test "a damaged store is compared as the kernel reads it, a repaired one again" {
	snapdump -q --tar -o v.tar origin.img cow.img
	# the last record becomes a hole in front of nothing: an exception is gone
	poke cow.img $((16384 + 10 * 16 + 8)) '\x00\x00\x00\x00\x00\x00\x00\x00'
	run -4 --separate-stderr snapcheck --verify=v.tar origin.img cow.img
	[[ $output == *persistent.hole* ]]
	[[ $output == *image.digest-mismatch* ]]
	run -5 --separate-stderr snapcheck -y -o new.img --verify=v.tar --json=j origin.img cow.img
	[ "$(member j '[f["id"] for f in j["findings_left"] if f["class"] in ("damage", "lost")]')" = "['image.digest-mismatch']" ]
	[[ $output == *"snapshot data: not complete"* ]]
	poke cow.img 8 '\x02'
	run -4 --separate-stderr snapcheck --verify=v.tar --json=j origin.img cow.img
	[ "$(member j 'j["verify"]')" = None ]
	[[ $stderr == *"no view to compare"* ]]
}
