#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# snapdump --files: the files of an ext file system in a view. What a kernel
# shows of them is compared in files-kernel.bats.
bats_require_minimum_version 1.8.0
load ../../common

setup() {
	cd "$BATS_TEST_TMPDIR"
}

# tree IMAGE MKFS-OPTION...: an image of 8 MiB with a few files.
tree() {
	rm -rf src
	mkdir -p src/dir/below src/empty
	echo one >src/dir/one
	echo two >src/dir/below/two
	seq 5000 >src/numbers
	ln src/numbers src/dir/hard
	ln -s dir/one src/link
	truncate -s 1M src/hole
	touch -d 2030-01-02T03:04:05Z src/dir/one
	mke2fs -q -F -E root_owner=0:0 "${@:2}" -d src "$1" 8M
}

# change IMAGE COMMAND...: debugfs.
change() {
	for command in "${@:2}"; do
		debugfs -w -R "$command" "$1" >debugfs.log 2>&1 || return 1
		! grep -v -e '^debugfs' -e '^Filesystem features' debugfs.log || return 1
	done
}

inode() {
	debugfs -R "stat $2" "$1" 2>/dev/null | sed -n 's/^Inode: \([0-9]*\).*/\1/p'
}

@test "files come in byte order, a directory before its content, and hold what was put in" {
	tree img -t ext4
	run -0 --separate-stderr snapdump --files -o out.tar img
	run -0 tar -tf out.tar
	[ "${lines[*]}" = "./ dir/ dir/below/ dir/below/two dir/hard dir/one empty/ hole link lost+found/ numbers" ]
	mkdir x
	tar -C x -xpf out.tar
	rmdir x/lost+found
	diff -r --no-dereference src x
	[ x/numbers -ef x/dir/hard ]
	[ "$(stat -c %y x/dir/one)" = "2030-01-02 03:04:05.000000000 +0000" ]
	[ "$(stat -c %b x/hole)" -eq 0 ]
}

@test "the same view gives the same bytes, whatever the locale, the zone and the clock say" {
	tree img -t ext4
	snapdump --files img >a.tar
	LC_ALL=C.UTF-8 TZ=Asia/Tokyo SOURCE_DATE_EPOCH=1 snapdump --files img >b.tar
	cmp a.tar b.tar
}

@test "the files of a snapshot and of its origin are those that the kernel showed (fixture lvm-1pv)" {
	pv=pv0.img
	unpack lvm-1pv/pv0.img $pv
	mkdir base snap
	snapdump --files $pv@2097152+20971520 | tar -C base -xf -
	snapdump --files $pv@2097152+20971520 $pv@26214400+4194304,32505856+3145728 | tar -C snap -xf -
	for name in base snap; do
		grep -c . "$COW_FIXTURES/lvm-1pv/$name-files.sha256"
		(cd $name && sha256sum --quiet --strict -c "$COW_FIXTURES/lvm-1pv/$name-files.sha256")
		[ "$(find $name -type f | wc -l)" -eq "$(wc -l <"$COW_FIXTURES/lvm-1pv/$name-files.sha256")" ]
	done
}

@test "--path gives a part under its full name, --exclude leaves out" {
	tree img -t ext4
	run -0 --separate-stderr bash -c 'snapdump --files --path=/dir img | tar -tf -'
	[ "${lines[*]}" = "dir/ dir/below/ dir/below/two dir/hard dir/one" ]
	run -0 --separate-stderr bash -c 'snapdump --files --path dir/below/two img | tar -tf -'
	[ "$output" = dir/below/two ]
	run -0 --separate-stderr bash -c 'snapdump --files --exclude=below --exclude="lost*" --exclude /numbers img | tar -tf -'
	[ "${lines[*]}" = "./ dir/ dir/hard dir/one empty/ hole link" ]
	for path in nowhere dir/nowhere numbers/below link/x ../dir; do
		run -64 --separate-stderr snapdump --files --path=$path -o no.tar img
		one_sentence
		[ ! -e no.tar ]
	done
	run -16 --separate-stderr snapdump --raw --path=/dir img
	run -16 --separate-stderr snapdump --map --exclude=x img img
}

@test "a compressed archive is an archive, compressed" {
	tree img -t ext4
	snapdump --files img >plain.tar
	for kind in gz xz zst lz4; do
		snapdump -q --files -o out.tar.$kind img
		bsdtar -cf - --format=mtree @out.tar.$kind >/dev/null
	done
	zstd -dqc out.tar.zst | cmp - plain.tar
	gzip -dc out.tar.gz | cmp - plain.tar
}

@test "what is not an ext file system is refused, with its name" {
	truncate -s 16M img
	mkswap -q img 2>/dev/null || mkswap img
	run -64 --separate-stderr snapdump --files img
	one_sentence
	[[ $stderr == *"swap space"* ]]
	truncate -s 300M xfs
	mkfs.xfs -q xfs
	run -64 --separate-stderr snapdump --files xfs
	[[ $stderr == *"XFS"* ]]
	run -64 --separate-stderr snapdump --files zero:1M
	[[ $stderr == *"no ext2, ext3 or ext4"* ]]
	run -64 --separate-stderr snapdump --files zero:512
}

@test "a journal that is to be ignored is said, and the files are given all the same" {
	tree img -t ext4
	change img "feature needs_recovery"
	run -4 --separate-stderr snapdump --files --journal=ignore -o out.tar img
	[[ $stderr == *"journal"*"needs recovery"* ]]
	[ "$(tar -tf out.tar | wc -l)" -eq 11 ]
	run -0 --separate-stderr snapdump --files -o again.tar img
	[[ $stderr == *"replayed in memory: 0 transactions, 0 blocks"* ]]
	cmp out.tar again.tar
}

@test "a damaged inode is left out and said, all others come" {
	tree img -t ext4 -O metadata_csum
	size=$(dumpe2fs -h img 2>/dev/null | sed -n 's/^Inode size:[^0-9]*//p')
	table=$(dumpe2fs img 2>/dev/null | sed -n 's/.*Inode table at \([0-9]*\).*/\1/p' | head -1)
	block=$(dumpe2fs -h img 2>/dev/null | sed -n 's/^Block size:[^0-9]*//p')
	poke img $((table * block + ($(inode img /dir/one) - 1) * size + 8)) '\x55'
	run -4 --separate-stderr snapdump --files -o out.tar img
	[[ $stderr == *"/dir/one: inode"*"checksum"* ]]
	! tar -tf out.tar dir/one || return 1
	[ "$(tar -tf out.tar | wc -l)" -eq 10 ]
}

@test "a damaged directory block costs its names, not the archive" {
	tree img -t ext4 -O metadata_csum
	block=$(debugfs -R "bmap /dir 0" img 2>/dev/null)
	poke img $((block * 1024 + 60)) '\x55'
	run -4 --separate-stderr snapdump --files -o out.tar img
	[[ $stderr == *"/dir: directory inode"*"block 0"* ]]
	[ "$(tar -tf out.tar | tr '\n' ' ')" = "./ dir/ empty/ hole link lost+found/ numbers " ]
}

@test "encrypted files and directories are left out and said" {
	tree img -t ext4 -O ^metadata_csum
	change img "set_inode_field /dir/one flags 0x80800" "set_inode_field /empty flags 0x80800"
	run -4 --separate-stderr snapdump --files -o out.tar img
	[[ $stderr == *"/dir/one: encrypted"* ]]
	[[ $stderr == *"/empty: encrypted"* ]]
	[ "$(tar -tf out.tar | wc -l)" -eq 9 ]
}

@test "directories that contain themselves end" {
	tree img -t ext4 -O ^metadata_csum
	change img "link /dir /dir/below/again"
	run -4 --separate-stderr snapdump --files -o out.tar img
	[[ $stderr == *"/dir/below/again: directory inode"*"has come before"* ]]
	[ "$(tar -tf out.tar | wc -l)" -eq 11 ]
}

@test "no name leads out of its directory" {
	tree img -t ext4 -O ^metadata_csum
	block=$(debugfs -R "bmap /dir 0" img 2>/dev/null)
	python3 - "$block" <<-'END'
		import sys
		at = int(sys.argv[1]) * 1024
		with open("img", "r+b") as f:
		    f.seek(at)
		    block = f.read(1024)
		    assert block.count(b"hard") == 1
		    f.seek(at)
		    f.write(block.replace(b"hard", b"../x"))
	END
	run -4 --separate-stderr snapdump --files -o out.tar img
	[[ $stderr == *"name is empty or holds a slash"* ]]
	! tar -tf out.tar | grep -F .. || return 1
	# One of the two names of its inode is gone.
	[ "$(tar -tf out.tar | wc -l)" -eq 10 ]
}

@test "blocks that belong to several files, or lie outside, are damage" {
	tree img -t ext4 -O ^metadata_csum,^extent,^64bit
	change img "set_inode_field /numbers block[1] 0x7fffffff"
	run -4 --separate-stderr snapdump --files -o out.tar img
	[[ $stderr == *"inode"*"block"* ]]
	tree img2 -t ext2
	# An indirect block that points to itself, all over.
	ind=$(debugfs -R "stat /numbers" img2 2>/dev/null | grep -o '(IND):[0-9]*' | head -1 | cut -d: -f2)
	python3 - "$ind" <<-'END'
		import struct, sys
		n = int(sys.argv[1])
		with open("img2", "r+b") as f:
		    f.seek(n * 1024)
		    f.write(struct.pack("<256I", *[n] * 256))
	END
	change img2 "set_inode_field /numbers block[DIND] $ind" "set_inode_field /numbers block[TIND] $ind" \
		"set_inode_field /numbers size 0xffffffff"
	run -4 --separate-stderr timeout 10 snapdump --files -o out2.tar img2
	[[ $stderr == *"/dir/hard: inode"* ]]
	[ "$(stat -c %s out2.tar)" -lt 1000000 ]
}

@test "a file system larger than its image gives what is there" {
	tree img -t ext4
	truncate -s 7M img
	run -4 --separate-stderr snapdump --files -o out.tar img
	[[ $stderr == *"the image ends at 7340032"* ]]
	tar -tf out.tar >/dev/null
}

# interrupted IMAGE BYTES: cut.tar, of a run that was stopped when its reader
# had taken so much.
interrupted() {
	mkfifo pipe
	snapdump --files "$1" >pipe 2>err 3>&- &
	tool=$!
	exec 5<pipe
	head -c "$2" <&5 >cut.tar
	kill -TERM $tool
	cat <&5 >>cut.tar
	exec 5<&-
	status=0
	wait $tool || status=$?
	[ "$status" -eq 32 ]
	run ! tar -tf cut.tar
	run ! bsdtar -tf cut.tar
	run ! python3 -c 'import tarfile; [t.extractfile(m).read() for t in [tarfile.open("cut.tar")] for m in t if m.isreg()]'
}

# bats test_tags=long
@test "an archive that ends early, inside a file, is noticed by every reader" {
	tree img -t ext4
	head -c 7000000 /dev/urandom >src/large
	truncate -s 0 img
	mke2fs -q -F -t ext4 -d src img 16M
	interrupted img 100000
}

# bats test_tags=long
@test "an archive that ends early, between two files, is noticed by every reader" {
	# Members of directories have 1536 bytes.
	mkdir src
	seq -f 'src/%04g' 3000 | xargs mkdir
	mke2fs -q -F -t ext4 -N 4000 -d src img 16M
	interrupted img 2600000
	[ $((($(stat -c %s cut.tar) - 512) % 1536)) -eq 0 ]
}

@test "a full disk ends it, and no file is left" {
	tree img -t ext4
	run -8 --separate-stderr bash -c 'snapdump --files img >/dev/full'
	one_sentence
	run -8 --separate-stderr bash -c 'ulimit -f 20; snapdump --files -o out.tar img'
	[ ! -e out.tar ]
}

@test "-n writes nothing, --json says how many files and what was wrong" {
	tree img -t ext4
	change img "feature needs_recovery"
	run -4 --separate-stderr snapdump -n --files --journal=ignore --json=r.json -o out.tar img
	[ ! -e out.tar ]
	[ "$(member r.json 'j["files"]')" = 11 ]
	[ "$(member r.json 'j["files_damaged"]')" = 1 ]
	[ "$(member r.json '"journal" in j["problems"][0]["message"]')" = True ]
}

# damaged IMAGE MKFS-OPTION...
damaged() {
	mkdir -p src/a/b/c/d src/many
	for i in $(seq 60); do
		head -c $((i * 37)) /dev/urandom >"src/many/$(head -c "$i" /dev/zero | tr '\0' n)$i"
	done
	for i in 1 59 60 200; do
		ln -s "$(head -c "$i" /dev/zero | tr '\0' s)" src/a/$i
	done
	for i in $(seq 50); do
		echo "$i" | dd of=src/a/holes bs=4096 seek=$((2 * i)) conv=notrunc status=none
	done
	for i in $(seq 9); do
		echo x >src/a/b/x$i
		setfattr -n user.key$i -v "$(head -c $((i * 40)) /dev/zero | tr '\0' v)" src/a/b/x$i
	done
	setfacl -m u:12:rw,g:13:r src/a/b/x1
	setfacl -d -m u:12:rwx src/a/b/c
	ln src/a/holes src/a/b/again
	mke2fs -q -F -N 300 "${@:2}" -d src "$1" 2M
	"$COW_SOURCE/tests/aids/files_damage.py" "$1" 60
}

# bats test_tags=slow
@test "random damage of an ext2 file system is borne" {
	damaged img -t ext2 -b 1024 -I 128
}

# bats test_tags=slow
@test "random damage of an ext4 file system without checksums is borne" {
	damaged img -t ext4 -b 1024 -I 256 -O ^metadata_csum,^has_journal
}

@test "a file inside its inode that was made longer reads as zeros behind what is there" {
	rm -rf src
	mkdir src
	printf TEST >src/grown
	ln -s "$(printf '%0100d' 0)" src/link
	mke2fs -q -F -t ext4 -b 4096 -I 256 -O inline_data,^has_journal -d src img 8M
	change img "sif grown size 1048576"
	run -0 e2fsck -fn img
	run -0 snapdump --files -o out.tar img
	mkdir x
	tar -C x -xf out.tar
	truncate -s 1M src/grown
	cmp src/grown x/grown
	# the text of a link has no zeros behind it
	change img "sif link size 300"
	run -4 snapdump --files -o damaged.tar img
	[[ $output == *"a symbolic link of 300 bytes inside the inode, but only"* ]]
}

# bats test_tags=slow
@test "random damage of an ext4 file system with data inside inodes is borne" {
	damaged img -t ext4 -b 1024 -I 512 -O inline_data,^metadata_csum,^has_journal
}

# bats test_tags=slow
@test "random damage of an ext4 file system with checksums is borne" {
	damaged img -t ext4 -b 1024 -I 256 -O metadata_csum,^has_journal
}
