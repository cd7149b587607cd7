#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# -n of every tool: nothing is opened for writing, it works where nothing can be
# written, and it ends as the real run would up to its first write.
bats_require_minimum_version 1.8.0
load ../../common
load modes

setup() {
	cd "$BATS_TEST_TMPDIR"
	mkdir work
	cd work
	mode_images
}

dry() { # COMMAND...
	"$1" -n "${@:2}"
}

digests() {
	sha256sum -- * | sort
}

# stamps: what is here, and when it was changed last: a write changes that.
stamps() {
	find . -printf '%p %s %T@ %C@\n' | sort
}

# bats test_tags=long
@test "each option of each tool is tried here" {
	for tool in snapcreate snapcheck snapmerge snapdump; do
		{ commands; more_commands; } | grep "^$tool " | sed 's/^[a-z]* /\n/; s/ /\n/g; s/$/\n/' >words
		"$tool" --long-options | cut -f1,2 | sed 's/\[\?=[^\t]*//' | grep -vE '^--(help|version|json|dry-run)\b' |
			while read -r long short; do
				grep -qE -- "^$long(=|\$)" words || grep -qx -- "$short" words || echo "$tool $long"
			done >>missing
	done
	cat missing
	[ ! -s missing ]
}

# bats test_tags=long
@test "with --json=FILE the report is made, and nothing else" {
	rm -f report
	before=$(digests)
	for command in "snapmerge origin.img cow.img" "snapcheck -y origin.img bad.img" "snapcreate origin.img made" \
		"snapdump --raw -o made origin.img cow.img"; do
		# shellcheck disable=SC2086
		set -- $command
		wanted=0
		dry "$@" </dev/null >../out 2>&1 || wanted=$?
		strace -f --seccomp-bpf -qq -o ../trace -e trace=openat,open,openat2,creat,unlink,unlinkat,rename,renameat,renameat2,link,linkat,mkdir,mkdirat \
			"$1" -n --json=report "${@:2}" </dev/null >../out 2>&1 || [ $? = "$wanted" ]
		[ "$(member report 'j["exit"]')" = "$wanted" ]
		rm report
		[ "$(digests)" = "$before" ]
		# a file without a name in this folder, and the name that it gets
		grep -vE '"/dev/null"|ENOENT' ../trace | grep -E 'O_WRONLY|O_RDWR|O_CREAT|O_TMPFILE|^[0-9]+ +(creat|unlink|rename|link|mkdir)' >../writes
		[ "$(grep -c 'O_TMPFILE' ../writes)" = 1 ]
		[ "$(grep -c '^[0-9]* *linkat(.*"report"' ../writes)" = 1 ]
		[ "$(wc -l <../writes)" = 2 ] || { cat ../writes; return 1; }
	done
}

# bats test_tags=slow
@test "nothing is opened for writing, made or changed" {
	more_mode_images
	before=$(digests)
	stamps >../before
	while read -r command; do
		eval "set -- $command"
		status=0
		strace -f --seccomp-bpf -qq -o ../trace -e trace=openat,open,openat2,creat,unlink,unlinkat,rename,renameat,renameat2,link,linkat,mkdir,mkdirat \
			"$1" -n "${@:2}" </dev/null >../out 2>&1 || status=$?
		[ "$status" -le 4 ] || { echo "$command: $status"; cat ../out; return 1; }
		! grep -vE '"/dev/null"|ENOENT' ../trace | grep -E 'O_WRONLY|O_RDWR|O_CREAT|O_TMPFILE|^[0-9]+ +(creat|unlink|rename|link|mkdir)' ||
			{ echo "$command"; return 1; }
		stamps | cmp -s - ../before || { echo "$command"; return 1; }
	done < <(commands; more_commands)
	[ "$(digests)" = "$before" ]
	# The trace shows it where something is made.
	strace -f --seccomp-bpf -qq -o ../trace -e trace=openat snapcreate -q origin.img made
	grep -qE 'O_RDWR|O_TMPFILE' ../trace
}

# bats test_tags=long
@test "it works without permission to write, and on a read-only mount" {
	[ "$(id -u)" = 0 ]
	for folder in .. . "$BATS_TEST_TMPDIR" "$(dirname "$BATS_TEST_TMPDIR")" "$BATS_RUN_TMPDIR"; do
		chmod a+rx "$folder"
	done
	chmod a-w -- * .
	while read -r command; do
		# shellcheck disable=SC2086
		set -- $command
		cp "$(command -v "$1")" ../tool
		wanted=0
		dry "$@" </dev/null >../out 2>&1 || wanted=$?
		run unshare -m sh -c 'mount --bind . . && mount -o remount,ro,bind . && cd "$PWD" && "$@"' sh "$1" -n "${@:2}" </dev/null
		[ "$status" = "$wanted" ] || { echo "read-only: $command: $status, not $wanted: $output"; return 1; }
		run setpriv --reuid=65534 --regid=65534 --clear-groups ../tool -n "${@:2}" </dev/null
		[ "$status" = "$wanted" ] || { echo "nobody: $command: $status, not $wanted: $output"; return 1; }
	done < <(commands)
}

# bats test_tags=long
@test "it is refused where the real run is, and before that nothing is written" {
	before=$(digests)
	while read -r command; do
		# shellcheck disable=SC2086
		set -- $command
		dry=0 real=0
		dry "$@" </dev/null >../dry 2>&1 || dry=$?
		yes=-y
		[[ $command != snapcheck* ]] || yes=
		# shellcheck disable=SC2086
		"$1" $yes "${@:2}" </dev/null >../real 2>&1 || real=$?
		[ "$real" -ge 8 ] || { echo "$command: $real"; cat ../real; return 1; }
		[ "$dry" = "$real" ] || { echo "$command: dry $dry, real $real"; cat ../dry ../real; return 1; }
		[ "$(digests)" = "$before" ] || { echo "$command"; return 1; }
	done < <(refused)
}

@test "what another program has locked, for reading too, stops a dry run of what would write" {
	flock -F -s cow.img sleep 1000 &
	holder=$!
	until ! flock -n -x cow.img true; do sleep 0.05; done
	run -64 snapmerge -n origin.img cow.img
	[[ $output == *"another program has locked it"* ]]
	run -0 snapcheck -n origin.img cow.img
	kill $holder
	wait $holder || true
}
