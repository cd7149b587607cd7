# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# bash completion of the four tools: asks the tool itself for its options
# (--long-options: name, short name, offer, once or many, help).

# _libcow_files PREFIX CUR: files, devices and directories, behind PREFIX.
_libcow_files() {
	local name
	compopt -o filenames 2>/dev/null
	while IFS= read -r name; do
		[[ $name != '~'* && ! -f $name && ! -b $name && ! -d $name ]] || COMPREPLY+=("$1$name")
	done < <(compgen -f -- "$2")
}

# _libcow_words PREFIX CUR WORDS: of "a|b|c", behind PREFIX.
_libcow_words() {
	mapfile -t COMPREPLY < <(compgen -P "$1" -W "${3//|/ }" -- "$2")
}

# _libcow_argument PREFIX CUR OFFER: what may stand behind an option.
_libcow_argument() {
	local prefix=$1 cur=$2 offer=$3
	case $offer in
	list* | files*)
		compopt -o nospace 2>/dev/null
		[[ $cur != *,* ]] || prefix=$prefix${cur%,*},
		cur=${cur##*,}
		;;
	esac
	case $offer in
	file*) _libcow_files "$prefix" "$cur" ;;
	words* | list*) _libcow_words "$prefix" "$cur" "${offer#* }" ;;
	esac
}

_libcow() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} prefix=
	local option='' name short offer rest list i
	COMPREPLY=()
	for ((i = 1; i < COMP_CWORD; i++)); do
		[[ ${COMP_WORDS[i]} != -- ]] || { _libcow_files '' "$cur"; return 0; }
	done
	list=$("$1" --long-options 2>/dev/null) || return 0
	# readline splits "--name=value" at the equals sign, unless told not to.
	if [[ $cur == '=' ]]; then
		option=$prev cur=
	elif [[ $prev == '=' ]]; then
		option=${COMP_WORDS[COMP_CWORD - 2]}
	elif [[ $cur == --*=* ]]; then
		option=${cur%%=*} prefix=${cur%%=*}= cur=${cur#*=}
	elif [[ $prev == -?* ]]; then
		# "--type KIND"; what follows "--json" is no argument of it.
		while IFS=$'\t' read -r name short offer rest; do
			[[ $offer == none || $name == *\[=* || ($prev != "${name%%=*}" && $prev != "$short") ]] ||
				option=${name%%=*}
		done <<<"$list"
	fi
	if [[ -n $option ]]; then
		while IFS=$'\t' read -r name short offer rest; do
			[[ ${name%%[=\[]*} != "$option" ]] || _libcow_argument "$prefix" "$cur" "$offer"
		done <<<"$list"
	elif [[ $cur == -* ]]; then
		list=$(cut -f1 <<<"$list" | sed 's/\[=.*//; s/=.*/=/')
		mapfile -t COMPREPLY < <(compgen -W "$list" -- "$cur")
		[[ ${#COMPREPLY[@]} -ne 1 || ${COMPREPLY[0]} != *= ]] || compopt -o nospace 2>/dev/null
	else
		_libcow_files '' "$cur"
	fi
	return 0
}

complete -F _libcow snapcreate snapcheck snapmerge snapdump
