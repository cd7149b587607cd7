#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# What is drawn while a job runs: on a terminal of any width, and where there is none.
# bats file_tags=slow
bats_require_minimum_version 1.8.0
load ../../common

# A view that takes some seconds, as its reader is slow.
setup() {
	cd "$BATS_TEST_TMPDIR"
	head -c 24M /dev/urandom >image
	truncate -s 32M image
}

# shown WIDTHS SECONDS [NAME=VALUE...]: a line for each time something was drawn
shown() {
	local widths=$1 seconds=$2
	shift 2
	env "$@" "$COW_SOURCE/tests/aids/bar.py" "$widths" "$seconds" snapdump --raw -o - image
}

# fits: no frame of the bar is as wide as the window
fits() {
	awk '{ width = $1; sub(/^[0-9]+ /, ""); if (/^snapdump: /) next; n++; if (length($0) >= width) exit bad = 1 }
		END { exit bad || n < 3 }' <<<"$1"
}

@test "the bar fits a terminal of 40, 80 and 200 columns, also one that becomes narrower" {
	for width in 40 80 200 200,40; do
		shown "$width" 5 TERM=xterm COLUMNS= >"$width" &
	done
	shown 200 5 TERM=xterm COLUMNS=40 >by-variable &
	# Files: the data are counted first.
	mkdir tree
	cp image tree/data
	truncate -s 40M ext
	mke2fs -q -F -d tree ext
	env TERM=xterm COLUMNS= "$COW_SOURCE/tests/aids/bar.py" 80 5 snapdump --files -o - ext >files &
	wait
	grep -E '^80 \[#* *\] files [0-9.]+ MiB of 24 MiB, [1-8]?[0-9] %' files
	for width in 40 80 200 200,40; do
		fits "$(cat "$width")"
		grep -E "^${width##*,} \[#* *\] write [0-9.]+ MiB of 32 MiB, [0-9]+ %" "$width"
	done
	# The wider, the more is said.
	grep -E '^80 \[.{20}\] write .* %, [0-9.]+ [KM]iB/s$' 80
	grep -E '^200 \[.{20}\] write .* %, [0-9.]+ [KM]iB/s, [0-9]+:[0-9]{2}:[0-9]{2} left$' 200
	! grep '/s' 40 || return 1
	fits "$(sed 's/^200/40/' by-variable)"
}

@test "a terminal that cannot go back in a line, and a log, get whole lines" {
	shown 80 5 TERM=dumb COLUMNS= >dumb &
	shown 80 5 -u TERM COLUMNS= >unset &
	snapdump --raw --progress=always -o - image 2>log | (sleep 3; cat >/dev/null) &
	wait
	for file in dumb unset; do
		grep -E '^80 snapdump: write [0-9.]+ MiB of 32 MiB, [0-9]+ %, [0-9.]+ [KM]iB/s' "$file"
		! grep '\[' "$file" || return 1
		# Not one each half second.
		[ "$(grep -c 'snapdump: write' "$file")" -le 3 ]
	done
	grep -E '^snapdump: write [0-9.]+ MiB of 32 MiB, [0-9]+ %' log
}

# took SECONDS COMMAND...: the command works, and takes no less
took() {
	local start=${EPOCHREALTIME/./} least=$1
	shift
	"$@" 2>said || { cat said; return 1; }
	[ $((${EPOCHREALTIME/./} - start)) -ge "${least}000000" ]
}

@test "--rate-limit: reading and writing take the time that it asks for, in each tool; a signal ends a pause" {
	head -c 4M /dev/urandom >new
	truncate -s 4M old
	snapcreate -q --from=new old cow
	cp --sparse=always old merged
	cp cow merged.cow
	# 4 MiB are read or written, the last piece of 1 MiB is not waited for.
	took 1 snapcreate -q --from=new --rate-limit=2M old made &
	took 1 snapmerge -q -y --force=volatile --rate-limit=2M merged merged.cow &
	took 1 snapmerge -q --rate-limit=2M -o merged.new old cow &
	took 1 snapdump -q --raw --rate-limit=2M -o dumped old cow &
	took 1 snapdump -q --tar --rate-limit=2M -o tar old cow &
	snapdump -q --tar -o manifest old cow
	took 1 snapcheck -q --rate-limit=2M --verify=manifest old cow &
	for job in $(jobs -p); do wait "$job"; done
	for file in merged merged.new dumped; do
		cmp new "$file"
	done
	# One piece is 17 minutes of this limit.
	run -32 timeout --preserve-status -s INT 2 snapdump --raw --rate-limit=4k -o none new
	[ ! -e none ]
	run -16 snapdump --raw --rate-limit=4095 -o none new
	[[ $output == *"--rate-limit=4095: the smallest limit is 4 KiB per second"* ]]
	run -16 snapdump --raw --rate-limit=0 -o none new
}

# ends PHASES COMMAND...: these phases end with 100 %, in this order, and nothing is in front of the end of a
# phase that is more than it
ends() {
	local wanted=$1
	shift
	"$@" --progress=always 2>said >/dev/null || [ $? = 4 ] || { cat said; return 1; }
	[ "$(sed -nE 's/^[a-z]*: ([a-z]+) .* of .*, 100 %.*/\1/p' said | xargs)" = "$wanted" ] ||
		{ echo "$*: not \"$wanted\""; cat said; return 1; }
	# the amounts of a line of 100 % are the same
	! sed -nE 's/^[a-z]*: [a-z]+ (.*) of (.*), 100 %.*/\1|\2/p' said | awk -F'|' '$1 != $2' | grep . ||
		{ echo "$*"; cat said; return 1; }
}

# amounts: what the lines that end a phase say, one a line
amounts() {
	sed -nE 's/^[a-z]*: [a-z]+ (.*) of .*, 100 %.*/\1/p' said
}

@test "each mode ends at 100 % of what it moves: holes are not in it" {
	# 3 MiB of data in 64 MiB, 1 MiB of it new.
	truncate -s 64M old
	dd if=image of=old bs=1M count=2 seek=20 conv=notrunc status=none
	cp --sparse=always old new
	dd if=image of=new bs=1M count=1 seek=50 conv=notrunc status=none
	ends "store" snapcreate --from=new old cow
	snapdump -q --tar -o tar old cow
	snapdump -q --tar old | tar -xf - manifest.json
	ends "write" snapdump --raw -o raw old cow
	[ "$(amounts)" = "3 MiB" ]
	ends "write" snapdump --raw old cow
	[ "$(amounts)" = "64 MiB" ]
	ends "digest write" snapdump --tar -o tar2 old cow
	[ "$(amounts | uniq)" = "3 MiB" ]
	ends "compare digest digest write" snapdump --delta -o delta old cow
	[ "$(amounts | tail -1)" = "1 MiB" ]
	ends "digest write" snapdump --delta --against=manifest.json -o delta2 new
	ends "write" snapmerge -o merged old cow
	[ "$(amounts)" = "3 MiB" ]
	ends "digest" snapcheck --verify=tar old cow
	ends "digest" snapcreate --import=tar old filled
	ends "digest write" snapdump --metadata -o pack cow
	snapcreate -q old sibling
	ends "preserve move" snapmerge -y --force=volatile --sparse --sibling=sibling old cow
	[ "$(amounts | uniq)" = "1 MiB" ]
	# A clone: the holes of its source stay holes of its destination, also where that held something.
	truncate -s 64M dest
	dd if=image of=dest bs=1M count=8 conv=notrunc status=none
	snapcreate -q -c 64K clone:metadata=meta,source=new,destination=dest
	ends "move" snapmerge -y --force=volatile clone:metadata=meta,source=new,destination=dest
	[ "$(amounts)" = "3 MiB" ]
	cmp new dest
	[ "$(du -m dest | cut -f1)" -le 4 ]
	# Files: only what is there counts, not the holes.
	mkdir tree
	head -c 1M image >tree/data
	truncate -s 8M tree/hole
	truncate -s 16M ext
	mke2fs -q -F -d tree ext
	ends "files" snapdump --files -o files ext
	[ "$(amounts)" = "1 MiB" ]
	ends "write" snapdump --cat=/data ext
	[ "$(amounts)" = "1 MiB" ]
}
