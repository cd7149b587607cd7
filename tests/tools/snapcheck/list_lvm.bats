#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# snapcheck --list of volume groups that are large, or damaged: what is wrong is named,
# and the rest can be used.
bats_require_minimum_version 1.8.0
load ../../common

setup() {
	cd "$BATS_TEST_TMPDIR"
}

# The limits are those of processor time and memory: other programs may run, too.
# bats test_tags=limit,long
@test "10,000 volumes on 16 TiB are listed in less than 3 seconds and 64 MiB" {
	lvm_text many 10000 a.img b.img
	python3 - <<-'END'
		import resource, subprocess
		lines = subprocess.run(["snapcheck", "--list", "a.img", "b.img"], check=True,
		                       stdout=subprocess.PIPE, text=True).stdout.splitlines()
		used = resource.getrusage(resource.RUSAGE_CHILDREN)
		assert len(lines) == 10005, len(lines)
		assert "lvm:a.img,b.img:big/lv09999 " in lines[-1] and "12 MiB" in lines[-1], lines[-1]
		assert used.ru_utime + used.ru_stime < 3, used
		assert used.ru_maxrss < 64 << 10, used
	END
	run -8 --separate-stderr snapdump --raw -o - lvm:a.img:big/lv00000
	[[ $stderr == *"lies on the PV pv1, which is not among the images"* ]]
}

# listed WORDS [LV...]: the list ends with 4, says WORDS, and these volumes have a row
# without a complaint and can be read.
listed() {
	local words=$1 lv
	shift
	run -4 --separate-stderr snapcheck --list disk0.img
	[[ "$output $stderr" == *"$words"* ]] || { echo "not said: $words"; echo "$output"; echo "$stderr"; return 1; }
	for lv; do
		[ "$(snapdump -q --raw -o - "lvm:disk0.img:vg0/$lv" | sha256sum)" = "$(cat "$lv.sum")" ]
	done
}

# fresh: the disk again, with the digests of its volumes.
fresh() {
	local lv
	disks three-chunk-sizes
	for lv in base snap1 snap2 snap3; do
		snapdump -q --raw -o - "lvm:disk0.img:vg0/$lv" | sha256sum >"$lv.sum"
	done
}

# bats test_tags=long
@test "a label with a wrong checksum, metadata with one: named" {
	fresh
	poke disk0.img $((512 + 100)) X
	listed "the LVM label in sector 1 is not used: its checksum is wrong"
	run -64 --separate-stderr snapdump --raw -o - lvm:disk0.img:vg0/base
	one_sentence
	[[ $stderr == *"no LVM physical volume"*"its checksum is wrong"* ]]
	fresh
	poke disk0.img $((4096 + 100)) X
	listed "the metadata area at byte 4096 is not used"
	fresh
	lvm_text show disk0.img >text
	python3 - <<-'END'
		# One digit of the text, where it lies.
		data = bytearray(open("disk0.img", "rb").read(2 << 20))
		at = data.rindex(b"extent_count = 20")
		open("place", "w").write(str(at + 15))
	END
	poke disk0.img "$(cat place)" 9
	listed "the metadata area at byte 4096 is not used"
}

# bats test_tags=long
@test "one damaged volume is named, and does not hide the others" {
	fresh
	lvm_text edit $'stripes = [\n"pv0", 20\n' $'stripes = [\n"pv0", 90\n' disk0.img
	listed "vg0/snap1: a segment of 6 extents at extent 90 lies beyond the end of pv0, which has 70" base snap2 snap3
	fresh
	lvm_text edit $'stripes = [\n"pv0", 20\n' $'stripes = [\n"pv0", 26\n' disk0.img
	listed "an extent of it belongs to" base snap3
	fresh
	lvm_text edit $'stripes = [\n"pv0", 20\n' $'stripes = [\n"snap1", 0\n' disk0.img
	listed "vg0/snap1: it is made of itself" base snap2 snap3
	fresh
	lvm_text edit $'stripes = [\n"pv0", 20\n' $'stripes = [\n"snap2", 0\n' disk0.img
	lvm_text edit $'stripes = [\n"pv0", 26\n' $'stripes = [\n"snap1", 0\n' disk0.img
	listed "lies on too many LVs, one on the other, or on itself" base snap3
}

# bats test_tags=long
@test "a text that is cut, a disk that is shorter than its text says: named, what is there is read" {
	fresh
	lvm_text edit 'snapshot2 {' '' disk0.img
	listed "the metadata area at byte 4096 is not used"
	fresh
	# The last volume lies behind the cut.
	truncate -s 14M disk0.img
	listed "its PV pv0 has 37748736 bytes, but disk0.img only 14680064; what lies behind is lost" base snap1
	[[ $output == *"vg0/snap3 "*"reaches beyond the end of its PV pv0"* ]]
}
