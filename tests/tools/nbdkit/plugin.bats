#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# The plugin for nbdkit, by the programs that people use with it: nbdcopy, nbdinfo,
# nbdsh, qemu-io; judged by snapdump --raw.
# nbdkit is no program of ours: it has no sanitizer, and so can load no plugin that has.
# bats file_tags=limit
bats_require_minimum_version 1.8.0
load ../../common

setup() {
	cd "$BATS_TEST_TMPDIR"
	plugin=$COW_BUILD/nbdkit-snapshot-plugin.so
}

# serve PARAMETER... COMMAND: runs a shell command with $uri.
serve() {
	nbdkit -U - "$plugin" "${@:1:$#-1}" --run "${!#}"
}

# A stack of two layers on an origin with holes.
stack() {
	truncate -s 8M base.img
	head -c 1M /dev/urandom | dd of=base.img bs=1M seek=2 conv=notrunc status=none
	cp --sparse=always base.img one.img
	head -c 192K /dev/urandom | dd of=one.img bs=64K seek=31 conv=notrunc status=none
	snapcreate -q --from=one.img base.img one.cow
	cp --sparse=always one.img two.img
	head -c 192K /dev/urandom | dd of=two.img bs=64K seek=33 conv=notrunc status=none
	dd if=/dev/zero of=two.img bs=64K seek=40 count=2 conv=notrunc status=none
	truncate -s 2M zeros.img
	snapcreate -q --from=two.img one.img two.cow
	sha256sum base.img one.cow two.cow >sums
}

# bats test_tags=long
@test "what is served is what snapdump exports: nbdcopy and qemu-io read the same bytes" {
	stack
	snapdump -q --raw -o view.img base.img one.cow two.cow
	cmp view.img two.img
	serve origin=base.img cow=one.cow cow=two.cow 'nbdcopy --connections=4 "$uri" copy.img'
	cmp copy.img view.img
	serve origin=base.img cow=one.cow cow=two.cow 'qemu-img compare -f raw -F raw "$uri" view.img'
	serve origin=base.img 'nbdcopy "$uri" origin.img'
	cmp origin.img base.img
	sha256sum --quiet -c sums
}

@test "a snapshot that a kernel wrote is served as the kernel shows it" {
	pair runs-c8
	snapdump -q --raw -o view.img origin.img cow.img
	serve origin=origin.img cow=cow.img 'nbdcopy "$uri" copy.img'
	cmp copy.img view.img
}

# bats test_tags=long
@test "nbdinfo: size, read-only, several connections; holes are told, and told truly" {
	stack
	serve origin=base.img cow=one.cow cow=two.cow 'nbdinfo --json "$uri"' >info
	[ "$(jq '.exports[0]."export-size"' info)" = 8388608 ]
	[ "$(jq '.exports[0].is_read_only' info)" = true ]
	[ "$(jq '.exports[0].can_multi_conn' info)" = true ]
	[ "$(jq '.exports[0].can_cache' info)" = true ]
	serve origin=base.img cow=one.cow cow=two.cow 'nbdinfo --map --json "$uri"' >map
	# Ascending, without a gap, to the end; what is called a hole is zeros.
	python3 - <<-'END'
		import json
		at = holes = 0
		view = open("two.img", "rb").read()
		for extent in json.load(open("map")):
		    assert extent["offset"] == at and extent["length"] > 0
		    at += extent["length"]
		    assert extent["type"] in (0, 3), extent
		    if extent["type"] == 3:
		        assert not any(view[extent["offset"]:at]), extent
		        holes += extent["length"]
		assert at == len(view) and holes >= 6 << 20, (at, holes)
	END
}

# bats test_tags=long
@test "nbdsh: reads of any place and length, and what is not allowed" {
	stack
	cat >script <<-'END'
		import random
		view = open("two.img", "rb").read()
		random.seed(1)
		for _ in range(500):
		    count = random.randrange(1, 70000)
		    at = random.randrange(0, len(view) - count)
		    assert h.pread(count, at) == view[at:at + count], (count, at)
		assert h.pread(512, len(view) - 512) == view[-512:]
		h.set_strict_mode(0)
		for call in (lambda: h.pwrite(b"x" * 512, 0), lambda: h.pread(512, len(view)), lambda: h.trim(512, 0)):
		    try:
		        call()
		    except nbd.Error as error:
		        assert error.errno in ("EPERM", "EINVAL", "EROFS"), error
		    else:
		        raise SystemExit("must not work")
		assert h.pread(512, 0) == view[:512]
	END
	serve origin=base.img cow=one.cow cow=two.cow 'PATH=/usr/bin:$PATH nbdsh -u "$uri" -c "exec(open(\"script\").read())"'
	# writing is refused, in words
	run -1 serve origin=base.img cow=one.cow 'qemu-io -f raw -c "write 0 4k" "$uri"'
	[[ $output == *"Permission denied"* ]]
	run -1 serve origin=base.img cow=one.cow 'nbdcopy base.img "$uri"'
	[[ $output == *"read-only"* ]]
	sha256sum --quiet -c sums
}

@test "a partition of the view of a whole disk" {
	truncate -s 8M disk.img
	poke disk.img 450 '\203\0\0\0\0\010\0\0\0\020\0\0'
	poke disk.img 510 '\125\252'
	cp --sparse=always disk.img new.img
	head -c 2M /dev/urandom >part.img
	dd if=part.img of=new.img bs=1M seek=1 conv=notrunc status=none
	snapcreate -q --from=new.img disk.img disk.cow
	serve origin=disk.img cow=disk.cow partition=1 'nbdcopy "$uri" copy.img'
	cmp copy.img part.img
	run -1 serve origin=disk.img cow=disk.cow partition=2 true
	[[ $output == *"partition"* ]]
}

# bats test_tags=long
@test "a wrong call and a refusal end the server at once, with a sentence" {
	stack
	run -1 serve true
	[[ $output == *"no image is named: origin=IMAGE cow=IMAGE"* ]]
	run -1 serve origin=base.img cow=one.cow mode=origin true
	[[ $output == *"mode=origin is not supported by this version"* ]]
	run -1 serve origin=base.img mode=rw true
	[[ $output == *"mode=rw writes to a COW image, and none is named"* ]]
	run -1 serve origin=base.img cow=one.cow mode=rw force=damaged true
	[[ $output == *"force= is for reading: not with mode=rw"* ]]
	run -1 serve origin=base.img cow=one.cow mode=x true
	[[ $output == *"mode=x is not known"* ]]
	run -1 serve origin=base.img origin=base.img true
	[[ $output == *"origin= is there twice"* ]]
	run -1 serve origin=base.img snapshot=x true
	[[ $output == *'there is no parameter "snapshot"'* ]]
	run -1 serve origin=nothing cow=one.cow true
	[[ $output == *"nothing: cannot be opened: No such file or directory"* ]]
	run -1 serve origin=one.cow cow=base.img true
	[[ $output == *"looks swapped"* ]]
	run -1 serve origin=base.img cow=base.img true
	run -1 serve origin=base.img cow=zeros.img true
	[[ $output == *zeros.img* ]]
	sha256sum --quiet -c sums
}

@test "a damaged store is served only by force, with a warning" {
	truncate -s 1M origin.img
	"$COW_BUILD/tests/examples/mkstore" bad.img <<<$'size 4M\nheader\nrecord 5 2\nrecord 5 3'
	run -1 serve origin=origin.img cow=bad.img true
	[[ $output == *"two records map chunk 5"*"; to serve it anyway: force=damaged"* ]]
	run -0 serve origin=origin.img cow=bad.img force=damaged 'nbdcopy "$uri" copy.img'
	[[ $output == *"warning: "*"serving it anyway"* ]]
	snapdump -q --raw --force=damaged -o view.img origin.img bad.img || [ $? -eq 4 ]
	cmp copy.img view.img
}

@test "a list that may be cut short is refused, too; by force it is served" {
	truncate -s 32M origin.img
	"$COW_BUILD/tests/examples/mkstore" cut.img <<<$'size 8M\nheader\nauto 0 256\nat 2 0\nrecord 512 516 3\ndata 2 256\ndata 516 3'
	run -1 serve origin=origin.img cow=cut.img true
	[[ $output == *"; to serve it anyway: force=doubtful"* ]]
	run -1 serve origin=origin.img cow=cut.img force=damaged,invalid true
	run -0 serve origin=origin.img cow=cut.img force=damaged,doubtful 'nbdcopy "$uri" copy.img'
	[[ $output == *"warning: "*"serving it anyway"* ]]
	run -4 snapdump -q --raw --force=doubtful -o view.img origin.img cut.img
	cmp copy.img view.img
}

@test "LVM: what the kernel read of a snapshot; a volume in the view of a whole disk; names" {
	cp "$COW_UNPACKED/lvm/whole/disk0.img" disk0.img
	run -0 serve image=pv=disk0.img image=base=lvm:image:pv:vg0/base origin=image:base cow=lvm:image:pv:vg0/snap \
		'nbdcopy "$uri" copy.img'
	grep -q "^vg0/snap $(sum copy.img)" "$COW_FIXTURES/lvm/whole/kernel.txt"
	# The snapshot of a disk that was overwritten since.
	cp --sparse=always disk0.img new.img
	snapcreate -q --from=disk0.img zero:"$(stat -c %s disk0.img)" disk.cow
	run -0 serve origin=zero:"$(stat -c %s disk0.img)" cow=disk.cow volume=vg0/base 'nbdcopy "$uri" base.img'
	snapdump -q --raw -o want.img lvm:disk0.img:vg0/base
	cmp base.img want.img
	run -1 serve origin=disk0.img volume=vg0/nothing true
	[[ $output == *nothing* ]]
	run -1 serve image=pv origin=image:pv true
	[[ $output == *'image=pv: "=IMAGE" is missing'* ]]
	run -1 serve origin=image:pv true
	[[ $output == *'"image:pv" is not defined'* ]]
}

# bats test_tags=long
@test "stores of several images are served as what their device shows" {
	for image in meta source dest; do cp "$COW_UNPACKED/clone/half-r8/$image.img" $image.img; done
	serve origin=clone:metadata=meta.img,source=source.img,destination=dest.img 'nbdcopy --connections=4 "$uri" copy.img'
	[ "$(sum copy.img)" = "$(sed -n 's/^kernel_view_sha256 //p' "$COW_FIXTURES/clone/half-r8/meta.txt")" ]
	thin=$COW_UNPACKED/thin/snaps-128k
	for id in 0 3; do
		serve "origin=thin:metadata=$thin/meta.img,data=$thin/data.img,id=$id,size=24576s" 'nbdcopy --connections=4 "$uri" thin.img'
		[ "$(sum thin.img)" = "$(awk -v id="$id" '$1 == "thin" && $2 == id { print $5 }' "$COW_FIXTURES/thin/snaps-128k/facts.txt")" ]
	done
	mkdir logs && cd logs
	"$COW_SOURCE/tests/aids/snaplog_text.py" . <"$COW_SOURCE/tests/cases/snaplog-three-logs/logs.txt"
	serve origin="$(cat spec)" 'nbdcopy --connections=4 "$uri" copy.img'
	cmp copy.img view.img
	# and a layer above it, a list of parts, a window
	snapcreate -q view.img layer.img
	serve origin="$(cat spec)" cow=layer.img 'nbdcopy "$uri" copy2.img'
	cmp copy2.img view.img
	serve origin=concat:view.img,log0.img 'nbdcopy "$uri" copy3.img'
	cat view.img log0.img | cmp - copy3.img
	serve origin=window:1k+4k:view.img 'nbdcopy "$uri" copy4.img'
	cmp <(tail -c +1025 view.img | head -c 4096) copy4.img
}

# bats test_tags=long
@test "without nbdkit everything else is built, and make says what is missing" {
	printf '#!/bin/sh\n[ "$2" = nbdkit ] && exit 1\nexec pkg-config "$@"\n' >no-nbdkit
	chmod +x no-nbdkit
	run -0 make -C "$COW_SOURCE" -n all PKG_CONFIG="$PWD/no-nbdkit"
	[[ $output == *"without the plugin for nbdkit: nbdkit-plugin-dev is not installed"* ]]
	[[ $output != *nbdkit-snapshot-plugin.so* ]]
	run -0 make -C "$COW_SOURCE" -n all
	[[ $output != *"without the plugin"* ]]
}

# bats test_tags=long
@test "images are locked as long as the server runs" {
	stack
	run -0 serve origin=base.img cow=one.cow 'snapmerge -y base.img one.cow; echo status $?'
	[[ $output == *"status 64" ]]
	sha256sum --quiet -c sums
	run -1 flock base.img nbdkit -U - "$plugin" origin=base.img cow=one.cow --run true
	run -0 flock base.img nbdkit -U - "$plugin" origin=base.img cow=one.cow force=busy --run true
}
