#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# -n of every tool: nothing is opened for writing, it works where nothing can be
# written, and it ends as the real run would up to its first write.
bats_require_minimum_version 1.8.0
load ../../common

setup() {
	cd "$BATS_TEST_TMPDIR"
	mkdir work
	cd work
	pair both-c32
	cp --sparse=always cow.img sibling.img
	cp --sparse=always cow.img bad.img
	poke bad.img $((16384 + 16 * 3 + 14)) '\0377'
	cp --sparse=always origin.img new.img
	snapdump -q --delta -o delta.tar origin.img cow.img
	snapdump -q --tar -o view.tar origin.img cow.img
	echo there >exists
	# What the longer list below needs besides.
	snapdump -q --raw -o view.img origin.img cow.img
	printf '0x0 +\n0x0 %d +\n' "$(stat -c %s cow.img)" >map
	truncate -s 4M ext.img
	mkdir tree
	echo there >tree/note
	mke2fs -q -F -d tree ext.img
	rm -r tree
	snapcreate -q ext.img ext.cow
}

# Whatever a tool can make or write.
commands() {
	cat <<-END
		snapmerge origin.img cow.img
		snapmerge --force=volatile --save-undo=undo origin.img cow.img
		snapmerge --sibling=sibling.img origin.img cow.img
		snapmerge --drop-sibling=sibling.img origin.img cow.img
		snapmerge --keep --sparse origin.img cow.img
		snapmerge -o merged origin.img cow.img
		snapmerge --skip-unreadable --force=bad-cow --bad-list=list origin.img cow.img
		snapmerge --skip-unreadable -o merged --bad-list=list origin.img cow.img
		snapcheck origin.img cow.img
		snapcheck -y origin.img bad.img
		snapcheck -p origin.img bad.img
		snapcheck -y --save-undo=undo origin.img bad.img
		snapcheck -y -o repaired origin.img bad.img
		snapcheck -y --skip-unreadable -o repaired origin.img bad.img
		snapcreate origin.img made
		snapcreate --from=new.img --manifest=list origin.img made
		snapcreate --force=overwrite origin.img new.img
		snapcreate --import=delta.tar origin.img made
		snapcreate --import=view.tar origin.img made
		snapdump --tar -o made origin.img cow.img
		snapdump --raw -o made origin.img cow.img
		snapdump --delta -o made origin.img cow.img
		snapdump --map -o made origin.img cow.img
		snapdump --map=ddrescue -o made origin.img cow.img
		snapdump --metadata -o made origin.img cow.img
	END
}

# Each option of each tool that the list above has not.
more_commands() {
	cat <<-END
		snapmerge -y --take-back after.img undo.img
		snapmerge --discard --reflink=auto --batch=1M -q origin.img cow.img
		snapmerge --scrub --progress=never -v -t persistent origin.img cow.img
		snapmerge --image=o=origin.img image:o cow.img
		snapmerge --skip-unreadable --bad-blocks=map -o merged origin.img cow.img
		snapcheck --origin=origin.img cow.img
		snapcheck -c 16K -q --max-findings=1 -t persistent origin.img cow.img
		snapcheck --header-only cow.img
		snapcheck --is-empty --progress=never origin.img cow.img
		snapcheck --list --image=c=cow.img image:c
		snapcheck --verify=view.tar -v origin.img cow.img
		snapcheck -y --revalidate --force=overwrite -o repaired origin.img bad.img
		snapcheck --bad-blocks=map origin.img cow.img
		snapcreate -c 16K -s 16M --preallocate=falloc -q -t persistent origin.img made
		snapcreate -y -v --progress=never --from-view=cow.img --image=o=origin.img image:o made
		snapdump --files --path=/lost+found --exclude=x -o made ext.img ext.cow
		snapdump --ls --path=/lost+found --exclude=x -o made ext.img ext.cow
		snapdump --cat=/note -o made ext.img ext.cow
		snapdump --delta --against=manifest.json --mtime=0 -o made origin.img cow.img
		snapdump --tar --compress=gzip -q -y --progress=never -t persistent -o made origin.img cow.img
		snapdump --raw -v --skip-unreadable --fill=zero --bad-blocks=map -o made origin.img cow.img
		snapdump --metadata -c 16K -o made cow.img
		snapdump --raw --partition=5 --volume=vg0/base -o made disk.img
		snapmerge -y --all-siblings lvm:lvm.img:vg0/base lvm:lvm.img:vg0/snap1
		snapdump --raw --force=damaged --image=o=origin.img -o made image:o cow.img
		snapmerge -y --table='0 2048 clone meta dest source 8'
		snapcheck --table='0 2048 clone meta dest source 8'
		snapdump --raw -o made --table='0 2048 clone meta dest source 8'
	END
}

# Calls that a real run refuses before it writes.
refused() {
	cat <<-END
		snapmerge cow.img origin.img
		snapmerge origin.img bad.img
		snapmerge origin.img origin.img
		snapmerge -o exists origin.img cow.img
		snapmerge --force=volatile --save-undo=exists origin.img cow.img
		snapmerge --sibling=bad.img origin.img cow.img
		snapmerge --sibling=cow.img origin.img cow.img
		snapmerge --skip-unreadable --force=bad-cow --bad-list=exists origin.img cow.img
		snapmerge -o no/such/merged origin.img cow.img
		snapcheck -y -o exists origin.img bad.img
		snapcheck -y --save-undo=exists origin.img bad.img
		snapcheck -y --save-undo=sibling.img origin.img bad.img
		snapcreate origin.img exists
		snapcreate origin.img cow.img
		snapcreate --from=new.img --manifest=exists origin.img made
		snapcreate origin.img zero:1M
		snapdump --tar -o exists origin.img cow.img
		snapdump --raw -o exists origin.img cow.img
		snapdump --metadata -o exists origin.img cow.img
		snapdump --raw -o origin.img origin.img cow.img
	END
}

dry() { # COMMAND...
	"$1" -n "${@:2}"
}

digests() {
	sha256sum -- * | sort
}

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
		strace -f -qq -o ../trace -e trace=openat,open,openat2,creat,unlink,unlinkat,rename,renameat,renameat2,link,linkat,mkdir,mkdirat \
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
	tar -xf view.tar manifest.json
	cp "$COW_UNPACKED/lvm/mbr-logical/disk0.img" disk.img
	cp "$COW_UNPACKED/lvm/three-chunk-sizes/disk0.img" lvm.img
	head -c 1M /dev/urandom >source
	truncate -s 1M dest
	snapcreate -q -c 4K clone:metadata=meta,source=source,destination=dest
	cp --sparse=always origin.img after.img
	cp --sparse=always cow.img merged.cow
	snapmerge -q -y --force=volatile --save-undo=undo.img after.img merged.cow
	before=$(digests)
	while read -r command; do
		eval "set -- $command"
		status=0
		strace -f -qq -o ../trace -e trace=openat,open,openat2,creat,unlink,unlinkat,rename,renameat,renameat2,link,linkat,mkdir,mkdirat \
			"$1" -n "${@:2}" </dev/null >../out 2>&1 || status=$?
		[ "$status" -le 4 ] || { echo "$command: $status"; cat ../out; return 1; }
		! grep -vE '"/dev/null"|ENOENT' ../trace | grep -E 'O_WRONLY|O_RDWR|O_CREAT|O_TMPFILE|^[0-9]+ +(creat|unlink|rename|link|mkdir)' ||
			{ echo "$command"; return 1; }
		[ "$(digests)" = "$before" ] || { echo "$command"; return 1; }
	done < <(commands; more_commands)
	# The trace shows it where something is made.
	strace -f -qq -o ../trace -e trace=openat snapcreate -q origin.img made
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
