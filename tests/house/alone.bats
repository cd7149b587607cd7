#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# The repository stands alone: a copy of it in an empty folder has all that its
# tests read, and nothing in it names a place outside it.
bats_require_minimum_version 1.8.0

setup_file() {
	cd "$BATS_FILE_TMPDIR"
	mkdir copy
	# The tree as it is, committed or not; without git, what lies here.
	make -s --no-print-directory -C "$COW_SOURCE" dist DISTDIR="$PWD" TREE="$(working_tree)"
	tar -xzf libcow-*.tar.gz -C copy --strip-components=1
}

setup() {
	cd "$BATS_FILE_TMPDIR"
}

working_tree() {
	[ ! -e "$COW_SOURCE/.git" ] || git -C "$COW_SOURCE" -c user.name=test -c user.email=test@localhost stash create
}

# leaving DIRECTORY: the links and the words of text files that lead out of it,
# names of documents that are not in it, and absolute paths of somebody's home.
leaving() {
	python3 -B - "$1" <<-'END'
	import os, re, sys
	top = os.path.realpath(sys.argv[1])
	up = re.compile(r"(?<![.\w])(?:\.\./)*\.\.(?=/|$|[\s\"'`)])")
	root = re.compile(r"(CURDIR|COW_SOURCE|COW_FIXTURES|TOP)[)}\"']*/\.\.")
	home = re.compile(r"(?<![\w.$})-])/(home/\w+|root|work)/\w")
	document = re.compile(r"\b[\w-]+\.md\b")
	there = {name for _, _, names in os.walk(top) for name in names}
	for folder, _, names in os.walk(top):
	    depth = 0 if folder == top else os.path.relpath(folder, top).count("/") + 1
	    for name in names:
	        path = os.path.join(folder, name)
	        if os.path.islink(path) and not os.path.realpath(path).startswith(top + "/"):
	            print("%s: a link to %s" % (path, os.readlink(path)))
	        if "/fuzz/corpus/" in path or not os.path.isfile(path):
	            continue
	        with open(path, "rb") as f:
	            text = f.read()
	        if b"\0" in text or name == "alone.bats":
	            continue
	        for number, line in enumerate(text.decode(errors="replace").split("\n"), 1):
	            far = [m for m in up.findall(line) if m.count("..") > depth]
	            lost = set(document.findall(line)) - there
	            if far or lost or root.search(line) or home.search(line):
	                print("%s:%d: %s" % (os.path.relpath(path, top), number, line.strip()))
	END
}

# bats test_tags=long
@test "no link and no word of the tree leads out of it" {
	run -0 leaving copy
	[ -z "$output" ] || { echo "$output"; return 1; }
	# The search finds what it is for.
	bad=$BATS_TEST_TMPDIR/bad
	mkdir -p "$bad/tests/x"
	printf 'load ../../common\n# HERE.md\n' >"$bad/tests/x/good.bats"
	: >"$bad/HERE.md"
	ln -s ../good.bats "$bad/tests/x/link"
	run -0 leaving "$bad"
	[ -z "$output" ] || { echo "$output"; return 1; }
	# shellcheck disable=SC2016
	printf 'F ?= $(CURDIR)/../elsewhere\n' >"$bad/Makefile"
	printf 'cat ../../../other/file\nls /home/me/images\n# see elsewhere.md 3\n' >"$bad/tests/x/bad.bats"
	ln -s ../../../copy/Makefile "$bad/tests/x/out"
	run -0 leaving "$bad"
	[ "${#lines[@]}" -eq 5 ] || { echo "$output"; return 1; }
}

# bats test_tags=long
@test "the images of the tests take at most 16 MiB" {
	[ "$(find copy/tests/fixtures -type f -printf '%s\n' | awk '{ s += $1 } END { print s }')" -le $((16 << 20)) ]
}

# bats test_tags=slow
@test "from a copy with nothing beside it, the tests find all that they read" {
	[ "$(ls)" = "$(printf 'copy\n%s' libcow-*.tar.gz)" ]
	export COW_SOURCE=$PWD/copy COW_FIXTURES=$PWD/copy/tests/fixtures
	"$COW_BUILD/tests/unit/store/test_fixtures"
	run -0 bats --setup-suite-file copy/tests/setup_suite.bash copy/tests/tools/common/fixtures.bats \
		--filter-tags '!slow'
	[[ $output != *"# skip"* ]]
	run -0 bats --setup-suite-file copy/tests/setup_suite.bash copy/tests/tools/common/fixtures.bats \
		--filter 'damaged stores'
	[[ $output != *"# skip"* ]]
	[ "$(grep -c ^ok <<<"$output")" -eq 1 ]
}
