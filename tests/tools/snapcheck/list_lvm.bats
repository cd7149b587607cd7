#!/usr/bin/env bats
# SPDX-License-Identifier: LGPL-2.1-or-later
# snapcheck --list of volume groups that are large, or damaged: what is wrong is named,
# and the rest can be used.
bats_require_minimum_version 1.8.0
load ../../common

setup() {
	cd "$BATS_TEST_TMPDIR"
}

# The limits are those of processor time and memory: other programs may run, too.
# bats test_tags=limit,long
@test "10,000 volumes on 16 TiB are listed in less than 3 seconds and 64 MiB" {
	lvm_text many 10000 a.img b.img
	python3 - <<-'END'
		import resource, subprocess
		lines = subprocess.run(["snapcheck", "--list", "a.img", "b.img"], check=True,
		                       stdout=subprocess.PIPE, text=True).stdout.splitlines()
		used = resource.getrusage(resource.RUSAGE_CHILDREN)
		assert len(lines) == 10005, len(lines)
		assert "lvm:a.img,b.img:big/lv09999 " in lines[-1] and "12 MiB" in lines[-1], lines[-1]
		assert used.ru_utime + used.ru_stime < 3, used
		assert used.ru_maxrss < 64 << 10, used
	END
	run -8 --separate-stderr snapdump --raw -o - lvm:a.img:big/lv00000
	[[ $stderr == *"lies on the PV pv1, which is not among the images"* ]]
}

# Damage as text: cases/lvm-<damage>/ has what it is about, a recipe (tests/aids/lvm_case.py)
# and what is told of it: by --list, and of each volume, whether it reads as before.
# UPDATE=1 writes that anew: read the difference.

# told: of the disk as it is.
told() {
	local lv status=0
	snapcheck --list --json=j disk0.img >out 2>err || status=$?
	echo "exit $status"
	sed 's/^snapcheck: //' err
	for lv in base snap1 snap2 snap3; do
		if snapdump -q --raw -o view "lvm:disk0.img:vg0/$lv" 2>err; then
			if cmp -s view "$lv.was"; then echo "$lv: as before"; else echo "$lv: another volume"; fi
			rm view
		else
			sed "s/^snapdump: /$lv: /" err
		fi
	done
}

expect() {
	if [ -n "${UPDATE:-}" ]; then cat >"$1"; else diff -u "$1" -; fi
}

# bats test_tags=long
@test "damaged labels, headers and texts: what is wrong is named, and the rest can be used" {
	local dir lv nr=0
	disks three-chunk-sizes
	for lv in base snap1 snap2 snap3; do snapdump -q --raw -o $lv.was lvm:disk0.img:vg0/$lv; done
	for dir in "$COW_SOURCE"/tests/cases/lvm-*/; do
		"$COW_SOURCE/tests/aids/lvm_case.py" "$dir/recipe"
		sum disk0.img >before
		told | expect "$dir/expect.list" || { cat "$dir/about"; return 1; }
		[ "$(sum disk0.img)" = "$(cat before)" ]
		# Never a volume that is another one; and a type that is not known is no damage.
		! grep 'another volume' "$dir/expect.list" || return 1
		[[ $dir == *unknown-type* ]] || grep -q '^exit 4' "$dir/expect.list"
		nr=$((nr + 1))
	done
	[ "$nr" -ge 20 ]
}
