#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# The plugin for nbdkit over images that are exports of other servers: the same on files
# is the judge.
# nbdkit is no program of ours: it has no sanitizer, and so can load no plugin that has.
# bats file_tags=limit
bats_require_minimum_version 1.8.0
load ../../common

setup() {
	cd "$BATS_TEST_TMPDIR"
	plugin=$COW_BUILD/nbdkit-snapshot-plugin.so
	head -c 3M /dev/urandom >base.img
	truncate -s 24M base.img
	cp --sparse=always base.img new.img
	dd if=/dev/urandom of=new.img bs=64K count=9 seek=20 conv=notrunc status=none
	dd if=/dev/urandom of=new.img bs=64K count=30 seek=300 conv=notrunc status=none
	dd if=/dev/zero of=new.img bs=64K count=3 seek=2 conv=notrunc status=none
	snapcreate -q --from=new.img base.img cow.img
}

teardown() {
	local pid
	for pid in *.pid; do
		[ ! -s "$pid" ] || kill "$(cat "$pid")" 2>/dev/null || true
	done
}

# start NAME NBDKIT-WORD...: a server in the background; its URI is that of at NAME.
start() {
	nbdkit -U "$PWD/$1.sock" -P "$1.pid" "${@:2}" 3>&-
	until [ -e "$1.pid" ]; do sleep 0.05; done
}

at() {
	echo "nbd+unix:///?socket=$PWD/$1.sock"
}

# serve PARAMETER... COMMAND: runs a shell command with $uri.
serve() {
	nbdkit -U - "$plugin" "${@:1:$#-1}" --run "${!#}"
}

# bats test_tags=long
@test "what is served is what the files show: over several connections, by a name, in a qcow2, in the background" {
	start base --filter=delay file base.img rdelay=1ms
	start cow file cow.img
	serve "origin=$(at base)" "cow=$(at cow)" 'nbdcopy --connections=4 "$uri" copy.img'
	cmp copy.img new.img
	[ "$(stat -c %b copy.img)" -lt 20000 ] # holes are told
	serve "image=far=$(at cow)" origin=base.img cow=image:far 'qemu-img compare -f raw -F raw "$uri" new.img'
	# a client that reads here and there, sixteen requests at a time
	serve "origin=$(at base)" "cow=$(at cow)" 'fio --name=job --ioengine=nbd --uri="$uri" --rw=randread --bs=4k --iodepth=16 \
		--size=24M --io_size=2M --output=fio.out && qemu-img compare -f raw -F raw "$uri" new.img'
	qemu-img convert -f raw -O qcow2 cow.img cow.qcow2
	qemu-nbd --fork --persistent -r -f qcow2 -k "$PWD/qemu.sock" --pid-file="$PWD/qemu.pid" cow.qcow2 3>&-
	# nbdkit goes to the background when it has connected: what speaks with the server must stay
	start view "$plugin" origin=base.img "cow=$(at qemu)"
	nbdcopy "$(at view)" copy2.img
	cmp copy2.img new.img
}

# bats test_tags=long
@test "mode=rw: what is written goes to the store behind a server, flushed when the client flushes" {
	start base -r file base.img
	start cow --filter=log file cow.img logfile="$PWD/log"
	run -0 serve "origin=$(at base)" "cow=$(at cow)" mode=rw \
		'qemu-io -f raw -c "write -P 7 1M 200k" -c "write -P 8 5M 4k" -c flush -c "discard 5M 4k" -c "write -z 9M 64k" "$uri"'
	[[ $output == *"a server does not tell who else uses an export"* ]]
	grep -q Flush log
	kill "$(cat cow.pid)"
	cp new.img want.img
	head -c 200K /dev/zero | tr '\0' '\7' | dd of=want.img bs=1M seek=1 conv=notrunc status=none
	dd if=/dev/zero of=want.img bs=64K seek=144 count=1 conv=notrunc status=none
	run -0 snapcheck base.img cow.img
	snapdump -q --raw -o view.img base.img cow.img
	# what was trimmed may be anything
	cmp <(head -c 5M view.img) <(head -c 5M want.img)
	cmp <(tail -c +5246977 view.img) <(tail -c +5246977 want.img)
	cmp base.img <(head -c 3M base.img; head -c 21M /dev/zero)
}

# bats test_tags=long
@test "what a server does not give is refused when the plugin starts, and a loss is an error of the request" {
	run -1 serve origin=nbd://127.0.0.1:1/x cow=cow.img true
	[[ $output == *"nbd://127.0.0.1:1/x: cannot connect to 127.0.0.1, port 1: Connection refused"* ]]
	run -1 serve origin=nbds://localhost/x cow=cow.img true
	[[ $output == *"encrypted connections"*"are not supported"* ]]
	start base file base.img
	start cow -r file cow.img
	run -1 serve "origin=$(at base)" "cow=$(at cow)" mode=rw true
	[[ $output == *"the server gives the export for reading only"* ]]
	run -1 serve "origin=$(at cow)" "cow=$(at cow)" true
	[[ $output == *"this export is named twice"* ]]
	head -c 1M cow.img >short.img
	start short file short.img
	run -1 serve origin=base.img "cow=$(at short)" true
	[[ $output == *chunk* ]]
	# the server goes away while the plugin serves
	start view "$plugin" origin=base.img "cow=$(at cow)"
	kill -KILL "$(cat cow.pid)"
	run -1 nbdcopy "$(at view)" copy.img
	[[ $output == *"Input/output error"* ]]
	kill -0 "$(cat view.pid)"
}
