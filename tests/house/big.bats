#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# Nothing is proportional to the size of an image: 16 TiB with a million
# exceptions, on a file system that holds such files sparse.
# bats file_tags=slow
bats_require_minimum_version 1.8.0

setup_file() {
	big=$(mktemp -d -p /dev/shm big.XXXXXX)
	export big
	# The second is merged for real: 64 MiB of data that land on tmpfs.
	python3 - "$big/cow.img" 20 "$big/small.img" 14 <<-'END'
		# Stores of 16 TiB, chunks of 4 KiB, 2^20 and 2^14 exceptions: old and new
		# chunks spread over the whole of both images by odd multipliers.
		import struct, sys
		E, N = 256, 16 << 28
		def make(path, count):
		    f = open(path, "wb")
		    f.truncate(16 << 40)
		    f.write(struct.pack("<4sIII", b"SnAp", 1, 1, 8))
		    for area in range(count // E):
		        records = b""
		        for i in range(area * E, area * E + E):
		            new = 2 + i * 4093
		            new += new % (E + 1) == 1
		            records += struct.pack("<QQ", i * 2654435761 % N, new)
		        f.seek((1 + area * (E + 1)) * 4096)
		        f.write(records)
		for path, bits in zip(sys.argv[1::2], sys.argv[2::2]):
		    make(path, 1 << int(bits))
	END
}

teardown_file() {
	rm -rf "$big"
}

# Runs a command with a limit on its memory in MiB; prints what it says.
within() {
	python3 - "$@" <<-'END'
		import resource, subprocess, sys
		done = subprocess.run(sys.argv[2:])
		used = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
		print(f"{used / 1024:.1f} MiB", file=sys.stderr)
		sys.exit(done.returncode or used > int(sys.argv[1]) * 1024)
	END
}

@test "16 TiB with a million exceptions is checked in 24 bytes each" {
	run -0 --separate-stderr within 40 snapcheck --json zero:16T "$big/cow.img"
	python3 -c 'import json, sys; report = json.loads(sys.argv[1]); assert "1048576" in sys.argv[1]' "$output"
}

@test "16 TiB without an exception: a few calls of the system tell that it is empty" {
	snapcreate -q --size=16777215M zero:1G "$big/empty.img"
	strace -f -c -o "$big/calls" snapcheck --is-empty "$big/empty.img"
	[ "$(awk '$NF == "total" { print $4 }' "$big/calls")" -lt 2000 ]
	rm "$big/empty.img"
}

@test "16 TiB with a million exceptions is mapped, and planned to be merged" {
	within 40 snapdump --map -o "$big/map" zero:16T "$big/cow.img"
	[ "$(grep -c '^[0-9]' "$big/map")" -ge 1048570 ]
	truncate -s 16T "$big/origin.img"
	within 40 snapmerge -n "$big/origin.img" "$big/cow.img"
}

@test "a store that is spread over 16 TiB is merged into a sparse origin" {
	truncate -s 16T "$big/merged.img"
	printf changed | dd of="$big/small.img" bs=4096 seek=2 conv=notrunc status=none
	within 40 snapmerge -q -y --batch=16M "$big/merged.img" "$big/small.img"
	[ "$(dd if="$big/merged.img" bs=4096 count=1 status=none | tr -d '\0')" = changed ]
	snapcheck -q zero:16T "$big/small.img"
}
