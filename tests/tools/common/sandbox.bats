#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# What the tools give up once their images are open.
bats_require_minimum_version 1.8.0
load ../../common

setup() {
	cd "$BATS_TEST_TMPDIR" || return 1
	probe=$COW_BUILD/tests/sandbox/probe
}

# answers WHEN ANSWER: what got it.
answers() {
	sed -n "s/^$1 \(.*\): $2\$/\1/p" <<<"$output" | xargs
}

# bats test_tags=limit
@test "inside nothing is opened, started, reached or given rights, and files are named in the output's directory alone" {
	mkdir mine other
	echo precious >other/victim
	sleep 600 3>&- &
	local victim=$!
	run -0 --separate-stderr "$probe" -v mine other "$victim"
	# F_SETOWN, F_SETSIG and O_ASYNC have killed it below Landlock's version 6.
	kill -0 "$victim"
	kill "$victim"
	# A kernel without one of the two: not what this test can show.
	[ -z "$stderr" ] || { echo "$stderr"; false; }
	out='execve fork socket ptrace kill io_uring mount bpf'
	[ "$(answers begun EPERM)" = "$out tiocsti" ]
	[ "$(answers begun ok)" = 'thread open' ]
	[ "$(answers entered EPERM)" = "$out open open-new open-tree chmod truncate mkdir symlink fchmod fchown umask fsetxattr kill-other queue dumpable connect" ]
	[ "$(answers entered ENOSYS)" = 'tiocsti mprotect-exec dup attributes scsi lease notify pipe owner signal async tgkill-other limit namespace send receive send-other receive-other send-elsewhere send-descriptors receive-descriptors' ]
	[ "$(answers entered EACCES)" = 'unlink-elsewhere rename-elsewhere name-elsewhere' ]
	[ "$(answers entered ok)" = 'thread memfd direct name rename write truncate-open flush unlink raise' ]
	# All other system calls of this machine, tried one by one.
	! grep 'gets through' <<<"$output" || false
	[ "$(sed -n 's/^entered others: //p' <<<"$output")" -gt 200 ]
	[ "$(ls mine other)" = "$(printf 'mine:\n\nother:\nvictim')" ]
	[ "$(cat other/victim)" = precious ]
}

# bats test_tags=limit
@test "a process that speaks with a server has its socket and memory, and no file, not even one that is open" {
	mkdir mine other
	echo precious >other/victim
	sleep 600 3>&- &
	local victim=$!
	run -0 --separate-stderr "$probe" courier mine other "$victim"
	kill -0 "$victim"
	kill "$victim"
	# By way of socketcall(2), as libc calls them on i386, the filter sees no descriptor.
	local other=' send-other'
	[ "$(getconf LONG_BIT)" = 32 ] || other=
	[ "$(answers jailed ok)" = "direct send receive$other" ]
	! grep 'gets through' <<<"$output" || false
	[ "$(sed -n 's/^jailed others: //p' <<<"$output")" -gt 250 ]
	[ "$(ls mine other)" = "$(printf 'mine:\n\nother:\nvictim')" ]
	[ "$(cat other/victim)" = precious ]
}

@test "each system call that is let through says why" {
	awk '/^static const .* allowed(_ioctls|_fcntls|_courier)?\[\]/ { inside = 1; next } /^}/ { inside = 0 }
		inside && /^\t("[a-z0-9_]+"|[A-Z0-9_]+),/ && !/\/\* .*[a-zA-Z?)] \*\/$/ { print; bad = 1 }
		inside && /^\t("[a-z0-9_]+"|[A-Z0-9_]+),/ { nr++ } END { exit bad || nr < 100 }' "$COW_SOURCE/tools/common/sandbox_filter.c"
}

# Every way in which a tool runs, with outputs, on a pair in the directory.
each_command() {
	mkdir -p "$1"
	pair both-c32
	truncate -s "$(stat -c %s origin.img)" zero.img
	cp origin.img new-origin.img
	poke new-origin.img 70000 changed
	cp origin.img "$1/dest"
	cp "$COW_UNPACKED/thin/snaps-128k/meta.img" pool.meta
	cp "$COW_UNPACKED/thin/snaps-128k/data.img" pool.data
	local pool=thin:metadata=pool.meta,data=pool.data
	local clone=clone:metadata=$1/clone,source=new-origin.img,destination=$1/dest
	while read -r -a command; do
		"${@:2}" "${command[@]}" >"$1/out" 2>"$1/err" || { echo "${command[@]}"; cat "$1/err"; return 1; }
		# shellcheck disable=SC2154
		[ -z "${after:-}" ] || "$after" "${command[@]}" || { echo "after ${command[*]}"; return 1; }
	done <<-END
		snapcreate -v origin.img $1/empty.img
		snapcreate -v --json=$1/j --manifest=$1/m --from=new-origin.img origin.img $1/from.img
		snapdump -v --tar --compress=zstd -o $1/v.tar.zst origin.img cow.img
		snapdump -v --tar --compress=xz:0 -o $1/v.tar.xz origin.img cow.img
		snapdump -v --delta --against=$1/m -o $1/d.tar origin.img cow.img
		snapdump -v --raw -o $1/v.img origin.img cow.img
		snapdump -v --map origin.img cow.img
		snapdump -v --map $pool,id=1 $pool,id=4
		snapdump -v --map $pool,id=1
		snapdump -v --delta -o $1/t.tar $pool,id=1,size=24576s $pool,id=4,size=24576s
		snapcreate -v --from=$pool,id=1,size=24576s $pool,id=4,size=24576s $1/thin.img
		snapcheck -v $pool
		snapcreate -v --import=$1/v.tar.zst zero:$(stat -c %s origin.img) $1/import.img
		snapcheck -v origin.img cow.img
		snapcheck -v -p -o $1/checked.img cow.img
		snapmerge -v -o $1/merged.img origin.img cow.img
		snapmerge -y -v --save-undo=$1/undo.img origin.img cow.img
		snapmerge -y -v --take-back origin.img $1/undo.img
		snapcreate -v -c 4K $clone
		snapcreate -v thin:metadata=$1/pool,data=zero.img
		snapcreate -v --thin thin:metadata=$1/pool,data=zero.img,id=1
		snapcreate -v --snapshot-of=1 thin:metadata=$1/pool,data=zero.img
		snapcreate -v --snapshot-of=1 --from=origin.img thin:metadata=$1/pool,data=zero.img
		snapcreate -v -y --delete thin:metadata=$1/pool,data=zero.img,id=1
		snapdump -v --raw -o $1/view $clone
		snapcheck -v -y -o $1/meta.img $clone
		snapmerge -v -o $1/view2 $clone
		snapmerge -y -v $clone
	END
	COW_SANDBOX=off snapdump --tar -o "$1/off.tar" new-origin.img
	snapdump --tar -o "$1/on.tar" new-origin.img
	cmp "$1/off.tar" "$1/on.tar"
	[ "$(sum "$1/v.img")" = "$(fact both-c32 merged_origin_sha256)" ]
	[ "$(sum "$1/merged.img")" = "$(fact both-c32 merged_origin_sha256)" ]
}

# bats test_tags=limit,slow
@test "after its second filter no tool opens anything, and only then it reads a tar" {
	after=entered_before
	entered_before() {
		local late
		[ "$(grep -c 'SECCOMP_SET_MODE_FILTER.* = 0$' trace)" -eq 2 ] || return 1
		late=$(sed '1,/SECCOMP_SET_MODE_FILTER.* = 0$/d' trace | sed '1,/SECCOMP_SET_MODE_FILTER.* = 0$/d')
		# libarchive asks for a list of character sets; it knows its own without.
		! grep -v '/gconv.*= -1 EPERM' <<<"$late" | grep -E 'open|exec|socket' || return 1
		[[ $* != *--import* ]] || { grep -q 'read(.*\.tar' <<<"$late" &&
			[ "$(grep -c 'read(.*\.tar' <<<"$late")" -eq "$(grep -c 'read(.*\.tar' trace)" ]; }
	}
	each_command traced strace -f -y -qq -o trace -e trace=seccomp,open,openat,openat2,execve,socket,read
}

# bats test_tags=limit,slow
@test "a kernel without Landlock or seccomp: the tools go on, and say so with -v" {
	each_command bare "$probe" without both
	run -0 --separate-stderr "$probe" without landlock snapcheck -v cow.img
	[[ $stderr == *"snapcheck: sandbox: continuing without Landlock: Function not implemented"* ]]
	[[ $stderr != *seccomp* ]]
	run -0 --separate-stderr "$probe" without seccomp snapcheck -v cow.img
	[[ $stderr == *"snapcheck: sandbox: continuing without seccomp: Invalid argument"* ]]
	[[ $stderr != *Landlock* ]]
	run -0 --separate-stderr "$probe" without both snapcheck cow.img
	[[ $stderr != *sandbox* ]]
}

@test "COW_SANDBOX=off and a build for sanitizers or gcov leave it out, and -v says that" {
	pair both-c32
	if [ -n "${COW_CFLAGS:-}" ]; then
		run -0 --separate-stderr snapcheck -v cow.img
		[[ $stderr == *"snapcheck: sandbox: left out of this build"* ]]
	else
		COW_SANDBOX=off run -0 --separate-stderr snapcheck -v cow.img
		[[ $stderr == *"snapcheck: sandbox: off, as COW_SANDBOX says"* ]]
		run -0 --separate-stderr snapcheck -v cow.img
		[[ $stderr != *sandbox* ]]
	fi
}

# bats test_tags=slow,limit
@test "the filters of i386, armhf, arm64 and s390x let through the same as here: made by libseccomp, run by a simulation" {
	while read -r arch number flag; do
		# shellcheck disable=SC2086
		cc -I"$COW_SOURCE/include" -I"$COW_SOURCE" -D_GNU_SOURCE -DFOR="SCMP_ARCH_$number" $flag \
			-o "$BATS_TEST_TMPDIR/export" "$COW_SOURCE/tests/sandbox/filter_export.c" -lseccomp
		"$COW_SOURCE/tests/sandbox/filter_sim.py" "$arch" "$BATS_TEST_TMPDIR/export"
	done <<-END
		x86-64 X86_64
		i386 X86 -DFOR_I386
		armhf ARM
		arm64 AARCH64
		s390x S390X -DFOR_S390X
	END
}
