#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# Images and directories that somebody else controls.
bats_require_minimum_version 1.8.0
load ../../common

setup() {
	cd "$BATS_TEST_TMPDIR" || return 1
}

# store TEXT >FILE: lines separated by commas, as mkstore reads them.
store() {
	tr ',' '\n' <<<"$1" | "$COW_BUILD/tests/examples/mkstore" "$2"
}

# bats test_tags=limit,long
@test "numbers that would make endless loops or endless memory end in a verdict at once" {
	end=9223372036854775296
	store 'size 1M,chunk 8,header,record 0 2,record 36028797018963967 3,record 2251799813685247 4,data 2 3' far.img
	store 'size 64K,header chunk=2097152' large.img
	store 'size 1M,chunk 1,header,record 18014398509481982 2,data 2 1' last.img
	ulimit -v 2000000
	for image in far large last; do
		for command in "snapcheck $image.img" "snapcheck zero:$end $image.img" \
			"snapcheck -y --force=overwrite -o rep.img $image.img" "snapdump --map zero:$end $image.img" \
			"snapcreate -n --from-view=$image.img zero:$end new.img" \
			"snapdump --raw -o new.img zero:$end $image.img" "snapmerge -o new.img zero:$end $image.img"; do
			# shellcheck disable=SC2086
			run timeout 10 $command
			echo "$command: $status"
			[[ $status =~ ^(0|1|4|8|64)$ ]]
			[ ! -e new.img ]
		done
	done
}

# bats test_tags=limit,slow
@test "forged numbers in a clone's superblock and logs of 15 TiB cost neither time nor memory" {
	cp "$COW_UNPACKED/clone/damaged/source-a.img" source
	cp "$COW_UNPACKED/clone/damaged/dest-a.img" dest
	clone=clone:metadata=meta,source=source,destination=dest
	within() {
		# shellcheck disable=SC2086
		run bash -c 'ulimit -t 4 -v 400000; "$@"' - $1
		[[ $status =~ ^(0|1|4|5|8|64)$ ]] || { echo "$2: $1: $status: $output"; false; }
	}
	# size of the metadata, its two roots; region and target; the root of the bits
	for offset in 44 68 76 172 180 188; do
		for value in 0xFFFFFFFFFFFFFFFF 0x10000000000 0; do
			cp "$COW_UNPACKED/clone/damaged/00-clean.meta.img" meta
			"$COW_SOURCE/tests/aids/clone_poke.py" meta "0:$offset:8:$value"
			for command in "snapcheck -q $clone" "snapdump -q --map $clone" "snapcheck -q -y --force=overwrite -o new $clone"; do
				within "$command" "$offset: $value"
			done
		done
	done
	"$COW_SOURCE/tests/aids/snaplog_text.py" . <"$COW_SOURCE/tests/cases/snaplog-two-logs/logs.txt"
	truncate -s 15T log0.img log1.img
	for command in "snapcheck -q $(cat bare)" "snapcheck -q $(cat spec)" "snapdump -q --map $(cat spec)" "snapcheck -q -y $(cat spec)"; do
		within "$command" logs
	done
}

# 2^52 + 5 chunks of 4 KiB are 2^64 bytes and 5 chunks.
@test "a chunk so far out that its offset does not fit is nowhere, not somewhere else" {
	store 'size 1M,chunk 8,header,record 0 4503599627370501,record 1 6,data 5 5,data 6 6' far.img
	truncate -s 1M origin.img
	snapdump --map=ddrescue --force=damaged -o - origin.img far.img | grep '+$' >good
	grep -qx '0x00006000  0x00001000  +' good
	run -1 grep 0x00005000 good
	run -8 --separate-stderr snapdump --raw --force=damaged -o view.raw origin.img far.img
	[[ $stderr == *"lies in chunk 4503599627370501"* ]]
	[ ! -e view.raw ]
}

# bats test_tags=slow
@test "a tar with a hole of eight EiB is small, and made at once" {
	store 'size 1M,chunk 1,header,record 18014398509481982 2,data 2 1' last.img
	timeout 60 snapdump --tar -o new.tar zero:9223372036854775296 last.img
	[ "$(stat -c %s new.tar)" -eq 10240 ]
	[[ $(tar -tvf new.tar | head -1) == *" 9223372036854775296 "*" view.img" ]]
	python3 -c 'import tarfile; m = tarfile.open("new.tar").next(); assert m.sparse == [(9223372036854771712, 3584)], m.sparse'
}

# Somebody has put a link in the place of each output of a job in /tmp.
# bats test_tags=long
@test "an output is never written through a symbolic link of somebody else's" {
	pair both-c32
	mkdir -m 1777 shared
	echo precious >victim
	before="$(sum victim) $(sum origin.img) $(sum cow.img)"
	for target in "$PWD/victim" "$PWD/absent"; do
		ln -sfn "$target" shared/out
		for command in "snapmerge -o shared/out" "snapmerge --save-undo=shared/out" "snapdump --raw -o shared/out" \
			"snapdump --tar -o shared/out"; do
			# shellcheck disable=SC2086
			run $command origin.img cow.img
			echo "$command to $target: $status"
			[ "$status" -ge 8 ]
		done
		run -64 snapcheck -y -o shared/out cow.img
		run -64 snapcreate --manifest=shared/out --from=origin.img origin.img new.img
		run snapcreate origin.img shared/out
		[ "$status" -ge 8 ]
		[ ! -e new.img ]
		# What is forced replaces the link itself.
		run -0 snapdump --raw --force=overwrite -o shared/out origin.img cow.img
		[ ! -L shared/out ]
		rm shared/out
		ln -s "$target" shared/out
	done
	ln -sfn "$PWD/absent" shared/out
	snapcheck -q --json=shared/out origin.img cow.img
	[ ! -L shared/out ]
	[ ! -e absent ]
	[ "$(sum victim) $(sum origin.img) $(sum cow.img)" = "$before" ]
}

# bats test_tags=limit
@test "where files need a temporary name, it is new and no link is followed" {
	pair both-c32
	head -c 80 /dev/zero >report
	strace -f -qq -o trace -e trace=openat,renameat2,linkat -E LD_PRELOAD="$COW_BUILD/tests/faults/shim.so" \
		-E FAULT_NO_TMPFILE=1 -E FAULT_REPORT=report snapdump --raw -o new.img origin.img cow.img
	grep 'openat([0-9]*, "\.new\.img\.[a-z0-5]\{6\}", .*O_CREAT|O_EXCL|.*O_NOFOLLOW' trace
	grep 'renameat2(.*"new.img", RENAME_NOREPLACE) = 0' trace
	[ "$(ls -A | grep -c '^\.new')" -eq 0 ]
}

# bats test_tags=long
@test "what is no image is refused, and never waited for" {
	pair both-c32
	mkfifo fifo
	mkdir directory
	ln -s fifo link
	for bad in fifo link directory /dev/zero; do
		for command in "snapcheck $bad" "snapcheck $bad cow.img" "snapcheck origin.img $bad" \
			"snapmerge origin.img $bad" "snapmerge $bad cow.img" "snapmerge --sibling=$bad origin.img cow.img" \
			"snapmerge --save-undo=$bad origin.img cow.img" "snapmerge --force=overwrite -o $bad origin.img cow.img" \
			"snapdump --tar -o x.tar $bad cow.img" \
			"snapcreate --from=$bad origin.img x.img" "snapcreate --force=overwrite origin.img $bad"; do
			# shellcheck disable=SC2086
			run timeout 10 $command </dev/null
			echo "$command: $status"
			[ "$status" -eq 64 ] || [ "$status" -eq 8 ]
		done
	done
	# What is given out as a stream goes to a FIFO, too, and waits for its reader (outputs.bats).
	run -64 snapdump --raw --force=overwrite -o directory origin.img cow.img
	[ ! -e x.tar ]
	[ ! -e x.img ]
}
