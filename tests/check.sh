#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Everything that "make check" runs, part by part, with the time each took. The second word
# is the part's budget in seconds of processor time (part.sh says what comes of that).
set -eu
cd "$(dirname "$0")/.."
. tests/part.sh
m() { make --no-print-directory -j2 WERROR=1 "$@"; }
speed
part "build with gcc" 80 m all tests-bin
part "headers, symbols, layers, unit tests, corpus" 60 m check-fast
part "crash states" 60 m crash
part "faults in the tools" 30 m -j1 faults N=400
# Lines move, and the table's rows with them: a run of all of them is due before others are drawn.
part "two changes that a test must notice" 150 env COW_SEED="${COW_SEED:-1}" make --no-print-directory WERROR=1 mutants N=2
# Less deep than "make analyze" goes by itself.
part "static analysis" 300 m DEPTH=5000 analyze
part "formatting, scripts, pages" 20 m lint
# Its warnings do not depend on what the optimiser does.
part "build with clang" 100 m CC=clang CFLAGS=-O0 all tests-bin
part "unit tests under ASan and UBSan" 240 m SANITIZE=address,undefined check-unit check-replay
part "two threads under TSan" 40 m check-threads
part "other processors" 100 m -j1 check-cross-short
part "fuzzing" 180 m check-fuzz
# Not tests/house: they look at the sources, and at what the other builds made.
part "tools under ASan and UBSan" 500 env ASAN_OPTIONS=detect_leaks=0 \
	make --no-print-directory WERROR=1 SANITIZE=address,undefined check-bats BATSFILES=tests/tools \
	BATSFLAGS='--filter-tags !slow,!kernel,!limit --no-parallelize-within-files'
# Nothing may be left out: a skipped test is a failure here.
bats_all() {
	m -j1 check-bats >build/bats.log 2>&1 || { cat build/bats.log; return 1; }
	cat build/bats.log
	! grep ' # skip' build/bats.log
}
part "tools and kernel" 1600 bats_all
echo "$(grep -c '^ok ' build/bats.log) passed, 0 failed"
