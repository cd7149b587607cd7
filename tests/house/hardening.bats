#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# How the programs are compiled and linked, looked up in what came out.
# bats file_tags=limit
bats_require_minimum_version 1.8.0
load ../common

setup() {
	cd "$BATS_TEST_TMPDIR" || return 1
	tools="snapcreate snapcheck snapmerge snapdump"
}

# one_object DIRECTORY VARIABLE...: what a user's settings make of one file.
one_object() {
	run -0 make -s --no-print-directory -C "$COW_SOURCE" WERROR=1 B="$BATS_TEST_TMPDIR/$1" "${@:2}" \
		"$BATS_TEST_TMPDIR/$1/tools/common/text.o"
	[ -z "$output" ]
	line=$(sed 's/ | .*//' "$1/flags")
}

# bats test_tags=long
@test "programs are position-independent, and what the loader has filled in is read-only" {
	make -s --no-print-directory -C "$COW_SOURCE" static
	for file in $tools libcow.so static/snapmerge static/snapcheck; do
		echo "$file"
		readelf -hldW "$COW_BUILD/$file" >elf
		grep -q 'Type: *DYN' elf
		grep -q GNU_RELRO elf
		grep -q 'FLAGS_1.*NOW' elf
		grep 'GNU_STACK.* RW ' elf
		run -1 grep -q 'LOAD.* RWE' elf
		[[ $file == *.so ]] || grep -q 'FLAGS_1.*PIE' elf
	done
}

# bats test_tags=long
@test "copies and stacks are guarded in programs and library" {
	for file in $tools libcow.so; do
		echo "$file"
		nm -D "$COW_BUILD/$file" >symbols
		grep -q __stack_chk_fail symbols
		grep -q '__memcpy_chk\|__memmove_chk' symbols
		grep -q '__snprintf_chk\|__vsnprintf_chk' symbols
		# No unbounded one is left.
		run -1 grep -w 'strcpy\|strcat\|sprintf\|vsprintf\|gets' symbols
	done
	[ "$(uname -m)" = x86_64 ] || return 0
	readelf -n "$COW_BUILD/tools/common/cli.o" | grep 'IBT, SHSTK'
	# A large frame is touched page by page, not jumped over.
	objdump -d "$COW_BUILD/snapmerge" | grep -q 'orq *$0x0,(%rsp)'
}

# bats test_tags=long
@test "a user's flags win, and bring no warning" {
	one_object plain
	[[ $line == *_FORTIFY_SOURCE=3* && $line == *-fstack-protector-strong* ]]
	one_object slow CFLAGS='-O0 -g'
	[[ $line != *_FORTIFY_SOURCE* ]]
	one_object own CPPFLAGS=-D_FORTIFY_SOURCE=2
	[[ $line == *_FORTIFY_SOURCE=2* && $line != *_FORTIFY_SOURCE=3* ]]
	one_object other CFLAGS='-O1 -fno-stack-protector'
	[[ $line == *-fstack-protector-strong*-fno-stack-protector* ]]
	run -1 grep -q __stack_chk_fail <(nm "$BATS_TEST_TMPDIR/other/tools/common/text.o")
	one_object sane CFLAGS=-O1 SANITIZE=undefined
	[[ $line != *-fcf-protection* && $line != *_FORTIFY* ]]
}
