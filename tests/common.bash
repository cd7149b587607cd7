# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# Small helpers of the bats files; they hide no command of ours.

# unpack NAME TO: an image of the fixtures, sparse.
unpack() {
	cp "$COW_UNPACKED/$1" "$2"
}

# pair FOLDER: origin.img and cow.img of a fixture, in the current directory.
pair() {
	unpack "$1/origin.img" origin.img
	unpack "$1/cow.img" cow.img
}

# fact FOLDER KEY: the first value of a key in its meta.txt.
fact() {
	sed -n "s/^$2 //p" "$COW_FIXTURES/$1/meta.txt" | head -1
}

# content_bytes TAR: how long it is without the zeros at its end.
content_bytes() {
	python3 -c 'import sys; print(len(open(sys.argv[1], "rb").read().rstrip(b"\0")))' "$1"
}

# store TEXT: cow.img, of what tests/aids/mkstore.h describes; \n is a new line.
store() {
	rm -f cow.img
	printf '%b' "$1" | "$COW_BUILD/tests/examples/mkstore" cow.img
}

# sum FILE: its SHA-256.
sum() {
	sha256sum <"$1" | cut -d' ' -f1
}

# poke FILE OFFSET BYTES: writes bytes, given as for printf, into a file.
poke() {
	# shellcheck disable=SC2059
	printf "$3" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

# shellcheck disable=SC2154
# one_sentence: standard error of the last run is a single line of a tool.
one_sentence() {
	[ "${#stderr_lines[@]}" -eq 1 ] || { printf '%s\n' "not one line:" "${stderr_lines[@]}"; return 1; }
	[[ ${stderr_lines[0]} == snap*": "* ]]
}

# member FILE EXPRESSION: a value out of a JSON object, in Python's words. Plain
# paths, j["error"]["id"], go to jq, which starts in a tenth of the time.
member() {
	local plain='^j(\[("[^"]*"|-?[0-9]+)\])+$'

	if [[ $2 =~ $plain ]] && jq -er ".${2#j} | if . == null then \"None\" elif . == true then \"True\"
		elif . == false then \"False\" elif type == \"string\" then .
		elif type == \"number\" and . == floor and . < 1e15 then . else error end" "$1" 2>/dev/null; then
		return
	fi
	python3 -c 'import json, sys; j = json.load(open(sys.argv[1])); print(eval(sys.argv[2]))' "$1" "$2"
}

# bad_model WHAT...: what comes of bad sectors, by a naive model.
bad_model() {
	"$COW_SOURCE/tests/aids/bad_model.py" "$@"
}

# plugin_as_installed DIRECTORY: a nbdkit there that knows the built plugin as
# "snapshot", as if both were installed.
plugin_as_installed() {
	mkdir -p "$1"
	cat >"$1/nbdkit" <<-END
		#!/bin/bash
		for word; do
			[ "\$word" != snapshot ] || word=$COW_BUILD/nbdkit-snapshot-plugin.so
			words+=("\$word")
		done
		exec $(command -v nbdkit) "\${words[@]}"
	END
	chmod +x "$1/nbdkit"
}

# disks NAME: the disks of a fixture with LVM, in the current directory.
disks() {
	cp "$COW_UNPACKED/lvm/$1"/disk*.img .
}

# kernel_sha NAME LV: what the kernel read of a volume there.
kernel_sha() {
	awk -v lv="$2" '$1 == lv { print $2 }' "$COW_FIXTURES/lvm/$1/kernel.txt"
}

# lvm_text WHAT...: shows or changes the text of LVM on an image.
lvm_text() {
	"$COW_SOURCE/tests/aids/lvm_text.py" "$@"
}

# findings_of FILE: what snapcheck found, did and left, by id and place; a line each.
findings_of() {
	jq -r 'def place: "\(.class): \(.id)" + if .offset_bytes == null then "" else ", byte \(.offset_bytes)" end;
		(.findings[]? | place),
		(.repair // empty | "repair: \(.mended) findings mended, \(.left) left, \(.records_dropped) " +
			"records dropped, \(.chunks_copied) chunks copied",
			if .lost_elsewhere > 0 then "lost elsewhere: \(.lost_elsewhere)" else empty end),
		(.findings_left[]? | place)' "$1"
}
