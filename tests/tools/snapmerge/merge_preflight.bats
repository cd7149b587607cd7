#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# What snapmerge refuses before its first write, each with its id. Those with
# siblings and undo are in merge_siblings.bats.
bats_require_minimum_version 1.8.0
load ../../common

setup() {
	cd "$BATS_TEST_TMPDIR"
}

# refused ID FORCE ARGUMENT...: exit 64, one sentence, nothing written.
refused() {
	local id=$1 force=$2 before
	shift 2
	before=$(sha256sum -- *.img | sha256sum)
	run -64 --separate-stderr snapmerge -y --json=j "$@"
	[ "$(member j 'j["error"]["id"], j["error"]["force"] or ""')" = "('$id', '$force')" ] || {
		cat j
		return 1
	}
	one_sentence
	if [ "$id" = not-an-image ]; then # nobody would try
		[[ $stderr != *force* ]]
	else
		[[ $stderr == *"(cannot be forced)"* ]] || [[ $stderr == *"--force=$force"* ]]
	fi
	[ "$(sha256sum -- *.img | sha256sum)" = "$before" ]
}

# bats test_tags=slow
@test "each refusal has its id" {
	pair both-c32
	refused swapped "" cow.img origin.img
	refused overlap "" cow.img@0 cow.img
	mkdir dir.d
	refused not-an-image "" origin.img dir.d
	head -c 1M /dev/zero >zero.img
	refused not-a-store "" origin.img zero.img
	cp origin.img short.img
	truncate -s 1M short.img
	refused bounds "" short.img cow.img
	cp cow.img bad.img
	poke bad.img 4 '\x00\x00\x00\x00'
	refused invalid "" origin.img bad.img
	cp cow.img bad.img
	truncate -s 1000000 bad.img
	refused damaged "" origin.img bad.img
	exec 8<cow.img
	flock -s 8
	refused locked "" origin.img cow.img
	exec 8<&-
	run -16 snapmerge -y --batch=1 origin.img cow.img
}

# bats test_tags=limit,long
@test "an image that cannot be written" {
	pair both-c32
	chmod 0444 origin.img
	chmod 0755 .
	as=()
	if [ "$(id -u)" -eq 0 ]; then # who writes everywhere
		chmod 0666 cow.img
		cp "$(command -v snapmerge)" snapmerge-copy
		as=(setpriv --reuid=65534 --clear-groups)
	else
		ln -s "$(command -v snapmerge)" snapmerge-copy
	fi
	before="$(sum origin.img) $(sum cow.img)"
	run -8 --separate-stderr "${as[@]}" ./snapmerge-copy -y origin.img cow.img
	[[ $stderr == *"origin.img"*"Permission denied"* ]]
	[ "$(sum origin.img) $(sum cow.img)" = "$before" ]
}

# bats test_tags=long
@test "another file system in the snapshot than in the origin" {
	truncate -s 16M base.img
	mke2fs -q -F -t ext4 -U 11111111-1111-1111-1111-111111111111 base.img
	cp base.img new.img
	tune2fs -U 22222222-2222-2222-2222-222222222222 new.img >/dev/null
	snapcreate -q --from=new.img base.img cow.img
	cp cow.img all.img
	refused uuid uuid base.img cow.img
	[[ $stderr == *"ext4 with UUID 11111111-"*"ext4 with UUID 22222222-"* ]]
	refused uuid uuid -n base.img cow.img
	# What was begun goes on; a mixture has no UUID to speak of.
	run strace -qq -o /dev/null -e inject=pwritev:signal=SIGKILL:when=2 snapmerge -y --force=uuid base.img cow.img
	[ "$status" -eq 137 ]
	run -0 snapmerge -y base.img cow.img
	cmp base.img new.img
}

@test "the same file system, and none at all, are merged" {
	truncate -s 16M base.img
	mke2fs -q -F -t ext4 base.img
	cp base.img new.img
	tune2fs -L label new.img >/dev/null
	snapcreate -q --from=new.img base.img cow.img
	run -0 snapmerge -y base.img cow.img
	cmp base.img new.img
	truncate -s 16M empty.img
	snapcreate -q --from=new.img empty.img cow2.img
	run -0 snapmerge -y empty.img cow2.img
	cmp empty.img new.img
}

# bats test_tags=long,limit
@test "a sparse origin whose file system lacks the room: refused before the first write; forced, it stops and goes on later" {
	[ "$(id -u)" -eq 0 ] || skip "needs root"
	cd "$BATS_TEST_TMPDIR"
	mkdir small
	mount -t tmpfs -o size=2M none small
	truncate -s 4M small/origin
	head -c 3M /dev/urandom >new
	truncate -s 4M new
	snapcreate -q --from=new small/origin cow
	before=$(cat small/origin cow | sha256sum)
	for dry in "" -n; do
		run -64 --separate-stderr snapmerge $dry -y --json=j small/origin cow
		[[ $stderr == *"small/origin is sparse and would grow by 3145728 bytes (3 MiB), its file system has 2097152 bytes (2 MiB) left"* ]]
		[ "$(member j 'j["error"]["id"], j["error"]["force"]')" = "('no-space', 'no-space')" ]
		[ "$(cat small/origin cow | sha256sum)" = "$before" ]
	done
	run -8 snapmerge -q -y --force=no-space small/origin cow
	# What of it has its blocks counts no more.
	mount -o remount,size=3200K small
	run -0 snapmerge -q -y small/origin cow
	cmp new small/origin
	umount small
}

teardown() {
	! mountpoint -q "$BATS_TEST_TMPDIR/small" || umount "$BATS_TEST_TMPDIR/small"
}
