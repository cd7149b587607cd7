#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# snapmerge, in place: results, words, refusals, the order of writes.
bats_require_minimum_version 1.8.0
load ../../common

setup() {
	cd "$BATS_TEST_TMPDIR"
}

# bats test_tags=long
@test "the origin becomes the view, the store becomes empty, a rerun finds nothing to do" {
	pair both-c32
	run -0 --separate-stderr snapmerge -y origin.img cow.img
	[ -z "$output" ]
	[ "$(sum origin.img)" = "$(fact both-c32 merged_origin_sha256)" ]
	[[ $stderr == *"warning: this merge corrupts every other snapshot of origin.img; name each with --sibling"* ]]
	[[ $stderr == *"origin.img is inconsistent until the merge finishes; do not mount it"* ]]
	run -0 snapcheck -v origin.img cow.img
	[[ $output == *" 0 chunks changed"* ]]
	[[ $output == *"64/20480 64"* ]]
	before=$(sum cow.img)
	run -0 --separate-stderr snapmerge -y origin.img cow.img
	[[ $stderr == *"nothing to merge"* ]]
	[ "$(sum cow.img)" = "$before" ]
	[ "$(sum origin.img)" = "$(fact both-c32 merged_origin_sha256)" ]
}

# bats test_tags=long
@test "-n shows the plan and writes nothing, not even with read-only images" {
	pair both-c32
	chmod 0444 origin.img cow.img
	before="$(sum origin.img) $(sum cow.img)"
	run -0 --separate-stderr snapmerge -n origin.img cow.img
	[[ $stderr == *"plan: write 223 chunks"* ]]
	[[ $stderr == *"warning: this merge corrupts every other snapshot of origin.img"* ]]
	[[ $stderr == *"nothing was written"* ]]
	[ "$(sum origin.img) $(sum cow.img)" = "$before" ]
}

# bats test_tags=long
@test "counters as JSON" {
	pair both-c32
	run -0 snapmerge -y --json=j origin.img cow.img
	[ "$(member j 'j["merge"]["chunks"], j["merge"]["chunks_left"], j["merge"]["written_bytes"] > 0, j["merge"]["flushes"] >= 2, j["done"]')" = "(223, 0, True, True, True)" ]
	[ "$(member j 'j["plan"]["chunks"], j["plan"]["siblings"]')" = "(223, [])" ]
}

# bats test_tags=slow
@test "the buffer size changes nothing about the result" {
	for batch in 1M 3M; do
		pair multiarea-c8
		run -0 snapmerge -y --batch=$batch origin.img cow.img
		[ "$(sum origin.img)" = "$(fact multiarea-c8 merged_origin_sha256)" ]
	done
	run -16 snapmerge -y --batch=4K origin.img cow.img
}

# bats test_tags=long
@test "on a terminal it asks, and no means nothing was written" {
	pair both-c32
	before="$(sum origin.img) $(sum cow.img)"
	for answer in n N Y yep '' 'y;' 'yes yes'; do
		run -64 "$COW_SOURCE/tests/aids/prompt.py" '[y/N] ' "$answer" -- snapmerge origin.img cow.img
		[[ $output == *"merge into origin.img? [y/N]"*"snapmerge: the answer was no; nothing was written" ]]
	done
	[ "$(sum origin.img) $(sum cow.img)" = "$before" ]
	for answer in y yes; do
		run -0 "$COW_SOURCE/tests/aids/prompt.py" '[y/N] ' "$answer" -- snapmerge origin.img cow.img
		[ "$(sum origin.img)" = "$(fact both-c32 merged_origin_sha256)" ]
		pair both-c32
	done
	run -0 "$COW_SOURCE/tests/aids/prompt.py" '[y/N] ' -- snapmerge -y origin.img cow.img
	[[ $output != *"[y/N]"* ]]
	[ "$(sum origin.img)" = "$(fact both-c32 merged_origin_sha256)" ]
}

# bats test_tags=long
@test "without a terminal nobody is asked, and what needs a yes ends with 64 and says -y" {
	pair both-c32
	before="$(sum origin.img) $(sum cow.img)"
	run -64 --separate-stderr snapmerge --json=j origin.img cow.img
	[[ ${stderr_lines[-1]} == "snapmerge: merge into origin.img? There is no terminal to ask on, and nothing was written; to go on, add -y" ]]
	[ "$(member j 'j["error"]["id"]')" = unanswered ]
	# Both must be terminals.
	run -64 bash -c 'script -qec "snapmerge origin.img cow.img </dev/null" /dev/null'
	run -64 bash -c 'script -qec "snapmerge origin.img cow.img 2>err" /dev/null'
	[ "$(sum origin.img) $(sum cow.img)" = "$before" ]
	# A dry run writes nothing, so it asks nothing.
	run -0 snapmerge -n origin.img cow.img
	[ "$(sum origin.img) $(sum cow.img)" = "$before" ]
	run -0 snapmerge -y origin.img cow.img
	# Nothing to do: nothing to ask.
	run -0 snapmerge origin.img cow.img
}

# bats test_tags=long
@test "what was typed or pasted before the question is no answer to it" {
	pair both-c32
	before="$(sum origin.img) $(sum cow.img)"
	run -64 "$COW_SOURCE/tests/aids/prompt.py" --ahead 'y\nyes\ny\n' '[y/N] ' n -- snapmerge origin.img cow.img
	[ "$(sum origin.img) $(sum cow.img)" = "$before" ]
	# A block of commands pasted into a shell, without -y.
	printf 'snapmerge origin.img cow.img\ny\nyes\nrm cow.img\ny\n' >block
	run "$COW_SOURCE/tests/aids/prompt.py" --ahead "$(sed ':a;N;$!ba;s/\n/\\n/g' block)\\n" '[y/N] ' 'n\nexit' -- sh
	[[ $output == *"merge into origin.img? [y/N]"* ]]
	[ "$(sum origin.img) $(sum cow.img)" = "$before" ]
	"$COW_BUILD/tests/examples/mkstore" bad.img <<<$'header\nauto 5 4\nrecord 91 1\n'
	before=$(sum bad.img)
	run -4 "$COW_SOURCE/tests/aids/prompt.py" --ahead 'y\na\n' '[y/n/a/q] ' q -- snapcheck bad.img
	[ "$(sum bad.img)" = "$before" ]
}

# bats test_tags=long
@test "SIGINT stops at a safe point with exit 32, and the same command continues" {
	pair multiarea-c8
	# The signal waits before the program starts: it stops at the first point.
	run --separate-stderr python3 - <<-'END'
		import os, signal, subprocess, sys
		signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
		p = subprocess.Popen(['strace', '-qq', '-o', '/dev/null', '-e', 'inject=pwritev:signal=SIGINT:when=1',
		                      'snapmerge', '-y', '--batch=1M', 'origin.img', 'cow.img'],
		                     preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT]))
		sys.exit(p.wait())
	END
	[ "$status" -eq 32 ]
	[[ $stderr == *"is inconsistent until the merge finishes"* ]]
	[[ $stderr == *"next: snapmerge -y --batch=1M origin.img cow.img"* ]]
	[ "$(snapdump --raw origin.img cow.img | sha256sum | cut -d' ' -f1)" = "$(fact multiarea-c8 kernel_view_sha256)" ]
	run -0 snapmerge -y origin.img cow.img
	[ "$(sum origin.img)" = "$(fact multiarea-c8 merged_origin_sha256)" ]
}

# bats test_tags=slow
@test "killed at any write or flush, the view stays right and the same command finishes" {
	for call in pwritev:1 pwritev:2 pwritev:20 pwrite64:1 fdatasync:1 fdatasync:2 fdatasync:3 fdatasync:4; do
		pair runs-c8
		run strace -qq -o /dev/null -e "inject=${call%:*}:signal=SIGKILL:when=${call#*:}" snapmerge -y origin.img cow.img
		[ "$status" -eq 137 ] || { echo "$call did not happen: $status"; return 1; }
		[ "$(snapdump --raw origin.img cow.img | sha256sum | cut -d' ' -f1)" = "$(fact runs-c8 kernel_view_sha256)" ]
		run -0 snapmerge -y origin.img cow.img
		[ "$(sum origin.img)" = "$(fact runs-c8 merged_origin_sha256)" ]
	done
}

# bats test_tags=slow
@test "a failed write or flush: exit 8, the view stays right, the same command goes on" {
	for fault in pwritev:error=EIO:when=2 pwritev:error=ENOSPC:when=1 pwrite64:error=EIO:when=1 fdatasync:error=EIO:when=3 fdatasync:error=EIO:when=4; do
		pair runs-c8
		run --separate-stderr strace -qq -o /dev/null -e "inject=$fault" snapmerge -y origin.img cow.img
		[ "$status" -eq 8 ] || { echo "$fault: $status $stderr"; return 1; }
		[ "$(snapdump --raw origin.img cow.img | sha256sum | cut -d' ' -f1)" = "$(fact runs-c8 kernel_view_sha256)" ]
		run -0 snapmerge -y origin.img cow.img
		[ "$(sum origin.img)" = "$(fact runs-c8 merged_origin_sha256)" ]
	done
}

# bats test_tags=long
@test "order on disk: origin flushed before metadata is written, COW image flushed after (I1)" {
	pair multiarea-c8
	strace -qq -y -e trace=pwrite64,pwritev,fdatasync,fallocate,ioctl,copy_file_range -o trace snapmerge -y origin.img cow.img
	python3 "$COW_SOURCE/tests/aids/merge_order.py" trace origin.img cow.img
}

# bats test_tags=long
@test "flushes grow with epochs, not with exceptions" {
	flushes() {
		pair "$1"
		strace -qq -e trace=fdatasync,fsync -o trace snapmerge -y origin.img cow.img
		grep -c sync trace
	}
	few=$(flushes area-255)
	many=$(flushes multiarea-c8)
	[ "$few" -le 6 ]
	[ "$many" -le $((few + 2)) ]
}

# bats test_tags=slow
@test "what the kernel refuses or marks invalid is not merged, and nothing is written" {
	pair both-c32
	cp cow.img good.img
	while read -r offset bytes; do
		cp good.img cow.img
		poke cow.img "$offset" "$bytes"
		before="$(sum origin.img) $(sum cow.img)"
		run -64 --separate-stderr snapmerge -y origin.img cow.img
		one_sentence
		[[ $stderr == *"(cannot be forced)"* ]]
		[ "$(sum origin.img) $(sum cow.img)" = "$before" ]
	done <<-'END'
		8 \x02
		12 \x00\x00\x00\x00
		12 \x03\x00\x00\x00
		12 \x00\x00\x40\x00
		12 \x00\x00\x20\x00
		0 \x00\x00\x00\x00
		4 \x00\x00\x00\x00
	END
}

# bats test_tags=slow
@test "an image that was cut is not merged" {
	pair both-c32
	cp cow.img good.img
	for size in 512 16384 16896 32768 49152 1000000; do
		cp good.img cow.img
		truncate -s $size cow.img
		before="$(sum origin.img) $(sum cow.img)"
		run -64 --separate-stderr snapmerge -y origin.img cow.img
		one_sentence
		[ "$(sum origin.img) $(sum cow.img)" = "$before" ]
	done
}

# bats test_tags=long
@test "an origin that is too short is refused, and forcing does not help" {
	pair both-c32
	truncate -s 1M origin.img
	before="$(sum origin.img) $(sum cow.img)"
	for force in "" --force=damaged,invalid,busy; do
		run -64 --separate-stderr snapmerge -y $force origin.img cow.img
		one_sentence
		[[ $stderr == *origin* ]]
	done
	[ "$(sum origin.img) $(sum cow.img)" = "$before" ]
}

@test "an origin that is longer keeps its end" {
	pair both-c32
	size=$(stat -c %s origin.img)
	head -c 1M /dev/urandom >>origin.img
	tail -c 1M origin.img >end
	run -0 snapmerge -y origin.img cow.img
	[ "$(head -c "$size" origin.img | sha256sum | cut -d' ' -f1)" = "$(fact both-c32 merged_origin_sha256)" ]
	cmp end <(tail -c 1M origin.img)
}

# bats test_tags=long
@test "swapped operands, twice the same image, by any name" {
	pair both-c32
	ln -s cow.img link.img
	ln cow.img hard.img
	before="$(sum origin.img) $(sum cow.img)"
	run -64 --separate-stderr snapmerge -y cow.img origin.img
	[[ $stderr == *"looks swapped; try: snapmerge -y origin.img cow.img"* ]]
	for origin in cow.img link.img hard.img ./cow.img cow.img@0 cow.img@1M+1M; do
		run -64 --separate-stderr snapmerge -y "$origin" cow.img
		one_sentence
	done
	[ "$(sum origin.img) $(sum cow.img)" = "$before" ]
}

# bats test_tags=long
@test "an image behind a loop device is refused" {
	[ "$(id -u)" -eq 0 ] || skip "needs root"
	pair both-c32
	loop=$(losetup -f --show cow.img) || skip "no loop device"
	before="$(sum origin.img) $(sum cow.img)"
	run --separate-stderr snapmerge -y origin.img cow.img
	first=$status
	run --separate-stderr snapmerge -y "$loop" cow.img
	second=$status
	losetup -d "$loop"
	[ "$first" -eq 64 ]
	[ "$second" -eq 64 ]
	[ "$(sum origin.img) $(sum cow.img)" = "$before" ]
}

# bats test_tags=long
@test "an image that somebody else has locked is refused" {
	pair both-c32
	before="$(sum origin.img) $(sum cow.img)"
	exec 8<cow.img
	flock -s 8
	run -64 --separate-stderr snapmerge -y origin.img cow.img
	one_sentence
	exec 8<&-
	[ "$(sum origin.img) $(sum cow.img)" = "$before" ]
	run -0 snapmerge -y origin.img cow.img
}

# bats test_tags=long
@test "no image at all: one sentence, nothing written" {
	pair both-c32
	: >empty
	mkdir dir
	mkfifo fifo
	truncate -s 16M fs.img
	mke2fs -q -t ext4 fs.img
	qemu-img create -q -f qcow2 disk.qcow2 16M
	before=$(sum origin.img)
	for cow in dir fifo fs.img disk.qcow2; do
		run -64 --separate-stderr timeout 10 snapmerge -y origin.img "$cow"
		one_sentence
	done
	run --separate-stderr snapmerge -y origin.img empty
	[ "$status" -ne 0 ]
	one_sentence
	run -8 --separate-stderr snapmerge -y origin.img missing
	one_sentence
	[ "$(sum origin.img)" = "$before" ]
}

# bats test_tags=long
@test "progress goes to stderr only, never beyond 100 %, and SIGUSR1 asks for a line" {
	pair multiarea-c8
	run -0 --separate-stderr strace -qq -o /dev/null -e inject=pwritev:signal=SIGUSR1:when=1+1 snapmerge -y --progress=never --batch=1M origin.img cow.img
	[[ $stderr == *"%"* ]]
	[[ ! $stderr =~ (10[1-9]|1[1-9][0-9]|[2-9][0-9][0-9])\ % ]]
	[ -z "$output" ]
}

@test "what will be read is announced in the order of the COW image" {
	pair multiarea-c8
	run -0 --separate-stderr strace -qq -y -o trace -e trace=fadvise64 snapmerge -y -q origin.img cow.img
	# Every chunk of data once, ascending, in as few ranges as the areas between them allow.
	awk -F'[<>,)]' '/cow.img/ && /WILLNEED/ { if ($4 < end) exit 1; end = $4 + $5; sum += $5; n++ }
		END { exit !(n && n <= 40 && sum >= 900 * 4096 && sum <= 910 * 4096) }' trace
}
