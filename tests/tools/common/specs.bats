#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# Images that are made of others, named on the command lines of the tools.
bats_require_minimum_version 1.8.0
load ../../common

setup() {
	cd "$BATS_TEST_TMPDIR"
	head -c 4M /dev/urandom >base.img
	cp base.img new.img
	head -c 64K /dev/urandom | dd of=new.img bs=64K seek=31 conv=notrunc status=none
	head -c 64K /dev/urandom | dd of=new.img bs=64K seek=32 conv=notrunc status=none
	snapcreate -q --from=new.img base.img cow.img
	split -b 2M base.img base.part.
	split -b 48K -d -a 3 cow.img cow.part.
	pieces=concat:$(printf '%s,' cow.part.*)
	pieces=${pieces%,}
	sha256sum base.* cow.* >sums
}

# bats test_tags=long
@test "origin and COW image in pieces are checked, exported and merged like whole ones" {
	run -0 snapcheck concat:base.part.aa,base.part.ab "$pieces"
	snapdump -q --raw -o out.img concat:base.part.aa,base.part.ab "$pieces"
	cmp out.img new.img
	sha256sum --quiet -c sums
	snapmerge -q -y concat:base.part.aa,base.part.ab "$pieces"
	cat base.part.aa base.part.ab | cmp - new.img
	cat cow.part.* >cow.img
	snapcheck -q --is-empty cow.img
}

@test "a window of images in pieces, and commas inside a list" {
	snapdump -q --raw -o out.img "window:1M+2M:concat:base.part.ab,base.part.aa@0+1M,,1M+1M,zero:4k"
	{ tail -c 1M base.part.ab; head -c 1M base.part.aa; } | cmp - out.img
	mv base.part.aa a,b
	snapdump -q --raw -o out2.img concat:a,,b,base.part.ab
	cmp out2.img base.img
}

@test "the same bytes under two specifications are refused" {
	run -64 --separate-stderr snapmerge -y concat:base.img@0+2M,base.img@2M concat:cow.part.000,base.img@1M+512
	one_sentence
	[[ $stderr == *overlap* || $stderr == *"same bytes"* || $stderr == *belongs* ]]
	sha256sum --quiet -c sums
}

@test "a file with the name of a specification is refused, and both spellings are given" {
	cp base.img concat:base.part.aa
	run -64 --separate-stderr snapdump --raw -o out.img concat:base.part.aa
	one_sentence
	[[ $stderr == *"write file:concat:base.part.aa for that file, or concat:file:base.part.aa for"* ]]
	snapdump -q --raw -o out.img file:concat:base.part.aa
	cmp out.img base.img
	snapdump -q --raw -o out2.img concat:file:base.part.aa
	cmp out2.img base.part.aa
}

@test "what is missing in a specification is a wrong call that names it" {
	run -16 --separate-stderr snapcheck part:base.img
	[[ $stderr == *"the number of the partition"* ]]
	run -16 --separate-stderr snapcheck clone:metadata=a,source=b
	[[ $stderr == *'"destination=" is missing'* ]]
	run -16 --separate-stderr snapcheck image:a
	[[ $stderr == *'"image:a" is not defined'* ]]
	run -16 --separate-stderr snapcheck --image=a image:a
	[[ $stderr == *'--image=a: "=IMAGE" is missing'* ]]
	run -16 --separate-stderr snapcheck --image=a=base.img --image=a=other.img image:a
	[[ $stderr == *'"image:a" is defined twice'* ]]
}

@test "--image gives a long specification a name, in all tools, and the next command has it" {
	head -c 1M /dev/urandom >whole.img
	head -c 512K whole.img >one.img
	tail -c +524289 whole.img >two.img
	cp whole.img new.img
	dd if=/dev/urandom of=new.img bs=4096 seek=7 count=1 conv=notrunc status=none
	names=(--image=half=two.img --image=disk=concat:one.img,image:half)
	run -0 --separate-stderr snapcreate "${names[@]}" --image=new=new.img --from=image:new image:disk snap.cow
	run -0 --separate-stderr snapcheck "${names[@]}" image:disk snap.cow
	[[ $stderr == *"next: snapmerge --image=half=two.img --image=disk=concat:one.img,image:half --dry-run image:disk snap.cow"* ]]
	run -0 --separate-stderr snapdump "${names[@]}" --raw -o view.img image:disk snap.cow
	cmp view.img new.img
	run -0 --separate-stderr snapcheck --list "${names[@]}" image:disk
	run -0 --separate-stderr snapmerge -y "${names[@]}" image:disk snap.cow
	cat one.img two.img | cmp - new.img
}
