# SPDX-License-Identifier: LGPL-2.1-or-later
# Runs once before all tests: a fixed locale and the tools that were built.
setup_suite() {
	export LC_ALL=C TZ=UTC
	umask 022
	: "${COW_BUILD:?run the tests through make}" "${COW_SOURCE:?}" "${COW_FIXTURES:?}"
	for tool in snapcreate snapcheck snapmerge snapdump; do
		[ -x "$COW_BUILD/$tool" ] || continue
		[ "$(command -v "$tool")" = "$COW_BUILD/$tool" ] || {
			echo "$tool is not the one in $COW_BUILD" >&2
			return 1
		}
	done
}
