#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# The house itself: what must agree with each other.
bats_require_minimum_version 1.8.0

@test "each source file names its licence" {
	cd "$COW_SOURCE"
	find . \( -name .git -o -name 'build*' \) -prune -o -type f \( -name '*.[ch]' -o -name '*.sh' -o -name '*.bash' \
		-o -name '*.bats' -o -name '*.py' -o -name Makefile -o -name rules \) -print >"$BATS_TEST_TMPDIR/files"
	[ "$(wc -l <"$BATS_TEST_TMPDIR/files")" -gt 200 ]
	run xargs grep -L SPDX-License-Identifier .ci/run <"$BATS_TEST_TMPDIR/files"
	[ -z "$output" ]
}

# bats test_tags=long
@test "each .c file opens with its name and what it is for" {
	cd "$COW_SOURCE"
	find libcow tools -name '*.c' >"$BATS_TEST_TMPDIR/files"
	[ "$(wc -l <"$BATS_TEST_TMPDIR/files")" -gt 120 ]
	while read -r file; do
		sed -n '3,4p' "$file" | tr -d '\n' | grep -q "^/\*\( \*\)\? $(basename "$file" .c)\.[ch] - " || { echo "$file"; return 1; }
	done <"$BATS_TEST_TMPDIR/files"
}

@test "table, --help and manual page have the same options, with the same arguments" {
	cd "$BATS_TEST_TMPDIR"
	for tool in snapcreate snapcheck snapmerge snapdump; do
		"$tool" --long-options | awk -F'\t' '{ print tolower($1) "\t" $2 }' | sort >table
		"$COW_SOURCE/tests/house/pages.py" options "$COW_SOURCE/man/$tool.8" | sort | diff table -
		"$tool" --help | sed -n 's/^  \(-.\|  \)[, ] \(--[^ ]*\).*/\2\t\1/p' | sed 's/\t  $/\t-/' |
			awk -F'\t' '{ print tolower($1) "\t" $2 }' | sort | diff table -
	done
}

@test "each --force id of a tool is on its page" {
	for tool in snapcreate snapcheck snapmerge snapdump; do
		ids=$("$tool" --long-options | sed -n 's/^--force=.*\tlist \([^\t]*\).*/\1/p' | tr '|' ' ')
		[ -n "$ids" ]
		for id in $ids; do
			grep -qE "^\.(Fl.*)?Cm.*\b$id\b" "$COW_SOURCE/man/$tool.8" || { echo "$tool: $id"; return 1; }
		done
	done
}

# golden FILE: compares standard input with FILE, or with UPDATE=1 writes it.
golden() {
	if [ -n "${UPDATE:-}" ]; then cat >"$BATS_TEST_TMPDIR/new" && cp "$BATS_TEST_TMPDIR/new" "$1"; else diff -u "$1" -; fi
}

@test "the page of snapcheck lists each finding, in the words of the library (UPDATE=1 writes it)" {
	page=$COW_SOURCE/man/snapcheck.8
	"$COW_BUILD/tests/examples/list_findings" >"$BATS_TEST_TMPDIR/findings"
	[ "$(wc -l <"$BATS_TEST_TMPDIR/findings")" -ge 29 ]
	"$COW_SOURCE/tests/house/pages.py" findings "$page" <"$BATS_TEST_TMPDIR/findings" | golden "$page"
}

@test "the pages have the exit status of --help, all of it (UPDATE=1 writes it)" {
	for tool in snapcreate snapcheck snapmerge snapdump; do
		"$tool" --help >"$BATS_TEST_TMPDIR/help"
		sed -n "/^exit status (/,\$p" "$BATS_TEST_TMPDIR/help" >"$BATS_TEST_TMPDIR/$tool"
		[ "$(grep -cE '^  [0-9]+ ' "$BATS_TEST_TMPDIR/$tool")" -eq 7 ]
		diff "$BATS_TEST_TMPDIR/snapcreate" "$BATS_TEST_TMPDIR/$tool"
		for page in "$tool.8" libcow-json.5; do
			"$COW_SOURCE/tests/house/pages.py" exit "$COW_SOURCE/man/$page" <"$BATS_TEST_TMPDIR/help" | golden "$COW_SOURCE/man/$page"
		done
	done
}

# bats test_tags=long
@test "what the pages of the tools share is the same in all four" {
	cd "$COW_SOURCE"
	for name in "EXIT STATUS" IMAGES; do
		for tool in snapcreate snapcheck snapmerge snapdump; do
			tests/house/pages.py section "man/$tool.8" "$name" >"$BATS_TEST_TMPDIR/$tool"
			[ -s "$BATS_TEST_TMPDIR/$tool" ]
			diff "$BATS_TEST_TMPDIR/snapcreate" "$BATS_TEST_TMPDIR/$tool"
		done
	done
	# And the options that all have, but for what --force and -n mean to each.
	for option in yes type json progress rate-limit quiet verbose help version; do
		for tool in snapcreate snapcheck snapmerge snapdump; do
			[ "$option" != yes ] || [ "$tool" != snapcheck ] || continue
			awk -v o="Fl -$option( |$)" '/^\.It / { on = $0 ~ o } /^\.El/ { on = 0 } on' "man/$tool.8" >"$BATS_TEST_TMPDIR/$tool"
			[ -s "$BATS_TEST_TMPDIR/$tool" ]
			diff "$BATS_TEST_TMPDIR/snapcreate" "$BATS_TEST_TMPDIR/$tool"
		done
	done
}

@test "libcow.3 has each public function: its prototype (UPDATE=1 writes it), and what it is for" {
	page=$COW_SOURCE/man/libcow.3
	"$COW_SOURCE/tests/house/pages.py" synopsis "$page" <"$COW_SOURCE/include/libcow.h" | golden "$page"
	"$COW_SOURCE/tests/house/pages.py" section "$page" SYNOPSIS | sed -n 's/^\.Fn \([^ ]*\).*/\1/p' | sort >"$BATS_TEST_TMPDIR/declared"
	sed -n 's/^COW_EXPORT .*[ *]\(cow_[a-z0-9_]*\)(.*/\1/p' "$COW_SOURCE/include/libcow.h" | sort | diff - "$BATS_TEST_TMPDIR/declared"
	"$COW_SOURCE/tests/house/pages.py" section "$page" DESCRIPTION | sed -n 's/^\.Fn \([^ ]*\).*/\1/p' | sort |
		diff "$BATS_TEST_TMPDIR/declared" -
}

# A build for sanitizers leaves the sandbox out.
# bats test_tags=limit,long
@test "what other files can see is used by another file" {
	cd "$COW_BUILD"
	# Not what an older build left behind.
	objects=$(for c in $(cd "$COW_SOURCE" && find libcow tools tests -name '*.c'); do
		[ ! -e "${c%c}o" ] || echo "${c%c}o"
	done)
	sed -n 's/^COW_EXPORT .*[ *]\(cow_[a-z0-9_]*\)(.*/\1/p' "$COW_SOURCE/include/libcow.h" >"$BATS_TEST_TMPDIR/used"
	nm -u $objects | awk 'NF == 2 { print $2 }' >>"$BATS_TEST_TMPDIR/used"
	nm --defined-only $objects 2>/dev/null | awk '$2 == "T" && $3 !~ /^(main|plugin_init|LLVM)/ { print $3 }' | sort -u >"$BATS_TEST_TMPDIR/defined"
	[ "$(wc -l <"$BATS_TEST_TMPDIR/defined")" -gt 400 ]
	sort -u "$BATS_TEST_TMPDIR/used" | comm -23 "$BATS_TEST_TMPDIR/defined" - >"$BATS_TEST_TMPDIR/alone"
	cat "$BATS_TEST_TMPDIR/alone"
	[ ! -s "$BATS_TEST_TMPDIR/alone" ]
}

# bats test_tags=long
@test "libcow-json.5 has each id of an error and each member of the object, and no other id" {
	cd "$COW_SOURCE"
	tests/aids/refusal_ids.py . >"$BATS_TEST_TMPDIR/ids"
	[ "$(wc -l <"$BATS_TEST_TMPDIR/ids")" -ge 50 ]
	tests/house/pages.py section man/libcow-json.5 DIAGNOSTICS | sed -n 's/^\.It Li //p' | sort | diff "$BATS_TEST_TMPDIR/ids" -
	for key in $(sed -n 's/.*json_put_[a-z0-9]*(.*, "\([a-z_]*\)".*/\1/p' tools/*/*.c | sort -u); do
		grep -qE "^\.(It )?Cm .*\b$key\b" man/libcow-json.5 || { echo "member $key"; return 1; }
	done
}

@test "the pages fit on a terminal of 80 columns" {
	for page in "$COW_SOURCE"/man/*.[0-9]; do
		mandoc -T ascii "$page" | col -bx | awk -v page="${page##*/}" 'length > 80 { print page ": " $0; bad = 1 } END { exit bad }'
	done
}

# bats test_tags=long
@test "what README and HACKING.md name is there: tests, targets, files" {
	cd "$COW_SOURCE"
	for word in $(grep -oh '`[^`]*`' README.md HACKING.md | tr -d '`' | grep -oE '[a-z_-]+\.bats|test_[a-z_]+|^make [a-z-]+' | sed 's/make /make:/' | sort -u); do
		case $word in
		*.bats) [ -n "$(find tests -name "$word")" ] ;;
		test_*) [ -n "$(find tests/unit -name "$word.c")" ] ;;
		make:*) grep -q "^${word#make:}:" Makefile ;;
		esac || { echo "$word"; return 1; }
	done
	# What a target draws is looked at elsewhere.
	for file in $(grep -oh '`\(tests\|tools\|libcow\|man\|include\|core\|build\)/[a-z0-9_./-]*`' README.md HACKING.md | tr -d '`' | sort -u); do
		[ -e "$file" ] || [ -e "$file.c" ] || [ -e "libcow/$file" ] || [[ $file == build/* || $file == man/*.svg ]] || { echo "$file"; return 1; }
	done
}
