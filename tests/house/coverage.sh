#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Prints line coverage of libcow/ from the gcov data below the build directory
# $1; fails below 90 %.
set -eu
cd "$1"
find libcow -name '*.gcda' ! -name '*.pic.gcda' -exec gcov -n {} + 2>/dev/null |
	awk -F"[':%]" '/^File/ { f = $2 }
		/^Lines/ && f ~ /^libcow/ { split($0, p, " of "); n = p[2] + 0; hit += $2 * n / 100; all += n
			printf "  %6.2f%% of %4d  %s\n", $2, n, f; f = "" }
		END { if (!all) exit 1
			printf "  %6.2f%% of %d lines of libcow/\n", hit * 100 / all, all; exit hit * 100 / all < 90 }' | sort -k4
