#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# Damage as text: cases/<format>-<damage>/ has the store (tests/aids/mkstore.h),
# what it is about, and what is expected of a check, of "-y -o NEW", and of a
# check of NEW, which must be clean. UPDATE=1 writes the expectations anew: read
# the difference. Findings by id and place, not by words.
bats_require_minimum_version 1.8.0
load ../../common

# told COMMAND: what it finds and concludes.
told() {
	local status=0
	rm -f j
	"$@" --json=j >out 2>err || status=$?
	echo "exit $status"
	findings_of j
	sed -n '/^kernel: /p; /^snapshot data: /p; /^merge: /p' out
}

# expect FILE: standard input is what FILE says.
expect() {
	if [ -n "${UPDATE:-}" ]; then cat >"$1"; else diff -u "$1" -; fi
}

one_case() {
	"$COW_BUILD/tests/examples/mkstore" cow.img <"$1/store.txt" || return 1
	told snapcheck -t persistent cow.img | expect "$1/expect.check" || return 1
	rm -f new.img
	before=$(sum cow.img)
	told snapcheck -t persistent -y --revalidate -o new.img cow.img |
		expect "$1/expect.repair" || return 1
	[ "$(sum cow.img)" = "$before" ] || return 1
	told snapcheck -t persistent new.img | expect "$1/expect.again" || return 1
	before=$(sum new.img)
	told snapcheck -t persistent -y --force=lost new.img >/dev/null
	[ "$(sum new.img)" = "$before" ] || return 1
	# what cannot be mended is named here, one by one
	case ${1##*/} in
	persistent-cut-metadata | persistent-twice-new-full) return ;;
	esac
	! grep -E '^(damage|lost|exit [1-9])' "$1/expect.again" || return 1
}

group() {
	cd "$BATS_TEST_TMPDIR"
	local nr=0
	for dir in "$COW_SOURCE"/tests/cases/persistent-"$1"*/; do
		one_case "${dir%/}" || { echo "case ${dir%/}:"; cat "$dir/about"; return 1; }
		nr=$((nr + 1))
	done
	[ "$nr" -gt 3 ]
}

# bats test_tags=long
@test "headers that were damaged" {
	group header-
}

# bats test_tags=long
@test "records that were damaged" {
	group record-
}

# bats test_tags=long
@test "chunks that occur twice" {
	group twice-
}

# bats test_tags=long
@test "ends of lists" {
	group end-
}

# bats test_tags=long
@test "images that were cut" {
	group cut-
}

# What -p writes: zeros, behind the end of the list, in the area of the end.
preened() {
	python3 - <<-'END'
	old, new = (open(name, "rb").read() for name in ("cow.img", "preened.img"))
	assert len(old) == len(new)
	if old != new:
	    size = int.from_bytes(old[12:16], "little") * 512
	    changed = [at for at in range(len(old)) if old[at] != new[at]]
	    area = changed[0] // size * size
	    assert area // size % (size // 16 + 1) == 1, "not in a metadata area"
	    end = next(at for at in range(area, area + size, 16) if not any(old[at + 8:at + 16]))
	    assert changed[0] >= end and changed[-1] < area + size, "not behind the end of the list"
	    assert not any(new[end:area + size]), "other bytes than zeros"
	END
}

# bats test_tags=long
@test "-p leaves every record of every case, but for a commit that was cut off, and ends with 4 where it must" {
	cd "$BATS_TEST_TMPDIR"
	local nr=0 status
	for dir in "$COW_SOURCE"/tests/cases/persistent-*/; do
		"$COW_BUILD/tests/examples/mkstore" cow.img <"$dir/store.txt"
		cp cow.img preened.img
		status=0
		snapcheck -t persistent -p preened.img >out 2>&1 || status=$?
		if cmp -s cow.img preened.img; then
			[ "$status" -eq "$(sed -n 's/^exit //p' "$dir/expect.check")" ] || [ "$status" -eq 64 ]
		else
			nr=$((nr + 1))
			grep -q '^note: persistent.torn-commit' out
			preened
			! grep -qE '^(damage|lost):' out || [ "$status" -eq 5 ]
		fi || { echo "$dir: exit $status"; cat out; return 1; }
	done
	[ "$nr" -ge 2 ]
}

# bats test_tags=long
@test "what is legal, though it looks odd; and there are sixty cases" {
	cd "$BATS_TEST_TMPDIR"
	for dir in "$COW_SOURCE"/tests/cases/persistent-order-*/; do
		one_case "${dir%/}"
	done
	[ "$(find "$COW_SOURCE/tests/cases" -name store.txt | wc -l)" -ge 60 ]
}
