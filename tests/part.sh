# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=sh
# part.sh - read by check.sh: a part of the tests with a budget of processor time. On a busy
# machine a part takes longer, but hardly more of that: one that fails has become slow.

# How much slower than the machine of the budgets this one is, in hundredths, at least 100.
slower=100

# cpu FILE: sets cpu to the hundredths of a second that all finished children took so far.
# Not by way of $( ): a subshell has no children yet.
cpu() {
	times >"$1"
	cpu=$(sed -n '2s/[ms]/ /gp' "$1" | awk '{ print int(100 * ($1 * 60 + $2 + $3 * 60 + $4)) }')
	rm -f "$1"
}

# Compiles a large header on two processors at once, which takes 160 hundredths of a second
# on the machine of the budgets, and sets slower.
speed() {
	at=${TMPDIR:-/tmp}/speed.$$
	cpu "$at"
	before=$cpu
	for _ in 1 2; do
		CCACHE_DISABLE=1 gcc -O2 -DXXH_STATIC_LINKING_ONLY -DXXH_IMPLEMENTATION -x c -c -o /dev/null \
			/usr/include/xxhash.h &
	done
	wait
	cpu "$at"
	slower=$(((cpu - before) * 100 / 160))
	[ "$slower" -ge 100 ] || slower=100
	echo "== budgets are for a machine that takes 100, this one takes $slower"
}

# part NAME BUDGET COMMAND...: runs a command. It fails with it, or when all processes that
# it waited for took one and a half times the budget, in seconds of processor time.
part() {
	name=$1 budget=$2 at=${TMPDIR:-/tmp}/part.$$
	shift 2
	echo "== $name"
	cpu "$at"
	before=$cpu start=$(date +%s)
	"$@" || { echo "== $name FAILED"; return 1; }
	cpu "$at"
	used=$((cpu - before)) limit=$((budget * 3 * slower / 2))
	echo "== $name: $(($(date +%s) - start)) s, $((used / 100)) s of processor time (budget $budget s)"
	[ "$used" -gt "$limit" ] || return 0
	echo "== $name FAILED: more than $((limit / 100)) s of processor time"
	return 1
}
