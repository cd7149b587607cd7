#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# Whatever an option names to be made must not be there yet: each such option, a
# file and a device, each with something on it.
bats_require_minimum_version 1.8.0
load ../../common

# OPTION OF TOOL, then the command. TARGET stands for what is to be made.
commands() {
	cat <<-'END'
		snapcreate COW        snapcreate -q -y o.img TARGET
		snapcreate --manifest snapcreate -q -y --manifest=TARGET --from=n.img o.img x.img
		snapcreate --json     snapcreate -q -y --json=TARGET o.img x.img
		snapcheck --output    snapcheck -q -y -o TARGET o.img bad.img
		snapcheck --save-undo snapcheck -q -y --save-undo=TARGET o.img bad.img
		snapcheck --json      snapcheck -q --json=TARGET c.img
		snapmerge --output    snapmerge -q -y -o TARGET o.img c.img
		snapmerge --save-undo snapmerge -q -y --save-undo=TARGET o.img c.img
		snapmerge --bad-list  snapmerge -q -y --skip-unreadable --bad-list=TARGET o.img c.img
		snapmerge --json      snapmerge -q -y --json=TARGET o.img c.img
		snapdump --output     snapdump -q --raw -o TARGET o.img c.img
		snapdump --output     snapdump -q --tar -o TARGET o.img c.img
		snapdump --output     snapdump -q --delta -o TARGET o.img c.img
		snapdump --output     snapdump -q --map -o TARGET o.img c.img
		snapdump --output     snapdump -q --metadata -o TARGET c.img
		snapdump --json       snapdump -q --raw -o x.img --json=TARGET o.img c.img
	END
}

setup() {
	cd "$BATS_TEST_TMPDIR"
	head -c 2M /dev/urandom >o.img
	cp o.img n.img
	head -c 64K /dev/urandom | dd of=n.img bs=64K seek=3 conv=notrunc status=none
	snapcreate -q --from=n.img o.img c.img
	# Two exceptions of one chunk: damage that -y mends.
	snapcreate -q o.img bad.img
	"$COW_BUILD/tests/examples/mkstore" bad.img <<<$'size 4M\nheader\nrecord 5 2\nrecord 5 3'
	truncate -s 8M other.img
	snapcreate -q other.img store.img
	sha256sum o.img c.img bad.img >sums
}

teardown() {
	[ -z "${device:-}" ] || losetup -d "$device"
}

# What may be on an image already, each as a file of 16 MiB.
things() {
	truncate -s 16M ext4 store swap dos lvm luks
	mkfs.ext4 -q -F ext4
	snapcreate -q --force=overwrite other.img store
	mkswap swap >/dev/null 2>&1
	# A partition table, a PV and a LUKS header, as far as a look at them goes.
	poke dos 450 '\203\0\0\0\0\010\0\0\350\003\0\0'
	poke dos 510 '\125\252'
	poke lvm 512 'LABELONE\1\0\0\0\0\0\0\0\0\0\0\0\40\0\0\0LVM2 001'
	poke luks 0 'LUKS\272\276\0\1'
	echo ext4 store swap dos lvm luks
}

# refused COMMAND NAME: 64, one sentence.
refused() {
	rm -f x.img
	run --separate-stderr bash -c "${1//TARGET/$2}"
	[ "$status" -eq 64 ] || { echo "${1//TARGET/$2}: $status: $stderr"; return 1; }
	one_sentence
}

# untouched: nothing was written anywhere.
untouched() {
	sha256sum --quiet -c sums
}

@test "each option that names something to be made is tried here" {
	for tool in snapcreate snapcheck snapmerge snapdump; do
		"$tool" --long-options | cut -f1 | sed -n 's/\[\?=\(FILE\|NEW\)\]\?$//p' | sed "s/^/$tool /"
	done | sort -u >options
	[ "$(wc -l <options)" -ge 11 ]
	commands | awk '{ print $1, $2 }' | grep -v ' COW$' | sort -u | diff options -
}

# bats test_tags=long
@test "a file that is there is not overwritten, whatever it holds" {
	for thing in $(things); do
		sha256sum "$thing" >>sums
		while read -r _ _ command; do
			refused "$command" "$thing"
		done < <(commands)
	done
	untouched
}

# bats test_tags=slow
@test "a device that holds something is not overwritten, whatever it holds" {
	[ "$(id -u)" = 0 ] || skip "needs root"
	for thing in $(things); do
		device=$(losetup -f --show "$thing")
		sha256sum "$device" >>sums
		while read -r _ _ command; do
			refused "$command" "$device"
		done < <(commands)
		untouched
		sed -i '$d' sums
		losetup -d "$device"
		device=
	done
}

# bats test_tags=long
@test "a snapshot of another origin is no undo file, though it is empty" {
	cp o.img before.img
	sha256sum store.img >>sums
	refused 'snapmerge -q -y --save-undo=TARGET o.img c.img' store.img
	untouched
	[[ $stderr == *"exists"*"name a new file"* ]]
	refused 'snapmerge -q -y --force=overwrite --save-undo=TARGET o.img c.img' store.img
	# An empty store of this very origin is none either.
	snapcreate -q o.img own.img
	sha256sum own.img >>sums
	refused 'snapmerge -q -y --save-undo=TARGET o.img c.img' own.img
	untouched
	cmp o.img before.img
}

# bats test_tags=long
@test "a name that promises another format is noted, with what is written" {
	run -0 snapdump --raw -o view.zip o.img c.img
	[[ $output == *"view.zip: its name says a zip archive, but a raw image is what is written"* ]]
	run -0 snapmerge -o view.QCOW2 o.img c.img
	[[ $output == *"view.QCOW2: its name says a qcow2 image, but a raw image is what is written"* ]]
	run -0 snapcreate o.img new.vmdk
	[[ $output == *"new.vmdk: its name says a VMDK image, but a snapshot store is what is written"* ]]
	run snapcheck -y -o mended.vhdx o.img bad.img
	[[ $output == *"mended.vhdx: its name says a VHDX image, but a snapshot store is what is written"* ]]
	run -0 snapdump --tar -n -o files.7z o.img c.img
	[[ $output == *"its name says a 7z archive, but a tar is what is written"* ]]
	run -0 snapdump --raw -o view.tar.gz o.img c.img
	[[ $output == *"its name says a compressed file, but a raw image is what is written"* ]]
	for name in view.img view.raw.1 view view.zip.img .zip/view; do
		mkdir -p .zip
		run -0 snapdump --raw -o "$name" o.img c.img
		[[ $output != *"its name says"* ]] || return 1
	done
	run -0 snapdump --tar -o view.tar.zst o.img c.img
	[[ $output != *"its name says"* ]] || return 1
	run -0 snapdump -q --raw -o quiet.zip o.img c.img
	[ -z "$output" ]
}

# swapped NAME COMMAND: the command again and again, each time another look at NAME is the
# last one before "theirs" or a link to it takes that name. What is in theirs stays.
swapped() {
	local at form

	for form in file link; do
		for at in 1 2 3 4 5 6 7 8 9; do
			rm -f done x.img "$1" report fifo && mkfifo fifo
			eval "$3"
			if [ "$form" = file ]; then ln -f theirs with; else ln -sf theirs with; fi
			LD_PRELOAD=$COW_BUILD/tests/sandbox/swap.so SWAP_NAME=$1 SWAP_WITH=with SWAP_DONE=done SWAP_AT=$at \
				timeout -k 1 60 bash -c "exec $2" 8<>fifo >out 2>&1 && status=0 || status=$?
			[ -e done ] || break
			[ "$status" -ge 64 ] || [ "$status" -eq 8 ] || { echo "$2: $form $at: $status"; cat out; return 1; }
			sha256sum --quiet -c sums || { echo "$2: $form, after look $at"; return 1; }
			[ "$1" -ef theirs ] || { echo "$2: $form, after look $at: it is gone"; return 1; }
		done
		# Each has looked at least once.
		[ "$at" -gt 1 ] && [ "$at" -lt 9 ] || { echo "$2: $at looks"; return 1; }
	done
}

# bats test_tags=slow,limit
@test "between look and opening nobody can put another file there: neither that is written, nor what it was a link to" {
	echo precious >theirs
	sha256sum theirs >>sums
	snapcheck -q --json=old c.img
	swapped new 'snapcheck -q --json=new c.img' :
	swapped new 'snapcheck -q --json=new c.img' 'mkfifo new; exec 7<>new'
	swapped new 'snapcheck -q --json=new c.img' 'cp old new'
	swapped new 'snapcheck -q --json=new c.img' 'ln -s old new'
	swapped new 'snapcreate -q -y --manifest=new --from=n.img o.img x.img' :
	swapped new 'snapmerge -n -y --skip-unreadable --bad-list=new o.img c.img' :
	swapped new 'snapdump -q --raw -o new o.img c.img' :
	swapped new 'snapdump -q --tar -o new o.img c.img' :
	swapped new 'snapmerge -q -y -o new o.img c.img' :
	swapped new 'snapcheck -q -y -o new o.img bad.img' :
}

# bats test_tags=slow
@test "-o takes /dev/null, /dev/stdout and a FIFO for a stream; where none is meant, a sentence says what takes one" {
	pair both-c32
	snapdump -q --raw -o view origin.img cow.img
	snapdump -q --tar -o view.tar origin.img cow.img
	mkfifo fifo
	for way in raw tar; do
		file=view$([ $way = raw ] || echo .tar)
		snapdump -q --$way -o /dev/null origin.img cow.img
		[ -c /dev/null ]
		snapdump -q --$way -o /dev/stdout origin.img cow.img | cmp - "$file"
		snapdump -q --$way -o /dev/stdout origin.img cow.img >out
		cmp out "$file"
		cat fifo >out &
		snapdump -q --$way -o fifo origin.img cow.img
		wait $!
		cmp out "$file"
		# A dry run waits for no reader.
		timeout 20 snapdump -q -n --$way -o fifo origin.img cow.img
	done
	[ -p fifo ]
	run -16 snapdump --json --raw -o /dev/stdout origin.img cow.img
	for target in /dev/null /dev/stdout fifo; do
		run -64 --separate-stderr snapmerge -o $target origin.img cow.img
		[ "$stderr" = "snapmerge: $target: this is not written from beginning to end, so it cannot go to a stream; name a file or a block device, or use snapdump --raw -o $target" ]
	done
	run -64 --separate-stderr snapcheck /dev/null
	[ "$stderr" = "snapcheck: /dev/null: it is a character device; an image is a regular file or a block device" ]
	run -8 --separate-stderr snapcheck no/such
	[ "$stderr" = "snapcheck: no/such: cannot be opened: No such file or directory" ]
	# Where FILES has not what was asked for, nothing is written, to stdout neither.
	truncate -s 4M ext.img
	mke2fs -q -F ext.img
	snapdump --files --path=/nothing ext.img >out 2>err || status=$?
	[ "$status" = 64 ] && [ ! -s out ]
	[ "$(cat err)" = "snapdump: --path=/nothing: no such file in this file system" ]
	run -64 snapdump --files --path=/nothing -o new ext.img
	[ ! -e new ]
	run -0 snapdump -q --files --path=/lost+found -o new ext.img
}
