#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# New metadata for a clone from damaged ones, by snapcheck -o. The judge is what the kernel showed before the damage
# (damaged/meta.txt). Every damaged fixture is repaired in the library's own test (test_clone_repair).
bats_require_minimum_version 1.8.0

load ../../common
CLONE=clone:metadata=meta,source=source,destination=dest
NEW=clone:metadata=new,source=source,destination=dest
TABLE='0 16371 clone meta dest source 8'

# damaged NAME: its metadata, and both images.
damaged() {
	cd "$BATS_TEST_TMPDIR"
	unpack "clone/damaged/$1.meta.img" meta
	for image in source dest; do
		unpack "clone/damaged/$image-a.img" $image
	done
	sha256sum meta source dest >sums
	rm -f new
}

# shows IMAGE-SPEC KEY: the view is that of the base, in the fact with this key.
shows() {
	[ "$(snapdump -q --raw "$1" | sha256sum)" = "$(sed -n "s/^base a $2 //p" "$COW_FIXTURES/clone/damaged/meta.txt")  -" ]
}

# bats test_tags=slow
@test "counts, leaks, a torn superblock: new metadata show what the clone showed, exit status 1" {
	for name in m08-leaked m20-superblock-free m10-counted-3 m01-index-csum s10-torn b25-bit-beyond; do
		damaged $name
		run -1 snapcheck -y -o new $CLONE
		[[ $output == *"60 of 2047 hydrated"*"snapshot data: complete"* ]]
		[[ $output != *"in doubt"* ]]
		shows $NEW view_sha256
		run -0 --separate-stderr snapcheck $NEW
		[[ $output == *": sound: no problems found"* ]]
		sha256sum --quiet -c sums
	done
	# -p does it where only counts are wrong
	damaged m08-leaked
	run -1 --separate-stderr snapcheck -p -o new $CLONE
	[[ $stderr == *"next: snapcheck $NEW"* ]]
	shows $NEW view_sha256
}

# bats test_tags=long
@test "a lost superblock: the table says the numbers, the trees the regions; what is in doubt is listed, exit status 4" {
	damaged s14-zero
	run -4 --separate-stderr snapcheck -y -o new $CLONE
	[[ $stderr == *"new is not made: "*"the superblock is lost, and with it the region size and the length: --table must say them"* ]]
	[[ $output == *clone.superblock-zero* ]]
	[ ! -e new ]
	run -4 --separate-stderr snapcheck -y -o new --table="$TABLE" $CLONE
	[[ $output == "new: repaired, but 6 MiB of it are in doubt"*"in doubt: 1536 regions, 6291456 bytes (6 MiB)"*"bytes 0-61439, 65536-196607, "*"(--json lists all)"* ]]
	[[ $output == *"60 of 2047 hydrated"*"snapshot data: not complete"*"cannot know what is in doubt, so keep this report"* ]]
	shows $NEW view_sha256
	rm new
	run -4 --separate-stderr snapcheck --json -y -o new --table="$TABLE" $CLONE
	python3 - "$output" <<-'PY'
		import json, sys
		j = json.loads(sys.argv[1])
		assert j["verdict"]["state"] == "doubtful" and not j["verdict"]["view_trustworthy"], j["verdict"]
		assert j["repair"]["regions_in_doubt"] == 1536 and j["repair"]["in_doubt_bytes"] == 6291456
		assert sum(r["length_bytes"] for r in j["in_doubt"]) == 6291456 and j["in_doubt"][0] == {"offset_bytes": 0, "length_bytes": 61440}
	PY
	sha256sum --quiet -c sums
}

# bats test_tags=long
@test "an array block of the newest tree is lost: the commit before, and what may be missing from it" {
	damaged b01-array-zero
	run -4 snapcheck -y -o new $CLONE
	[[ $output == *"56 of 2047 hydrated"*"in doubt: 1540 regions"* ]]
	shows $NEW view_previous_commit_sha256
	# What is not safe is not done by -p.
	rm new
	run -4 --separate-stderr snapcheck -p -o new $CLONE
	[[ $stderr == *"new is not made: not everything may be repaired"* ]]
	[ ! -e new ]
	sha256sum --quiet -c sums
}

# bats test_tags=long
@test "where trees contradict each other none is chosen; --force=doubtful takes that of the superblock" {
	damaged s12-previous
	run -4 --separate-stderr snapcheck -y -o new $CLONE
	[[ $stderr == *"4 regions are hydrated in another complete tree"*"--force=doubtful"* ]]
	[ ! -e new ]
	run -4 snapcheck -y --force=doubtful -o new $CLONE
	[[ $output == *"in doubt: 4 regions, 16384 bytes"*"bytes 8118272-8122367"* ]]
	shows $NEW view_previous_commit_sha256
	# A table that contradicts a superblock whose checksum is right.
	damaged s08-target-less
	run -4 --separate-stderr snapcheck -y -o new --table="$TABLE" $CLONE
	[[ $stderr == *"says regions of 8 sectors and a length of 16363, the table says 8 and 16371"* ]]
	[ ! -e new ]
	damaged s05-version-2
	run -4 --separate-stderr snapcheck -y -o new $CLONE
	[[ $stderr == *"only version 1 is known"* ]]
}

# bats test_tags=long
@test "without -o nothing is written; -n shows what would be; what -o names stays as it is when nothing is made" {
	damaged b01-array-zero
	chmod 400 meta source dest
	run -4 --separate-stderr snapcheck -y $CLONE
	[[ $stderr == *"meta is repaired into a new image only: add -o NEW"* ]]
	run -4 --separate-stderr snapcheck $CLONE
	[[ $stderr == *"next: snapcheck -y -o repaired.img $CLONE"* ]]
	run -4 --separate-stderr snapcheck --table="$TABLE" $CLONE
	[[ $stderr == *"next: snapcheck -y -o repaired.img '--table=$TABLE' $CLONE"* ]]
	run -4 snapcheck -n -y $CLONE
	[[ $output == *"repair, in memory only: 1 problem repaired"*"in doubt: 1540 regions"* ]]
	run -4 snapcheck -n -o new $CLONE
	[[ $output == *"in doubt: 1540 regions"* ]]
	[ ! -e new ]
	echo kept >new
	run -64 --separate-stderr snapcheck -y -o new $CLONE
	[[ $stderr == *--force=overwrite* ]]
	[ "$(<new)" = kept ]
	run -64 snapcheck -y --force=overwrite -o source $CLONE
	run -64 snapcheck -y --force=overwrite -o meta $CLONE
	run -16 snapcheck -y --save-undo=undo $CLONE
	sha256sum --quiet -c sums
	# metadata alone: what may be in doubt cannot be compared
	run -4 snapcheck -y --force=overwrite -o new meta
	[[ $output == *"in doubt: 1991 regions"* ]]
}

@test "metadata too small for a commit are made larger" {
	cd "$BATS_TEST_TMPDIR"
	unpack clone/meta-smallest/meta.img meta
	before=$(stat -c %s meta)
	run snapcheck -y -o new meta
	[[ $output == **": sound: no problems found"* ]]
	[ "$(stat -c %s new)" -ge "$before" ]
	# As the kernel formats a device of 8 blocks, on which it dies at the first write.
	truncate -s 1M source dest
	snapcreate -q -c 4K -s 40K clone:metadata=ten,source=source,destination=dest
	"$COW_SOURCE/tests/aids/clone_poke.py" ten 0:44:8:8
	truncate -s 32K ten
	run -4 snapcheck clone:metadata=ten,source=source,destination=dest
	[[ $output == *clone.metadata-eight-blocks* ]]
	run -1 snapcheck -p -o larger clone:metadata=ten,source=source,destination=dest
	[ "$(stat -c %s larger)" -gt 40960 ]
	snapmerge -q -y clone:metadata=larger,source=source,destination=dest
}
