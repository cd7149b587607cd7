#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# A list that zeros cut short, an area that holds a copy of another one, and what an older store
# left behind a list: words against the bytes of the view.
bats_require_minimum_version 1.8.0

# 1500 exceptions in chunks of 4 KiB, in areas of 256: area k is chunk 1 + 257 k.
setup() {
	cd "$BATS_TEST_TMPDIR"
	python3 - <<-'PY'
	import random
	R = random.Random(1)
	o = R.randbytes(16 << 20)
	n = bytearray(o)
	for i in range(1500):
	    n[i * 8192:i * 8192 + 4096] = R.randbytes(4096)
	open("origin.img", "wb").write(o)
	open("new.img", "wb").write(n)
	PY
	snapcreate -q origin.img good.img --from new.img
	cp good.img cow.img
}

zero() { # bytes of a unit, first unit, number of units
	dd if=/dev/zero of=cow.img bs="$1" seek="$2" count="$3" conv=notrunc status=none
}

# Chunks of the view of an image that differ from what the snapshot was.
wrong_chunks() {
	snapdump -q --raw -o view.img origin.img "$1"
	cmp -l new.img view.img | awk '{ c[int(($1 - 1) / 4096)] } END { print length(c) }'
	rm view.img
}

# A list that may be cut: nothing is written to it, by no tool.
is_left_alone() {
	cp cow.img was.img
	cp origin.img origin.was
	run -64 snapmerge -y origin.img cow.img
	[[ $output == *"may be cut short"* ]]
	run -64 snapdump --raw -o view.img origin.img cow.img
	[[ $output == *"--force=doubtful"* ]]
	[ ! -e view.img ]
	run -4 snapcheck -p origin.img cow.img
	run -4 snapcheck -y origin.img cow.img
	cmp cow.img was.img
	cmp origin.img origin.was
	run -4 snapdump -q --force=doubtful --raw -o view.img origin.img cow.img
	rm view.img
}

state() {
	snapcheck --json=j "$@" >out || [ $? -eq 4 ]
	python3 -c 'import json; print(json.load(open("j"))["verdict"]["state"])'
}

# bats test_tags=long
@test "a sound list: no word about its end" {
	run -0 snapcheck origin.img cow.img
	[[ $output != *"list-"* && $output != *"older-records"* ]]
	[ "$(state origin.img cow.img)" = sound ]
}

# bats test_tags=long
@test "a sector that was zeroed cuts the list: damage, and the rest is saved to a new image" {
	zero 512 9 1 # the second one of area 0
	run -4 snapcheck origin.img cow.img
	[[ $output == *"damage: persistent.list-cut, "*"about 32 records are missing, 1436 are intact behind them"* ]]
	[ "$(state origin.img cow.img)" = doubtful ]
	is_left_alone
}

# bats test_tags=long
@test "an area that was zeroed: doubtful, also without the origin" {
	zero 4096 515 1 # area 2
	run -4 snapcheck origin.img cow.img
	[[ $output == *"damage: persistent.list-"* ]]
	run -4 snapcheck cow.img
	is_left_alone
}

# bats test_tags=long
@test "a run of chunks that goes on behind the zeros cuts the list, and -o saves it" {
	# records without a gap: each chunk of the origin in turn
	python3 -c 'import random; open("new.img", "wb").write(random.Random(2).randbytes(16 << 20))'
	rm cow.img
	snapcreate -q origin.img cow.img --from new.img
	zero 4096 515 1
	run -4 snapcheck cow.img
	[[ $output == *"persistent.list-cut"*"about 256 records are missing"* ]]
	is_left_alone
	run -4 snapcheck -y -o saved.img origin.img cow.img
	[[ $output == *"at least 256 "* ]]
	[ "$(wrong_chunks saved.img)" -eq 256 ]
	[[ $output == *"a run of chunks"*"511 in front of it and 768 behind it"* ]]
	run -4 snapcheck -y --gap=leave -o left.img origin.img cow.img
	cmp left.img cow.img
	# A guess, and a true one here; what is written is a sound store, and still in doubt.
	run -4 snapcheck -y --gap=fill --json=j -o filled.img origin.img cow.img
	[[ $output == *"guessed: 256 exceptions"* && $output == *"snapshot data: not complete"* ]]
	[ "$(python3 -c 'import json; r = json.load(open("j"))["repair"]; print(r["guessed"], r["data_lost"])')" = "256 False" ]
	[ "$(wrong_chunks filled.img)" -eq 0 ]
	run -0 snapcheck -q origin.img filled.img
}

# bats test_tags=long
@test "a gap that no run spans is not filled; records behind a doubtful end are saved, and in doubt" {
	zero 4096 515 1
	# The records behind area 2 name other chunks than a run would.
	python3 - <<-'PY'
	import struct
	with open("cow.img", "r+b") as f:
	    f.seek((1 + 257 * 3) * 4096)
	    f.write(struct.pack("<Q", 3999))
	PY
	run -4 snapcheck origin.img cow.img
	[[ $output == *"persistent.list-doubtful"*"either about 256 between are lost, or those behind are an older store's"*"one in 256 does by chance"* ]]
	is_left_alone
	run -4 snapcheck -y --gap=fill -o saved.img origin.img cow.img
	[[ $output == *"at least 256 exceptions"* && $output == *"in doubt: 732 exceptions"* && $output != *guessed* ]]
	# 256 are missing, and one is where it does not belong.
	[ "$(wrong_chunks saved.img)" -eq 258 ]
	run -4 snapcheck -y --gap=leave -o left.img origin.img cow.img
	cmp left.img cow.img
	run -16 snapcheck -y --gap=fill origin.img cow.img
	run -4 snapcheck -p -o left.img --force=overwrite origin.img cow.img
	cmp left.img cow.img
}

# bats test_tags=long
@test "an area that holds a copy of another: damage; -o drops it and says so" {
	dd if=good.img of=cow.img bs=4096 skip=1 seek=258 count=1 conv=notrunc status=none
	run -4 snapcheck origin.img cow.img
	[[ $output == *"damage: persistent.area-copied, "*"area 1 holds the same bytes as area 0"* ]]
	is_left_alone
	run snapcheck -y -o saved.img origin.img cow.img
	[ $((status & 4)) -eq 4 ]
	[[ $output == *"at least 256 "* ]]
	[ "$(wrong_chunks saved.img)" -eq 256 ]
}

# bats test_tags=long
@test "the first 64 KiB zeroed: the chunk size is found, and -o brings back what is left" {
	zero 65536 0 1
	cp cow.img was.img
	for way in "" "-t persistent" "-c 4096" "-t persistent -c 4k"; do
		# shellcheck disable=SC2086
		run -5 snapcheck $way -y --force=overwrite -o saved.img origin.img cow.img
		[[ $output == *"lost: at least 256 "*"persistent.records-behind-empty"* ]]
		[ "$(wrong_chunks saved.img)" -eq 256 ]
	done
	# Nothing else is said, and nothing written in place: with a header it would pass for empty.
	run -4 snapcheck origin.img cow.img
	[[ $output == *"persistent.chunk-size-candidate, byte 1056768"* ]]
	run -4 snapcheck -y origin.img cow.img
	run -4 snapcheck -p origin.img cow.img
	cmp cow.img was.img
	run -64 snapmerge -y origin.img cow.img
	[[ $output == *"a store is behind it"* ]]
	# A chunk size that finds nothing is doubted where another finds the rest of a list.
	run -4 snapcheck -c 8192 origin.img cow.img
	[[ $output == *"persistent.chunk-size-contradicted"*"with chunks of 4096 bytes the rest of a list stands behind zeros"* ]]
	run -5 snapcheck -c 8192 -y --force=overwrite -o saved.img origin.img cow.img
	# Zeros are no store.
	truncate -s 64M zeros.img
	run -64 snapcheck zeros.img
	run -64 snapcheck -t persistent zeros.img
}

# bats test_tags=long
@test "the end of the list lost on a device that was blank: doubtful, unless the origin holds that data; on a used one a note" {
	for lost in "4096 1286 1" "512 $((1286 * 8 + 6)) 1"; do # all of area 5, of 1280 and on; its last sector
		cp good.img cow.img
		truncate -s 16M cow.img
		# shellcheck disable=SC2086
		zero $lost
		for given in "" origin.img; do
			# shellcheck disable=SC2086
			run -4 snapcheck --json=j $given cow.img
			[[ $output == *"damage: persistent.list-end-doubtful"* && $output == *"snapshot data: not complete"* ]]
			[ "$(python3 -c 'import json; v = json.load(open("j"))["verdict"]; print(v["state"], v["may_have_lost"])')" = "doubtful False" ]
		done
		is_left_alone
		run -64 snapmerge -n origin.img cow.img
		[[ $output == *"cow.img may be cut short: it ends with a sector, and data that it does not name follows"* ]]
		# as after a merge that was cut off: the origin has the data of what is not in the list
		run -0 snapcheck new.img cow.img
		run -0 snapmerge -n new.img cow.img
		# the device was in use
		dd if=/dev/urandom of=cow.img bs=4096 seek=$(($(stat -c %s cow.img) / 4096 - 1)) count=1 conv=notrunc status=none
		run -0 snapcheck --json=j origin.img cow.img
		[[ $output == *"note: persistent.data-behind"* && $output == *"snapshot data: complete, unless the note below"* ]]
		[ "$(python3 -c 'import json; v = json.load(open("j"))["verdict"]; print(v["state"], v["may_have_lost"])')" = "sound True" ]
	done
}

# bats test_tags=long
@test "where it cannot be read what would be used next, that is said, and not taken for zeros" {
	truncate -s 1M zeros.img
	cp zeros.img 32.img
	head -c $((32 * 4096)) new.img | dd of=32.img conv=notrunc status=none
	snapcreate -q -c 4K zeros.img few.img --from 32.img
	run -0 snapcheck zeros.img few.img
	[[ $output != *data-behind* ]]
	# records 0 to 31 name chunks 2 to 33; a sector of chunk 35 is bad
	at=$((35 * 4096))
	printf '0 ? 1\n0 %d +\n%d 512 -\n%d %d +\n' $at $at $((at + 512)) $(($(stat -c %s few.img) - at - 512)) >map
	run -0 snapcheck --json=j --bad-blocks=map zeros.img few.img
	[[ $output == *"note: persistent.data-behind"* && $output == *"cannot be read"* ]]
	[ "$(python3 -c 'import json; print(json.load(open("j"))["verdict"]["may_have_lost"])')" = True ]
}

# bats test_tags=long
@test "the first 64 KiB zeroed, and -c: bring back what is left, and say what is not" {
	zero 65536 0 1
	run -5 snapcheck -t persistent -c 4096 -y -o saved.img origin.img cow.img
	[[ $output == *"lost: at least 256 "*"persistent.records-behind-empty"* ]]
	[ "$(wrong_chunks saved.img)" -eq 256 ]
}

# bats test_tags=long
@test "a new store over an older one: a note, exit 0, and nothing is wiped" {
	python3 -c 'import random; n = bytearray(open("origin.img", "rb").read()); n[:400 * 4096] = random.Random(3).randbytes(400 * 4096); open("less.img", "wb").write(n)'
	snapcreate -q --force=overwrite origin.img cow.img --from less.img
	# what a device would still hold behind the new list
	dd if=good.img of=cow.img bs=4096 skip=515 seek=515 count=1 conv=notrunc status=none
	[ "$(stat -c %s cow.img)" -ge 2113536 ]
	cp cow.img was.img
	run -0 snapcheck -p origin.img cow.img
	[[ $output == *"note: persistent.older-records"* ]]
	cmp cow.img was.img
	[ "$(state origin.img cow.img)" = older-store-behind ]
	snapmerge -q -y origin.img cow.img
	cmp origin.img less.img
}

# bats test_tags=long
@test "a sibling and an undo file whose lists may be cut short: refused before the first write" {
	python3 -c 'import random; n = bytearray(open("origin.img", "rb").read()); n[:99 * 4096] = random.Random(4).randbytes(99 * 4096); open("less.img", "wb").write(n)'
	snapcreate -q origin.img main.img --from less.img
	zero 4096 515 1
	truncate -s +16M cow.img
	sha256sum origin.img cow.img main.img >sums
	for options in "" -n; do
		# shellcheck disable=SC2086
		run -64 snapmerge -y $options --sibling=cow.img origin.img main.img
		[[ $output == *"cow.img may be cut short"* ]]
		run -64 snapmerge -y $options --save-undo=cow.img origin.img main.img
	done
	sha256sum --quiet -c sums
	# One that is to be given up may be anything.
	cp good.img sound.img
	truncate -s +16M sound.img
	snapmerge -q -y --sibling=sound.img --drop-sibling=cow.img origin.img main.img
	cmp origin.img less.img
	[ "$(state cow.img)" != sound ]
}

# bats test_tags=long
@test "a sector that holds a copy of another: damage behind its place, a note in front of it" {
	dd if=good.img of=cow.img bs=512 skip=$((258 * 8)) seek=$((515 * 8 + 2)) count=1 conv=notrunc status=none
	run -4 snapcheck -v origin.img cow.img
	[ "$(grep -c "damage: persistent.record-copied" <<<"$output")" -eq 32 ]
	run -64 snapmerge -y origin.img cow.img
	[[ $output == *"are a copy of those from 256 on"* ]]
	# A repair that was cut off may have left this.
	cp good.img cow.img
	dd if=good.img of=cow.img bs=512 skip=$((515 * 8)) seek=$((258 * 8 + 2)) count=1 conv=notrunc status=none
	run -0 snapcheck origin.img cow.img
	[[ $output == *"note: persistent.duplicate-record, records 0-31 of area 2, "*" (32 records, "* ]]
	[[ $output == *"unless the note below is about this snapshot"* ]]
}

# bats test_tags=long
@test "area 0 zeroed: the list is empty, and the records behind it are named" {
	zero 4096 1 1
	run -0 snapcheck origin.img cow.img
	[[ $output == *"note: persistent.records-behind-empty"*"1244 records stand behind it"* ]]
	run -4 snapcheck --is-empty origin.img cow.img
}

# bats test_tags=long
@test "the origin holds the data behind a hole: all of it counts, not the first of it" {
	# Area 1 is lost; behind it stand exceptions 512 to 1499, of the chunks 2 i.
	zero 4096 258 1
	dd if=new.img of=origin.img bs=4096 skip=1024 seek=1024 conv=notrunc status=none
	run -0 snapcheck origin.img cow.img
	[[ $output == *"persistent.older-records"*"the origin holds their data, too"* ]]
	# One byte of the last one, and it may be a list that was cut.
	printf '\125' | dd of=origin.img bs=1 seek=$((1499 * 8192 + 4095)) conv=notrunc status=none
	run -4 snapcheck origin.img cow.img
	[ "$(state origin.img cow.img)" = doubtful ]
	is_left_alone
}

# bats test_tags=slow
@test "179 stores as kernels leave them: none is cut; 408 damaged ones: none is sound, but for the end of the list" {
	run -0 "$COW_SOURCE/tests/aids/list_end_table.py" "$COW_FIXTURES"
	[[ $output == *"179 sound stores, 408 damaged ones"* ]]
}
