#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# "make check" says in its first second what the machine lacks, and the workflow
# of the public forge gives the container what it asks for.
# bats file_tags=limit
bats_require_minimum_version 1.8.0

# Read here: somebody else may not be able to open it.
needs() {
	"$@" sh <"$COW_SOURCE/tests/needs.sh"
}

@test "where everything is there, not a word" {
	run -0 needs env
	[ -z "$output" ]
}

@test "each thing that is missing is named" {
	run -1 needs setpriv --reuid=65534 --regid=65534 --clear-groups
	[[ $output == *"not run as root"* ]]
	run -1 needs unshare -m sh -c 'mount -o remount,noexec /dev/shm && exec "$0"'
	[[ $output == "make check: no program may run from /dev/shm"*"--tmpfs /dev/shm:exec" ]]
	run -1 needs strace -f -o /dev/null -e trace=ptrace -e inject=ptrace:error=EPERM
	[[ $output == "make check: no process may be traced"*"--cap-add SYS_PTRACE" ]]
	run -1 needs setpriv --bounding-set=-sys_admin --inh-caps=-sys_admin
	[[ $output == "make check: no file system may be mounted: give the container --privileged" ]]
	run -1 needs unshare -m sh -c 'mount -t tmpfs none /dev && mkdir /dev/shm && exec "$0" 2>&1'
	[[ $output == *"no loop devices"* ]]
}

# bats test_tags=long
@test "make check asks before it installs anything, and the workflow gives what is asked for" {
	run -0 make -C "$COW_SOURCE" -n check
	[[ $output == *tests/needs.sh*tests/deps.sh*tests/check.sh* ]]
	python3 - "$COW_SOURCE"/.github/workflows/check.yml <<-'END'
		import re, sys
		text = open(sys.argv[1]).read()
		jobs = re.split(r"^  (\w+):$", text[text.index("\njobs:"):], flags=re.M)[1:]
		jobs = dict(zip(jobs[::2], jobs[1::2]))
		assert set(jobs) == {"quick", "full"}, jobs
		for body in jobs.values():
		    assert "image: debian:12" in body, body
		    assert "--privileged --tmpfs /dev/shm:rw,exec" in body, body
		assert "run: make quick" in jobs["quick"] and "run: .ci/run" in jobs["full"]
	END
}
