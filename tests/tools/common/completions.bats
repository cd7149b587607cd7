#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# Completions as they are installed, in real shells on a terminal:
# tests/aids/complete.py types a line and has everything put in that is offered.
# bats file_tags=limit,slow
bats_require_minimum_version 1.8.0

setup_file() {
	make -s --no-print-directory -C "$COW_SOURCE" install prefix="$BATS_FILE_TMPDIR/root"
	export COW_COMPLETIONS=$BATS_FILE_TMPDIR/root/share PATH=$BATS_FILE_TMPDIR/root/bin:$PATH
	"$COW_SOURCE/tests/aids/complete.py" zsh 'snapmerge --ba'
}

setup() {
	cd "$BATS_TEST_TMPDIR"
	touch base.img cow.img 'with blank.img'
	mkdir images
}

# offered SHELL LINE: the words that are offered at the end of LINE, sorted, on
# one line, without the part of the word that stood there.
offered() {
	local line=$2
	"$COW_SOURCE/tests/aids/complete.py" "$1" "$line" >answer 2>.complaints
	if [ "$1" = fish ]; then
		[ -s .complaints ] || cut -f1 answer
	else
		cut -c $((${#line} - $(wc -c <<<"${line##* }") + 2))- answer | sed 's/\\ /#/g' | tr -s ' ' '\n' | tr '#' ' '
	fi | sed 's/,$//; s/^--[a-z-]*=\(.\)/\1/; s/^.*,\([^,]*\)$/\1/; s|[=/]$||' | grep . | sort -u | paste -sd' '
}

each_shell() {
	local shell wanted
	wanted=$(printf '%s\n' "${@:2}" | sort -u | paste -sd' ')
	for shell in bash zsh fish; do
		[ "$(offered $shell "$1")" = "$wanted" ] || {
			echo "$shell: $1: $(cat answer)"
			return 1
		}
	done
}

@test "every option in the table is offered, and no other" {
	for tool in snapcreate snapcheck snapmerge snapdump; do
		each_shell "$tool --" $("$tool" --long-options | sed 's/[=[\t].*//')
	done
}

@test "short options are offered" {
	for shell in zsh fish; do
		for short in -o -n -y -t -q; do
			[[ " $(offered $shell "snapmerge -") " == *" $short "* ]]
		done
	done
}

@test "the words that an option takes are offered" {
	each_shell 'snapdump --progress=' auto always never
	each_shell 'snapdump --progress=a' auto always
	each_shell 'snapmerge --reflink ' auto always never
	each_shell 'snapcreate --preallocate=' off falloc full
	each_shell 'snapdump --compress=' none gzip xz zstd lz4
	each_shell 'snapcheck --type=' clone persistent snaplog thin
	each_shell 'snapcheck -t ' clone persistent snaplog thin
	each_shell 'snapdump --map=d' ddrescue
}

@test "--force offers the ids that mean something to the tool, also behind a comma" {
	for tool in snapcreate snapcheck snapmerge snapdump; do
		ids=$("$tool" --long-options | sed -n 's/^--force=.*\tlist \([^\t]*\).*/\1/p' | tr '|' ' ')
		each_shell "$tool --force=" $ids
	done
	each_shell 'snapdump --force=invalid,da' damaged
}

@test "files and directories are offered where images go, nothing where a number goes" {
	each_shell 'snapmerge co' cow.img
	each_shell 'snapmerge --sibling=co' cow.img
	each_shell 'snapmerge -o ima' images
	each_shell 'snapcreate --from-view=base.img,co' cow.img
	each_shell 'snapdump --json=with' 'with blank.img'
	each_shell 'snapdump -- base' base.img
	each_shell 'snapdump --map base' base.img
	each_shell 'snapdump --json base' base.img
	mkfifo cow.fifo
	for shell in bash zsh; do
		[ "$(offered $shell 'snapmerge co')" = cow.img ]
	done
	[ "$(offered fish 'snapcreate --chunk-size=')$(offered fish 'snapmerge --batch ')" = "" ]
	for shell in bash zsh; do
		for line in 'snapcreate -c ' 'snapmerge --batch='; do
			"$COW_SOURCE/tests/aids/complete.py" $shell "$line" >answer
			[ "$(sed 's/ $//' answer)" = "${line% }" ]
		done
	done
}

@test "each placeholder of an argument is known to be a file, or not to be one" {
	for tool in snapcreate snapcheck snapmerge snapdump; do
		"$tool" --long-options | awk -F'\t' '$3 == "any" { sub(/[^=]*=/, "", $1); print $1 }'
	done | sort -u | paste -sd' ' >free
	[ "$(cat free)" = "DIR GLOB LINE N NAME=IMAGE PATH SIZE TIME VG/LV" ]
}
