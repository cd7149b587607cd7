#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# The rules of the floors: each is broken once, in a copy of the sources, and is noticed.
bats_require_minimum_version 1.8.0

setup() {
	cd "$BATS_TEST_TMPDIR"
	cp -r "$COW_SOURCE/libcow" "$COW_SOURCE/tools" .
}

# The copy is broken now: is it this rule, in this file, and no other?
breaks() {
	run -1 "$COW_SOURCE/tests/house/layers.py" .
	[ "${#lines[@]}" -eq 1 ]
	[[ "${lines[0]}" == "$2: rule $1: "* ]]
}

include() {
	sed -i "0,/^#include/s||#include \"$2\"\n&|" "$1"
}

kind() {
	mkdir -p "libcow/store/$1"
	printf '/* %s */\n#include "libcow/store/store.h"\n' "$1_store.c" >"libcow/store/$1/$1_store.c"
}

# bats test_tags=long
@test "the sources keep the rules of the floors" {
	run -0 "$COW_SOURCE/tests/house/layers.py" .
	[ -z "$output" ]
	# where there is nothing to look at, nothing is proved
	rm -r libcow/[!s]* libcow/store/[!p]* tools/*
	run -1 "$COW_SOURCE/tests/house/layers.py" .
}

# bats test_tags=long
@test "rule 1: a floor includes downwards only" {
	include libcow/core/exmap.c libcow/store/store.h
	breaks 1 libcow/core/exmap.c
}

# bats test_tags=long
@test "rule 1: volume and pdata do not know each other" {
	mkdir -p libcow/volume libcow/pdata
	echo '#include "libcow/pdata/pdata_block.h"' >libcow/volume/lvm_vg.c
	breaks 1 libcow/volume/lvm_vg.c
}

# bats test_tags=long
@test "rule 1: the inside of a kind is its own" {
	include libcow/engine/merge.c libcow/store/persistent/snap_disk.h
	breaks 1 libcow/engine/merge.c
}

@test "rule 1: a folder of libcow/ that is no floor" {
	mkdir libcow/attic
	echo '/* */' >libcow/attic/attic.c
	breaks 1 libcow/attic/attic.c
}

# bats test_tags=long
@test "rule 2: a kind does not include another" {
	kind clone
	echo '#include "libcow/store/persistent/snap_list.h"' >>libcow/store/clone/clone_store.c
	breaks 2 libcow/store/clone/clone_store.c
}

# bats test_tags=long
@test "rule 3: dispatch.c alone asks for an operation" {
	echo 'static bool f(struct cow_store *store) { return store->ops->keep; }' >>libcow/engine/skip.c
	breaks 3 libcow/engine/skip.c
}

# bats test_tags=long
@test "rule 3: the engine names no format" {
	echo 'static const char *const kind = "SnAp";' >>libcow/engine/merge.c
	breaks 3 libcow/engine/merge.c
}

# bats test_tags=long
@test "rule 3: a number of a format is a name of it" {
	echo 'static const int label = SNAP_LABEL_OFFSET;' >>libcow/snapshot/view.c
	breaks 3 libcow/snapshot/view.c
}

# bats test_tags=long
@test "rule 4: the id of a finding stands in its table alone" {
	echo 'static const char *const id = "persistent.invalid";' >>tools/snapcheck/check_words.c
	run -1 "$COW_SOURCE/tests/house/layers.py" .
	[[ "${lines[0]}" == 'tools/snapcheck/check_words.c: rule 4: writes the id "persistent.invalid"' ]]
}

# bats test_tags=long
@test "rule 4: and once" {
	sed -i '0,/"persistent.hole"/s||"persistent.invalid"|' libcow/store/persistent/snap_problems.c
	breaks 4 libcow/store/persistent/snap_problems.c
}

# bats test_tags=long
@test "rule 5: few files of the persistent store write" {
	echo 'int f(void) { return cow_image_pwrite(i, b, 1, 0, NULL); }' >>libcow/store/persistent/snap_load.c
	breaks 5 libcow/store/persistent/snap_load.c
}

# bats test_tags=long
@test "rule 6: what tools share includes downwards only" {
	include tools/tar/tar.c tools/formats/delta.h
	breaks 6 tools/tar/tar.c
}

# bats test_tags=long
@test "rule 6: a tool does not include another" {
	include tools/snapmerge/snapmerge.c tools/snapdump/dump.h
	breaks 6 tools/snapmerge/snapmerge.c
}

# bats test_tags=long
@test "rule 6: of the library tools include libcow.h and base/ alone" {
	include tools/images/operands.c libcow/base/units.h
	run -0 "$COW_SOURCE/tests/house/layers.py" .
	include tools/images/operands.c libcow/image/image.h
	breaks 6 tools/images/operands.c
}

# bats test_tags=long
@test "rule 7: the plugin includes libcow.h alone" {
	mkdir -p tools/nbdkit
	printf '#include <libcow.h>\n#include "libcow.h"\n' >tools/nbdkit/nbdkit_plugin.c
	run -0 "$COW_SOURCE/tests/house/layers.py" .
	echo '#include "tools/common/cli.h"' >>tools/nbdkit/nbdkit_plugin.c
	breaks 7 tools/nbdkit/nbdkit_plugin.c
}

# bats test_tags=long
@test "rule 8: names of files are unique" {
	echo '/* */' >libcow/core/merge.c
	breaks 8 libcow/engine/merge.c
}

# bats test_tags=long
@test "rule 8: a tool's, too" {
	echo '/* */' >tools/common/cleanup.h
	breaks 8 tools/common/cleanup.h
}

# bats test_tags=long
@test "rule 8: a file of a kind begins with its prefix" {
	echo '/* */' >libcow/store/persistent/list_next.c
	breaks 8 libcow/store/persistent/list_next.c
}

# bats test_tags=long
@test "rule 8: and so do its symbols" {
	kind thin
	printf 'int cow_pool_open(void)\n{\n\treturn 0;\n}\n' >>libcow/store/thin/thin_store.c
	breaks 8 libcow/store/thin/thin_store.c
}

# bats test_tags=long
@test "rule 9: a kind of store is named in three files outside of its folder" {
	echo 'static const char *const kind = "snaplog";' >>libcow/image/spec_tree.c
	breaks 9 libcow/image/spec_tree.c
}

# bats test_tags=long
@test "rule 9: and its symbols are" {
	echo 'static const void *f(void) { return &cow_store_clone_ops; }' >>libcow/store/dispatch.c
	breaks 9 libcow/store/dispatch.c
}
