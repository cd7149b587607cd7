#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# What --json says of a run: each image that the run reads, each file that it makes, and sizes in
# bytes, in every mode of every tool.
bats_require_minimum_version 1.8.0
load ../../common
load modes

setup() {
	cd "$BATS_TEST_TMPDIR"
}

# report NUMBER COMMAND...: the command with --json, in a file of that number
report() {
	eval "set -- $*"
	"$2" --json="../reports/$1" "${@:3}" </dev/null >../out 2>&1 || [ $? -lt 128 ] || { echo "$*"; cat ../out; return 1; }
}

# bats test_tags=slow
@test "every mode names what it reads and what it makes, and says sizes in bytes" {
	mkdir work reports
	cd work
	mode_images
	more_mode_images
	{ commands; more_commands; refused; } >../calls
	nr=0
	while read -r tool arguments; do
		# shellcheck disable=SC2086
		report $((++nr)) "$tool" -n "$arguments"
	done <../calls
	python3 "$COW_SOURCE/tests/aids/json_names.py" ../calls ../reports
}

@test "a file that was made is complete, and as long as the report says" {
	pair both-c32
	cp --sparse=always origin.img merged.img
	cp cow.img merged.cow
	cp --sparse=always origin.img new.base
	for call in "snapcreate --from=new.base --manifest=list origin.img made" "snapdump --raw -o raw origin.img cow.img" \
		"snapdump --tar -o view.tar origin.img cow.img" "snapdump --map -o map origin.img cow.img" \
		"snapmerge -o new.img origin.img cow.img" "snapcheck -y -o repaired origin.img cow.img" \
		"snapmerge -y --force=volatile --save-undo=undo merged.img merged.cow"; do
		${call%% *} --json=j ${call#* }
		[ "$(member j 'all(o["complete"] for o in j["outputs"]) and len(j["outputs"])')" = $(($(grep -c manifest <<<"$call") + 1)) ] ||
			{ echo "$call"; cat j; return 1; }
		member j '"\n".join("%s %d" % (o["path"], o["size_bytes"]) for o in j["outputs"])' >said
		while read -r path size; do
			[ "$(stat -c %s "$path")" = "$size" ] || { echo "$call: $path: $size"; return 1; }
		done <said
	done
	snapdump --raw --json=j origin.img cow.img >stream
	[ "$(member j 'j["outputs"]')" = "[{'role': 'output', 'path': '-', 'size_bytes': $(stat -c %s stream), 'complete': True}]" ]
	# what was not finished is named, too
	run -8 bash -c 'snapdump --tar --json=j origin.img cow.img >/dev/full'
	[ "$(member j '[(o["path"], o["complete"]) for o in j["outputs"]]')" = "[('-', False)]" ]
}

@test "a run that could open nothing names what it was given" {
	for tool in snapcheck snapmerge; do
		run -8 "$tool" --json=j no-origin no-cow
		[ "$(member j '[i["path"] for i in j["images"]]')" = "['no-origin', 'no-cow']" ]
	done
}
