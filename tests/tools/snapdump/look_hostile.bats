#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# snapdump --ls and --changes of file systems that were made to do harm: names for a terminal,
# directories inside of themselves, maps that lead nowhere, tables over one another. What
# --files does with such is in files.bats, what a fuzzer finds in fuzz_files.
bats_require_minimum_version 1.8.0
load ../../common

setup() {
	cd "$BATS_TEST_TMPDIR"
}

# differ: cow.img, which makes now.img of base.img.
differ() {
	rm -f cow.img
	snapcreate -q -c 1K --from=now.img base.img cow.img
}

# within SECONDS STATUS COMMAND...: ends by itself, and takes no more processor time.
within() {
	run -"$2" --separate-stderr bash -c 'ulimit -t "$1"; shift; exec "$@"' bash "$1" "${@:3}"
}

# bats test_tags=long
@test "names do no harm to a terminal, and a name with a slash or without an end is left out" {
	mkdir -p src/sub
	for name in ESCAPE NEWLIN SLASHY sub/NOTEND; do echo x >"src/$name"; done
	ln -s ESCAPE src/link
	mke2fs -q -F -t ext2 -b 1024 -O ^resize_inode -d src now.img 1M
	cp now.img base.img
	debugfs -w -R "rm ESCAPE" base.img 2>/dev/null
	debugfs -w -R "rm NEWLIN" base.img 2>/dev/null
	for image in base.img now.img; do
		python3 - $image <<-'END'
			import sys
			data = open(sys.argv[1], "rb").read()
			data = data.replace(b"ESCAPE", b"\x1b]0;x\x07").replace(b"NEWLIN", b"a\nb\x7fcd").replace(b"SLASHY", b"../../")
			at = data.index(b"NOTEND") - 8
			data = data[:at + 4] + bytes(2) + data[at + 6:]  # a rec_len of 0
			open(sys.argv[1], "wb").write(data)
		END
	done
	differ
	within 10 4 snapdump --ls base.img cow.img
	[[ $output == *' \x1b]0;x\x07'$'\n'* && $output == *' a\x0ab\x7fcd'$'\n'* && $output == *'link -> \x1b]0;x\x07'* ]]
	[[ $output != *..* && $output != *NOTEND* ]]
	[[ $stderr == *"holds a slash"* && $stderr == *"an entry of length 0 is not possible"* ]]
	[ -z "$(tr -d '\n -~' <<<"$output$stderr")" ]
	within 10 4 snapdump --changes base.img cow.img
	[[ $output == *'+ \x1b]0;x\x07'* && $output == *'+ a\x0ab\x7fcd'* && $output != *..* ]]
	[ -z "$(tr -d '\n -~' <<<"$output$stderr")" ]
}

# bats test_tags=long
@test "--changes: directories that are inside of each other have no path, and that ends" {
	local long
	long=$(printf 'n%.0s' $(seq 250))
	mkdir -p "src/outer/$long"
	mke2fs -q -F -t ext2 -b 1024 -O ^resize_inode -d src base.img 4M
	debugfs -w -R "link /outer /outer/$long/$long" base.img 2>/dev/null
	outer=$(debugfs -R 'stat /outer' base.img 2>/dev/null | sed -n 's/^Inode: \([0-9]*\).*/\1/p')
	inner=$(debugfs -R "stat /outer/$long" base.img 2>/dev/null | sed -n 's/^Inode: \([0-9]*\).*/\1/p')
	block=$(debugfs -R 'blocks /outer' base.img 2>/dev/null)
	debugfs -w -R "unlink /outer" base.img 2>/dev/null
	# its ".."
	poke base.img $((${block% } * 1024 + 12)) "\\$(printf %o "$inner")"
	cp base.img now.img
	{
		echo "cd <$outer>"
		for i in $(seq 100); do echo "mknod f$i p"; done
	} | debugfs -w -f - now.img >/dev/null 2>&1
	differ
	within 10 4 snapdump --changes base.img cow.img
	[[ $stderr == *"directory inode $outer is inside of itself, or a path through it is longer than 32768 bytes"* ]]
	[ -z "$output" ]
}

# bats test_tags=slow
@test "--changes: maps of many blocks that lead to few, in many directories" {
	mkdir src
	for i in $(seq 400); do mkdir "src/d$i"; done
	echo x >src/file
	mke2fs -q -F -t ext2 -b 1024 -O ^resize_inode -N 1000 -d src base.img 8M
	# the third level of each map: all numbers of a block are those of the next one, and there are zeros
	python3 - <<-'END'
		import struct
		with open("base.img", "r+b") as f:
		    data = bytearray(f.read())
		table = 1024 * struct.unpack_from("<I", data, 2048 + 8)[0]
		free = len(data) // 1024 - 3
		for block, to in (free, free + 1), (free + 1, free + 2), (free + 2, 0):
		    data[block * 1024:(block + 1) * 1024] = struct.pack("<I", to) * 256
		size = struct.unpack_from("<H", data, 1024 + 88)[0]
		for ino in range(12, 420):
		    at = table + size * (ino - 1)
		    if data[at + 1] >> 4 == 4:
		        struct.pack_into("<I", data, at + 4, 1 << 26)
		        struct.pack_into("<15I", data, at + 40, *[0] * 14, free)
		open("base.img", "wb").write(data)
	END
	cp base.img now.img
	debugfs -w -R 'set_inode_field /file mode 0100600' now.img 2>/dev/null
	debugfs -w -R 'set_inode_field /file links_count 2' now.img 2>/dev/null
	differ
	within 5 4 snapdump --changes base.img cow.img
	[ "$output" = "T file" ]
	[[ $stderr == *"fewer names than its link count says"* ]]
}

# bats test_tags=long
@test "--changes: inode tables that lie over one another are refused before they are read" {
	truncate -s 8M base.img
	mke2fs -q -F -t ext2 -b 1024 -O ^resize_inode,^sparse_super -N 8192 -I 128 -g 8192 base.img 8191K
	python3 - <<-'END'
		import struct
		with open("base.img", "r+b") as f:
		    data = bytearray(f.read())
		groups = 16384
		per_group = struct.unpack_from("<I", data, 1024 + 40)[0]
		struct.pack_into("<I", data, 1024, groups * per_group)
		struct.pack_into("<I", data, 1024 + 4, groups * 8192)
		table = data[2048:2080]
		data[2048:2048 + 32 * groups] = bytes(table) * groups
		# where the table was is a part of the descriptors now
		for i in range(groups):
		    struct.pack_into("<III", data, 2048 + 32 * i, 7000, 7001, 4000)
		open("base.img", "wb").write(data)
	END
	cp base.img now.img
	poke now.img $((8000 * 1024)) changed
	poke now.img $((7000 * 1024 + 999)) '\377'
	differ
	run --separate-stderr timeout 20 snapdump --changes base.img cow.img
	[ "$status" -eq 64 ]
	[[ $stderr == *"inode tables of the file system have more blocks than it has"* ]]
}
