#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# snapdump --delta --reverse: what was written to the origin since, for where the old state is.
# bats file_tags=slow
bats_require_minimum_version 1.8.0
load ../../common

setup() {
	cd "$BATS_TEST_TMPDIR"
}

# states: old and new, and the store cow on new that shows old; some ranges of new became zeros.
states() {
	python3 - <<-'END'
		import random
		r = random.Random(20)
		old = bytearray(r.randbytes(3 << 20)) + bytearray(2243584)
		new = bytearray(old)
		for _ in range(20):
		    at = r.randrange(len(old) // 512) * 512
		    n = min(r.choice([512, 4096, 20480, 200000]) // 512 * 512, len(old) - at)
		    new[at:at + n] = r.choice([bytes(n), r.randbytes(n)])
		for name, data in ("old", old), ("new", new):
		    open(name, "wb").write(data)
	END
	snapcreate -q -c 16K --from=old new cow
	snapdump -q --delta --reverse -o back new cow
}

# digest_of IMAGE: as an export of the whole names it.
digest_of() {
	snapdump --tar "$1" | tar -xO manifest.json | jq -r .digest
}

# without_direction TAR TO: as a reader that does not know the key reads it.
without_direction() {
	rm -rf x
	mkdir x
	tar -xSf "$1" -C x
	sed -i '/"direction"/d' x/delta.json x/manifest.json
	(cd x && tar -cSf "../$2" delta.json ranges.txt delta.img manifest.json)
}

# refused IMAGE TAR: by the digest, and nothing is made.
refused() {
	run -64 --separate-stderr snapcreate --json=j "$1" c --import "$2"
	one_sentence
	[ "$(member j 'j["error"]["id"]')" = parent ]
	[ ! -e c ] && [ -z "$(find . -name '.c*')" ]
}

@test "where the old state is, the import is the origin as it is now: also merged into it" {
	states
	cp old there
	run -0 snapcreate -q there c --import back
	snapdump --raw there c | cmp - new
	run -0 snapcheck -q there c
	run -0 snapmerge -q -y there c
	cmp there new
	# Through a pipe, compressed; and folded with what comes next.
	snapdump --delta --reverse --compress=zstd new cow | snapcreate -q -c 512 old c2 --import=-
	snapdump --raw old c2 | cmp - new
	cp new newer
	poke newer 1234567 later
	snapcreate -q --from=new newer cow2
	snapdump -q --delta --reverse -o back2 newer cow2
	snapcreate -q old c3 --import=back --import=back2
	snapdump --raw old c3 | cmp - newer
	run -64 --separate-stderr snapcreate old c4 --import=back2 --import=back
	one_sentence
}

@test "the kernel's snapshots, and a stack of two" {
	for folder in both-c32 multiarea-c8; do
		pair $folder
		snapdump -q --force=overwrite --raw -o old origin.img cow.img
		[ "$(sum old)" = "$(fact $folder merged_origin_sha256)" ]
		snapdump -q --delta --reverse origin.img cow.img | snapcreate -q --force=overwrite old c --import=-
		snapdump --raw old c | cmp - origin.img
	done
	cp old older
	poke older 70000 first
	snapcreate -q --from=older old top.img
	snapdump --raw origin.img cow.img top.img | cmp - older
	snapdump -q --delta --reverse origin.img cow.img top.img | snapcreate -q older c2 --import=-
	snapdump --raw older c2 | cmp - origin.img
}

@test "the members, read by hand: direction, digests, nothing but what was written" {
	states
	run -0 tar -tf back
	[ "$output" = $'delta.json\nranges.txt\ndelta.img\nmanifest.json' ]
	tar -xSf back
	python3 - "$(digest_of old)" "$(digest_of new)" <<-'END'
		import json, sys
		old, new, delta = (open(n, "rb").read() for n in ("old", "new", "delta.img"))
		made, kinds = bytearray(old), set()
		for line in open("ranges.txt").read().split("\n")[2:-2]:
		    at, length, kind = line.split()
		    at, length = int(at), int(length)
		    kinds.add(kind)
		    assert all(old[p:p + 4096] != new[p:p + 4096] for p in range(at, at + length, 4096))
		    made[at:at + length] = delta[at:at + length] if kind == "data" else bytes(length)
		assert made == new and kinds == {"data", "zero"}
		for name in "delta.json", "manifest.json":
		    says = json.load(open(name))
		    assert [says[key] for key in ("direction", "parent", "digest")] == ["reverse", *sys.argv[1:]]
	END
	[ "$(snapdump --delta new cow | tar -xO delta.json | jq -r '.direction, .parent, .digest' | xargs)" = \
		"forward $(digest_of new) $(digest_of old)" ]
	# Its manifest names the new state: a backup goes on from there.
	snapdump --delta --against=manifest.json new | tar -xO ranges.txt | grep -qx '# complete: 0 ranges, 0 bytes of data'
	run -0 snapcreate -q old c --import back
	run -0 snapcheck -q --verify=back old c
}

@test "over another state it is refused, also by a reader that knows no direction" {
	states
	refused new back
	[[ $stderr == *"back is a reverse delta: it applies to the old state, an image with digest $(digest_of old), but new has $(digest_of new)"* ]]
	poke old 8192 X
	refused old back
	without_direction back bare
	refused new bare
	refused old bare
	# And where it applies, such a reader makes the same of it.
	snapdump -q --raw --force=overwrite -o old new cow
	snapcreate -q old c --import bare
	snapdump --raw old c | cmp - new
	rm c
	# The other direction, in each wrong place.
	snapdump -q --delta -o forth new cow
	refused old forth
	[[ $stderr != *reverse* ]]
	without_direction forth bare
	refused old bare
	# One member that contradicts the other, and a word that nobody knows.
	tar -xSf back
	sed -i s/reverse/forward/ delta.json
	tar -cSf bad delta.json ranges.txt delta.img manifest.json
	run -64 --separate-stderr snapcreate old c --import bad
	[[ $stderr == *"the manifest belongs to another export"* ]]
	sed -i s/forward/sideways/ delta.json
	tar -cSf bad delta.json ranges.txt delta.img manifest.json
	run -64 --separate-stderr snapcreate old c --import bad
	[[ $stderr == *'the direction is neither "forward" nor "reverse"'* ]]
	[ ! -e c ]
}

@test "what it says, and which calls are none" {
	states
	run -0 --separate-stderr snapdump --json=j --delta --reverse -o d new cow
	[[ $stderr == "snapdump: d written: a reverse delta from the view to new, "*" of data; apply it to a copy of the old state" ]]
	[ "$(member j 'j["direction"]')" = reverse ]
	[ "$(member j 'j["data_bytes"]')" = "$(tar -xOf d delta.json | jq .data_bytes)" ]
	cmp back d
	run -0 --separate-stderr snapdump -n --json=j --delta --reverse -o none new cow
	[[ $stderr == "snapdump: would write a reverse delta from the view to new, "*"; nothing was written" ]]
	[ ! -e none ]
	run -0 snapdump -q --json=j --delta -o forth new cow
	[ "$(member j 'j["direction"]')" = forward ]
	tar -xf back manifest.json
	run -16 --separate-stderr snapdump --delta --reverse -o none new
	[[ ${stderr_lines[0]} == *"--delta --reverse needs a COW image"* ]]
	run -16 --separate-stderr snapdump --delta --reverse --against=manifest.json -o none new cow
	[[ ${stderr_lines[0]} == *"a manifest has no data"* ]]
	run -16 --separate-stderr snapdump --delta --reverse --skip-unreadable -o none new cow
	[[ ${stderr_lines[0]} == *"not with --skip-unreadable"* ]]
	run -16 --separate-stderr snapdump --tar --reverse -o none new cow
	[[ ${stderr_lines[0]} == *"--reverse goes with --delta, --changes and --only-changed"* ]]
	run -64 --separate-stderr snapdump --delta --reverse -o none cow new
	one_sentence
	[ ! -e none ]
}

@test "a partition of the view, and nothing that differs" {
	states
	{ head -c 1M /dev/zero; cat new; } >disk
	{ head -c 1M /dev/zero; cat old; } >olddisk
	for disk in disk olddisk; do
		truncate -s 8M $disk
		echo "2048,$(($(stat -c %s new) / 512)),L" | sfdisk -q $disk
	done
	dd if=disk of=olddisk bs=512 count=1 conv=notrunc status=none
	snapcreate -q --from=olddisk disk disk.cow
	snapdump -q --delta --reverse --partition=1 -o part disk disk.cow
	snapcreate -q old c --import part
	snapdump --raw old c | cmp - new
	snapcreate -q new empty
	snapdump -q --delta --reverse new empty | tar -xO ranges.txt | grep -qx '# complete: 0 ranges, 0 bytes of data'
}
