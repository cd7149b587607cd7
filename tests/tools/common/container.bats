#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# A virtual disk's file, or a compressed image, in the place of the disk.
bats_require_minimum_version 1.8.0
load ../../common

setup() {
	cd "$BATS_TEST_TMPDIR"
	head -c 2M /dev/urandom >disk.img
	cp disk.img new.img
	for at in 0 40 90; do
		head -c 4K /dev/urandom | dd of=new.img bs=4K seek=$at conv=notrunc status=none
	done
	snapcreate -q --from=new.img disk.img disk.cow
	sha256sum disk.img disk.cow >sums
}

# Formats of others, by their own tools.
containers() {
	for format in qcow2 qed vmdk vhdx vdi vpc parallels; do
		qemu-img convert -O "$format" disk.img "disk.$format"
	done
	gzip -k disk.img
	zstd -q disk.img
	xz -k -T1 -0 disk.img
	ls disk.* | grep -v 'img$\|cow$'
}

# bats test_tags=long
@test "a layer of the disk is refused over the file that holds the disk, by every tool" {
	containers >files
	[ "$(wc -l <files)" -eq 10 ]
	for file in $(<files); do
		sha256sum "$file" >>sums
		for command in "snapmerge -q -y" "snapmerge -q -n -y" "snapmerge -q -y -o new" "snapdump -q --raw -o new" \
			"snapdump -q --tar -o new" "snapmerge -q -y --save-undo=new"; do
			run -64 --separate-stderr $command "$file" disk.cow
			one_sentence
			[[ $stderr == *"$file looks like "*": its bytes are not those of the disk in it; "*"--force=content" ]]
			case $file in
			*.gz | *.zst | *.xz) [[ $stderr == *"unpack it first"* ]] ;;
			*) [[ $stderr == *"make a raw image of it first (qemu-img convert -O raw), or export it (qemu-nbd)"* ]] ;;
			esac
			[ ! -e new ]
		done
		run -64 snapcreate --from="$file" disk.img new
		run -64 snapcreate --from=disk.img "$file" new
		[ ! -e new ]
		sha256sum --quiet -c sums
	done
}

@test "the metadata of a pool, a cache, a clone or an era device is no origin" {
	while read -r name magic; do
		cp disk.img metadata.img
		poke metadata.img 32 "$magic"
		run -64 --separate-stderr snapmerge -y metadata.img disk.cow
		[[ $stderr == *"metadata.img looks like the metadata of a $name"*": no disk is in it; name the device that it belongs to"*"--force=content" ]]
		run -4 --separate-stderr snapcheck metadata.img disk.cow
		[[ $stderr == *"no disk is in it"* ]]
	done <<-'END'
		thin \xba\x52\x9c\x01\x00\x00\x00\x00
		dm-cache \x03\xc4\x18\x00\x00\x00\x00\x00
		dm-clone \x64\x7f\xf2\x8a\x00\x00\x00\x00
		dm-era \x7b\x07\xc1\x7e\x00\x00\x00\x00
	END
}

# bats test_tags=long
@test "snapcheck says first that the origin is none, and judges without it" {
	# a preallocated one is larger than the disk; a sparse one is too short
	qemu-img convert -O qcow2 -o preallocation=full disk.img large.qcow2
	qemu-img create -q -f qcow2 short.qcow2 2M
	truncate -s %512 short.qcow2
	for file in large.qcow2 short.qcow2; do
		sha256sum "$file" >>sums
		run -4 --separate-stderr snapcheck "$file" disk.cow
		[[ $stderr == "snapcheck: $file looks like a qcow2 image"*"no exception is dropped because of it"* ]]
		[[ $output == *"snapshot data: not complete"*"merge: not safe"* ]]
		[[ $output != *"beyond-origin"* ]]
		[[ $stderr == *"next: snapcheck ORIGIN disk.cow" ]]
		run -4 snapcheck -y "$file" disk.cow
		run -4 --separate-stderr snapcheck --json "$file" disk.cow
		[ "$(jq .verdict.origin_in_doubt <<<"$output")" = true ]
		sha256sum --quiet -c sums
		rm -f new
		run -4 snapcheck -y -o new "$file" disk.cow
		cmp new disk.cow
	done
	# Digests judge by themselves; and who insists is believed.
	run -0 snapcheck --force=content large.qcow2 disk.cow
}

@test "a volume that holds a container as it is: its snapshot shows a newer header" {
	qemu-img convert -O qcow2 -o preallocation=full disk.img volume
	cp volume newer
	poke newer 100 '\1'
	snapcreate -q --from=newer volume volume.cow
	run -0 snapcheck volume volume.cow
	snapdump -q --raw -o view volume volume.cow
	cmp view newer
	# Where the header was not written to, somebody has to say it.
	cp volume newer
	poke newer 1000000 '\1\2\3'
	snapcreate -q --force=overwrite --from=newer volume volume.cow
	run -64 snapmerge -y volume volume.cow
	snapmerge -q -y --force=content volume volume.cow
	cmp volume newer
}

@test "a merge that made a container of the origin is finished and taken back" {
	qemu-img convert -O qcow2 -o preallocation=full disk.img volume
	head -c "$(stat -c %s volume)" /dev/urandom >plain
	cp plain old
	run -64 snapcreate -q --from=volume plain plain.cow
	snapcreate -q --force=content --from=volume plain plain.cow
	snapmerge -q -y --save-undo=undo plain plain.cow
	cmp plain volume
	run -0 snapmerge -q -y plain plain.cow
	snapmerge -q -y --take-back plain undo
	cmp plain old
}

teardown() {
	[ ! -e nbd.pid ] || kill "$(<nbd.pid)" || :
}

# bats test_tags=slow
@test "--list names the command that opens a container, and it lists what is in it" {
	mke2fs -q -F -t ext4 disk.img 2M
	# a fixed VHD begins as the disk in it does; a name that qemu-nbd would take for a protocol
	for format in qcow2 qed vmdk vhdx vdi vpc; do
		name="a b:c.$format"
		qemu-img convert -f raw -O "$format" disk.img "./$name"
		run -0 snapcheck --list "$name"
		[[ $output == *"look into it: qemu-nbd --fork --persistent -r -f $format "*" && snapcheck --list "* ]]
		command=${output#*look into it: }
		snapcheck --list --json "$name" >j
		[ "$(member j 'j["volumes"][0]["command"]')" = "$command" ]
		run -0 bash -c "$command 3>&-"
		[[ $output == "'nbd+unix:///?socket="*"disk: an ext2, ext3 or ext4 file system  2"*" MiB "*" ext4, UUID "* ]] || { echo "$output"; return 1; }
		kill "$(<nbd.pid)"
		while [ -e nbd.sock ] && kill -0 "$(<nbd.pid)" 2>/dev/null; do sleep 0.1; done
		rm -f nbd.pid nbd.sock
	done
	# what nothing of this opens is named alone
	gzip -k disk.img
	run -0 snapcheck --list disk.img.gz
	[[ $output != *qemu-nbd* ]]
	run -0 snapcheck --list disk.img
	[[ $output != *qemu-nbd* ]]
}
