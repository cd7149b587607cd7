# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# bash completion of the four tools: asks the tool itself for its options.

_libcow() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
	local option='' values list
	COMPREPLY=()
	list=$("$1" --long-options 2>/dev/null) || return 0
	# readline splits "--name=value" at the equals sign.
	if [[ $cur == '=' ]]; then
		option=$prev cur=''
	elif [[ $prev == '=' ]]; then
		option=${COMP_WORDS[COMP_CWORD - 2]}
	fi
	if [[ -n $option ]]; then
		values=$(sed -n "s/^$option\[\{0,1\}=//p" <<<"$list")
		if [[ $values == *'|'* ]]; then
			mapfile -t COMPREPLY < <(compgen -W "${values//|/ }" -- "$cur")
		else
			compopt -o filenames 2>/dev/null
			mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		fi
	elif [[ $cur == -* ]]; then
		# "--json[=FILE]" may stand alone; "--type=KIND" may not.
		list=$(sed 's/\[=.*//; s/=.*/=/' <<<"$list")
		mapfile -t COMPREPLY < <(compgen -W "$list" -- "$cur")
		[[ ${#COMPREPLY[@]} -ne 1 || ${COMPREPLY[0]} != *= ]] || compopt -o nospace 2>/dev/null
	else
		compopt -o filenames 2>/dev/null
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
	fi
	return 0
}

complete -F _libcow snapcreate snapcheck snapmerge snapdump
