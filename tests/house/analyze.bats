#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# Static analysis can fail: each tool sees faults that were planted.
# bats file_tags=limit
bats_require_minimum_version 1.8.0
load ../common

# plant: the house in a directory of its own, with one more file in it, from
# standard input.
plant() {
	cd "$BATS_TEST_TMPDIR" || return 1
	mkdir tests
	cp -r "$COW_SOURCE"/{Makefile,include,libcow,tools} .
	mkdir -p tests/house
	cp "$COW_SOURCE"/tests/house/{clang_tidy.py,clang-tidy.yaml,cppcheck.txt} tests/house
	cat >libcow/base/planted.c
}

# analyze NAME: what make analyze says of the planted file, by one tool.
analyze() {
	unset MAKEFLAGS MFLAGS MAKEOVERRIDES WERROR
	run make -s --no-print-directory B=out "out/analyze/$1"
	echo "$output"
	[ "$status" -ne 0 ]
}

# bats test_tags=slow
@test "gcc and clang-tidy see a double free, a variable that is not set, unchecked memory, a leak" {
	plant <<-'END'
		#include <stdlib.h>
		#include <string.h>
		#include "libcow/base/cleanup.h"
		int cow_twice(const char *name);
		int cow_unset(int a);
		int cow_unchecked(int n);
		int cow_lost(const char *name);
		int cow_twice(const char *name)
		{
		    char *copy = strdup(name);
		    if (!copy)
		        return -1;
		    free(copy);
		    if (*name == 'x')
		        free(copy);
		    return 0;
		}
		int cow_unset(int a)
		{
		    int b;
		    if (a > 3)
		        b = 7;
		    return b;
		}
		int cow_unchecked(int n)
		{
		    int *p = malloc(sizeof(*p));
		    *p = n;
		    n = *p + 1;
		    free(p);
		    return n;
		}
		int cow_lost(const char *name)
		{
		    AUTO_FREE char *kept = strdup(name);
		    char *copy = strdup(name);
		    if (!copy || !kept)
		        return -1;
		    return *copy == *kept;
		}
	END
	analyze libcow/base/planted.gcc
	for fault in double-free use-of-uninitialized possible-null malloc-leak; do
		grep -q "error:.*analyzer-$fault" <<<"$output"
	done
	# What AUTO_FREE frees is none.
	[[ $output != *"leak of 'kept'"* && $output != *'leak of ‘kept’'* ]]
	analyze libcow/base/planted.tidy
	for fault in 'Attempt to free released' 'Undefined or garbage value' "Potential leak of memory pointed to by 'copy'"; do
		grep -q "planted.c:.*$fault" <<<"$output"
	done
	[[ $output != *"leak of memory pointed to by 'kept'"* ]]
}

# bats test_tags=slow
@test "cppcheck sees them, too, and a file that does not compile is no clean one" {
	plant <<-'END'
		#include <stdlib.h>
		int cow_unset(void);
		int cow_twice(void);
		int cow_unset(void)
		{
		    int b;
		    return b;
		}
		int cow_twice(void)
		{
		    char *copy = malloc(7);
		    free(copy);
		    free(copy);
		    return 0;
		}
	END
	run cppcheck -q --error-exitcode=1 --library=posix --inline-suppr --suppressions-list=tests/house/cppcheck.txt libcow/base/planted.c
	[ "$status" -eq 1 ]
	grep -q uninitvar <<<"$output"
	grep -q doubleFree <<<"$output"
	echo 'int cow_broken(void) { return no_such_thing; }' >libcow/base/planted.c
	run -1 tests/house/clang_tidy.py libcow/base/planted.c -Iinclude -I.
	grep -q no_such_thing <<<"$output"
}
