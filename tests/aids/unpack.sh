#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# unpack.sh FROM TO: the images of the fixtures below FROM, unpacked and sparse,
# under the same names in TO. What is there and newer is left alone.
set -eu
from=$(cd "$1" && pwd)
mkdir -p "$2"
cd "$2"
# shellcheck disable=SC2016
(cd "$from" && find . -name '*.xz' -o -name '*.zst') | sed 's,^\./,,' | xargs -P 2 -n 8 sh -c '
	set -eu
	from=$1
	shift
	for packed; do
		name=${packed%.*}
		[ ! "$name" -nt "$from/$packed" ] || continue
		mkdir -p "$(dirname "$name")"
		case $packed in
		*.xz) xz -dc "$from/$packed" >"$name.new" ;;
		*) zstd -dqf --sparse "$from/$packed" -o "$name.new" ;;
		esac
		mv "$name.new" "$name"
	done' sh "$from"
