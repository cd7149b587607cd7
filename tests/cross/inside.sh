#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Copyright (C) 2026 the libcow authors
# inside.sh WHAT...: what tools.sh runs in the other Debian. The C tests of the library are
# not built here: check-cross runs them.
set -eu
cd "$(dirname "$0")/../.."
[ "$(getconf LONG_BIT)" = 32 ]
programs="examples/mkstore faults/shim.so kernel/append kernel/image_open kernel/merge sandbox/probe sandbox/spy.so
sandbox/swap.so unit/store/test_repair"
# shellcheck disable=SC2046
make -s -j2 WERROR=1 all $(for p in $programs; do echo "build/tests/$p"; done) build/unpacked/.done
export COW_BUILD="$PWD/build" COW_SOURCE="$PWD" COW_FIXTURES="$PWD/tests/fixtures" COW_UNPACKED="$PWD/build/unpacked"
export PATH="$COW_BUILD:$PATH" LD_LIBRARY_PATH="$COW_BUILD"
exec bats --jobs 2 --recursive --setup-suite-file tests/setup_suite.bash --filter-tags '!kernel' --no-parallelize-within-files "$@"
