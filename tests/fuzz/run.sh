#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# usage: run.sh BUILD SECONDS - each fuzz target for so long, two at a time, and what it did.
# New inputs stay below BUILD, so that the kept corpus stays small. The limits
# of an input (1 s of CPU time, 64 MiB) are those of tests/fuzz/fuzz.h; the ones
# here only end what never would, and leave room for a window of zstd.
set -eu
build=$1 seconds=$2
corpus=$build/corpus
if [ $# -eq 2 ]; then
	mkdir -p "$corpus"
	rm -f "$corpus"/*.runs
	printf '%s\n' "$build"/tests/fuzz/*_fuzzer | xargs -P 2 -n 1 "$0" "$build" "$seconds"
	echo "$(cat "$corpus"/*.runs | awk '{ s += $1 } END { print s }') executions in all"
	exit
fi
fuzzer=$3
name=$(basename "$fuzzer" _fuzzer)
mkdir -p "$corpus/$name"
if ! "$fuzzer" -max_total_time="$seconds" -max_len=16384 -timeout=20 -rss_limit_mb=768 \
	-malloc_limit_mb=160 -verbosity=0 -print_final_stats=1 -artifact_prefix="$corpus/$name-" \
	"$corpus/$name" "tests/fuzz/corpus/$name/" >"$corpus/$name.log" 2>&1; then
	cat "$corpus/$name.log"
	exit 255
fi
runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$corpus/$name.log")
echo "$name: $runs executions, peak $(sed -n 's/^stat::peak_rss_mb: *//p' "$corpus/$name.log") MiB"
echo "$runs" >"$corpus/$name.runs"
