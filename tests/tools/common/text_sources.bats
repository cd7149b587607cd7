#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# Text and archives that are read to their end: what if there is none?
bats_require_minimum_version 1.8.0
load ../../common

setup() {
	cd "$BATS_TEST_TMPDIR" || return 1
}

# interrupted COMMAND...: it reads the FIFO "endless", gets SIGTERM there, and ends with 32.
interrupted() {
	local pid status=0
	"$@" >out 2>err 3>&- 7>&- &
	pid=$!
	until [[ $(readlink /proc/$pid/exe) == */"$1" ]] && readlink /proc/$pid/fd/* 2>/dev/null | grep -q /endless$; do
		kill -0 $pid || { cat err; return 1; }
	done
	kill -TERM $pid
	wait $pid || status=$?
	[ $status -eq 32 ] || { echo "$*: exit status $status"; cat err; return 1; }
}

@test "SIGTERM ends a tool that waits for the next piece of a map, a manifest or an export" {
	pair both-c32
	mkfifo endless
	# Somebody who could write, and does not.
	exec 7<>endless
	interrupted snapcheck --bad-blocks=endless origin.img cow.img
	interrupted snapcheck --verify=endless origin.img cow.img
	interrupted snapdump --delta --against=endless -o d.tar origin.img cow.img
	interrupted snapcreate --import=endless zero:1m new.img
	[ ! -e d.tar ] && [ ! -e new.img ]
	exec 7>&-
}

@test "lines and blanks have an end, whatever the file says" {
	pair both-c32
	run -64 --separate-stderr timeout 20 snapcheck --bad-blocks=/dev/zero origin.img cow.img
	[[ $stderr == *"/dev/zero is no mapfile of ddrescue: line 1: it is too long, or not text"* ]]
	mkfifo blanks
	{ while printf '%65536s' ''; do :; done >blanks 2>/dev/null || true; } 3>&- &
	run -64 --separate-stderr timeout 20 snapcheck --verify=blanks origin.img cow.img
	[[ $stderr == *"blanks: byte 65537: more than 65536 blanks"* ]]
	# A comment may be long.
	{ printf '# %60000s\n0x0 +\n' ''; printf '0x0 0x%x +\n' "$(stat -c %s cow.img)"; } >map
	run -0 snapcheck --bad-blocks=map origin.img cow.img
}

# bats test_tags=long
@test "an archive in one compression is read, one in two is refused before the second is looked at" {
	pair both-c32
	snapdump -q --tar -o v.tar origin.img cow.img
	for tool in gzip bzip2 xz zstd lz4; do
		command -v $tool >/dev/null || { [ $tool = lz4 ] && continue; }
		$tool -qc v.tar >v.packed
		run -0 snapcreate --import=v.packed "zero:$(stat -c %s origin.img)" new.img
		rm new.img
		# The first byte of a pipe may come alone.
		{ head -c 1 v.packed; tail -c +2 v.packed; } | snapcreate --import=- "zero:$(stat -c %s origin.img)" new.img
		rm new.img
		gzip -c v.packed >v.twice
		run -64 --separate-stderr snapcreate --import=v.twice "zero:$(stat -c %s origin.img)" new.img
		[[ $stderr == *"v.twice: not a tar"* ]]
	done
}
