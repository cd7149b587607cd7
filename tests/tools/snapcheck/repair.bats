#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# snapcheck repairs: in place, in a new image, with an undo, in memory.
bats_require_minimum_version 1.8.0
load ../../common

setup() {
	cd "$BATS_TEST_TMPDIR"
}

teardown() {
	[ -z "${loop:-}" ] || losetup -d "$loop"
}

# The image has two damages: a duplicate, and stale records behind the end.
twice_and_stale="size 4M\nheader\nrecord 10 2\nrecord 11 3\nrecord 11 4\ndata 2 3\nat 0 64\nrecord 7 66\n"

@test "-y repairs in place: exit 1, the second check exits 0 and writes nothing" {
	store "$twice_and_stale"
	run -4 snapcheck cow.img
	run -1 snapcheck -y cow.img
	[[ $output == *"repair: 2 problems repaired, 1 record dropped; no problems left"* ]]
	after=$(sum cow.img)
	run -0 snapcheck cow.img
	[[ $output == *"sound: no problems found"* ]]
	run -0 snapcheck -y cow.img
	[ "$(sum cow.img)" = "$after" ]
}

@test "-p repairs what is safe and leaves the rest: exit 5; alone: exit 1" {
	store "$twice_and_stale"
	run -5 snapcheck -p cow.img
	[[ $output == *"repair: 1 problem repaired; 1 problem left"* ]]
	store "size 4M\nheader\nauto 10 3\nat 0 64\nrecord 7 66\n"
	run -0 snapcheck cow.img
	run -1 snapcheck -p cow.img
	run -0 snapcheck -p cow.img
}

@test "-n with -y shows what would be left, exits as the real run, and changes no byte" {
	store "$twice_and_stale"
	chmod 0444 cow.img
	before=$(sum cow.img)
	run -1 snapcheck -n -y cow.img
	[[ $output == *"in memory only"*"2 problems repaired"* ]]
	run -5 snapcheck -n -p cow.img
	run -4 snapcheck -n cow.img
	[ "$(sum cow.img)" = "$before" ]
}

@test "-o writes the repaired store to a new image and leaves the evidence alone" {
	store "$twice_and_stale"
	chmod 0444 cow.img
	before=$(sum cow.img)
	run -1 --separate-stderr snapcheck --json=j -y -o new.img cow.img
	[ "$(sum cow.img)" = "$before" ]
	[ "$(member j 'j["repair"]["mended"], j["repair"]["left"], j["repair"]["target"], j["exit"]')" = "(2, 0, 'new.img', 1)" ]
	run -0 snapcheck new.img
	run -64 --separate-stderr snapcheck -y -o new.img cow.img
	[[ $stderr == *"--force=overwrite"* ]]
	run -1 snapcheck -y --force=overwrite -o new.img cow.img
	run -16 snapcheck -y -o new2.img --save-undo=u cow.img
	run -16 snapcheck -p -y cow.img
}

@test "a preview with -o makes no file" {
	store "$twice_and_stale"
	run -1 snapcheck -n -o new.img cow.img
	[ ! -e new.img ]
}

@test "the undo file of a repair is merged back: every byte is as before" {
	# the image is no multiple of the chunk of the undo file
	store "size 2001s\nchunk 1\nheader\nauto 10 40\nrecord 12 90\nrecord 90 5000\ndata 2 100\n"
	before=$(sum cow.img)
	run -4 snapcheck -y --save-undo=undo.img cow.img
	run -0 snapcheck cow.img
	[ "$(sum cow.img)" != "$before" ]
	run -0 snapcheck cow.img undo.img
	run -0 snapmerge -y cow.img undo.img
	[ "$(sum cow.img)" = "$before" ]
	run -16 snapcheck --save-undo=u2.img cow.img </dev/null
	[ ! -e u2.img ]
}

# bats test_tags=long
@test "an undo file in memory is refused: a power cut would take it" {
	[ "$(stat -f -c %T /dev/shm)" = tmpfs ] || skip "no tmpfs"
	store "$twice_and_stale"
	now=$(sum cow.img)
	name=/dev/shm/undo.$$
	for with in -y -p "-n -y"; do
		# shellcheck disable=SC2086
		run -64 --separate-stderr snapcheck $with --json=j --save-undo=$name cow.img
		[ "$(member j 'j["error"]["id"], j["error"]["force"]')" = "('volatile', 'volatile')" ]
		[ ! -e $name ]
		[ "$(sum cow.img)" = "$now" ]
	done
	run -1 snapcheck -y --force=volatile --save-undo=$name cow.img
	run -0 snapmerge -y cow.img $name
	rm $name
	[ "$(sum cow.img)" = "$now" ]
}

@test "a store with nothing to mend gets no undo file" {
	store "header\nauto 10 3\n"
	run -0 snapcheck -y --save-undo=undo.img cow.img
	[ ! -e undo.img ]
	# what there is cannot be mended in place
	store "size 34s\nchunk 1\nheader\nauto 5 32\n"
	for i in 1 2; do
		run -4 snapcheck -y --save-undo=undo.img cow.img
		[ ! -e undo.img ]
	done
}

@test "exceptions beyond a truncated end are dropped only when that is allowed" {
	store "size 20s\nchunk 1\nheader\nauto 5 31\ndata 2 10\n"
	before=$(sum cow.img)
	run -4 snapcheck -y cow.img
	[ "$(sum cow.img)" = "$before" ]
	run -4 snapcheck -y -o new.img cow.img
	[[ $output == *"snapshot data: not complete"*"13 records dropped (6.5 KiB of the snapshot lost)"*"lost: 6656 bytes (6.5 KiB) of the snapshot, in 1 range, now show the origin: bytes 11776-18431"*"not complete; a later check of new.img cannot know this"* ]]
	run -4 snapcheck -y --force=lost cow.img
	run -0 snapcheck cow.img
}

@test "an exception beyond the origin that was named is not dropped in place" {
	store "header\nauto 98 4\n"
	truncate -s 400K origin.img
	run -4 snapcheck -y origin.img cow.img
	# a little beyond it: the origin may have been cut
	run -4 --separate-stderr snapcheck -y -o new.img origin.img cow.img
	[[ $stderr == *"origin.img is too short for this snapshot, or is not its origin"* ]]
	[[ $stderr == *"next: snapcheck ORIGIN cow.img"* ]]
	cmp cow.img new.img
	rm new.img
	run -4 snapcheck -y --force=lost -o new.img origin.img cow.img
	[[ $output == *"2 records dropped"*"lost: at least 2 exceptions of new.img"* ]]
	run -0 snapcheck origin.img new.img
}

@test "a list without an end is mended by room, in the new image" {
	store "size 34s\nchunk 1\nheader\nauto 5 32\n"
	run -4 --separate-stderr snapcheck -y cow.img
	[[ $stderr == *"next: snapcheck -y -o"* ]]
	# what stood behind the old end, if anything did, is lost
	run -5 snapcheck -y -o new.img cow.img
	run -0 snapcheck new.img
	[[ $output == *"32 chunks changed"* ]]
}

@test "--revalidate: only with -o or --save-undo, and it says what is missing" {
	store "header valid=0\nauto 5 20\nat 0 64\nrecord 7 66\n"
	run -4 snapcheck cow.img
	run -16 snapcheck -y --revalidate cow.img
	run -5 snapcheck -y -o left.img cow.img
	run -1 snapcheck -y --revalidate -o new.img cow.img
	[[ $output == *"every write to the origin since"*"is missing"* ]]
	run -0 snapcheck new.img
	[[ $output == *"20 chunks changed"* ]]
}

@test "a lost header: found by the layout, or --chunk-size decides" {
	store "chunk 16\nheader\nauto 100 20\npoke 0 00000000000000000000000000000000\n"
	run -1 snapcheck -y -t persistent -o new.img cow.img
	run -0 snapcheck new.img
	[[ $output == *"chunks of 8"*"20 chunks changed"* ]]
	run -1 snapcheck -y -c 8K -o new2.img cow.img
	cmp new.img new2.img
}

@test "on a terminal it asks: y, n, a, q" {
	store "header\nauto 5 4\nrecord 91 1\nrecord 70 8\nrecord 92 1\nrecord 71 9\nrecord 93 1\n"
	cp cow.img good.img
	ask() { # ANSWER...: on a terminal
		"$COW_SOURCE/tests/aids/prompt.py" '[y/n/a/q] ' "$@" -- snapcheck cow.img || status=$?
	}
	status=0 && ask a >out
	[ "$status" = 4 ] # what they pointed to is lost
	run -0 snapcheck cow.img
	[[ $output == *"6 chunks changed"* ]]
	cp good.img cow.img
	status=0 && ask y n q >out
	[ "$status" = 4 ]
	run -4 --separate-stderr snapcheck cow.img
	[[ $output == *"8 chunks changed"* ]]
	cp good.img cow.img
	status=0 && ask q >out
	[ "$status" = 4 ]
	cmp cow.img good.img
}

# bats test_tags=long
@test "one question about a run, after the overview; the letters are explained once" {
	store "header\nauto 5 4\nrecord 91 1\nrecord 92 1\nrecord 93 1\nrecord 70 8\nrecord 94 1\n"
	cp cow.img good.img
	ask() { # OPTION ANSWER...: on a terminal
		"$COW_SOURCE/tests/aids/prompt.py" '[y/n/a/q] ' "${@:2}" -- snapcheck $1 cow.img || status=$?
	}
	status=0 && ask "" y n >out
	[ "$status" = 4 ]
	[ "$(grep -c 'y/n/a/q' out)" = 2 ]
	[ "$(grep -c 'answer y (yes), n (no)' out)" = 1 ]
	[[ $(<out) == "cow.img: damaged: "*"records 4-6 of area 0, bytes 4160-4207: "*"answer y"*"drop the exception, in each of these 3 records? [y/n/a/q] y"*"drop the exception? [y/n/a/q] n"*"repair: 3 problems repaired, 3 records dropped"*"1 problem left"* ]]
	run -4 snapcheck cow.img
	[[ $output == *"6 chunks changed"* ]]
	# what is no letter is asked again; with -v each one is shown, and asked about
	cp good.img cow.img
	status=0 && ask -v y x n n n >out
	[ "$(grep -c 'y/n/a/q' out)" = 5 ]
	run -4 snapcheck cow.img
	[[ $output == *"8 chunks changed"* ]]
}

# bats test_tags=long
@test "every damaged fixture: repaired into a new image, the second check is clean" {
	unpack damaged/origin.img origin.img
	for dir in "$COW_FIXTURES"/damaged/m*; do
		name=${dir##*/}
		rm -f cow.img new.img
		unpack "damaged/$name/cow.img" cow.img
		before=$(sum cow.img)
		snapcheck -y -o new.img origin.img cow.img >first 2>&1 && status=0 || status=$?
		[ "$(sum cow.img)" = "$before" ]
		[ "$name" != m52-only-header ] || { [ "$status" = 4 ] && continue; }
		case $name in # their data is not on the image: mended, but not what it was
		m20-* | m24-* | m50-* | m54-*) expected=4 ;;
		m30-* | m34-* | m43-*) expected=4 ;; # nor which chunk it was
		m32-*) expected=5 ;; # a record in the midst of the list is gone, those behind it are back
		m41-*) expected=5 ;; # cut where an area may have held more
		m11-*) expected=5 ;; # which chunk size is right cannot be told
		*) expected=[01] ;;
		esac
		# shellcheck disable=SC2053
		[[ $status == $expected ]] || { echo "$name: $status"; cat first; return 1; }
		snapcheck origin.img new.img >second || { echo "$name"; cat first second; return 1; }
	done
}

# bats test_tags=slow
@test "10,000 random damages: check and model agree, nothing readable is lost, twice is once" {
	run -0 "$COW_BUILD/tests/unit/store/test_repair" 10000
	[[ $output == *"10000 stores: "* ]]
}

@test "a lost header: the candidates with what speaks for them, in words and as JSON" {
	pair both-c32
	cp cow.img good.img
	dd if=/dev/zero of=cow.img bs=512 count=1 conv=notrunc status=none
	run -64 --separate-stderr snapcheck cow.img
	[[ $stderr == *"next: snapcheck -t persistent cow.img"* ]]
	run -4 --separate-stderr snapcheck -t persistent --json=j cow.img
	[[ $output == *"info: persistent.chunk-size-candidate, byte 16384: "*"a list of 223 exceptions"*"223 of them just where they were allocated; it ends as lists end"* ]]
	[ "$(member j '[f["length_bytes"] for f in j["findings"] if f["id"] == "persistent.chunk-size-candidate"]')" = "[16384]" ]
	[[ $output == *"kernel: takes it for a new store and wipes what is in it"* ]]
	run -1 snapcheck -t persistent -y -o new.img cow.img
	cmp new.img good.img
}

@test "no guess between lists of one length; what lies among the data is no rival" {
	printf 'size 2M\nchunk 8\nauto 100 10\nchunk 128\nat 0 0\nauto 200 10\n' | "$COW_BUILD/tests/examples/mkstore" cow.img
	run -4 snapcheck -t persistent cow.img
	[[ $output == *"damage: persistent.chunk-size-unknown"* ]]
	printf 'size 2M\nchunk 8\nauto 100 20\nchunk 128\nat 0 0\nauto 200 10\n' | "$COW_BUILD/tests/examples/mkstore" cow.img
	run -4 snapcheck -t persistent cow.img
	[[ $output == *"chunks of 4 KiB, "*" 20 chunks changed"* ]]
}

@test "no guess where the header chunk would have records: a list whose beginning is lost, too" {
	{
		printf 'size 2M\nchunk 2\nauto 100 60\nchunk 16\nat 0 0\n'
		for i in 2 3 4 5 6 7 8 9 10 11; do echo "record $i $i"; done
	} | "$COW_BUILD/tests/examples/mkstore" cow.img
	dd if=/dev/zero of=cow.img bs=512 count=3 conv=notrunc status=none
	run -4 snapcheck -t persistent -y -o new.img cow.img
	[[ $output == *"damage: persistent.chunk-size-unknown"*"chunks of 8192 bytes there is a list of 10 exceptions"* ]]
	# the same without the records: what is there is what was
	dd if=/dev/zero of=cow.img bs=512 seek=3 count=1 conv=notrunc status=none
	run -1 snapcheck -t persistent -y -o new2.img cow.img
	[[ $output == *"chunks of 8 KiB, "*" 10 chunks changed"* ]]
}

# bats test_tags=long
@test "no guess between two lists, the smaller of which is short; --chunk-size decides" {
	printf 'size 2M\nchunk 8\nauto 100 3\nchunk 32\nat 0 0\nauto 200 40\n' | "$COW_BUILD/tests/examples/mkstore" cow.img
	run -4 --separate-stderr snapcheck -t persistent --json=j cow.img
	[ "$(member j '[(f["id"].split(".")[1], f["length_bytes"]) for f in j["findings"]][:2]')" = "[('chunk-size-candidate', 4096), ('chunk-size-candidate', 16384)]" ]
	[[ $output == *"damage: persistent.chunk-size-unknown"* ]]
	[[ $stderr == *"next: snapcheck --chunk-size=SIZE cow.img"* ]]
	before=$(sum cow.img)
	run -4 snapcheck -t persistent -y cow.img
	[ "$(sum cow.img)" = "$before" ]
	run -1 snapcheck -c 16K -y -o new.img cow.img
	run -0 snapcheck new.img
	[[ $output == *"chunks of 16 KiB, "*" 40 chunks changed"* ]]
	run -1 snapcheck -c 4K -y -o other.img cow.img
	run -0 snapcheck other.img
	[[ $output == *"chunks of 4 KiB, "*" 3 chunks changed"* ]]
}

# bats test_tags=slow
@test "a repaired store that needs more room than COW goes to a device that has it, behind other images of the job too" {
	store "size 34s\nchunk 1\nheader\nauto 5 32\n"
	truncate -s 1M disk.img
	loop=$(losetup -f --show disk.img)
	run -5 snapcheck -y -o "$loop" cow.img
	cmp -n 512 cow.img "$loop"
	run -0 snapcheck "$loop"
	[[ $output == *"32 chunks changed"* ]]
	# The bytes behind it belong to the origin.
	wipefs -qa "$loop"
	before=$(sum "$loop")
	run -64 snapcheck -y --force=origin -o "$loop" "$loop@17408" cow.img
	[[ $output == *overlap* ]]
	[ "$(sum "$loop")" = "$before" ]
	losetup -d "$loop"
	truncate -s 17408 disk.img
	loop=$(losetup -f --show disk.img)
	run -8 snapcheck -y --force=overwrite -o "$loop" cow.img
	[[ $output == *"the device is smaller than"* ]]
	run -8 snapcheck -n -y --force=overwrite -o "$loop" cow.img
}

@test "a list without an end: --force=grow enlarges a file in place; -n says what would come of it" {
	store "size 34s\nchunk 1\nheader\nauto 5 32\n"
	printf rubbish >>cow.img
	before=$(sum cow.img)
	run -4 --separate-stderr snapcheck -y cow.img
	[[ $stderr == *"--force=grow enlarges cow.img in place"* ]]
	run -4 snapcheck -p --force=grow cow.img
	run -5 snapcheck -n -y --force=grow cow.img
	run -5 snapcheck -n -y -o new.img cow.img
	run -64 --separate-stderr snapcheck -y --force=grow --save-undo=u cow.img
	one_sentence
	[[ $stderr == *"--save-undo cannot take back"* ]]
	[ ! -e u ]
	[ "$(sum cow.img)" = "$before" ]
	# -p drops no record, a second one of the same neither
	store "size 34s\nchunk 1\nheader\nauto 5 31\nrecord 35 32\n"
	cp cow.img good.img
	run -4 snapcheck -p --force=grow --save-undo=u cow.img
	cmp cow.img good.img
	# what is safe enlarges nothing, and is saved
	store "size 4M\nheader\nauto 10 3\nat 0 64\nrecord 7 66\n"
	cp cow.img good.img
	run -1 snapcheck -p --force=grow --save-undo=u cow.img
	run -0 snapmerge -y cow.img u
	cmp cow.img good.img
	store "size 34s\nchunk 1\nheader\nauto 5 32\n"
	{ head -c 512 /dev/zero; head -c 17408 cow.img; } >window.img
	run --separate-stderr snapcheck -y --force=grow window.img@512+17408
	[ "$status" -ge 8 ]
	[ "$(stat -c %s window.img)" = 17920 ]
	run -5 snapcheck -y --force=grow cow.img
	[[ $output == *"repaired, but part of the snapshot may be lost"*"snapshot data: not complete"*"enlarged with zeros to 17920 bytes"*"are lost, if there were any"* ]]
	[ "$(stat -c %s cow.img)" = 17920 ]
	run -0 snapcheck cow.img
	[[ $output == *"32 chunks changed"* ]]
}

# bats test_tags=long
@test "a dropped exception is no loss only where the view still shows the data" {
	truncate -s 400K origin.img
	# beyond both ends: which chunk it was is not known
	store "size 40960\nheader\nauto 20 2\nrecord 500 90000\ndata 2 2\n"
	run -4 snapcheck -y --force=lost --json=j origin.img cow.img
	[ "$(member j 'j["repair"]["data_lost"], j["repair"]["left"]')" = "(True, 0)" ]
	[ "$(member j 'j["repair"]["lost_elsewhere"], j["lost"]')" = "(1, [])" ]
	# the kernel reads the earlier record
	store "size 40960\nheader\nauto 20 2\nrecord 21 90000\ndata 2 2\n"
	run -1 snapcheck -y --force=lost --json=j origin.img cow.img
	[ "$(member j 'j["repair"]["data_lost"], j["repair"]["left"]')" = "(False, 0)" ]
	# without an origin it may be larger
	store "size 40960\nheader\nauto 20 2\nrecord 500 90000\ndata 2 2\n"
	run -4 snapcheck -y --force=lost --json=j cow.img
	[ "$(member j 'j["repair"]["data_lost"], j["repair"]["left"]')" = "(True, 0)" ]
	run -0 snapcheck -y cow.img
}

# bats test_tags=long
@test "what a repair has saved is not overwritten: the way on is said" {
	store "header\nauto 5 4\nrecord 91 1\nauto 200 5\n"
	cp cow.img good.img
	run -4 snapcheck -y --save-undo=undo.img cow.img
	cp good.img cow.img
	saved=$(sum undo.img)
	for force in "" --force=overwrite; do
		# shellcheck disable=SC2086
		run -64 --separate-stderr snapcheck -y $force --save-undo=undo.img --json=j cow.img
		[ "$(member j 'j["error"]["id"], j["error"]["force"]')" = "('undo-exists', None)" ]
		[ "$(member j 'j["next"]')" = "['snapmerge', 'cow.img', 'undo.img']" ]
	done
	[ "$(sum undo.img)" = "$saved" ]
	[ "$(sum cow.img)" = "$(sum good.img)" ]
	snapmerge -q -y cow.img undo.img
	cmp cow.img good.img
	run -4 snapcheck -y --save-undo=undo.img --force=overwrite cow.img
	run -0 snapcheck cow.img
}

@test "an undo file that cannot be opened, or not over this image, is not overwritten" {
	store "size 300K\nheader\nrecord 10 2\nrecord 11 3\nrecord 11 4\ndata 2 3\n"
	cp cow.img good.img
	snapcheck -q -y --save-undo=undo.img cow.img || [ $? = 1 ]
	saved=$(sum undo.img)
	cp good.img cow.img
	run -64 --separate-stderr flock -s undo.img snapcheck -y --force=overwrite --save-undo=undo.img --json=j cow.img
	[ "$(member j 'j["error"]["id"]')" = "locked" ]
	[ "$(sum undo.img)" = "$saved" ]
	# what it has saved lies beyond the end of this one
	store "size 40960\nheader\nrecord 10 2\nrecord 11 3\nrecord 11 4\ndata 2 3\n"
	"$COW_BUILD/tests/examples/mkstore" undo.img <<<$'size 300K\nheader\nauto 70 1'
	cp cow.img good.img
	saved=$(sum undo.img)
	run -64 --separate-stderr snapcheck -y --force=overwrite --save-undo=undo.img --json=j cow.img
	one_sentence
	[ "$(member j 'j["error"]["id"], j["error"]["force"]')" = "('undo-exists', None)" ]
	[ "$(sum undo.img)" = "$saved" ]
	cmp cow.img good.img
	# no store: the usual rules
	printf x >undo.img
	run -1 snapcheck -y --force=overwrite --save-undo=undo.img cow.img
}

# cut_off FAULT: a repair with undo.img that ends there.
cut_off() {
	run env COW_SANDBOX=off FAULT_PLAN="$1" LD_PRELOAD="$COW_BUILD/tests/faults/shim.so" \
		snapcheck -y --save-undo=undo.img cow.img
}

# good.img, and what a repair of it with undo.img has left that was killed; cut.img is undo.img.
half_repaired() {
	store "size 300K\nheader\nrecord 10 2\nrecord 11 3\nrecord 11 4\ndata 2 3\n"
	cp cow.img good.img
	cut_off f:8:kill:0
	[ "$status" = 137 ]
	cp undo.img cut.img
}

# bats test_tags=limit
@test "a repair with an undo file that was cut off is continued, and only that of this image" {
	half_repaired
	cp good.img other.img
	printf x | dd of=other.img bs=1 seek=9000 conv=notrunc status=none
	saved=$(sum undo.img)
	run -64 --separate-stderr snapcheck -y --save-undo=undo.img --json=j other.img
	[ "$(member j 'j["error"]["id"], j["error"]["force"]')" = "('other-image', None)" ]
	[ "$(sum undo.img)" = "$saved" ]
	run -1 --separate-stderr snapcheck -y --save-undo=undo.img cow.img
	[[ $stderr == *"continuing the repair that was cut off"* ]]
	run -0 snapcheck -q cow.img
	# once it is through it is not continued
	cp cow.img now.img
	cp good.img cow.img
	run -64 snapcheck -y --save-undo=undo.img cow.img
	[[ $output == *"is the undo file of an earlier repair"* ]]
	cp now.img cow.img
	run -0 snapmerge -y cow.img undo.img
	cmp cow.img good.img
}

# bats test_tags=long
@test "the undo file of a repair is taken back only on its image, as the repair left it" {
	store "size 2001s\nchunk 1\nheader\nauto 10 40\nrecord 12 90\nrecord 90 5000\ndata 2 100\n"
	cp cow.img good.img
	run -4 snapcheck -y --save-undo=undo.img cow.img
	cp cow.img fixed.img
	cp undo.img saved.img
	# a byte that the undo file would write
	at=$(snapdump -q --map cow.img undo.img | awk '$1 ~ /^[0-9]+$/ { print $1 + 100; exit }')
	printf x | dd of=cow.img bs=1 seek="$at" conv=notrunc status=none
	cp cow.img other.img
	for with in -y -n; do
		run -64 --separate-stderr snapmerge $with --json=j cow.img undo.img
		[[ $stderr == *"cow.img was changed after the repair: bytes $((at - 100)) to "* ]]
		[ "$(member j 'j["error"]["id"], j["error"]["force"]')" = "('changed', 'changed')" ]
	done
	cmp cow.img other.img
	cmp undo.img saved.img
	# what it does not write is not its business
	cp fixed.img cow.img
	printf x | dd of=cow.img bs=1 seek=900000 conv=notrunc status=none
	run -0 snapmerge -y cow.img undo.img
	cp good.img there.img
	printf x | dd of=there.img bs=1 seek=900000 conv=notrunc status=none
	cmp cow.img there.img
	# another size
	cp saved.img undo.img
	truncate -s $((2002 * 512)) other.img
	run -64 --separate-stderr snapmerge -y --force=changed --json=j other.img undo.img
	[ "$(member j 'j["error"]["id"], j["error"]["force"]')" = "('other-image', None)" ]
	# forced: somebody knows better
	truncate -s $((2001 * 512)) other.img
	run -0 snapmerge -y --force=changed other.img undo.img
	cmp other.img good.img
}

# bats test_tags=limit,long
@test "a repair that was cut off is taken back on its image alone; so is a take-back that was cut off" {
	half_repaired
	cp cow.img other.img
	printf x | dd of=other.img bs=1 seek=9000 conv=notrunc status=none
	run -64 --separate-stderr snapmerge -y --json=j other.img undo.img
	[ "$(member j 'j["error"]["id"], j["error"]["force"]')" = "('other-image', None)" ]
	cmp undo.img cut.img
	run -0 snapmerge -y cow.img undo.img
	cmp cow.img good.img
	# one that has ended, and whose take-back is cut off at each write and flush
	rm undo.img
	run -1 snapcheck -y --save-undo=undo.img cow.img
	cp cow.img fixed.img
	cp undo.img saved.img
	for plan in w:{1..9}:kill:0 f:{1..6}:kill:0; do
		cp fixed.img cow.img
		cp saved.img undo.img
		run env COW_SANDBOX=off FAULT_PLAN="$plan" LD_PRELOAD="$COW_BUILD/tests/faults/shim.so" snapmerge -y cow.img undo.img
		[ "$status" = 137 ] || [ "$status" = 0 ]
		run -0 snapmerge -y cow.img undo.img
		cmp cow.img good.img
	done
}

# bats test_tags=limit
@test "a repair that was cut off when nothing was left to do is ended by the same command" {
	store "size 300K\nheader\nrecord 10 2\nrecord 11 3\nrecord 11 4\ndata 2 3\n"
	cp cow.img good.img
	snapcheck -q -y --save-undo=u.img cow.img || [ $? = 1 ]
	cp good.img cow.img
	FAULT_LOG=log cut_off w:999:kill:0
	writes=$(grep -c ^w log)
	cp good.img cow.img
	rm undo.img
	cut_off "w:$writes:kill:0" # before it says that it is through
	[ "$status" = 137 ]
	run -0 --separate-stderr snapcheck -y --save-undo=undo.img cow.img
	[[ $stderr == *"the repair that was cut off had finished"* ]]
	run -0 --separate-stderr snapcheck -y --save-undo=undo.img cow.img
	[[ $stderr != *"cut off"* ]]
	run -0 snapmerge -y cow.img undo.img
	cmp cow.img good.img
}

@test "where the chunk size cannot be told, -o makes nothing and says what decides" {
	store "size 4M\nheader\nauto 10 1\n"
	dd if=/dev/zero of=cow.img bs=512 count=1 conv=notrunc status=none
	run -4 --separate-stderr snapcheck -t persistent -y -o new.img cow.img
	[[ $stderr == *"new.img is not made"* ]]
	[[ $stderr == *"next: snapcheck --chunk-size=SIZE cow.img"* ]]
	[ ! -e new.img ]
	run -1 snapcheck -t persistent -c 4K -y -o new.img cow.img
	run -0 snapcheck new.img
}

@test "an image that changes while the question stands is left alone" {
	store "header\nauto 5 4\nrecord 91 1\n"
	mkfifo answers
	script -qec "snapcheck cow.img" /dev/null <answers >out &
	exec 9>answers
	until grep -q 'y/n/a/q' out; do
		kill -0 $! # it still runs
		sleep 0.1
	done
	poke cow.img 4 '\0'
	changed=$(sum cow.img)
	printf 'y\n' >&9
	exec 9>&-
	wait $! && status=0 || status=$?
	[ "$status" = 64 ]
	grep -q "has just changed" out
	[ "$(sum cow.img)" = "$changed" ]
}
