#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# snapmerge into an origin on which devices of a thin pool stand: they go on showing what they showed. The judge is what
# they showed before; thin_check and snapcheck look at the pool.
bats_require_minimum_version 1.8.0
load ../../common

# An origin of 1 MiB, a snapshot of it that changes some of it, and a pool with three devices on that origin: an empty
# one, one with a block of its own, and a snapshot of this.
setup() {
	cd "$BATS_TEST_TMPDIR"
	POOL=thin:metadata=meta,data=data
	ON=size=1M,origin=origin
	head -c 1M /dev/urandom >origin
	cp origin before
	cp origin after
	for at in 0 70000 500000 1000000; do printf changed | dd of=after bs=1 seek=$at conv=notrunc status=none; done
	cp origin second
	printf other | dd of=second bs=1 seek=70000 conv=notrunc status=none
	snapcreate -q --from=after origin cow
	truncate -s 2M data
	snapcreate -q "$POOL"
	snapcreate -q --thin "$POOL,id=1"
	snapcreate -q --thin --from=second "$POOL,id=2,origin=origin"
	snapcreate -q --snapshot-of=2 "$POOL,id=3"
	keep=(--sibling="$POOL,id=1,$ON" --sibling="$POOL,id=2,$ON" --sibling="$POOL,id=3,$ON")
}

# shown: each device shows what it showed, in a sound pool.
shown() {
	snapdump -q --raw "$POOL,id=1,$ON" | cmp - before
	snapdump -q --raw "$POOL,id=2,$ON" | cmp - second
	snapdump -q --raw "$POOL,id=3,$ON" | cmp - second
	snapcheck -q "$POOL"
	thin_check -q meta >/dev/null
}

# refused ID WORDS STATUS COMMAND...: before anything is written.
refused() {
	sha256sum origin cow meta data >sums
	run "-$3" --separate-stderr "${@:4}" --json=j </dev/null
	[[ $stderr == *"$2"* ]] || { echo "$stderr"; false; }
	[ "$(jq -r .error.id j)" = "$1" ] || { cat j; false; }
	sha256sum --quiet -c sums
}

@test "devices of a pool on the origin of a merge show what they showed, and have one block for all" {
	run -0 --separate-stderr snapmerge -n "${keep[@]}" origin cow
	run -0 --separate-stderr snapmerge --json -y "${keep[@]}" origin cow
	[ "$(jq -r '.plan.siblings[0]' <<<"$output")" = "$POOL,id=1,$ON" ]
	cmp origin after
	shown
	# one block of its own, and four of those that were overwritten; one of these device 1 has alone
	[ "$(thin_dump meta | "$COW_SOURCE/tests/aids/thin_count.py")" = 12 ]
	run -0 snapcheck "$POOL"
	[[ $output == *"used/total data in sectors: 640/4096"* ]]
	# the way back, with the same siblings; what they have they need not be given again
	snapcreate -q --from=before origin back
	snapmerge -q -y "${keep[@]}" origin back
	cmp origin before
	shown
	run -0 snapcheck "$POOL"
	[[ $output == *"used/total data in sectors: 640/4096"* ]]
}

@test "what is not said of a device, or is not so, is refused" {
	refused origin "does not say that it stands on origin: add origin=origin" 64 snapmerge -y --sibling="$POOL,id=1,size=1M" origin cow
	refused origin "does not say that it stands on origin" 64 snapmerge -y --sibling="$POOL,id=1,size=1M,origin=before" origin cow
	refused size "the pool does not record how long" 64 snapmerge -y --sibling="$POOL,id=1,origin=origin" origin cow
	refused usage "add id=N" 16 snapmerge -y --sibling="$POOL,$ON" origin cow
	refused no-device "has no device 9" 8 snapmerge -y --sibling="$POOL,id=9,$ON" origin cow
	refused overlap "named twice" 64 snapmerge -y "${keep[@]}" --sibling="$POOL,id=1,$ON" origin cow
	refused unsupported "cannot be marked invalid" 8 snapmerge -y --drop-sibling="$POOL,id=1,$ON" origin cow ||
		refused unsupported "cannot be marked invalid" 64 snapmerge -y --drop-sibling="$POOL,id=1,$ON" origin cow
	# of the others nothing is known: -y is no answer
	refused siblings "nothing says whether devices 2, 3 of meta stand on origin, too" 64 snapmerge -y "${keep[0]}" origin cow
	refused siblings "--force=siblings" 64 snapmerge -n "${keep[0]}" origin cow
	snapmerge -q -y --force=siblings "${keep[0]}" origin cow
	cmp origin after
	snapdump -q --raw "$POOL,id=1,$ON" | cmp - before
	thin_check -q meta
}

@test "a pool without room, of data or of metadata, is refused before anything is written" {
	head -c 1800K /dev/urandom >large
	snapcreate -q --thin --from=large "$POOL,id=4"
	refused data-space "need" 64 snapmerge -y --force=siblings "${keep[@]}" origin cow
	truncate -s 64K small
	truncate -s 2M other
	snapcreate -q --force=overwrite thin:metadata=small,data=other
	snapcreate -q --thin thin:metadata=small,data=other,id=1
	refused metadata-space "are missing" 64 snapmerge -y --sibling=thin:metadata=small,data=other,id=1,$ON origin cow
}

# bats test_tags=slow
@test "killed at any write or flush, the devices are right, and the same command finishes" {
	for image in origin cow meta data; do cp $image $image.kept; done
	for call in pwritev:1 pwrite64:{1..14} fdatasync:{1..8}; do
		for image in origin cow meta data; do cp $image.kept $image; done
		run strace -f -qq -o /dev/null -e "inject=${call%:*}:signal=SIGKILL:when=${call#*:}" \
			env COW_SANDBOX=off snapmerge -q -y "${keep[@]}" origin cow
		[ "$status" -eq 137 ] || [ "$status" -eq 0 ] || { echo "$call: $status $output"; false; }
		[ "$status" -ne 137 ] || killed=$((${killed:-0} + 1))
		shown
		snapdump -q --raw origin cow | cmp - after
		snapmerge -q -y "${keep[@]}" origin cow
		cmp origin after
		shown
	done
	[ "$killed" -ge 12 ]
}
