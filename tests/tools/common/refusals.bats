#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# Refusals and errors by their id, as programs see them: those that no other test
# names. tests/cases/README lists all ids with their tests.
bats_require_minimum_version 1.8.0
load ../../common

setup() {
	cd "$BATS_TEST_TMPDIR"
	pair both-c32
}

teardown() {
	[ -z "${loop:-}" ] || losetup -d "$loop"
}

# gives ID STATUS COMMAND...: what --json says.
gives() {
	local id=$1 wanted=$2
	shift 2
	rm -f j
	run "$1" --json=j "${@:2}" </dev/null
	[ "$status" = "$wanted" ] || { echo "$*: $status, not $wanted: $output"; return 1; }
	[ "$(member j 'j["error"]["id"]')" = "$id" ] || { echo "$*: $(member j 'j["error"]["id"]'), not $id"; return 1; }
}

attach() { # FILE [OPTION...]
	loop=$(losetup -f --show "${@:2}" "$1")
}

@test "questions and the terminal: declined, terminal" {
	run -64 "$COW_SOURCE/tests/aids/prompt.py" '[y/N] ' n -- snapmerge --json=j origin.img cow.img
	[ "$(member j 'j["error"]["id"]')" = declined ]
	run -64 script -qec "snapdump --json=k --raw origin.img cow.img" /dev/null
	[ "$(member k 'j["error"]["id"]')" = terminal ]
}

# bats test_tags=long
@test "devices: loop, held, signature, block-device" {
	attach origin.img
	gives loop 64 snapmerge -y origin.img cow.img
	losetup -d "$loop"
	loop=
	truncate -s 16M disk
	attach disk
	gives block-device 64 snapdump --tar -o "$loop" origin.img cow.img
	mke2fs -q -F disk
	blockdev --flushbufs "$loop"
	gives signature 64 snapcreate origin.img "$loop"
	python3 -c 'import os, sys, time; os.open(sys.argv[1], os.O_RDWR | os.O_EXCL); print(flush=True); time.sleep(100)' "$loop" >held &
	until [ -s held ]; do sleep 0.05; done
	gives held 64 snapmerge -y origin.img "$loop"
	kill $!
	wait $! || true
}

@test "a device whose blocks do not fit into a chunk is refused before anything is written, by -n too" {
	head -c 1M /dev/urandom >disk
	before=$(sum disk)
	attach disk -b 4096
	for how in -n ""; do
		# shellcheck disable=SC2086
		gives chunk-size 64 snapcreate $how --force=overwrite -c 512 origin.img "$loop"
		# shellcheck disable=SC2086
		gives chunk-size 64 snapcreate $how -c 512 "$loop" new.img
	done
	[ "$(sum disk)" = "$before" ]
	[ ! -e new.img ]
}

@test "stores and sizes: not-a-store, chunk-size, size, unsupported" {
	truncate -s 1M nothing
	gives not-a-store 64 snapcheck nothing
	gives chunk-size 64 snapcheck -c 8K cow.img
	truncate -s 4M there
	gives size 64 snapcreate --force=overwrite -s 1M origin.img there
	poke cow.img 8 '\002'
	gives unsupported 64 snapmerge -y origin.img cow.img
}

@test "files in the view: not-ext, no-path" {
	gives not-ext 64 snapdump --files -o out origin.img cow.img
	truncate -s 4M ext.img
	mke2fs -q -F ext.img
	snapcreate -q ext.img empty.img
	gives no-path 64 snapdump --files --path=/nothing -o out ext.img empty.img
}

# bats test_tags=long
@test "exports: not-an-export, not-a-tar, tar, delta, manifest, parent" {
	snapdump -q --delta -o d.tar origin.img cow.img
	echo text >some
	tar -cf other.tar some
	gives not-an-export 64 snapcreate --import=other.tar origin.img new
	gives not-a-tar 64 snapcreate --import=some origin.img new
	head -c 300000 d.tar >cut.tar
	gives tar 8 snapcreate --import=cut.tar origin.img new
	mkdir x
	tar -xf d.tar -C x
	poke x/delta.img 100 'changed'
	(cd x && tar -cSf ../changed.tar delta.json ranges.txt delta.img manifest.json)
	gives delta 64 snapcreate --import=changed.tar origin.img new
	gives manifest 64 snapcheck --verify=some origin.img cow.img
	gives parent 64 snapcreate --import=d.tar zero:8M new
}

@test "exports: digest, gap" {
	snapdump -q --tar -o v.tar origin.img cow.img
	mkdir x
	tar -xSf v.tar -C x
	poke x/view.img 1000000 'changed'
	(cd x && tar -cSf ../changed.tar view.img manifest.json)
	gives digest 8 snapcreate --import=changed.tar zero:8388608 new
	[ ! -e new ]
	snapdump -q --delta -o d.tar origin.img cow.img
	gives gap 64 snapcreate --import=d.tar --import=v.tar origin.img new
}

@test "file systems with features that nobody knows: features" {
	truncate -s 4M ext.img
	mke2fs -q -F -O ^metadata_csum ext.img
	# s_feature_incompat, at byte 96 of the superblock
	poke ext.img $((1024 + 99)) '\0100'
	snapcreate -q ext.img empty.img
	gives features 64 snapdump --files -o out ext.img empty.img
}

@test "bad sectors that grow in number between two passes: dying" {
	strace -qq -o trace -e trace=pread64 -P "$PWD/cow.img" snapdump -q --tar -o v.tar origin.img cow.img
	n=$(grep -n ', [0-9]\{5,\}, [0-9]*) = ' trace | tail -1 | cut -d: -f1)
	run -8 strace -qq -o trace -P "$PWD/cow.img" -e trace=pread64 -e "inject=pread64:error=EIO:when=$n..$((n + 3))" \
		snapdump --json=j --tar --skip-unreadable -o w.tar origin.img cow.img
	[ "$(member j 'j["error"]["id"]')" = dying ]
}

# bats test_tags=long
@test "what the system refuses: permission, refused, mounted" {
	[ "$(id -u)" = 0 ]
	run -8 strace -qq -o trace -P cow.img -e inject=openat:error=EACCES snapmerge -y --json=j origin.img cow.img
	[ "$(member j 'j["error"]["id"]')" = permission ]
	# What chattr +i makes of an image that is to be written.
	run -64 strace -qq -o trace -P cow.img -e inject=openat:error=EPERM snapmerge -y --json=j origin.img cow.img
	[ "$(member j 'j["error"]["id"]')" = refused ]
	mke2fs -q -F origin.img
	mkdir m
	mount -o loop origin.img m
	for command in "snapmerge -y" "snapmerge -n" "snapdump --raw -o new" snapcheck; do
		# shellcheck disable=SC2086
		gives mounted 64 $command origin.img cow.img || failed=1
	done
	umount m
	[ -z "${failed:-}" ]
}

@test "outputs: preallocate, reader-gone" {
	run -64 strace -qq -o /dev/null -e inject=fallocate:error=EOPNOTSUPP snapcreate --json=j --preallocate=falloc origin.img new
	[ "$(member j 'j["error"]["id"]')" = preallocate ]
	[ ! -e new ]
	snapdump --raw --json=k origin.img cow.img | head -c 10 >begin
	[ "$(member k 'j["error"]["id"]')" = reader-gone ]
	[ "$(member k 'j["exit"]')" = 8 ]
}

# bats test_tags=limit,long
@test "no memory, of what the tool asks for: no-memory" {
	for nth in $(seq 60); do
		rm -f j
		run env LD_PRELOAD="$COW_BUILD/tests/faults/shim.so" FAULT_PLAN="m:$nth:once:12" snapcheck --json=j origin.img cow.img
		[ "$status" = 0 ] || [ "$status" = 8 ]
		[ ! -s j ] || [ "$status" = 0 ] || member j 'j["error"]["id"]' >>seen
	done
	[ "$(sort seen | uniq -c | awk '$1 > 10 { print $2 }')" = no-memory ]
	[ "$(sort -u seen)" = no-memory ]
}

# limited WHAT COMMAND...: with that limit, after --.
limited() {
	prlimit "$1" -- "${@:2}"
}

# says ID SENTENCE LIMIT COMMAND...: exit 8 with it, and nothing left.
says() {
	rm -rf out
	mkdir out
	run -8 --separate-stderr limited "$3" "$4" --json=j "${@:5}" </dev/null
	one_sentence
	[[ $stderr == *"$2"* ]] || { echo "$stderr"; return 1; }
	[ "$(member j 'j["error"]["id"]')" = "$1" ]
	[ -z "$(ls -A out)" ]
	rm j
}

# few_descriptors COMMAND...: with each number that is too small for it, but not for the loader.
few_descriptors() {
	local nr code nr_said=0
	for nr in {4..30}; do
		rm -rf out
		mkdir out
		code=0
		limited "--nofile=$nr" "$@" </dev/null 2>err || code=$?
		[ "$code" != 127 ] || continue
		[ "$code" != 0 ] || break
		[ "$code" = 8 ]
		grep "^snap.*: Too many open files; this process may have $nr (ulimit -n)$" err
		[ -z "$(ls -A out)" ]
		nr_said=$((nr_said + 1))
	done
	[ "$code" = 0 ]
	[ "$nr_said" -ge 2 ]
}

# bats test_tags=limit,slow
@test "limits of the process are named: open files, the size of a file, memory" {
	snapdump -q --tar -o view.tar origin.img cow.img
	size='files of this process may have 1048576 bytes (ulimit -f)'
	says limit "$size" --fsize=1048576 snapmerge -o out/new origin.img cow.img
	says limit "$size" --fsize=1048576 snapdump --raw -o out/new origin.img cow.img
	says limit "$size" --fsize=1048576 snapdump --tar -o out/new origin.img cow.img
	says limit "$size" --fsize=1048576 snapdump --tar --compress=gzip:0 -o out/new origin.img cow.img
	says limit "$size" --fsize=1048576 snapcreate --import=view.tar origin.img out/new
	says limit "$size" --fsize=1048576 snapcreate --preallocate=full origin.img out/new
	says limit "$size" --fsize=1048576 snapcheck -y -o out/new cow.img
	says limit "$size" --fsize=1048576 snapmerge -y --force=volatile --save-undo=out/new origin.img cow.img
	split -b 64K -a 3 origin.img part
	says limit "this process may have 30 (ulimit -n)" --nofile=30 snapdump --raw -o out/new "concat:$(echo part* | tr ' ' ,)" cow.img
	few_descriptors snapdump --tar -o out/new origin.img cow.img
	few_descriptors snapmerge -o out/new origin.img cow.img
	few_descriptors snapcreate --import=view.tar origin.img out/new
	few_descriptors snapcheck origin.img cow.img
	# An encoder that wants 700 MiB.
	says no-memory "this process may have 100000000 bytes of memory (ulimit -v)" --as=100000000 snapdump --tar --compress=xz:9 -o out/new origin.img cow.img
}

# bats test_tags=long
@test "volumes: no-table, no-pv, no-partition, no-vg, no-lv, lv-type, pv-missing, duplicate-pv" {
	cp "$COW_UNPACKED/lvm/whole/disk0.img" disk0.img
	gives no-table 64 snapcheck part:disk0.img:1
	gives no-pv 64 snapcheck lvm:origin.img:vg0/snap
	gives no-vg 8 snapcheck lvm:disk0.img:vg1/snap
	gives no-lv 8 snapcheck lvm:disk0.img:vg0/nosnap
	gives lv-type 64 snapcheck lvm:disk0.img:vg0/snapshot0
	cp --sparse=always disk0.img copy.img
	gives duplicate-pv 64 snapcheck lvm:disk0.img,copy.img:vg0/snap
	cp "$COW_UNPACKED/lvm/pv-missing/disk0.img" disk0.img
	gives pv-missing 8 snapcheck lvm:disk0.img:vg0/gone
	cp "$COW_UNPACKED/lvm/mbr-logical/disk0.img" disk0.img
	gives no-partition 8 snapcheck part:disk0.img:9
}

@test "names: no-directory, interrupted" {
	gives no-directory 8 snapmerge -y --save-undo=no/such/undo origin.img cow.img
	run -32 strace -qq -o /dev/null -e inject=pwritev:signal=SIGINT:when=1 snapmerge -y --json=k --batch=1M origin.img cow.img
	[ "$(member k 'j["error"]["id"]')" = interrupted ]
}

# bats test_tags=long
@test "tests/cases/README has a row for each id, and the test it names mentions the id" {
	"$COW_SOURCE/tests/aids/refusal_ids.py" "$COW_SOURCE" --table
	# The search finds what it is for.
	mkdir -p tree/libcow/base tree/tools/x tree/tests/cases
	echo '{ -EIO, "io" }, err->id, "wrong-x"' >tree/libcow/base/err.c
	printf '| `io` | tests/t.bats: one |\n| `gone` | tests/t.bats: one |\n' >tree/tests/cases/README
	printf '@test "one" {\n\ttrue\n}\n' >tree/tests/t.bats
	run -1 "$COW_SOURCE/tests/aids/refusal_ids.py" tree --table
	[[ $output == *"system: no row"*"wrong-x: no row"*"gone: a row, but no such id"*"io: 'one' does not mention it"* ]]
}
