#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Copyright (C) 2026 the libcow authors
# fio_verify.sh DIRECTORY [SECONDS|read]: fio writes to a snapshot that nbdkit serves with
# mode=rw, over two connections with blocks of 512 bytes to 64 KiB, flushes now and then,
# and reads what it wrote; then the server ends, another one serves the store for reading,
# and fio reads it again. Each round has other places, until SECONDS are over (one round
# without). "read": only the last part, of the first round. Exit 0: every block was as it must be, and the store sound.
set -eu
cd "$1"
plugin=$COW_BUILD/nbdkit-snapshot-plugin.so
seed=${COW_SEED:-1}
rounds=0

# job WORDS...: what both do alike; the client's words for nbdkit --run.
job() {
	echo "fio --output=fio.txt --ioengine=nbd --uri=\"\$uri\" --randseed=$seed --iodepth=8 --bsrange=512-64k --bs_unaligned=0 \
--size=16M --io_size=${IO_SIZE:-8M} --verify=crc32c --verify_fatal=1 --verify_dump=0 --group_reporting $* \
--name=low --offset=0 --name=high --offset=16M"
}

read_again() {
	nbdkit -U - "$plugin" origin=base.img cow=fio.cow --run "$(job --rw=randwrite --verify_only)"
}

if [ "${2:-}" = read ]; then
	read_again
	exit
fi
end=$(($(date +%s) + ${2:-0}))
truncate -s 32M base.img
snapcreate -q base.img fio.cow
while :; do
	nbdkit -U - "$plugin" origin=base.img cow=fio.cow mode=rw --run "$(job --rw=randwrite --fsync=37 --do_verify=1)"
	snapcheck -q base.img fio.cow
	read_again
	rounds=$((rounds + 1))
	seed=$((seed + 1))
	[ "$(date +%s)" -lt "$end" ] || break
done
echo "fio verified $rounds rounds over the plugin, seeds up to $((seed - 1))"
