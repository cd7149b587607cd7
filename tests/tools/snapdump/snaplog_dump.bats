#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# What a snapshot of the driver of 2001 shows, in every mode of snapdump, held against
# an independent reader (tests/aids/snaplog_text.py).
bats_require_minimum_version 1.8.0
load ../../common

setup() {
	cd "$BATS_TEST_TMPDIR"
}

# logs CASE: source.img, logN.img, view.img, spec and bare.
logs() {
	"$COW_SOURCE/tests/aids/snaplog_text.py" . <"$COW_SOURCE/tests/cases/snaplog-$1/logs.txt"
	spec=$(cat spec)
}

# bats test_tags=long
@test "--raw, --tar and --delta are the view" {
	for name in sound stale-map two-logs three-logs short-last-block sector-keys bytes; do
		rm -f ./*.img ./*.tar
		logs "$name"
		cat source.img log*.img >before
		snapdump -q --raw -o raw.img "$spec"
		cmp raw.img view.img
		snapdump -q --tar -o view.tar "$spec"
		size=$(stat -c %s source.img)
		snapcreate -q --import=view.tar "zero:$size" all.img
		snapdump -q --raw -o raw2.img "zero:$size" all.img
		cmp raw2.img view.img
		snapdump -q --delta -o delta.tar "$spec"
		snapcreate -q --import=delta.tar source.img some.img
		snapdump -q --raw -o raw3.img source.img some.img
		cmp raw3.img view.img
		snapcheck -q --verify=view.tar "$spec"
		cat source.img log*.img | cmp - before
	done
}

@test "--map lists what is stored" {
	logs short-last-block
	run -0 --separate-stderr snapdump --map "$spec"
	[[ $output == *"8192 16384 8192"* || $output == *8192* ]]
}

# bats test_tags=long
@test "--map=ddrescue: with what it names, and no more, a copy of each log shows the same" {
	for name in sound stale-map three-logs; do
		rm -f ./*.img ./*.map
		logs "$name"
		nr=0 copies=
		for log in log?.img; do
			snapdump -q --map=ddrescue:$nr -o "$nr.map" "$spec"
			truncate -s "$(stat -c %s "$log")" "copy$nr.img"
			awk '$3 == "+" { print $1, $2 }' "$nr.map" | while read -r at len; do
				dd if="$log" of="copy$nr.img" bs=512 skip=$((at / 512)) seek=$((at / 512)) \
					count=$((len / 512)) conv=notrunc status=none
			done
			copies+=,log=copy$nr.img
			nr=$((nr + 1))
		done
		snapdump -q --raw -o raw.img "snaplog:source=source.img$copies,block=${spec#*,block=}"
		cmp raw.img view.img
		run -16 --separate-stderr snapdump --map=ddrescue:$nr "$spec"
		[[ $stderr == *"there is no such log"* ]]
	done
	run -16 --separate-stderr snapdump --map=ddrescue "$spec"
	[[ $stderr == *"there are several logs"* ]]
	run -16 --separate-stderr snapdump --map=ddrescue:x "$spec"
	# 13 of the 40 blocks of log 1 are in use
	logs sound
	grep -q '^0x00003400 *0x00006C00 *?$' <(snapdump --map=ddrescue:1 "$spec")
	snapcreate -q source.img cow.img
	run -16 --separate-stderr snapdump --map=ddrescue:0 source.img cow.img
	[[ $stderr == *"only logs are numbered"* ]]
}

@test "--files of a file system as it was" {
	mkdir tree
	echo old >tree/file
	truncate -s 1M old.img
	mke2fs -q -t ext4 -d tree old.img
	"$COW_SOURCE/tests/aids/snaplog_text.py" . <<-END
		geometry block=1024 word=8 endian=big key=block bitmap=packed map=full
		source 2048
		log 1100
		base old.img
		save 0-1023
	END
	spec=$(cat spec)
	snapdump -q --files -o files.tar "$spec"
	[ "$(tar -xOf files.tar ./file 2>/dev/null || tar -xOf files.tar file)" = old ]
}

# bats test_tags=long
@test "damage needs force, and is said with 4; a doubt, too" {
	logs value-high
	run -64 --separate-stderr snapdump --json=j --raw -o x.img "$spec"
	[ "$(member j 'j["error"]["id"]')" = damaged ]
	run -4 --separate-stderr snapdump --force=damaged --raw -o x.img "$spec"
	cmp x.img view.img
	logs tail-lost
	run -64 --separate-stderr snapdump --raw -o y.img "$spec"
	run -4 --separate-stderr snapdump --force=doubtful --raw -o y.img "$spec"
	cmp y.img view.img
}

# found SPEC: what a check finds in logs, by id and place.
found() {
	snapcheck "$1" 2>/dev/null | sed -nE 's/^((note|damage|lost): [a-z.-]+(, byte [0-9]+)?).*/\1/p; /blocks of/s/.*, //p; /^would/p'
}

# bats test_tags=slow
@test "--metadata: a check of the extracted pack finds the same, and no data is in it" {
	local nr=0
	for dir in "$COW_SOURCE"/tests/cases/snaplog-*/; do
		dir=${dir%/}
		rm -rf x ./*.img
		mkdir x
		logs "${dir##*/snaplog-}"
		snapdump -q --metadata -o x/pack "$spec"
		tar -C x -xf x/pack
		found "$spec" >a
		(cd x && found "$(member metadata.json 'j["specification"]')") >b
		diff a b || { echo "$dir"; return 1; }
		# what is neither a set bit nor its entry is zero: nothing of the data, no stale entry
		python3 - "$nr" <<-'END'
			import glob
			for name in glob.glob('log?.img'):
			    log, pack = open(name, 'rb').read(), open('x/' + name, 'rb').read()
			    assert len(log) == len(pack), name
			    assert not any(pack[len(log) // 2:]), name
		END
		nr=$((nr + 1))
	done
	[ "$nr" -ge 23 ]
	logs stale-map
	cp log0.img full
	rm -rf x && mkdir x
	snapdump -q --metadata -o x/pack "$spec"
	tar -C x -xf x/pack
	# the map of log 0 is full of rubbish, of which only the entries in use remain
	[ "$(tail -c +1025 x/log0.img | tr -d '\0' | wc -c)" -le 160 ]
}

@test "--metadata refuses what may be data, and snapcheck a pack of several logs" {
	logs sound
	run -64 --separate-stderr snapdump --json=j --metadata -o pack "${spec/little/big}"
	[ "$(member j 'j["error"]["id"]')" = geometry ]
	[ ! -e pack ]
	run -64 --separate-stderr snapdump --metadata -o pack "$(cat bare)"
	snapdump -q --metadata -o pack "$spec"
	run -64 --separate-stderr snapcheck --json=j pack
	[ "$(member j 'j["error"]["id"]')" = pack ]
	[[ $stderr == *"extract it with tar"* ]]
}
