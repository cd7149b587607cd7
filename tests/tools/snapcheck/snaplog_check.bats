#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# Log devices of the snapshot driver of 2001. Cases as text: cases/snaplog-*/ has
# the logs (tests/aids/snaplog_text.py), what they are about, and what is expected of
# a check, of "-y", of a check after it, and of a check without the geometry. UPDATE=1 writes the
# expectations anew: read the difference. Findings by id and place, not by words.
bats_require_minimum_version 1.8.0
load ../../common

setup() {
	cd "$BATS_TEST_TMPDIR"
}

# logs CASE: source.img, logN.img, view.img, spec and bare.
logs() {
	"$COW_SOURCE/tests/aids/snaplog_text.py" . <"$COW_SOURCE/tests/cases/snaplog-$1/logs.txt"
	spec=$(cat spec) bare=$(cat bare)
}

# told COMMAND: what it finds and concludes.
told() {
	local status=0
	rm -f j
	"$@" --json=j >out 2>err || status=$?
	echo "exit $status"
	findings_of j
	sed -n '/, blocks of/s/.*, //p; /^snapshot data: /p; /^merge: /p' out
}

# expect FILE: standard input is what FILE says.
expect() {
	if [ -n "${UPDATE:-}" ]; then cat >"$1"; else diff -u "$1" -; fi
}

one_case() {
	local dir=$COW_SOURCE/tests/cases/snaplog-$1
	rm -f ./*.img
	logs "$1"
	cat source.img log*.img >before
	told snapcheck "$spec" | expect "$dir/expect.check" || return 1
	told snapcheck "$bare" | expect "$dir/expect.guess" || return 1
	told snapcheck -y -n "$spec" >preview
	cat source.img log*.img | cmp - before || return 1
	told snapcheck -y "$spec" | expect "$dir/expect.repair" || return 1
	diff "$dir/expect.repair" preview || [ -n "${UPDATE:-}" ] || return 1
	told snapcheck "$spec" | expect "$dir/expect.again" || return 1
	cat source.img log*.img >after
	told snapcheck -y "$spec" >/dev/null
	cat source.img log*.img | cmp - after || return 1
}

# bats test_tags=long
@test "logs as text: findings, repair, what is left, and the geometry" {
	local nr=0
	for dir in "$COW_SOURCE"/tests/cases/snaplog-*/; do
		dir=${dir%/}
		one_case "${dir##*/snaplog-}" || { echo "case $dir:"; cat "$dir/about"; return 1; }
		nr=$((nr + 1))
	done
	[ "$nr" -ge 20 ]
}

# bats test_tags=long
@test "a sound one: what it is, numbers, what comes next" {
	logs sound
	run -0 --separate-stderr snapcheck -v "$spec"
	[[ $output == *"snapshot of the driver of 2001 of 100 KiB, blocks of 1 KiB, 35 of 100 stored (35 %)"* ]]
	[[ $output == *"dmsetup status: 78/132 sectors, 8 of them metadata"* ]]
	[[ $output == *"kernel: no kernel has a driver for it"* ]]
	[[ ${stderr_lines[-1]} == "snapcheck: next: snapmerge --dry-run $spec" ]]
	snapcheck --json=j -q "$spec"
	[ "$(member j 'j["verdict"]["state"]')" = sound ]
	[ "$(member j 'j["store"]["kind"]')" = snaplog ]
	[ "$(member j 'j["store"]["exceptions"]')" = 35 ]
	run -4 snapcheck --is-empty "$spec"
	[[ $output == *"is not empty: it holds 35 chunks" ]]
	logs empty
	run -0 snapcheck --is-empty "$spec"
}

@test "without a geometry the images tell it, and the next line names it" {
	logs sound
	run -0 --separate-stderr snapcheck "$bare"
	[[ $output == *"snaplog.geometry-guessed: of "*" geometries "*" is the one that fits"* ]]
	[[ $stderr == "snapcheck: next: snapcheck $spec" ]]
	snapcheck --json=j -q "$bare"
	[ "$bare,$(member j 'j["verdict"]["geometry"]')" = "$spec" ]
	# what only looks needs it as a whole
	run -64 --separate-stderr snapdump --raw -o x "$bare,block=1024"
	[[ $stderr == *"do not record their geometry, and word=, endian=, key=, bitmap=, map= was not given"* ]]
	[ ! -e x ]
}

@test "close ones are listed, and none is chosen" {
	"$COW_SOURCE/tests/aids/snaplog_text.py" . <<-END
		geometry block=1024 word=4 endian=little key=block bitmap=packed map=half
		source 200
		log 40
		save 7 3
	END
	run -4 --separate-stderr snapcheck "$(cat bare)"
	[[ $output == *snaplog.geometry-candidate*"block=1024,word=4,endian=little"* ]]
	[[ $output == *"snaplog.geometry-unknown: of "*" geometries one makes sense, but 2 entries are too few to tell"* ]]
	[[ $output == *"snapshot data: not complete"* ]]
}

@test "a wrong geometry is doubted, and nothing is repaired by it" {
	logs sound
	cat log*.img >before
	run -4 --separate-stderr snapcheck -y "${spec/little/big}"
	[[ $output == *snaplog.geometry-doubted*" of 35 entries are impossible in this geometry"* ]]
	[[ $output == *"repair: 0 problems repaired"* ]]
	cat log*.img | cmp - before
}

# bats test_tags=long
@test "a bit that names nothing is data lost: which range, 4 besides 1" {
	logs value-high
	run -4 --separate-stderr snapcheck -y --json=j "$spec"
	[[ $output == *"repair: 1 problem repaired, 1 record dropped (1 KiB of the snapshot lost); no problems left"* ]]
	[ "$(member j 'j["repair"]["lost_bytes"]')" = 1024 ]
	[ "$(member j 'j["lost"][0]["offset_bytes"]')" = 61440 ]
	logs two-logs
	run -1 snapcheck -p "$spec"
}

# bats test_tags=long
@test "entries that share a data block are given up together, with --force=lost" {
	logs value-twice
	cat log*.img >before
	run -4 --separate-stderr snapcheck -y "$spec"
	cat log*.img | cmp - before
	[[ $output == *"--force=lost"* ]]
	run -4 --separate-stderr snapcheck -y --force=lost --json=j "$spec"
	[[ $output == *"repair: 1 problem repaired, 2 records dropped (2 KiB of the snapshot lost); no problems left"* ]]
	[ "$(member j 'j["repair"]["lost_bytes"]')" = 2048 ]
	run -0 --separate-stderr snapcheck "$spec"
	[[ $output == *"33 of 100 stored"* ]]
	# both show the source now, and all else is as it was
	for block in 81 82; do
		dd if=source.img of=view.img bs=1024 count=1 skip=$block seek=$block conv=notrunc status=none
	done
	snapdump -q --raw -o raw.img "$spec"
	cmp raw.img view.img
	# one is of a bit that should not be set: the other is right, and stays
	logs value-twice-beyond
	run -1 snapcheck -y --force=lost "$spec"
	run -0 --separate-stderr snapcheck "$spec"
	# four entries, one of them behind the end: the other three are given up
	"$COW_SOURCE/tests/aids/snaplog_text.py" . <<-END
		geometry block=1024 word=4 endian=little key=block bitmap=packed map=half
		source 200
		log 40
		save 3 50-70 9 1
		entry 0 3 7
		entry 0 50 7
		bit 0 120 7
	END
	run -5 --separate-stderr snapcheck -y --force=lost --json=j "$(cat spec)"
	[ "$(member j '[j["repair"][key] for key in ("left", "records_dropped")]')" = "[0, 4]" ]
	run -0 snapcheck "$(cat spec)"
}

@test "logs in the wrong order are doubted" {
	logs sound
	run -4 --separate-stderr snapcheck "${spec/log=log0.img,log=log1.img/log=log1.img,log=log0.img}"
	[[ $output == *snaplog.earlier-log-not-full* ]]
	snapcheck --json=j -q "${spec/log=log0.img,log=log1.img/log=log1.img,log=log0.img}" || [ $? = 4 ]
	[ "$(member j 'j["verdict"]["state"]')" = doubtful ]
}

# bats test_tags=long
@test "what has no sense here is refused by its name" {
	logs sound
	cat log*.img >before
	for option in --save-undo=u --skip-unreadable --revalidate; do
		run -16 snapcheck -y "$option" "$spec"
	done
	run -16 --separate-stderr snapcheck -y -o new.img "$spec"
	[[ $stderr == *"-o writes one image, and a snaplog has several"* ]]
	run -16 snapcheck -t persistent "$spec"
	run -16 snapcheck source.img "$spec"
	run --separate-stderr snapcheck --header-only "$spec"
	[ "$status" -ne 0 ]
	[[ $stderr == *"has no header"* ]]
	run -16 --separate-stderr snapcheck "${spec/word=4/word=5}"
	[[ $stderr == *"word=5: it is 4 or 8"* ]]
	run -16 --separate-stderr snapcheck "${spec/map=half/map=quarter}"
	[[ $stderr == *"map=quarter: it is half or full"* ]]
	run -64 --separate-stderr snapcheck "${spec/log1/log0}"
	[[ $stderr == *overlap* ]]
	cat log*.img | cmp - before
}
