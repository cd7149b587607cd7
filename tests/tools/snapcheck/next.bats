#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# The command that is named next keeps every operand, and who follows it comes to an end.
# bats file_tags=slow
bats_require_minimum_version 1.8.0
load ../../common

setup() {
	cd "$BATS_TEST_TMPDIR"
}

# keeps COMMAND OPERAND...: each operand is in it, but for the last one where the file that was made takes its place. Of
# an operand that consists of several images its metadata alone is replaced: every other part is there.
keeps() {
	local command=$1 parts part
	shift
	[[ $command != "snapdump --metadata"* ]] || return 0
	while [ $# -gt 0 ]; do
		if [[ $command != *"$1"* ]]; then
			[ $# -eq 1 ] && [[ $command == *repaired.img* || $command == *rescue.tar* ]] || return 1
			IFS=, read -ra parts <<<"${1#*:}"
			for part in "${parts[@]}"; do
				[[ $1 != thin:* && $1 != clone:* || $part == metadata=* || $command == *"$part"* ]] || return 1
			done
		fi
		shift
	done
}

# follow COMMAND OPERAND...: runs it, then what it names next, until nothing is named, or a word that only a person can
# fill in. A command that comes again is a circle. Each one keeps the operands, and fits a screen.
follow() {
	local command=$1 seen=() before said notes line
	shift
	while [ -n "$command" ]; do
		for before in "${seen[@]}"; do
			[ "$before" != "$command" ] || { echo "a circle: $(printf '%s; ' "${seen[@]}")$command"; return 1; }
		done
		seen+=("$command")
		[ "${#seen[@]}" -le 8 ] || { echo "no end: $(printf '%s; ' "${seen[@]}")"; return 1; }
		eval "$command" </dev/null >out 2>err && status=0 || status=$?
		[ "$status" -ne 16 ] || { echo "a wrong call: $command: $(<err)"; return 1; }
		mapfile -t said <out
		mapfile -t notes <err
		[ $((${#said[@]} + ${#notes[@]})) -le 25 ] || { echo "does not fit a screen: $command"; cat out err; return 1; }
		command=
		for line in "${notes[@]}"; do
			[[ ! $line =~ ^snap[a-z]*:\ next:\ (.*) ]] || command=${BASH_REMATCH[1]}
		done
		[[ ! $command =~ (^|\ )(ORIGIN|COW|--chunk-size=SIZE)(\ |$) ]] || command=
		[ -z "$command" ] || keeps "$command" "$@" || { echo "${seen[-1]}: lost an operand: $command"; return 1; }
	done
}

@test "next is followed from each damaged fixture to a fixed point" {
	local nr=0
	for dir in "$COW_UNPACKED"/damaged/m*; do
		for command in "snapcheck origin.img cow.img" "snapcheck -t persistent cow.img" \
			"snapcheck --header-only -t persistent origin.img cow.img"; do
			rm -f ./*
			unpack damaged/origin.img origin.img
			cp "$dir/cow.img" cow.img
			operands=(cow.img)
			[[ $command != *origin.img* ]] || operands=(origin.img cow.img)
			follow "$command" "${operands[@]}" || { echo "$dir"; return 1; }
		done
		nr=$((nr + 1))
	done
	[ "$nr" -ge 20 ]
}

@test "a header that is lost: what tells the store is kept, and nothing leads in a circle" {
	pair both-c32
	dd if=/dev/zero of=cow.img bs=512 count=1 conv=notrunc status=none
	follow "snapcheck origin.img cow.img" origin.img cow.img
	rm -f repaired.img
	run -4 --separate-stderr snapcheck -t persistent -c 16K origin.img cow.img
	[[ $stderr == *"next: snapcheck -y -o repaired.img -t persistent --chunk-size=16384 origin.img cow.img" ]]
	follow "snapcheck -t persistent -c 16K origin.img cow.img" origin.img cow.img
	[ -e repaired.img ]
}

@test "next is followed from each damaged clone to a fixed point" {
	local nr=0 clone=clone:metadata=meta,source=source,destination=dest
	for file in "$COW_UNPACKED"/clone/damaged/*.meta.img; do
		rm -f ./*
		cp "$file" meta
		cp "$COW_UNPACKED/clone/damaged/source-a.img" source
		cp "$COW_UNPACKED/clone/damaged/dest-a.img" dest
		follow "snapcheck $clone" $clone || { echo "$file"; return 1; }
		[ $((++nr % 10)) -ne 0 ] || follow "snapcheck meta" meta || { echo "$file"; return 1; }
	done
	[ "$nr" -ge 50 ]
}

@test "next is followed from each damaged pool to a fixed point" {
	local nr=0 pool=thin:metadata=meta,data=data,id=1
	for file in "$COW_UNPACKED"/thin/damaged/*.meta.img; do
		rm -f ./*
		cp "$file" meta
		cp --sparse=always "$COW_UNPACKED/thin/damaged/data.img" data
		follow "snapcheck $pool" $pool || { echo "$file"; return 1; }
		[ $((++nr % 10)) -ne 0 ] || follow "snapcheck meta" meta || { echo "$file"; return 1; }
	done
	[ "$nr" -ge 60 ]
}

@test "next is followed from each set of damaged logs to a fixed point" {
	local nr=0 spec
	for folder in "$COW_SOURCE"/tests/cases/snaplog-*/; do
		rm -f ./*
		"$COW_SOURCE/tests/aids/snaplog_text.py" . <"${folder}logs.txt"
		spec=$(<spec)
		follow "snapcheck '$spec'" "$spec" || { echo "$folder"; return 1; }
		nr=$((nr + 1))
	done
	[ "$nr" -ge 20 ]
}

@test "next keeps what is named in other ways: a volume, a partition, parts, a window, a name, a server" {
	local origin cow command
	pair both-c32
	poke cow.img $((16384 + 16 * 3 + 14)) '\0377'
	cp cow.img bad.img
	# one image after the other, and one inside another
	head -c 1M bad.img >first
	tail -c +1048577 bad.img >second
	{ head -c 1M /dev/zero; cat bad.img; } >wide
	truncate -s $((($(stat -c %s wide) / 1048576 + 2) * 1048576)) wide
	sfdisk -q wide <<<"2048,$(($(stat -c %s bad.img) / 512)),83"
	nbdkit -U "$PWD/sock" -P pid file bad.img 3>&-
	until [ -e pid ]; do sleep 0.05; done
	for cow in concat:first,second part:wide:1 "wide@1M+$(stat -c %s bad.img)" "nbd+unix:///?socket=$PWD/sock"; do
		for command in "snapcheck '$cow'" "snapcheck origin.img '$cow'" "snapcheck concat:origin.img '$cow'"; do
			rm -f repaired.img rescue.tar
			operands=("$cow")
			[[ $command != *origin.img* ]] || operands=(origin.img "$cow")
			[[ $command != *concat:origin.img* ]] || operands=(concat:origin.img "$cow")
			follow "$command" "${operands[@]}" || { kill "$(<pid)"; return 1; }
			[ -e repaired.img ] || { echo "$command"; kill "$(<pid)"; return 1; }
		done
	done
	kill "$(<pid)"
	rm repaired.img
	follow "snapcheck --image=c=bad.img --image=o=origin.img image:o image:c" --image=o=origin.img image:o image:c
	[ -e repaired.img ]
	# a volume of LVM brings its origin
	cp "$COW_UNPACKED/lvm/three-chunk-sizes/disk0.img" disk
	follow "snapcheck lvm:disk:vg0/snap1" lvm:disk:vg0/base lvm:disk:vg0/snap1
}
