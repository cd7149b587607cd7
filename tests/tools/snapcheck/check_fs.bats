#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# The file systems that snapcheck names: in the origin, in the snapshot, on a list. The
# judge is blkid(8), asked about the origin and about the exported view.
bats_require_minimum_version 1.8.0
load ../../common

setup() {
	cd "$BATS_TEST_TMPDIR"
}

# fs KIND FILE LABEL: a new one, with a UUID of its own.
fs() {
	truncate -s 0 "$2"
	truncate -s 16M "$2"
	case $1 in
	ext4 | ext2) mke2fs -q -F -t "$1" -L "$3" "$2" ;;
	swap) mkswap -q -L "$3" "$2" 2>/dev/null >&2 ;;
	gpt) printf 'label: gpt\n, 1M\n' | sfdisk -q "$2" ;;
	none) head -c 4096 /dev/urandom | tr '\0' x >"$2.head" && dd if="$2.head" of="$2" conv=notrunc status=none ;;
	esac
}

# told IMAGE: type, label and UUID as blkid(8) sees them, and the size.
told() {
	python3 -B - "$1" <<-'END'
		import os, subprocess, sys
		out = subprocess.run(["blkid", "-p", "-o", "export", sys.argv[1]], stdout=subprocess.PIPE).stdout.decode()
		facts = dict(line.replace("\\ ", " ").split("=", 1) for line in out.splitlines())
		table = facts.get("PTTYPE")
		kind = facts.get("TYPE") or (table and table + " partition table")
		print([kind, facts.get("LABEL"), facts.get("UUID"), os.stat(sys.argv[1]).st_size])
	END
}

# said ROLE: the same from the JSON object j.
said() {
	member j "[[f[k] for k in ('type', 'label', 'uuid', 'size_bytes')] for f in j['file_systems'] if f['role'] == '$1'][0]"
}

# bats test_tags=slow
@test "origin and snapshot: type, label, UUID and size are what blkid(8) tells of each" {
	local row
	for row in "swap ext2" "gpt ext4" "none swap" "ext2 none"; do
		fs "${row% *}" origin.img "my root"
		fs "${row#* }" new.img "after it"
		rm -f cow.img view.img
		snapcreate -q --from=new.img origin.img cow.img
		snapdump -q --raw --force=origin -o view.img origin.img cow.img
		run snapcheck --force=origin,uuid --json=j origin.img cow.img
		[ "$(said origin)" = "$(told origin.img)" ] || { echo "$row: $(said origin), not $(told origin.img)"; return 1; }
		[ "$(said view)" = "$(told view.img)" ] || { echo "$row: $(said view), not $(told view.img)"; return 1; }
	done
	# for people
	fs ext4 origin.img "my root"
	cp origin.img new.img
	tune2fs -L "after it" -U 11111111-2222-3333-4444-555555555555 new.img >/dev/null
	rm -f cow.img
	snapcreate -q --from=new.img origin.img cow.img
	run -4 snapcheck origin.img cow.img
	[[ $output == *$'\n'"origin holds: ext4 \"my root\", UUID "*", 16 MiB"$'\n'* ]]
	[[ $output == *$'\n'"snapshot seems to show: ext4 \"after it\", UUID 11111111-2222-3333-4444-555555555555, 16 MiB"$'\n'* ]]
	run -0 snapcheck --force=uuid origin.img cow.img
	[[ $output == *$'\n'"snapshot shows: ext4 \"after it\", UUID "* ]]
	# one line where both hold the same; none where nobody gave the origin, or nothing is known
	snapcreate -q --force=overwrite origin.img cow.img
	run -0 snapcheck origin.img cow.img
	[[ $output == *$'\n'"origin and snapshot hold: ext4 \"my root\", UUID "* ]]
	[[ $output != *"snapshot shows"* ]]
	run -0 snapcheck cow.img
	[[ $output != *ext4* ]]
	truncate -s 512 origin.img
	snapcreate -q --force=overwrite origin.img cow.img
	run -0 --separate-stderr snapcheck origin.img cow.img
	[[ $output != *hold* && $stderr != *note* ]]
}

# bats test_tags=long
@test "what a repair brings back is shown as it is then" {
	fs ext4 origin.img before
	cp origin.img new.img
	head -c 400K /dev/urandom | dd of=new.img bs=4K seek=1000 conv=notrunc status=none
	tune2fs -L after new.img >/dev/null
	snapcreate -q -c 4K --from=new.img origin.img cow.img
	# the superblock is moved to the end of the list, and the second sector of that is lost
	python3 -B - <<-'END'
		import struct
		with open("cow.img", "r+b") as image:
		    image.seek(4096)
		    records = [(old, new) for old, new in struct.iter_unpack("<QQ", image.read(4096)) if new]
		    pieces = {}
		    for old, new in records:
		        image.seek(new * 4096)
		        pieces[old] = image.read(4096)
		    olds = [old for old, new in records]
		    assert olds.pop(0) == 0
		    records = [(old, new) for old, (_, new) in zip(olds + [0], records)]
		    for old, new in records:
		        image.seek(new * 4096)
		        image.write(pieces[old])
		    packed = b"".join(struct.pack("<QQ", *record) for record in records)
		    image.seek(4096)
		    image.write(packed[:512] + bytes(512) + packed[1024:])
	END
	run -4 snapcheck --json=j origin.img cow.img
	[[ $(said view) == *"'before'"* ]]
	run snapcheck -y -o fixed.img --json=j origin.img cow.img
	[[ $(said view) == *"'after'"* ]] || { said view; return 1; }
	[[ $output == *"snapshot "*": ext4 \"after\", UUID "* ]]
}

# bats test_tags=long
@test "a clone: its source and what the device shows; a pool as a whole shows nothing" {
	fs ext4 source.img template
	fs ext4 dest.img ""
	truncate -s 1M meta.img
	snapcreate -q -y -t clone --force=overwrite,content clone:metadata=meta.img,source=source.img,destination=dest.img
	run -0 snapcheck --json=j clone:metadata=meta.img,source=source.img,destination=dest.img
	[[ $output == *$'\n'"source and snapshot hold: ext4 \"template\", UUID "* ]]
	[ "$(said source)" = "$(told source.img)" ]
	[ "$(said view)" = "$(told source.img)" ]
	truncate -s 8M data.img
	snapcreate -q -y -t thin thin:metadata=pool.img,data=data.img
	run -0 snapcheck --json=j thin:metadata=pool.img,data=data.img
	[ "$(member j '"file_systems" in j')" = False ]
}

@test "--list names them, too; labels do no harm to a terminal" {
	local label=$'\e[31m"\\x'
	fs ext4 one.img "$label"
	printf 'label: gpt\n, 16M\n' >table
	truncate -s 20M disk.img
	sfdisk -q disk.img <table
	fs ext2 two.img inside
	dd if=two.img of=disk.img bs=1M seek=1 conv=notrunc,sparse status=none
	run -0 snapcheck --list --json=j one.img disk.img
	[ "$(member j '[[v["file_system"][k] for k in ("type", "label")] for v in j["volumes"] if "file_system" in v]')" = \
		"[['ext4', '\\x1b[31m\"\\\\x'], ['ext2', 'inside']]" ]
	[ "$(member j '[v["spec"] for v in j["volumes"] if "file_system" in v]')" = "['one.img', 'part:disk.img:1']" ]
	[[ $output == *"ext4 \"\\x1b[31m\\\"\\x\", UUID "* ]]
	[[ $output == *" ext2 \"inside\", UUID "* ]]
	[[ $output != *$'\e'* ]]
	snapcreate -q one.img cow.img
	run -0 snapcheck one.img cow.img
	[[ $output == *"hold: ext4 \"\\x1b[31m\\\"\\x\", UUID "* ]]
	[[ $output != *$'\e'* ]]
}
