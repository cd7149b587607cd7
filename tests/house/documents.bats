#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# What the manual pages and the README tell people to type is typed here, each
# block as it stands, in a directory of its own with the images it names. A line
# that is to end with another exit status than 0 says so behind "# exit status".
# bats file_tags=slow
bats_require_minimum_version 1.8.0
load ../common

# Images under the names that the examples use: an ext4 file system, its upgrade
# on a snapshot (cow.img), layers, a sibling, a damaged store, two exports.
setup_file() {
	export stock=$BATS_FILE_TMPDIR/stock
	mkdir "$stock" && cd "$stock"
	mkdir -p tree/etc
	echo "version 1" >tree/etc/release
	head -c 300k /dev/urandom >tree/etc/data
	truncate -s 8M origin.img
	mke2fs -q -t ext4 -O ^has_journal -d tree origin.img
	cp origin.img base.img
	upgrade origin.img mid.img 2
	upgrade mid.img changed.img 3
	snapcreate -q origin.img cow.img --from changed.img
	qemu-img convert -f raw -O qcow2 cow.img cow.qcow2
	snapcreate -q base.img layer1.img --from mid.img
	snapcreate -q mid.img layer2.img --from changed.img
	snapcreate -q origin.img weekly.img
	# The kernel takes the top byte of a chunk number for a length.
	cp cow.img damaged.img
	printf '\003' | dd of=damaged.img bs=1 seek=4111 conv=notrunc status=none
	snapdump -q --delta -o mon.tar base.img layer1.img
	snapdump -q --delta -o tue.tar mid.img layer2.img
	cp mon.tar delta.tar
	cp "$COW_UNPACKED/lvm/mbr-logical/disk0.img" disk.img
	cp --sparse=always "$COW_UNPACKED/thin/lvm-pool/pv.img" pool.img
	rm -r tree mid.img
}

upgrade() {
	{ echo "version $3"; seq 9000; } >new
	cp "$1" "$2"
	printf '%s\n' 'rm /etc/release' 'write new /etc/release' | debugfs -w -f - "$2" >/dev/null 2>&1
	rm new
}

setup() {
	cd "$BATS_TEST_TMPDIR"
}

# paste FILE: each line by itself, as typed; its exit status is what it says.
paste_block() {
	local line wanted nr=0
	while IFS= read -r line; do
		wanted=0
		[[ ! $line =~ "# exit status "([0-9]+) ]] || wanted=${BASH_REMATCH[1]}
		run bash -o pipefail -c "$line" </dev/null
		[ "$status" -eq "$wanted" ] || { echo "$line: $status: $output"; return 1; }
		nr=$((nr + 1))
	done < <(sed -e ':a' -e '/\\$/N; s/\\\n *//; ta' "$1" | grep .)
	[ "$nr" -gt 0 ]
}

# try_blocks PREFIX: every file PREFIX-*, in a directory of its own.
try_blocks() {
	local file
	for file in "$1"-*; do
		mkdir "in-$file" && cp --sparse=always "$stock"/* "in-$file"
		# One example makes what another reads.
		grep -q -- --import "$file" || rm "in-$file/mon.tar" "in-$file/tue.tar"
		(cd "in-$file" && paste_block "../$file") || { cat "$file"; return 1; }
	done
}

# blocks PAGE: the examples of a page as files PAGE-1, ...
blocks() {
	"$COW_SOURCE/tests/house/pages.py" examples "$COW_SOURCE/man/$1" "$1"
	[ -e "$1-1" ]
}

@test "the examples of the pages do what they say" {
	plugin_as_installed bin
	PATH=$PWD/bin:$PATH
	for page in snapcreate.8 snapcheck.8 snapdump.8 snapimage.7 libcow-delta.5 libcow-json.5 nbdkit-snapshot-plugin.1; do
		blocks $page
		try_blocks $page
	done
}

@test "the examples of snapmerge's page do what they say; those with LVM a kernel runs" {
	blocks snapmerge.8
	for block in "Nothing may be active" "After the next boot"; do
		"$COW_SOURCE/tests/house/pages.py" block "$COW_SOURCE/README.md" "$block" >readme
		lvm=$(for file in snapmerge.8-*; do ! cmp -s readme "$file" || echo "$file"; done)
		rm "$lvm"
	done
	# kernel.bats takes these from the page.
	rm "$(grep -l 'dmsetup remove vg-snap vg-root' snapmerge.8-*)" "$(grep -l 'dmsetup remove vg-snap-cow' snapmerge.8-*)"
	! grep -l vgchange snapmerge.8-* || return 1
	try_blocks snapmerge.8
	cmp "$stock/origin.img" in-snapmerge.8-2/origin.img
	cmp "$stock/changed.img" in-snapmerge.8-4/flat.img
}

@test "the README's story of a disk image does what it says" {
	"$COW_SOURCE/tests/house/pages.py" block "$COW_SOURCE/README.md" "A disk image of a dead server" >disk-1
	[ "$(wc -l <disk-1)" -eq 4 ]
	mkdir in-disk-1 && cd in-disk-1
	cp --sparse=always "$stock/disk.img" .
	chmod a-w disk.img
	head -3 ../disk-1 >look
	paste_block look
	chmod u+w disk.img
	paste_block ../disk-1
	snapdump -q --raw -o root.img window:0+10M:lvm:disk.img:vg0/base
	[ "$(sha256sum <root.img | cut -d' ' -f1)" = "$(awk '$1 == "vg0/snap" { print $2 }' "$COW_FIXTURES/lvm/mbr-logical/kernel.txt")" ]
}

@test "the README's first screen: three commands to a verdict on an image of one's own" {
	[ "$(grep -n '^make deps install$' "$COW_SOURCE/README.md" | cut -d: -f1)" -le 25 ]
	"$COW_SOURCE/tests/house/pages.py" block "$COW_SOURCE/README.md" "A verdict on your own image" >first
	[ "$(wc -l <first)" -eq 3 ]
	# the first one is install.bats
	sed 1d first >verdict-1
	cp --sparse=always "$stock/disk.img" .
	chmod a-w disk.img
	paste_block verdict-1
	[[ $output == *": sound"* ]]
}

@test "the README's other stories do what they say" {
	"$COW_SOURCE/tests/house/pages.py" block "$COW_SOURCE/README.md" "The kernel refuses" >story-1
	"$COW_SOURCE/tests/house/pages.py" block "$COW_SOURCE/README.md" "Get the data out" >story-2
	sed -i 's/cow\.img/damaged.img/' story-1
	"$COW_SOURCE/tests/house/pages.py" block "$COW_SOURCE/README.md" "Nightly images in one pool" >story-3
	try_blocks story
	snapdump -q --raw "thin:metadata=in-story-3/meta,data=in-story-3/data,id=2,size=8M" | cmp - "$stock/changed.img"
	cmp "$stock/changed.img" in-story-2/view.img
	cmp "$stock/changed.img" in-story-1/origin.img
}

@test "the README's stories of servers and of many images do what they say" {
	"$COW_SOURCE/tests/house/pages.py" block "$COW_SOURCE/README.md" "The disk is inside a qcow2" >story-1
	"$COW_SOURCE/tests/house/pages.py" block "$COW_SOURCE/README.md" "Many images" >story-2
	"$COW_SOURCE/tests/house/pages.py" block "$COW_SOURCE/README.md" "it can be written to" >story-3
	plugin_as_installed bin
	PATH=$PWD/bin:$PATH
	for name in origin cow; do
		qemu-img convert -f raw -O qcow2 "$stock/$name.img" "$stock/$name.qcow2"
	done
	try_blocks story 3>&-
	while grep -q '^State:.[^Z]' "/proc/$(cat in-story-1/origin.pid)/status" 2>/dev/null; do sleep 0.05; done
	qemu-img compare -f qcow2 -F raw in-story-1/origin.qcow2 "$stock/changed.img"
	run -0 jq -r '"\(.exit) \(.verdict.state)"' in-story-2/{cow,weekly,damaged}.img.json
	[ "${lines[*]}" = "0 sound 0 sound 4 damaged" ]
	cmp "$stock/disk.img" in-story-3/disk.img
	run -0 snapdump --map in-story-3/disk.img in-story-3/try.cow
	[[ $output == *"1048576 65536"* ]]
}

@test "a program written after the page of the format reads what the kernel wrote" {
	"$COW_SOURCE/tests/house/pages.py" examples "$COW_SOURCE/man/cow-persistent.5" reader
	for folder in "$COW_FIXTURES"/*/; do
		[ -e "$folder/exceptions.tsv" ] && grep -q '^kernel_view_sha256 [0-9a-f]' "$folder/meta.txt" || continue
		xz -dc "$folder/cow.img.xz" >cow.img
		grep -v '^#' "$folder/exceptions.tsv" | awk '{ print $1, $2 }' >want
		python3 reader-1 cow.img | diff want - || { echo "$folder"; return 1; }
		echo "$folder" >>read
	done
	[ "$(wc -l <read)" -ge 10 ]
}

@test "the example of libcow.3 builds as it stands, and gives the digest that snapdump gives" {
	"$COW_SOURCE/tests/house/pages.py" examples "$COW_SOURCE/man/libcow.3" digest
	cc -std=c11 -Wall -Wextra -Werror -I"$COW_SOURCE/include" -o digest -x c digest-1 -x none "$COW_BUILD/libcow.a" -lxxhash
	snapdump -q -o view.tar "$stock/origin.img" "$stock/cow.img"
	tar -xOf view.tar manifest.json >manifest
	[ "$(./digest "$stock/origin.img" "$stock/cow.img")" = "$(python3 -c 'import json; print(json.load(open("manifest"))["digest"])')" ]
}

@test "the README's picture is what happens (make picture), but for the numbers" {
	"$COW_SOURCE/tests/house/picture.py" now.svg
	python3 -c 'import sys, xml.etree.ElementTree as e; [e.parse(f) for f in sys.argv[1:]]' now.svg "$COW_SOURCE/man/snapmerge.svg"
	words() { sed -n 's/.*<text[^>]*>\(.*\)<\/text>/\1/p' "$1" | sed 's/[0-9.]\+/N/g' | paste -sd' '; }
	[ "$(words now.svg)" = "$(words "$COW_SOURCE/man/snapmerge.svg")" ]
	grep -q '(man/snapmerge.svg)' "$COW_SOURCE/README.md"
}

@test "HACKING.md's picture of the floors is that of the includes (make floors)" {
	"$COW_SOURCE/tests/house/floors.py" "$COW_SOURCE" >"$BATS_TEST_TMPDIR/floors.svg"
	cmp "$BATS_TEST_TMPDIR/floors.svg" "$COW_SOURCE/man/floors.svg"
	# an include that skips a floor is an arrow that it has not
	mkdir -p "$BATS_TEST_TMPDIR/tree"
	cp -r "$COW_SOURCE/libcow" "$COW_SOURCE/tools" "$BATS_TEST_TMPDIR/tree"
	echo '#include "libcow/engine/merge.h"' >>"$BATS_TEST_TMPDIR/tree/libcow/store/clone/clone_disk.h"
	"$COW_SOURCE/tests/house/floors.py" "$BATS_TEST_TMPDIR/tree" >"$BATS_TEST_TMPDIR/other.svg"
	! cmp -s "$BATS_TEST_TMPDIR/other.svg" "$COW_SOURCE/man/floors.svg" || return 1
}

@test "each function that an opening comment or HACKING.md names is there" {
	python3 - "$COW_SOURCE" <<-'PY'
		import pathlib, re, sys
		top = pathlib.Path(sys.argv[1])
		files = {p: p.read_text() for d in ("libcow", "tools", "include") for p in (top / d).rglob("*.[ch]")}
		code = {p: re.sub(r"/\*.*?\*/", " ", t, flags=re.S) for p, t in files.items()}
		known = set(re.findall(r"\b([a-z_][a-z0-9_]*)\s*\(", "\n".join(code.values())))
		# but for the sources of facts, which are functions of the kernel
		texts = {p: re.sub(r"[Ss]ource:.*?(\n \*\n|\*/)", "", re.match(r"(/\*.*?\*/\s*)*", t, re.S).group(), flags=re.S)
		         for p, t in files.items()}
		texts[top / "HACKING.md"] = (top / "HACKING.md").read_text()
		bad = [f"{p.relative_to(top)}: {name}()" for p, text in sorted(texts.items())
		       for name in re.findall(r"\b([a-z_][a-z0-9_]*)\(\)", text) if name not in known]
		assert len(texts) > 300, len(texts)
		sys.exit("\n".join(bad) if bad else 0)
	PY
}
