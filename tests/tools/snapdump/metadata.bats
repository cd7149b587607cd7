#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# snapdump --metadata, and snapcheck of what it wrote: libcow-metadata(5).
bats_require_minimum_version 1.8.0
load ../../common

setup() {
	cd "$BATS_TEST_TMPDIR"
}

# both NUMBER [ORIGIN] COW: the reports of the image and of its pack.
both() {
	local nr=$1
	shift
	rm -f pack
	snapdump -q -t persistent --metadata -o pack "$@"
	snapcheck -t persistent --json="$nr.image" "$@" >"$nr.image.text" 2>&1 || true
	snapcheck -t persistent --json="$nr.pack" pack >"$nr.pack.text" 2>&1 || true
}

# All reports say the same, but for the names, and for the numbers of records that
# were data: a placeholder with origin chunk 2^63 - 1 stands for each.
same() {
	python3 - "$1" <<-'END'
		import json, os, sys
		def said(path, names, blanked):
		    report = json.load(open(path))
		    for name in ('origin_fit', 'file_systems'):  # a pack has no data to ask
		        report.pop(name, None)
		    for at in blanked:
		        report['findings'][at]['sentence'] = ''
		    text = json.dumps(report)
		    for name, plain in names:
		        text = text.replace(f'"{name}"', f'"{plain}"')
		        text = text.replace(name, plain)
		    return text
		nr = 0
		while os.path.exists(f'{nr}.image'):
		    found = json.load(open(f'{nr}.pack'))['findings']
		    data = [i for i, f in enumerate(found) if f' {2**63 - 1} of the origin' in f['sentence']]
		    a = said(f'{nr}.image', [('cow.img', 'COW'), ('origin.img', 'ORIGIN')], data)
		    b = said(f'{nr}.pack', [('pack', 'COW')], data)
		    assert a == b, f'{nr}: {a}\n{b}'
		    nr += 1
		assert nr >= int(sys.argv[1]), nr
	END
}

# bats test_tags=slow
@test "snapcheck says of a pack what it says of the image: every damaged case" {
	nr=0
	for dir in "$COW_SOURCE"/tests/cases/persistent-*/; do
		"$COW_BUILD/tests/examples/mkstore" cow.img <"$dir/store.txt"
		both $nr cow.img
		nr=$((nr + 1))
	done
	same 75
}

# bats test_tags=slow
@test "snapcheck says of a pack what it says of the image: every store of the kernel's" {
	nr=0
	for cow in "$COW_FIXTURES"/*/cow.img.xz "$COW_FIXTURES"/damaged/*/cow.img.xz; do
		origin=${cow%/cow.img.xz}/origin.img.xz
		[ -e "$origin" ] || origin=$COW_FIXTURES/damaged/origin.img.xz
		xz -dc "$cow" >cow.img
		xz -dc "$origin" >origin.img
		both $nr origin.img cow.img
		nr=$((nr + 1))
	done
	same 30
}

@test "a pack is small, knows the origin's size, and the same input gives the same bytes" {
	pair both-c32
	snapdump --metadata -o a.pack origin.img cow.img
	snapdump --metadata origin.img cow.img >b.pack
	cmp a.pack b.pack
	[ "$(stat -c %s a.pack)" -lt 4096 ]
	run -0 --separate-stderr snapcheck a.pack
	[[ $output == *"223 chunks changed"* ]]
	[[ $stderr == *"next: snapmerge --dry-run ORIGIN COW"* ]]
	truncate -s 1M origin.img
	snapdump -q --metadata -o c.pack.tar.gz origin.img cow.img
	run -4 snapcheck c.pack.tar.gz
	[[ $output == *old-chunk-beyond-origin* ]]
	run -4 snapcheck origin.img a.pack
	gzip -t c.pack.tar.gz
}

@test "GNU tar and bsdtar read a pack; the image in it is a store" {
	pair both-c32
	snapdump --metadata -o p.tar origin.img cow.img
	mkdir gnu bsd
	tar -xf p.tar -C gnu
	bsdtar -xf p.tar -C bsd
	cmp gnu/cow.img bsd/cow.img
	[ "$(stat -c %s gnu/cow.img)" = "$(stat -c %s cow.img)" ]
	run -0 snapcheck origin.img gnu/cow.img
	[ "$(member gnu/metadata.json 'j["schema"], j["origin_bytes"]')" = "('libcow.metadata/1', 8388608)" ]
}

# bats test_tags=long
@test "no byte of the data is in a pack, wherever the damage put it" {
	python3 - <<-'END'
		import struct
		secret = b'TOPSECRET-DATA-!'
		C, E = 4096, 256
		image = bytearray(secret * (600 * C // 16))
		image[0:C] = struct.pack('<4sIII', b'SnAp', 1, 1, C // 512).ljust(C, b'\0')
		for area in range(2):
		    at = (1 + area * (E + 1)) * C
		    image[at:at + C] = bytes(C)
		for i in range(300):
		    chunk = 2 + i + i // E
		    struct.pack_into('<QQ', image, (1 + i // E * (E + 1)) * C + i % E * 16, 7 * i, chunk)
		open('good.img', 'wb').write(image)
		def damaged(name, pieces, cut=None):
		    copy = bytearray(image)
		    for at, size in pieces:
		        copy[at:at + size] = (secret * (size // 16 + 1))[:size]
		    open(name, 'wb').write(copy[:cut])
		damaged('header.img', [(0, C)])
		damaged('header-sector.img', [(16, 496)])
		damaged('area.img', [(258 * C, C)])
		damaged('area-half.img', [(258 * C + 512, C - 512)])
		damaged('sector.img', [(C + 1024, 512)])
		damaged('tail.img', [(258 * C + 1024, 100)])
		damaged('cut.img', [(258 * C + 1024, 100)], 259 * C)
		# words of data, and small numbers that could be chunk numbers
		image[C + 512:C + 1024] = b''.join(secret[:8] + struct.pack('<Q', 2 + i) for i in range(32))
		open('pairs.img', 'wb').write(image)
	END
	grep -q TOPSECRET good.img
	for image in *.img; do
		args=(--metadata --compress=none)
		[ "$image" != header.img ] || args+=(-c 4K)
		snapdump "${args[@]}" -o "$image.pack" "$image"
		# what is left is the highest chunk number, which the report prints
		[ "$(grep -ao 'TOPSECRE\|T-DATA-!' "$image.pack" | wc -l)" -le 1 ] || { echo "$image"; return 1; }
	done
	run ! grep -a TOPSECRE good.img.pack
	run ! grep -a TOPSECRE header.img.pack
	run -0 snapcheck good.img.pack
}

@test "a lost header: packed with --chunk-size, checked with it" {
	pair both-c32
	poke cow.img 0 '\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00'
	run -64 --separate-stderr snapdump --metadata -o a.pack cow.img
	one_sentence
	snapdump -c 16K --metadata -o a.pack cow.img
	run -4 snapcheck -c 16K a.pack
	[[ $output == *"223 chunks changed"* ]]
	run -16 snapdump -c 16K --tar -o x.tar origin.img cow.img
	run -16 snapdump --metadata -o x.tar origin.img cow.img cow.img
	run -16 snapdump --metadata --tar -o x.tar cow.img
}

# bats test_tags=long
@test "a pack is not repaired; -n shows what a repair would do" {
	"$COW_BUILD/tests/examples/mkstore" cow.img <"$COW_SOURCE/tests/cases/persistent-end-hole/store.txt"
	snapdump -q --metadata -o a.pack cow.img
	before=$(sum a.pack)
	for how in -y -p "-y -o new.img" "-y --save-undo=undo"; do
		# shellcheck disable=SC2086
		run -64 --separate-stderr snapcheck $how --json=j a.pack
		[ "$(member j 'j["error"]["id"], j["error"]["force"]')" = "('pack', None)" ]
	done
	[ ! -e new.img ]
	[ ! -e undo ]
	# The record in the hole is gone (4), those behind it are moved forward (1).
	run -5 --separate-stderr snapcheck -n -y cow.img
	image=${output//cow.img/X}
	run -5 --separate-stderr snapcheck -n -y a.pack
	[ "${output//a.pack/X}" = "$image" ]
	[ "$(sum a.pack)" = "$before" ]
}

@test "a pack that was cut or changed, or is none, is refused in one sentence" {
	pair both-c32
	snapdump --metadata --compress=none -o a.pack origin.img cow.img
	size=$(content_bytes a.pack)
	head -c $((size / 2)) a.pack >cut
	head -c 1500 a.pack >cut2
	cp a.pack changed
	poke changed $((size - 1000)) 'x'
	tar -cf other.tar a.pack
	for pack in cut cut2 changed other.tar; do
		run --separate-stderr snapcheck "$pack"
		[ "$status" -eq 64 ] || [ "$status" -eq 8 ] || { echo "$pack: $status"; return 1; }
		one_sentence
	done
}

# bats test_tags=slow,limit
@test "a pack that unfolds to more than it can hold is refused early" {
	python3 - <<-'END'
		import io, tarfile
		head = b'{"schema": "libcow.metadata/1", "image_bytes": 4294967296, "digest": "%s"}' % (b'0' * 32)
		with tarfile.open('bomb.tar', 'w') as tar:
		    entry = tarfile.TarInfo('metadata.json')
		    entry.size = len(head)
		    tar.addfile(entry, io.BytesIO(head))
		    entry = tarfile.TarInfo('cow.img')
		    entry.size = 1 << 32
		    tar.fileobj.write(entry.tobuf())
	END
	{ cat bomb.tar; head -c 300M /dev/zero | tr '\0' 'x'; } | zstd -q -19 --long >bomb.zst
	[ "$(stat -c %s bomb.zst)" -lt 200000 ]
	run -64 --separate-stderr bash -c 'ulimit -v 600000; exec snapcheck bomb.zst'
	one_sentence
	[[ $stderr == *"more than"* ]]
}
