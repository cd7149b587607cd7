#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# Images that are exports of NBD servers: nbdkit serves files, plain, slow, faulty or
# dying; qemu-nbd what is inside a qcow2. The same commands on the files are the
# judge, and fixtures that a kernel wrote.
bats_require_minimum_version 1.8.0
load ../../common

setup() {
	cd "$BATS_TEST_TMPDIR"
}

teardown() {
	local pid
	for pid in *.pid; do
		[ ! -s "$pid" ] || kill "$(cat "$pid")" 2>/dev/null || true
	done
}

# serve NAME NBDKIT-WORD...: a server in the background; the URI is uri_of NAME.
serve() {
	nbdkit -U "$PWD/$1.sock" -P "$1.pid" "${@:2}" 3>&-
	until [ -e "$1.pid" ]; do sleep 0.05; done
}

# stop NAME: ends a server; a process that nobody waited for counts as gone.
stop() {
	local pid
	pid=$(cat "$1.pid")
	kill "$pid"
	while grep -q '^State:.[^Z]' "/proc/$pid/status" 2>/dev/null; do sleep 0.02; done
	rm -f "$1.pid" "$1.sock"
}

# at NAME: the URI of its export.
at() {
	echo "nbd+unix:///?socket=$PWD/$1.sock"
}

# An origin with holes, and a snapshot of what it will be (new.img).
images() {
	head -c 3M /dev/urandom >base.img
	truncate -s 24M base.img
	cp --sparse=always base.img new.img
	dd if=/dev/urandom of=new.img bs=64K count=9 seek=20 conv=notrunc status=none
	dd if=/dev/urandom of=new.img bs=64K count=30 seek=300 conv=notrunc status=none
	dd if=/dev/zero of=new.img bs=64K count=3 seek=2 conv=notrunc status=none
	snapcreate -q --from=new.img base.img cow.img
}

# bats test_tags=long
@test "what is read over a connection is what is in the files: view, check, files of a kernel" {
	images
	serve base file base.img
	serve cow file cow.img
	snapdump -q --raw -o view.img "$(at base)" "$(at cow)"
	cmp view.img new.img
	[ "$(stat -c %b view.img)" -lt 20000 ] # holes stay holes
	run -0 snapcheck "$(at base)" "$(at cow)"
	diff <(snapcheck base.img cow.img 2>&1 | sed 's/[^ ]*cow.img/C/g; s/[^ ]*base.img/B/g') \
		<(snapcheck "$(at base)" "$(at cow)" 2>&1 | sed "s|'*nbd[^ ]*cow.sock'*|C|g; s|'*nbd[^ ]*base.sock'*|B|g")
	snapdump -q --tar -o far.tar "$(at base)" "$(at cow)"
	snapdump -q --tar -o near.tar base.img cow.img
	cmp far.tar near.tar
	for pair in runs-c8 multiarea-c8; do
		pair $pair
		serve origin-$pair --filter=noextents file origin.img
		serve cow-$pair file cow.img
		[ "$(snapdump -q --raw "$(at origin-$pair)" "$(at cow-$pair)" | sha256sum | cut -d' ' -f1)" = \
			"$(fact $pair kernel_view_sha256)" ]
	done
}

# bats test_tags=long
@test "an export inside other specifications, by TCP too, and with a name" {
	images
	head -c 12M base.img >one.img
	tail -c +12582913 base.img >two.img
	serve one file one.img
	# a port that is free
	port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
	nbdkit -i 127.0.0.1 -p "$port" -P two.pid file two.img 3>&-
	until [ -e two.pid ]; do sleep 0.05; done
	snapdump -q --raw -o view.img --image=two=nbd://127.0.0.1:"$port"/ \
		"concat:window:0+12M:$(at one),image:two" cow.img
	cmp view.img new.img
	run -0 snapcheck --list "$(at one)"
	[[ $output == *"nbd+unix"*"12 MiB"* ]]
	snapcreate -q --image two=nbd://127.0.0.1:"$port" --from="concat:$(at one),image:two" base.img same.cow
	run -0 snapcheck --is-empty same.cow
}

# bats test_tags=long
@test "a store inside a qcow2: checked, dumped, and merged into an origin inside another one" {
	images
	qemu-img convert -f raw -O qcow2 base.img base.qcow2
	qemu-img convert -f raw -O qcow2 cow.img cow.qcow2
	for name in base cow; do
		qemu-nbd --fork --persistent -f qcow2 -k "$PWD/$name.sock" --pid-file="$PWD/$name.pid" $name.qcow2 3>&-
	done
	run -0 snapcheck "$(at base)" "$(at cow)"
	snapdump -q --raw -o view.img "$(at base)" "$(at cow)"
	cmp view.img new.img
	run -0 snapmerge -y "$(at base)" "$(at cow)"
	[[ $output == *"a server does not tell who else uses an export"* ]]
	run -0 snapcheck --is-empty "$(at cow)"
	stop base
	stop cow
	qemu-img compare -f qcow2 -F raw base.qcow2 new.img
}

# bats test_tags=long
@test "many requests are under way at once, and none that would overtake a flush" {
	images
	# The log filter sees requests before the delay: one of 20 ms each.
	serve base --filter=log --filter=delay file base.img logfile="$PWD/base.log" rdelay=20ms wdelay=5ms
	serve cow --filter=log --filter=delay file cow.img logfile="$PWD/cow.log" rdelay=5ms
	snapdump -q --raw -o view.img "$(at base)" "$(at cow)"
	cmp view.img new.img
	cat >judge <<-'END'
		import re, sys
		def lines(name):
		    for line in open(name):
		        m = re.match(r"(\S+ \S+) connection=(\d+) (\.\.\.)?(Read|Write|Zero|Trim|Flush) id=(\d+)(?: offset=(\w+))?", line)
		        if m:
		            yield m.group(1), m.group(4), (m.group(2, 5), int(m.group(6) or "0", 0)), bool(m.group(3))
		def most(name, kinds):
		    open_, high = set(), 0
		    for _, kind, (key, _), is_end in lines(name):
		        if kind in kinds:
		            (open_.discard if is_end else open_.add)(key)
		            high = max(high, len(open_))
		        if kind == "Flush" and not is_end:
		            assert not open_, "a flush overtakes " + str(open_)
		    return high
		if sys.argv[1] == "list":
		    assert most("list.log", ["Read"]) >= 6, most("list.log", ["Read"])
		elif sys.argv[1] == "order":
		    assert most("order.log", ["Read"]) >= 8, most("order.log", ["Read"])
		elif sys.argv[1] == "read":
		    assert most("base.log", ["Read"]) >= 4, most("base.log", ["Read"])
		    connections = {key[0] for _, _, (key, _), _ in lines("base.log")}
		    assert len(connections) >= 2, connections
		else:
		    assert most("base.log", ["Write", "Zero"]) >= 4, most("base.log", ["Write", "Zero"])
		    most("cow.log", ["Write", "Zero"])
		    # I1: between the last write to the origin and the first to the list of the
		    # COW image (its header has a label already) the origin was flushed.
		    base, cow = list(lines("base.log")), list(lines("cow.log"))
		    cleared = min(when for when, kind, (_, at), is_end in cow if kind in ("Write", "Zero") and not is_end and at)
		    written = max(when for when, kind, _, is_end in base if kind in ("Write", "Zero") and is_end)
		    assert any(kind == "Flush" and is_end and written < when < cleared for when, kind, _, is_end in base)
	END
	python3 judge read
	# the areas of a list are apart from each other: 32 of them
	head -c 8M /dev/urandom >random.img
	snapcreate -q -c 2K --from=random.img zero:8M list.cow
	serve list --filter=log --filter=delay file list.cow logfile="$PWD/list.log" rdelay=5ms
	snapcheck -q "$(at list)"
	python3 judge list
	# chunks that lie on the COW image in another order: no round trip for each
	{ echo size 4M; echo header; for i in {0..199}; do echo "record $((i * 37 % 200 * 2)) $((i + 2))"; done; echo data 2 200; } |
		"$COW_BUILD/tests/examples/mkstore" order.cow
	serve order --filter=log --filter=delay file order.cow logfile="$PWD/order.log" rdelay=5ms
	snapdump -q --raw -o order.img base.img "$(at order)"
	python3 judge order
	snapdump -q --raw base.img order.cow | cmp - order.img
	run -0 snapmerge -y "$(at base)" "$(at cow)"
	python3 judge write
	cmp base.img new.img
}

# bats test_tags=long
@test "a server that takes one client at a time is asked over one connection" {
	images
	qemu-img convert -f raw -O qcow2 base.img base.qcow2
	# it says multi-conn, and takes the second client when the first one has left
	qemu-nbd --fork --persistent -r -f qcow2 -k "$PWD/base.sock" --pid-file="$PWD/base.pid" base.qcow2 3>&-
	snapdump -q --raw -o view.img "$(at base)" cow.img
	cmp view.img new.img
	# one connection after the other, and not in the order of their coming
	serve one eval get_size='echo 25165824' pread="dd if=$PWD/base.img"' skip=$4 count=$3 iflag=count_bytes,skip_bytes status=none' \
		thread_model='echo serialize_connections' can_multi_conn='exit 0'
	for _ in 1 2 3 4 5; do
		timeout 20 snapdump -q --raw --force=overwrite -o view.img "$(at one)" cow.img
		cmp view.img new.img
	done
}

# bats test_tags=long
@test "a server that is not there, or gives nothing, is one sentence" {
	images
	run -8 --separate-stderr snapcheck --json=report "nbd://127.0.0.1:1/x" cow.img
	[[ $stderr == *"cannot connect to 127.0.0.1, port 1: Connection refused" ]]
	one_sentence
	[ "$(member report 'j["error"]["id"]')" = connection ]
	run -8 --separate-stderr snapdump --raw -o x.img "nbd+unix:///?socket=$PWD/nobody"
	[[ $stderr == *"cannot connect to $PWD/nobody: No such file or directory" ]]
	run -64 --separate-stderr snapcheck nbds://localhost/x
	[[ $stderr == *"encrypted connections"*"are not supported"* ]]
	for uri in nbd:// nbd://:1/x nbd+unix:///x nbd+unix://host/x?socket=a nbd://h:1/x?socket=a 'nbd+unix:///?socket=%zz' nbd://h/x#y; do
		run -16 --separate-stderr snapcheck "$uri"
		one_sentence
	done
	# no NBD behind the socket
	cat >talker <<-'END'
		import os, socket
		s = socket.socket(socket.AF_UNIX)
		s.bind("talk.sock")
		s.listen()
		if not os.fork():
		    s.accept()[0].sendall(b"220 hello, this is something else, and it has a lot to say\r\n")
	END
	python3 talker 3>&-
	run -8 --separate-stderr snapcheck "$(at talk)"
	[[ $stderr == *"the server does not give the export: "* ]]
	[ "$(ls x.img 2>/dev/null)" = "" ]
	serve memory memory 300
	run -64 --separate-stderr snapcheck "$(at memory)"
	[[ $stderr == *"shorter than a sector"* ]]
	# libnbd is loaded when it is needed, and only then
	mkdir lib && echo none >lib/libnbd.so.0
	LD_LIBRARY_PATH=$PWD/lib run -64 --separate-stderr snapcheck "$(at memory)"
	[[ $stderr == *"libnbd, which is not installed"* ]]
	LD_LIBRARY_PATH=$PWD/lib snapcheck base.img cow.img
}

# bats test_tags=long
@test "what must not be written is refused before the first byte" {
	images
	sha256sum base.img cow.img >sums
	serve base -r file base.img
	serve cow file cow.img
	run -64 --separate-stderr snapmerge -y "$(at base)" "$(at cow)"
	[[ $stderr == *"the server gives the export for reading only"* ]]
	run -64 --separate-stderr snapmerge -n "$(at base)" "$(at cow)"
	[[ $stderr == *"the server gives the export for reading only"* ]]
	run -64 --separate-stderr snapcheck "$(at cow)" "$(at cow)"
	[[ $stderr == *"this export is named twice"* ]]
	serve mute eval get_size='echo 25165824' pread="dd if=$PWD/base.img"' skip=$4 count=$3 iflag=count_bytes,skip_bytes status=none' \
		pwrite='cat >/dev/null' can_write='exit 0' can_flush='exit 3'
	run -64 --separate-stderr snapmerge -y --json=report "$(at mute)" "$(at cow)"
	[[ $stderr == *"the server cannot flush"* ]]
	[ "$(member report 'j["error"]["id"]')" = no-flush ]
	run -0 snapmerge -q -o merged.img "$(at mute)" "$(at cow)"
	cmp merged.img new.img
	# the store is larger than what the server gives
	head -c 1M cow.img >short.img
	serve short file short.img
	run -64 --separate-stderr snapmerge -y base.img "$(at short)"
	[[ $stderr == *"chunk"* ]]
	run -64 --separate-stderr snapdump --raw -o "$(at cow)" base.img
	[[ $stderr == *"an output is a file or a block device"* ]]
	# nobody answers, so nothing is written
	run -64 --separate-stderr snapmerge base.img "$(at cow)"
	sha256sum --quiet -c sums
}

# bats test_tags=long
@test "errors of the server are errors of the image, with the place" {
	images
	serve base --filter=error file base.img error-pread-rate=100% error-pread=EIO
	run -8 --separate-stderr snapdump --raw -o view.img "$(at base)"
	[[ $stderr == *"reading at byte "*": the server says: Input/output error"* ]]
	[ ! -e view.img ]
	cp base.img old.img
	serve origin --filter=error file base.img error-pwrite-rate=100% error-pwrite=ENOSPC error-zero-rate=100%
	run -8 --separate-stderr snapmerge -y "$(at origin)" cow.img
	[[ $stderr == *"the server says: "* ]]
	cmp base.img old.img
	snapmerge -q -y base.img cow.img
	cmp base.img new.img
}

# cut NAME SERVER BYTES: a connection at NAME to SERVER that ends after so many bytes
# of the client.
cut_after() {
	cat >proxy <<-'END'
		import os, socket, sys, threading
		name, server, left = sys.argv[1] + ".sock", sys.argv[2] + ".sock", int(sys.argv[3])
		listener = socket.socket(socket.AF_UNIX)
		listener.bind(name)
		listener.listen()
		if os.fork():
		    sys.exit()
		client = listener.accept()[0]
		far = socket.socket(socket.AF_UNIX)
		far.connect(server)
		def back():
		    while True:
		        data = far.recv(65536)
		        if not data:
		            os._exit(0)
		        client.sendall(data)
		threading.Thread(target=back, daemon=True).start()
		while True:
		    data = client.recv(min(65536, left)) if left else b""
		    if not data:
		        os._exit(0)
		    far.sendall(data)
		    left -= len(data)
	END
	rm -f "$1.sock"
	python3 proxy "$@" 3>&-
}

# bats test_tags=slow
@test "a connection that is lost never corrupts: the same command, on the files, goes on" {
	images
	cp cow.img good.cow
	for side in base:300000 base:1500000 base:2752000 cow:600 cow:1000 cow:1400 cow:2600; do
		cp base.img origin.img
		cp good.cow snap.img
		serve base file origin.img
		serve cow file snap.img
		cut_after lost "${side%%:*}" "${side##*:}"
		base=$(at base) cow=$(at cow)
		printf -v "${side%%:*}" %s "$(at lost)"
		run snapmerge -y --batch=1M "$base" "$cow"
		[ "$status" -eq 8 ] || [ "$status" -eq 0 ] || { echo "$side: $status: $output"; return 1; }
		[ "$status" -eq 0 ] || [[ $output == *"the connection to the server was lost"* ]]
		echo "$status" >>codes
		stop base
		stop cow
		snapdump -q --raw origin.img snap.img | cmp - new.img
		snapmerge -q -y origin.img snap.img
		cmp origin.img new.img
	done
	# most of them ended half-way
	[ "$(grep -c 8 codes)" -ge 5 ]
}

# bats test_tags=limit,long
@test "libnbd runs in processes of their own, which are in their sandbox before a server's first byte" {
	images
	serve base file base.img
	serve cow file cow.img
	strace -ff -o calls -e 'trace=seccomp,landlock_restrict_self,socket,connect,sendto,recvfrom,?send,?recv,sendmsg,recvmsg,read,openat' snapdump -q --raw -o view.img "$(at base)" "$(at cow)"
	cmp view.img new.img
	[ "$(find . -name 'calls.*' | wc -l)" -eq 3 ]
	# One for each server. A filter, then bytes; after it nothing is opened.
	for trace in $(grep -lE '^recv(from)?\(' calls.*); do
		awk '/^seccomp\(SECCOMP_SET_MODE_FILTER.* = 0/ { filters++ } /^landlock_restrict_self.* = 0/ { rules++ }
			/^(recvfrom|sendto|recv|send)\(/ { talks[filters + 0]++ }
			filters && /^(connect|socket|openat|read|sendmsg|recvmsg)\(/ { bad = 1 }
			END { print FILENAME, filters, rules, talks[0] + 0, talks[1]; exit bad || filters != 1 || rules != 1 || talks[0] || talks[1] < 20 }' "$trace"
		echo "$trace" >>couriers
	done
	[ "$(wc -l <couriers)" -eq 2 ]
	# The tool itself connects, four times to each, before its first filter, and never gets a byte of them.
	tool=$(grep -l 'connect(' calls.*)
	awk '/^connect\(.*sock/ { connects++ } /^seccomp\(SECCOMP_SET_MODE_FILTER.* = 0/ { filters++ }
		/^connect\(.*sock/ && filters { bad = 1 } /^(recv|send)[a-z]*\(/ { bad = 1 }
		END { print connects, filters; exit bad || connects != 8 || filters != 2 }' "$tool"
}

# bats test_tags=long
@test "the process that speaks with a server ends with the tool, however that ends" {
	images
	serve base file base.img
	# a server that never greets
	python3 -c 'import os, socket, time
s = socket.socket(socket.AF_UNIX); s.bind("mute.sock"); s.listen()
if os.fork() == 0:
    os.setsid(); open("mute.pid", "w").write(str(os.getpid())); time.sleep(600)' 3>&- >/dev/null 2>&1
	until [ -s mute.pid ]; do sleep 0.02; done
	mkfifo pipe
	for server in base mute; do
		sleep 600 <>pipe 3>&- & # nobody reads the pipe, and it is open
		local reader=$! tool courier=''
		snapdump -q --raw "$(at $server)" >pipe 2>/dev/null 3>&- &
		tool=$!
		until [ -n "$courier" ]; do
			courier=$(cat "/proc/$tool/task/$tool/children")
			sleep 0.02
		done
		kill -KILL "$tool"
		for _ in {1..250}; do
			grep -q '^State:.[^Z]' "/proc/${courier% }/status" 2>/dev/null || break
			sleep 0.02
		done
		! grep '^State:.[^Z]' "/proc/${courier% }/status" 2>/dev/null || false
		kill "$reader"
	done
}
