#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Everything that "make check" runs, part by part, with the time each took.
set -eu
cd "$(dirname "$0")/.."
part() {
	name=$1 budget=$2
	shift 2
	start=$(date +%s)
	echo "== $name"
	"$@" || { echo "== $name FAILED"; exit 1; }
	echo "== $name: $(($(date +%s) - start)) s (budget $budget s)"
}
m() { make --no-print-directory -j2 WERROR=1 "$@"; }
part "build with gcc" 60 m all tests-bin
part "headers, symbols, layers, unit tests, corpus" 60 m check-fast
part "crash states" 60 m -j1 crash
part "faults in the tools" 60 m -j1 faults N=400
part "two changes that a test must notice" 60 env COW_SEED="${COW_SEED:-1}" make --no-print-directory WERROR=1 mutants N=2
part "static analysis" 60 m analyze
part "formatting, scripts, pages" 20 m lint
part "build with clang" 60 m CC=clang all tests-bin
part "unit tests under ASan and UBSan" 120 m SANITIZE=address,undefined check-unit check-replay
part "two threads under TSan" 30 m check-threads
part "other processors" 90 m -j1 check-cross-short
part "fuzzing" 90 m check-fuzz
part "tools under ASan and UBSan" 150 env ASAN_OPTIONS=detect_leaks=0 \
	make --no-print-directory WERROR=1 SANITIZE=address,undefined check-bats BATSFLAGS='--filter-tags !slow,!kernel,!limit --no-parallelize-within-files'
# Nothing may be left out: a skipped test is a failure here.
bats_all() {
	m -j1 check-bats >build/bats.log 2>&1 || { cat build/bats.log; return 1; }
	cat build/bats.log
	! grep ' # skip' build/bats.log
}
part "tools and kernel" 480 bats_all
echo "$(grep -c '^ok ' build/bats.log) passed, 0 failed"
