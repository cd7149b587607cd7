#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# snapdump --changes: which files differ between ORIGIN and what a snapshot shows. The kernel
# as judge of random changes is in kernel/looks.bats; here diff -r and debugfs.
bats_require_minimum_version 1.8.0
load ../../common

# base.img, and now.img: the same file system after these changes.
setup() {
	cd "$BATS_TEST_TMPDIR"
	mkdir -p src/dir/below src/etc src/gone/deep
	for i in $(seq 40); do seq "$i" 500 >"src/file$i"; done
	echo secret >src/etc/shadow
	echo one >src/etc/linked
	ln src/etc/linked src/dir/other
	ln -s target src/link
	echo x >src/gone/deep/file
	echo y >src/dir/below/moves
	# As the system gives them; debugfs takes none.
	mke2fs -q -F -t ext4 -b 1024 -d src base.img 8M
	cp base.img now.img
	seq 7 >new
	debugfs -w -f - now.img >debugfs.log 2>&1 <<-END
		mkdir /fresh
		write new /fresh/inside
		write new /etc/new
		write new /made
		unlink /file3
		ln /made /file3
		unlink /made
		set_inode_field /etc/shadow mode 0100600
		set_inode_field /etc/linked mtime 20200101
		ln /dir/below/moves /etc/moved
		unlink /dir/below/moves
		rm /gone/deep/file
		rmdir /gone/deep
		rmdir /gone
		ea_set /file9 user.key value
		symlink /link2 elsewhere
		unlink /link
		ln /link2 /link
		unlink /link2
		rm /file4
		set_inode_field /dir mode 040700
	END
	snapcreate -q -c 1K --from=now.img base.img cow.img
}

# bats test_tags=long
@test "each kind of change has its line, in the order of the names, under every name of a file" {
	run -0 --separate-stderr snapdump --changes base.img cow.img
	[ -z "$stderr" ]
	printf '%s\n' "$output" >ours
	cat >wanted <<-'END'
		T dir
		T dir/other
		T etc/linked
		R dir/below/moves -> etc/moved
		+ etc/new
		T etc/shadow
		M file3
		- file4
		T file9
		+ fresh
		+ fresh/inside
		- gone
		- gone/deep
		- gone/deep/file
		M link
	END
	diff wanted ours
	snapdump --changes --json base.img cow.img >j
	[ "$(member j 'len(j["changes"])')" = 15 ]
	[ "$(member j '[c for c in j["changes"] if c["change"] == "R"]')" = "[{'change': 'R', 'path': 'etc/moved', 'old_path': 'dir/below/moves'}]" ]
	run -0 --separate-stderr snapdump --changes -o list base.img cow.img
	[ "$stderr" = "snapdump: list written: 15 changes" ]
	diff wanted list
}

inode_of() { # PATH IMAGE
	debugfs -R "stat $1" "$2" 2>/dev/null | sed -n 's/^Inode: \([0-9]*\) .*/\1/p'
}

# bats test_tags=long
@test "a file that was made anew under its old name is seen, though its inode has the old number" {
	cp base.img anew.img
	debugfs -w -f - anew.img >debugfs.log 2>&1 <<-END
		set_inode_field /file7 generation 7
		rm /file7
		mkdir /file7
		rm /file8
		write new /file8
		set_inode_field /file8 generation 7
	END
	[ "$(inode_of /file7 anew.img)" = "$(inode_of /file7 base.img)" ]
	[ "$(inode_of /file8 anew.img)" = "$(inode_of /file8 base.img)" ]
	snapcreate -q -c 1K --from=anew.img base.img anew.cow
	run -0 --separate-stderr snapdump --changes base.img anew.cow
	[ "$output" = "- file7"$'\n'"+ file7"$'\n'"M file8" ]
	# In a directory that debugfs leaves as it is, byte for byte.
	cp base.img anew.img
	debugfs -w -f - anew.img >debugfs.log 2>&1 <<-END
		rm /etc/shadow
		write new /etc/shadow
		set_inode_field /etc/shadow generation 7
	END
	[ "$(inode_of /etc/shadow anew.img)" = "$(inode_of /etc/shadow base.img)" ]
	snapcreate -q -c 1K --force=overwrite --from=anew.img base.img anew.cow
	[ "$(snapdump --changes base.img anew.cow)" = "M etc/shadow" ]
}

# bats test_tags=long
@test "a directory that was renamed, and a new one under its old name: whose paths the lines have" {
	mkdir -p two/a
	for name in keep gone stays; do echo old >two/a/$name; done
	mke2fs -q -F -t ext4 -b 1024 -d two base.img 4M
	cp base.img now.img
	debugfs -w -f - now.img >debugfs.log 2>&1 <<-END
		ln /a /b
		unlink /a
		set_inode_field /b/keep mode 0100600
		mkdir /a
		write new /a/stays
		rm /b/gone
	END
	snapcreate -q -c 1K --force=overwrite --from=now.img base.img cow.img
	run -0 --separate-stderr snapdump --changes base.img cow.img
	[ "$output" = $'+ a\n- a/gone\n+ a/stays\nR a -> b\nT b/keep' ] || { echo "$output"; false; }
	run -0 --separate-stderr snapdump --changes --reverse base.img cow.img
	[ "$output" = $'- a\nR b -> a\n+ a/gone\nT a/keep\n- a/stays' ] || { echo "$output"; false; }
}

@test "--reverse tells it from the view to the origin" {
	snapdump --changes --reverse base.img cow.img >back
	snapdump --changes base.img cow.img | sed 's/^R \(.*\) -> \(.*\)/R \2 -> \1/; y/+-/-+/; s/ +> / -> /' | LC_ALL=C sort >wanted
	diff wanted <(LC_ALL=C sort back)
}

@test "what diff -r finds between the files of both is what the lines say" {
	mkdir a b
	snapdump --files base.img | tar -C a -xpf -
	snapdump --files base.img cow.img | tar -C b -xpf -
	diff -rq --no-dereference a b | sed 's|^Only in [ab]/*\(.*\): |\1/|; s|^Files a/\(.*\) and .* differ|\1|; s|^Symbolic links a/\(.*\) and .* differ|\1|; s|^/||' | LC_ALL=C sort >found
	snapdump --changes base.img cow.img | sed -n 's/^[M+-] //p; s/^R \(.*\) -> \(.*\)/\1\n\2/p' | grep -v -e '^gone/' -e '^fresh/' | LC_ALL=C sort >ours
	diff found ours
}

# blocks_of FILE...: of now.img, one on a line.
blocks_of() {
	for file; do debugfs -R "blocks /$file" now.img 2>/dev/null; done | tr ' ' '\n' | grep . | sort -u
}

# bats test_tags=long
@test "no data is read but that of files that were touched" {
	# Straight from the two images, so that offsets are those of the blocks.
	strace -qq -f -P "$PWD/base.img" -e trace=pread64,preadv,preadv2,read -o trace snapdump --changes base.img cow.img >lines
	sed -n 's/^.* \([0-9]*\), \([0-9]*\)) *= \1$/\2 \1/p' trace |
		awk '{ for (b = int($1 / 1024); b * 1024 < $1 + $2; b++) print b }' | sort -u >blocks
	[ "$(wc -l <blocks)" -gt 20 ]
	files=()
	for i in $(seq 40); do [ "$i" -eq 3 ] || [ "$i" -eq 4 ] || files+=("file$i"); done
	blocks_of "${files[@]}" >untouched
	[ "$(wc -l <untouched)" -gt 50 ]
	! grep -xF -f untouched blocks || return 1
	strace -qq -f -P "$PWD/base.img" -e trace=pread64 -o trace snapdump --files base.img cow.img >x.tar
	[ "$(wc -l <trace)" -gt 40 ]
}

facts() { # DIRECTORY: all but the numbers of inodes
	(cd "$1" && getfattr -R -h -d -m - . && find . -printf '%p %y %m %U %G %T@ %n %l\n' | sort)
}

apply() { # ARCHIVE DIRECTORY: as the page says
	local archive=$PWD/$1
	tar -xOf "$archive" .snapdump-gone | (cd "$2" && xargs -0r rm -df --)
	tar -xOf "$archive" .snapdump-gone-attributes | (cd "$2" && xargs -0r -n 2 setfattr -h -x)
	tar --xattrs --xattrs-include='*' --acls --numeric-owner --exclude='.snapdump-gone*' -C "$2" -xpf "$archive"
}

extract() { # DIRECTORY IMAGE...
	mkdir "$1"
	snapdump -q --files "${@:2}" | tar --xattrs --xattrs-include='*' --acls --numeric-owner -C "$1" -xpf -
}

# bats test_tags=slow
@test "--only-changed: applied to the old files it makes the new ones, both ways" {
	# Besides: an attribute less on a directory, a renamed directory in which another name of
	# a file lies, a further name of one, a directory in the place of a file, odd names.
	debugfs -w -f - base.img >debugfs.log 2>&1 <<-END
		ea_set /dir user.key value
		ea_set /dir user.other value
		ea_set / user.root value
		mkdir /-box
		mkdir /-box/in
		write new /-box/in/first
		ln /-box/in/first /second
		set_inode_field /second links_count 2
		write new /third
		write new /.snapdump-gone
		mkdir /becomes
	END
	cp base.img now.img
	debugfs -w -f - now.img >debugfs.log 2>&1 <<-END
		ea_rm /dir user.key
		ea_rm / user.root
		ea_set /-box user.new value
		ln /-box /-crate
		unlink /-box
		ln /third /fourth
		set_inode_field /third links_count 2
		rm /file7
		rm /dir/below/moves
		mkdir /file7
		write new /file7/inside
		rmdir /becomes
		symlink /becomes file8
		rm /gone/deep/file
		rmdir /gone/deep
		rmdir /gone
		set_inode_field /etc/linked mtime 20200101
	END
	snapcreate -q -c 1K --force=overwrite --from=now.img base.img cow.img
	extract was base.img
	extract is base.img cow.img
	run -0 --separate-stderr snapdump --json=j --files --only-changed -o there.tar base.img cow.img
	[[ $stderr == "snapdump: there.tar written: "*" in the tar, and the names of 9 that are gone" ]] || { echo "$stderr"; return 1; }
	[ "$(member j 'j["files_gone"]')" = 9 ]
	[ "$(tar -xOf there.tar .snapdump-gone | tr '\0' ' ')" = "gone/deep/file gone/deep gone file7 dir/below/moves becomes -box/in/first -box/in -box " ]
	[ "$(tar -xOf there.tar .snapdump-gone-attributes | tr '\0' ' ')" = "user.root ./. user.key ./dir " ]
	[ "$(tar -tf there.tar | tail -1)" = .snapdump-gone ]
	tar -tf there.tar | grep -qx dir/below/
	! tar -tf there.tar | grep -qx file9 || return 1
	snapdump -q --files --only-changed --reverse -o back.tar base.img cow.img
	facts was >was.facts
	facts is >is.facts
	apply there.tar was
	diff -r --no-dereference was is
	facts was | diff is.facts -
	apply back.tar is
	facts is | diff was.facts -
	# The same archive twice, whatever the way out.
	snapdump --files --only-changed base.img cow.img | cmp - there.tar
	# A part of it.
	snapdump -q --files --only-changed --path=gone --exclude=file -o part.tar base.img cow.img
	[ "$(tar -xOf part.tar .snapdump-gone | tr '\0' ' ')" = "gone/deep gone " ]
	[ "$(tar -tf part.tar | tr '\n' ' ')" = ".snapdump-gone-attributes .snapdump-gone " ]
	snapdump -q --files --only-changed --path=/file7/ -o part2.tar base.img cow.img
	[ "$(tar -tf part2.tar | tr '\n' ' ')" = "file7/ file7/inside .snapdump-gone-attributes .snapdump-gone " ]
	run -64 snapdump -q --files --only-changed --path=nowhere -o part3.tar base.img cow.img
	[[ $output == *"no such file"* ]]
}

@test "--only-changed: nothing differs, a name that is taken, wrong calls" {
	snapcreate -q base.img empty.img
	snapdump -q --files --only-changed base.img empty.img >x.tar
	[ "$(tar -tf x.tar | tr '\n' ' ')" = ".snapdump-gone-attributes .snapdump-gone " ]
	[ -z "$(tar -xOf x.tar)" ]
	debugfs -w -R 'write new /.snapdump-gone' now.img 2>debugfs.log
	snapcreate -q --force=overwrite --from=now.img base.img cow.img
	run -4 --separate-stderr snapdump --files --only-changed -o y.tar base.img cow.img
	[[ $stderr == *"/.snapdump-gone: left out, this is the name of a list in the archive"* ]]
	[ "$(tar -tf y.tar | grep -c snapdump-gone)" = 2 ]
	run -16 snapdump --only-changed base.img cow.img
	run -16 snapdump --files --reverse base.img cow.img
	run -16 snapdump --files --only-changed base.img
	[[ $output == *"--only-changed needs a COW image"* ]]
}

@test "a store with nothing in it, no store, another file system" {
	snapcreate -q base.img empty.img
	run -0 --separate-stderr snapdump --changes base.img empty.img
	[ -z "$output" ]
	[ "$stderr" = "snapdump: no file differs" ]
	run -16 --separate-stderr snapdump --changes base.img
	run -16 --separate-stderr snapdump --raw --reverse base.img cow.img
	run -16 --separate-stderr snapdump --changes --path=etc base.img cow.img
	mke2fs -q -F -t ext4 -b 1024 -N 4096 other.img 8M
	snapcreate -q --from=other.img base.img other.cow
	run -64 --separate-stderr snapdump --json=j --changes --force=origin base.img other.cow
	[ "$(member j 'j["error"]["id"]')" = other-fs ]
	truncate -s 8M zeros
	snapcreate -q --from=zeros base.img zeros.cow
	run -64 --separate-stderr snapdump --changes base.img zeros.cow
	one_sentence
}

# bats test_tags=long
@test "any view: of two layers, of a partition, of a snapshot in LVM, of a clone" {
	snapdump --changes base.img cow.img >wanted
	snapdump --raw -q -o view.img base.img cow.img
	echo again | debugfs -w -R 'mkdir /layer2' view.img 2>/dev/null
	snapcreate -q --from=view.img --image=v=base.img now.img second.cow
	snapdump --changes base.img cow.img second.cow | diff wanted - | grep -c '^[<>]' | grep -x 1
	snapdump --changes base.img cow.img second.cow | grep -x "+ layer2"
	for state in base now; do
		truncate -s 12M $state.disk
		poke $state.disk 446 '\0\0\0\0\203\0\0\0\0\010\0\0\0\100\0\0'
		poke $state.disk 510 '\125\252'
		dd if=$state.img of=$state.disk bs=1M seek=1 conv=notrunc status=none
	done
	snapcreate -q --from=now.disk base.disk disk.cow
	snapdump --changes --partition=1 base.disk disk.cow | diff wanted -
	cp base.img dest.img
	snapcreate -q -t clone -c 4K clone:metadata=meta,source=base.img,destination=dest.img
	run -0 --separate-stderr snapdump --changes clone:metadata=meta,source=base.img,destination=dest.img
	[ "$stderr" = "snapdump: no file differs" ]
	disks whole
	mkdir a b
	snapdump -q --files lvm:disk0.img:vg0/base | tar -C a -xpf -
	snapdump -q --files lvm:disk0.img:vg0/snap | tar -C b -xpf -
	[ "$(snapdump -q --changes lvm:disk0.img:vg0/snap | grep -c '^[-+MR]')" -eq "$(diff -rq a b | wc -l)" ]
}

# in_volume DISK LV: LV in the place of vg0/base on DISK, which holds all of that in a row.
in_volume() {
	python3 - "$1" "$2" <<-'END'
		import sys
		disk, new, old = (open(name, "rb").read() for name in (sys.argv[1], sys.argv[2], "lv"))
		at = disk.index(old)
		open("now.disk", "wb").write(disk[:at] + new + disk[at + len(new):])
	END
}

# bats test_tags=slow
@test "a volume inside the view of a whole disk, also in a partition: --ls, --cat, --changes, --only-changed" {
	local fixture part
	for fixture in whole mbr-logical; do
		rm -f disk*.img disk.cow lv* wanted.cow x.tar y.tar
		disks $fixture
		part=()
		[ $fixture = whole ] || part=(--partition=5)
		snapdump -q --raw -o lv lvm:disk0.img:vg0/base
		cp lv lv.now
		printf 'write new told\nrm big1\nset_inode_field d mode 040700\n' | debugfs -w -f - lv.now >/dev/null 2>&1
		in_volume disk0.img lv.now
		snapcreate -q --from=now.disk disk0.img disk.cow
		snapcreate -q --from=lv.now lv wanted.cow
		run -0 --separate-stderr snapdump --changes "${part[@]}" --volume=vg0/base disk0.img disk.cow
		[ -z "$stderr" ]
		[ "$output" = "$(snapdump --changes lv wanted.cow)" ]
		[[ $output == *"- big1"*"T d"*"+ told"* ]]
		snapdump --changes --against=disk0.img "${part[@]}" --volume=vg0/base now.disk | diff - <(echo "$output")
		snapdump --ls "${part[@]}" --volume=vg0/base disk0.img disk.cow | diff - <(snapdump --ls lv wanted.cow)
		snapdump --cat=told "${part[@]}" --volume=vg0/base disk0.img disk.cow | cmp - new
		snapdump -q --files --only-changed "${part[@]}" --volume=vg0/base -o x.tar disk0.img disk.cow
		snapdump -q --files --only-changed -o y.tar lv wanted.cow
		cmp x.tar y.tar
		for mode in --ls --cat=told --changes "--files --only-changed -o z.tar"; do
			run -8 --separate-stderr snapdump $mode "${part[@]}" --volume=vg0/none disk0.img disk.cow
			[[ $stderr == *'there is no logical volume "none" in VG vg0; it has base, '* ]]
			# 64: no table at all
			run -$([ $fixture = whole ] && echo 64 || echo 8) --separate-stderr snapdump $mode --partition=9 disk0.img disk.cow
			[[ $stderr == *"no partition"* ]]
			run -16 --separate-stderr snapdump $mode --volume=base disk0.img disk.cow
			[ ! -e z.tar ]
		done
	done
	snapcreate -q -y -t clone -c 4K --force=overwrite,content clone:metadata=meta,source=lv,destination=lv.now
	for mode in --ls --cat=told; do
		run -64 --separate-stderr snapdump $mode --volume=vg0/base clone:metadata=meta,source=lv,destination=lv.now
		[[ $stderr == *"no LVM physical volume"* ]]
	done
}

# thin_pair: base.img and now.img as devices 1 and 2 of a pool that share what is equal.
thin_pair() {
	python3 - <<-'END'
		old, new, unit = open("base.img", "rb").read(), open("now.img", "rb").read(), 65536
		data, lines = bytearray(), ([], [])
		for at in range(0, len(old), unit):
		    for state, found in (0, old), (1, new):
		        if not state or old[at:at + unit] != new[at:at + unit]:
		            data += found[at:at + unit]
		            time = state
		        else:
		            time = 0
		        lines[state].append('<single_mapping origin_block="%d" data_block="%d" time="%d"/>'
		                            % (at // unit, len(data) // unit - 1, time))
		open("data", "wb").write(data)
		with open("xml", "w") as f:
		    f.write('<superblock uuid="" time="1" transaction="1" flags="0" version="2" data_block_size="128" nr_data_blocks="%d">'
		            % (len(data) // unit))
		    for state in 0, 1:
		        f.write('<device dev_id="%d" mapped_blocks="%d" transaction="1" creation_time="0" snap_time="1">%s</device>'
		                % (state + 1, len(lines[state]), "".join(lines[state])))
		    f.write("</superblock>")
	END
	truncate -s 4M meta
	thin_restore -q -i xml -o meta
}

# bats test_tags=slow
@test "--against: two siblings, two images, two thin devices, two disks, a file system that has grown" {
	cp base.img mon.img
	# A number that debugfs gives now.img, too, but another file.
	printf '%s\n' 'write new /monday' 'set_inode_field /monday generation 9' | debugfs -w -f - mon.img >debugfs.log 2>&1
	snapcreate -q -c 4K --from=mon.img base.img mon.cow
	snapcreate -q -c 16K --from=now.img mon.img direct.cow
	snapdump --changes mon.img direct.cow >wanted
	grep -qx -- "- monday" wanted
	snapdump --changes --against=mon.img now.img | diff wanted -
	snapdump --changes --against=base.img,mon.cow base.img cow.img | diff wanted -
	snapdump --changes --against=base.img,mon.cow now.img | diff wanted -
	snapdump --changes --reverse mon.img direct.cow | diff <(snapdump --changes --reverse --against=mon.img now.img) -
	run -0 --separate-stderr snapdump --changes --against=base.img,cow.img base.img cow.img
	[ "$stderr" = "snapdump: no file differs" ]
	# Siblings: only what one of the two holds is read.
	strace -qq -f -P "$PWD/base.img" -e trace=pread64,preadv,preadv2,read -o trace snapdump --changes --against=base.img,mon.cow base.img cow.img >lines
	[ "$(sed -n 's/^.* = \([0-9]*\)$/\1/p' trace | paste -sd+ | bc)" -lt 1000000 ]
	# An archive of it.
	snapdump -q --files --only-changed --against=mon.img -o there.tar now.img
	extract was mon.img
	extract is now.img
	apply there.tar was
	diff <(facts was) <(facts is)
	thin_pair
	snapdump --changes base.img cow.img >wanted
	snapdump --changes thin:metadata=meta,data=data,id={1,2},size=8M | diff wanted -
	snapdump --changes --against=thin:metadata=meta,,data=data,,id=1,,size=8M thin:metadata=meta,data=data,id=2,size=8M | diff wanted -
	for state in base now; do
		truncate -s 12M $state.disk
		poke $state.disk 446 '\0\0\0\0\203\0\0\0\0\010\0\0\0\100\0\0'
		poke $state.disk 510 '\125\252'
		dd if=$state.img of=$state.disk bs=1M seek=1 conv=notrunc status=none
	done
	snapdump --changes --partition=1 --against=base.disk now.disk | diff wanted -
	truncate -s 12M now.img
	resize2fs -f now.img >/dev/null 2>&1
	snapdump --changes --against=base.img now.img | diff wanted -
}

@test "--against: wrong calls, what is not there, another file system, a store that is damaged" {
	run -16 snapdump --changes --against=base.img, now.img
	[[ $output == *"an image is missing"* ]]
	run -16 snapdump --ls --against=base.img now.img
	run -8 snapdump --changes --against=nothing now.img
	mke2fs -q -F -t ext4 -b 1024 -N 4096 other.img 8M
	run -64 --separate-stderr snapdump --json=j --changes --against=other.img now.img
	[ "$(member j 'j["error"]["id"]')" = other-fs ]
	run -64 --separate-stderr snapdump --json=j --changes --against=now.img,base.img now.img
	[ "$(member j 'j["error"]["id"]')" = swapped ] || [ "$(member j 'j["error"]["id"]')" = not-a-store ] || { cat j; return 1; }
	cp cow.img bad.cow
	poke bad.cow 4 '\0'
	run -64 snapdump --changes --against=base.img,bad.cow base.img
	run -4 snapdump --changes --force=invalid --against=base.img,bad.cow base.img
	[[ $output == *doubtful* ]]
}
