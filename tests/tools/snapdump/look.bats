#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# snapdump --ls and --cat: what is in a view, without a mount and without reading more
# than is shown. The judge is the folder that mke2fs filled the file system from.
bats_require_minimum_version 1.8.0
load ../../common

setup() {
	cd "$BATS_TEST_TMPDIR"
}

# tree IMAGE MKFS-OPTION...: an image of 16 MiB with one file of each kind.
tree() {
	rm -rf src "$1"
	mkdir -p src/dir/below src/empty src/etc
	seq 9000 >src/numbers
	ln src/numbers src/dir/hard
	echo release >src/dir/below/release
	ln -s ../dir/below src/etc/link
	ln -s /etc/link/release src/release
	ln -s loop src/loop
	ln -s ../../../dir/../numbers src/dir/far
	: >src/none
	truncate -s 3M src/hole
	poke src/hole 1000000 'in the middle'
	poke src/hole 3145720 'the end.'
	mkfifo src/fifo
	mknod src/null c 1 3
	mknod src/large b 259 70000
	printf 'x' >src/$'control\033\nname'
	head -c 300 /dev/urandom | od -An -tx1 | tr -d ' \n' >"src/$(printf '%0250d' 7)"
	chmod 4755 src/numbers
	chmod 2510 src/empty
	chmod 1777 src/dir
	chmod 4600 src/none
	chown 70000:123456789 src/dir/below/release
	setfacl -m u:12:r src/dir/below/release
	touch -d 2030-01-02T03:04:05.5Z src/none
	touch -d 1930-01-02T03:04:05Z src/hole
	touch -h -d 2037-02-03T04:05:06Z src/release
	mke2fs -q -F "${@:2}" -d src "$1" 16M
}

# What find says of a folder, as --ls prints it; sizes of directories are those of
# another file system.
found() {
	(cd "$1" && TZ=UTC find . -printf '%M %n %U %G %s %TY-%Tm-%TdT%TH:%TM:%.2TSZ %P' \
		\( -type l -printf ' -> %l' , -true \) -printf '\0') | sed -z '/ $/d' | LC_ALL=C sort -z
}

# bats test_tags=long
@test "--ls prints what find -printf does, of ext4 with inline data, ext3 and ext2" {
	for how in "-t ext4 -O inline_data -I 256" "-t ext3" "-t ext2 -b 1024 -I 256"; do
		# shellcheck disable=SC2086
		tree img $how
		run -0 --separate-stderr snapdump --ls --exclude=lost+found img
		[ -z "$stderr" ]
		printf '%s\n' "$output" | sed '1d; s/^\(d[^ ]* [^ ]* [^ ]* [^ ]*\) [0-9]*/\1 -/' >ours
		found src | sed -z 's/^\(d[^ ]* [^ ]* [^ ]* [^ ]*\) [0-9]*/\1 -/; s/\x1b/\\x1b/g; s/\n/\\x0a/g' | tr '\0' '\n' >wanted
		sed -i 's/^\(c.* \)0 \([^ ]* null\)$/\11, 3 \2/; s/^\(b.* \)0 \([^ ]* large\)$/\1259, 70000 \2/; s/^\(-[^ ]*\)\( .* dir.below.release\)$/\1+\2/' wanted
		diff <(LC_ALL=C sort wanted) <(LC_ALL=C sort ours)
		[ "$(wc -l <ours)" -eq 18 ]
	done
}

# read_blocks COMMAND...: each block of 1 KiB of "img" that the command reads.
read_blocks() {
	strace -qq -f -P "$PWD/img" -e trace=pread64,preadv,preadv2,read -o trace "$@" >/dev/null
	sed -n 's/^.* \([0-9]*\), \([0-9]*\)) *= \1$/\2 \1/p' trace |
		awk '{ for (b = int($1 / 1024); b * 1024 < $1 + $2; b++) print b }' | sort -un
}

@test "--ls reads no block of a file, --cat none of another file" {
	tree img -t ext4 -b 1024
	for file in numbers dir/below/release hole none; do
		debugfs -R "blocks /$file" img 2>/dev/null | tr ' ' '\n' | grep . >"${file##*/}.blocks" || true
	done
	sort -u ./*.blocks >data.blocks
	[ "$(wc -l <data.blocks)" -gt 40 ]
	read_blocks snapdump --ls img >blocks
	[ "$(wc -l <blocks)" -gt 20 ]
	! grep -xF -f data.blocks blocks || return 1
	read_blocks snapdump --cat=/release img >blocks
	[ "$(grep -cxF -f data.blocks blocks)" -eq 1 ]
	grep -qxF -f release.blocks blocks
	# That a block that is read would be seen.
	read_blocks snapdump --files img >blocks
	[ "$(grep -cxF -f data.blocks blocks)" -eq "$(wc -l <data.blocks)" ]
}

# bats test_tags=long
@test "--ls --json has the same, each field by name" {
	tree img -t ext4
	snapdump --ls --json --path=/dir/below img >j
	[ "$(member j 'j["entries"][1]["path"]')" = dir/below/release ]
	[ "$(member j '[j["entries"][1][k] for k in ("type", "mode", "links", "uid", "gid", "size_bytes")]')" = "['file', '0644', 1, 70000, 123456789, 8]" ]
	[ "$(member j '[e["type"] for e in j["entries"]]')" = "['directory', 'file']" ]
	snapdump --ls --json=j -o list img
	[ "$(member j '[(e["major"], e["minor"]) for e in j["entries"] if "major" in e]')" = "[(259, 70000), (1, 3)]" ]
	[ "$(member j '[e["target"] for e in j["entries"] if e["path"] == "release"]')" = "['/etc/link/release']" ]
	[ "$(member j '[(e["mtime"], e["mtime_nanoseconds"]) for e in j["entries"] if e["path"] == "hole"]')" = "[('1930-01-02T03:04:05Z', 0)]" ]
	[ "$(member j 'len(j["entries"])')" = "$(wc -l <list)" ]
	[ "$(member j 'j["files"]')" = "$(wc -l <list)" ]
	snapdump --ls --json -o again img >k
	cmp list again
	[ "$(member k 'len(j["entries"])')" = "$(wc -l <list)" ]
}

@test "--cat gives one file, follows links inside the file system, and keeps holes" {
	tree img -t ext4
	for path in numbers /dir/hard dir/far release etc/link/release /../..//dir/./below/../../numbers; do
		snapdump --cat="$path" img >out
		case $path in
		*release) cmp out src/dir/below/release ;;
		*) cmp out src/numbers ;;
		esac
	done
	snapdump --cat=hole img | cmp - src/hole
	run -0 --separate-stderr snapdump --cat=/hole -o out.file img
	[[ $stderr == "snapdump: out.file written: 3145728 bytes"*", with "*"KiB of data" ]]
	cmp out.file src/hole
	[ "$(stat -c %b out.file)" -le 32 ]
	snapdump -q --cat=none -o nothing img
	[ "$(stat -c %s nothing)" -eq 0 ]
	run -0 --separate-stderr snapdump -n --cat=hole -o no.file img
	[ ! -e no.file ]
	snapdump --cat=release --json=j img >out
	[ "$(member j 'j["path"]')" = dir/below/release ]
	[ "$(member j 'j["size_bytes"]')" = 8 ]
}

# bats test_tags=long
@test "--cat refuses what is no file, with the way to what is" {
	tree img -t ext4
	for path in dir / fifo null; do
		run -64 --separate-stderr snapdump --json=j --cat=$path -o no.file img
		one_sentence
		[ "$(member j 'j["error"]["id"]')" = not-a-file ]
		rm j
	done
	for path in nothing numbers/x loop dir/nothing; do
		run -64 --separate-stderr snapdump --json=j --cat=$path -o no.file img
		one_sentence
		[ "$(member j 'j["error"]["id"]')" = no-path ]
		rm j
	done
	[ ! -e no.file ]
	run -64 --separate-stderr snapdump --ls --path=nothing img
	run -64 --separate-stderr snapdump --ls zero:1M
	run -16 --separate-stderr snapdump --cat=release --path=dir img
	run -16 --separate-stderr snapdump --cat=release --json img
	run -16 --separate-stderr snapdump --cat= img
	run -16 --separate-stderr snapdump --ls --cat=release img
}

@test "--ls shows what an archive leaves out: sockets, and what is encrypted" {
	tree img -t ext4 -O ^metadata_csum
	for command in "set_inode_field /numbers mode 0140644" "set_inode_field /hole flags 0x80800" "set_inode_field /etc flags 0x80800"; do
		debugfs -w -R "$command" img 2>debugfs.log
	done
	run -4 --separate-stderr snapdump --ls img
	grep -x 's.* numbers' <<<"$output"
	grep -x -- '-.* hole' <<<"$output"
	grep -x 'd.* etc' <<<"$output"
	[[ $stderr == *"/etc: encrypted"*"what is in it is left out" ]]
	run -64 --separate-stderr snapdump --cat=hole -o no.file img
	[[ $stderr == *"encrypted"* ]]
	[ ! -e no.file ]
}

# bats test_tags=long
@test "any view: a snapshot and its origin in LVM, a partition, a clone" {
	disks whole
	for lv in base snap; do
		snapdump --ls lvm:disk0.img:vg0/$lv >$lv.list
		[ "$(grep -c . $lv.list)" -gt 3 ]
		mkdir $lv
		snapdump --files lvm:disk0.img:vg0/$lv | tar -C $lv -xpf -
		diff <(cut -d' ' -f7 $lv.list | sed 's/^\.$//' | sort) <(cd $lv && find . -printf '%P\n' | sort)
		(cd $lv && find . -type f -printf '%P\n') | while read -r file; do
			snapdump --cat="$file" lvm:disk0.img:vg0/$lv | cmp - "$lv/$file"
		done
	done
	tree img -t ext4
	truncate -s 24M disk.img
	poke disk.img 462 '\0\0\0\0\203\0\0\0\0\040\0\0\0\200\0\0'
	poke disk.img 510 '\125\252'
	dd if=img of=disk.img bs=1M seek=4 conv=notrunc status=none
	snapcreate -q disk.img disk.cow
	snapdump --ls --partition=2 disk.img disk.cow | cmp - <(snapdump --ls img)
	snapdump --cat=release --partition=2 disk.img disk.cow | cmp - src/dir/below/release
	truncate -s 16M dest
	snapcreate -q -t clone -c 4K clone:metadata=meta,source=img,destination=dest
	snapdump --ls clone:metadata=meta,source=img,destination=dest | cmp - <(snapdump --ls img)
	run -64 --separate-stderr snapdump --ls disk.img
	[[ $stderr == *"--partition=N"* ]]
}
