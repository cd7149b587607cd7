#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# The plugin for nbdkit with mode=rw, by the programs that people use with it. What a
# power cut leaves: tests/crash/crash_view.c; what a kernel reads: tests/kernel/nbd_mount.bats.
# nbdkit is no program of ours: it has no sanitizer, and so can load no plugin that has.
# bats file_tags=limit
bats_require_minimum_version 1.8.0
load ../../common

setup() {
	cd "$BATS_TEST_TMPDIR"
	plugin=$COW_BUILD/nbdkit-snapshot-plugin.so
	truncate -s 8M base.img
	head -c 1M /dev/urandom | dd of=base.img bs=1M seek=2 conv=notrunc status=none
	snapcreate -q base.img cow.img
	sha256sum base.img >sums
}

teardown() {
	[ ! -e pid ] || kill "$(cat pid)" 2>/dev/null || true
}

# serve PARAMETER... COMMAND: runs a shell command with $uri.
serve() {
	nbdkit -U - "$plugin" "${@:1:$#-1}" --run "${!#}"
}

# start PARAMETER...: a server that stays, with its number in the file pid.
start() {
	rm -f pid sock
	nbdkit -U "$PWD/sock" -P pid "$plugin" "$@"
	uri="nbd+unix:///?socket=$PWD/sock"
}

# unflushed PYTHON: writes, and leaves without a flush, which qemu-io does not.
unflushed() {
	PATH=/usr/bin:$PATH nbdsh -u "$uri" -c "$1"
}

# sound: the store is sound, and the origin is what it was.
sound() {
	snapcheck -q --json=sound.json base.img cow.img
	[ "$(member sound.json 'j["verdict"]["state"]')" = sound ]
	sha256sum --quiet -c sums
}

# bats test_tags=long
@test "nbdsh: writes, zeros, trims and flushes of several connections, against a model" {
	cat >script <<-'END'
		import random
		random.seed(7)
		model = bytearray(open("base.img", "rb").read())
		other = nbd.NBD()
		other.connect_uri(uri)
		size = len(model)
		assert h.can_multi_conn() and h.can_flush() and h.can_fua() and not h.is_read_only()
		for n in range(400):
		    use = random.choice((h, other))
		    count = random.randrange(1, random.choice((600, 9000, 200000)))
		    at = random.randrange(0, size - count)
		    what = random.randrange(8)
		    if what < 5:
		        data = random.randbytes(count)
		        use.pwrite(data, at, nbd.CMD_FLAG_FUA if what == 0 else 0)
		        model[at:at + count] = data
		    elif what == 5:
		        use.zero(count, at)
		        model[at:at + count] = bytes(count)
		    elif what == 6:
		        use.trim(count, at)
		        now = use.pread(count, at)
		        for i in range(count):
		            assert now[i] in (0, model[at + i])
		        model[at:at + count] = now
		    else:
		        use.flush()
		    count, at = min(count + 5000, size - at), at
		    assert use.pread(count, at) == model[at:at + count], n
		other.shutdown()
		open("model.img", "wb").write(model)
	END
	serve origin=base.img cow=cow.img mode=rw \
		'PATH=/usr/bin:$PATH nbdsh -u "$uri" -c "uri=\"$uri\"" -c "exec(open(\"script\").read())"'
	# the end of the server is a flush, too
	sound
	snapdump -q --raw -o view.img base.img cow.img
	cmp view.img model.img
	serve origin=base.img cow=cow.img 'nbdcopy "$uri" copy.img'
	cmp copy.img model.img
}

@test "fast zero and trim never make an exception; holes are told as before" {
	cat >script <<-'END'
		h.trim(1 << 20, 2 << 20)
		try:
		    h.zero(4096, 2 << 20, nbd.CMD_FLAG_FAST_ZERO)
		except nbd.Error as error:
		    assert error.errno in ("EOPNOTSUPP", "ENOTSUP"), error
		else:
		    raise SystemExit("must not be fast")
		h.pwrite(b"x" * 4096, 2 << 20)
		h.zero(4096, 2 << 20, nbd.CMD_FLAG_FAST_ZERO)
		assert h.pread(4096, 2 << 20) == bytes(4096)
	END
	serve origin=base.img cow=cow.img mode=rw 'PATH=/usr/bin:$PATH nbdsh -u "$uri" -c "exec(open(\"script\").read())"'
	snapcheck --json=j -q base.img cow.img
	[ "$(member j 'j["store"]["exceptions"]')" = 1 ]
	sound
}

# bats test_tags=slow
@test "killed, the store holds what was flushed; ended by SIGTERM, all of it" {
	start origin=base.img cow=cow.img mode=rw
	qemu-io -f raw -c "write -P 1 0 100k" -c "flush" -c "write -P 2 1M 100k" "$uri"
	kill -KILL "$(cat pid)"
	# its locks go with it
	while grep -q '^State:.[^Z]' "/proc/$(cat pid)/status" 2>/dev/null; do sleep 0.02; done
	rm pid
	sound
	snapdump -q --raw -o view.img base.img cow.img
	cmp <(head -c 102400 view.img) <(head -c 102400 /dev/zero | tr '\0' '\1')
	# the second write is there wholly or not at all by chunks; nothing else has changed
	cmp <(tail -c +2097153 view.img) <(tail -c +2097153 base.img)
	start origin=base.img cow=cow.img mode=rw
	qemu-io -f raw -c "write -P 3 3M 100k" "$uri"
	run -64 snapcheck -y --force=lost base.img cow.img
	kill "$(cat pid)"
	while [ -e "/proc/$(cat pid)" ]; do :; done
	sound
	snapdump -q --raw --force=overwrite -o view.img base.img cow.img
	cmp <(tail -c +3145729 view.img | head -c 102400) <(head -c 102400 /dev/zero | tr '\0' '\3')
}

# bats test_tags=slow
@test "what nobody flushes is published after 64 MiB, whatever the time" {
	local nr=0
	truncate -s 96M large.img
	snapcreate -q -s 80M large.img large.cow
	# the time of the other rule must not have come: a slow machine tries again
	for _ in 1 2 3; do
		start origin=large.img cow=large.cow mode=rw
		SECONDS=0
		unflushed 'for i in range(68): h.pwrite(b"x" * (1 << 20), i << 20)'
		kill -KILL "$(cat pid)"
		rm pid
		[ "$SECONDS" -ge 4 ] || break
		snapcreate -q --force=overwrite -s 80M large.img large.cow
	done
	snapcheck -q --json=j large.img large.cow
	nr=$(member j 'j["store"]["exceptions"]')
	[ "$nr" -ge 16384 ]
	[ "$nr" -lt 17408 ]
}

# bats test_tags=slow
@test "what nobody flushes is published after five seconds" {
	start origin=base.img cow=cow.img mode=rw
	unflushed 'h.pwrite(b"x" * 65536, 65536)'
	cp --sparse=always cow.img now.img
	snapcheck -q --json=j base.img now.img
	[ "$(member j 'j["store"]["exceptions"]')" -lt 16 ]
	for _ in $(seq 80); do
		cp --sparse=always cow.img now.img
		snapcheck -q --json=j base.img now.img && [ "$(member j 'j["store"]["exceptions"]')" = 16 ] && break
		read -r -t 0.1 <> <(:) || true
	done
	[ "$(member j 'j["store"]["exceptions"]')" = 16 ]
	kill -KILL "$(cat pid)"
	rm pid
	sound
}

@test "a full COW image gives ENOSPC, goes on reading, and stays valid" {
	snapcreate -q -s 256K base.img small.img
	cat >script <<-'END'
		nr = 0
		try:
		    while True:
		        h.pwrite(b"x" * 65536, nr * 65536)
		        nr += 1
		except nbd.Error as error:
		    assert error.errno == "ENOSPC", error
		assert 1 <= nr < 4, nr
		assert h.pread(65536, 0) == b"x" * 65536
		h.pwrite(b"y" * 512, 0)
		h.flush()
		assert h.pread(512, 0) == b"y" * 512
	END
	serve origin=base.img cow=small.img mode=rw 'PATH=/usr/bin:$PATH nbdsh -u "$uri" -c "exec(open(\"script\").read())"'
	run -0 snapcheck base.img small.img
	sha256sum --quiet -c sums
}

@test "writes go to the topmost layer, to a partition of the view, and nowhere else" {
	snapcreate -q base.img two.img
	sha256sum cow.img >>sums
	serve origin=base.img cow=cow.img cow=two.img mode=rw 'qemu-io -f raw -c "write -P 5 0 64k" "$uri"'
	sha256sum --quiet -c sums
	poke base.img 450 '\203\0\0\0\0\010\0\0\0\020\0\0'
	poke base.img 510 '\125\252'
	serve origin=base.img cow=cow.img partition=1 mode=rw 'qemu-io -f raw -c "write -P 6 0 64k" "$uri"'
	snapdump -q --raw -o view.img base.img cow.img
	cmp <(tail -c +1048577 view.img | head -c 65536) <(head -c 65536 /dev/zero | tr '\0' '\6')
}

@test "writes go to an LVM volume of the view of a whole disk" {
	cp "$COW_UNPACKED/lvm/whole/disk0.img" disk.img
	snapcreate -q disk.img disk.cow
	sha256sum disk.img >sums
	serve origin=disk.img cow=disk.cow volume=vg0/base mode=rw 'qemu-io -f raw -c "write -P 6 8k 64k" "$uri"'
	snapdump -q --raw -o new.img disk.img disk.cow
	snapdump -q --raw -o was.lv lvm:disk.img:vg0/base
	snapdump -q --raw -o new.lv lvm:new.img:vg0/base
	cmp <(head -c 8192 was.lv) <(head -c 8192 new.lv)
	cmp <(head -c 73728 new.lv | tail -c 65536) <(head -c 65536 /dev/zero | tr '\0' '\6')
	cmp <(tail -c +73729 was.lv) <(tail -c +73729 new.lv)
	sha256sum --quiet -c sums
}

# bats test_tags=long
@test "what cannot be written to is refused by its name when the server starts" {
	run -1 serve origin=base.img cow=zero:1M mode=rw true
	"$COW_SOURCE/tests/aids/snaplog_text.py" . <"$COW_SOURCE/tests/cases/snaplog-sound/logs.txt"
	run -1 serve origin=base.img cow="$(cat spec)" mode=rw true
	[[ $output == *"can only be read"* ]]
	run -1 serve origin="$(cat spec)" mode=rw true
	[[ $output == *"clones, thin devices and logs are read-only for now"* ]]
	serve origin=base.img cow=cow.img mode=rw 'qemu-io -f raw -c "write 0 64k" "$uri"'
	snapmerge -q -y --save-undo=undo.img base.img cow.img
	run -1 serve origin=base.img cow=undo.img mode=rw true
	[[ $output == *"is an undo file"* ]]
	run -1 flock cow.img nbdkit -U - "$plugin" origin=base.img cow=cow.img mode=rw --run true
	"$COW_BUILD/tests/examples/mkstore" bad.img <<<$'size 4M\nheader\nrecord 5 2\nrecord 5 3'
	run -1 serve origin=base.img cow=bad.img mode=rw true
	[[ $output == *"two records map chunk 5"* ]]
	"$COW_BUILD/tests/examples/mkstore" cut.img <<<$'size 8M\nheader\nauto 0 256\nat 2 0\nrecord 512 516 3\ndata 2 256\ndata 516 3'
	run -1 serve origin=base.img cow=cut.img mode=rw true
	[[ $output == *"the list of cut.img may be cut short"* ]]
}

# bats test_tags=slow
@test "fio reads what it wrote over two connections, and again from the store" {
	"$COW_SOURCE/tests/aids/fio_verify.sh" .
	# and it would notice a bit
	python3 -c 'f = open("fio.cow", "r+b"); f.seek(5 << 20); b = f.read(1); f.seek(-1, 1); f.write(bytes([b[0] ^ 1]))'
	run -1 "$COW_SOURCE/tests/aids/fio_verify.sh" . read
}

# bats test_tags=slow
@test "an ext4 that is made and written through it has no error" {
	mkdir tree
	head -c 300K /dev/urandom >tree/file
	mke2fs -q -t ext4 -d tree plain.img 16M
	truncate -s 16M empty.img
	snapcreate -q empty.img ext.cow
	serve origin=empty.img cow=ext.cow mode=rw 'nbdcopy plain.img "$uri"'
	snapdump -q --raw -o view.img empty.img ext.cow
	cmp view.img plain.img
	e2fsck -fn view.img
	[ "$(sum <(snapdump -q --cat=/file empty.img ext.cow))" = "$(sum tree/file)" ]
}
