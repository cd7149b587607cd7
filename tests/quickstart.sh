#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The main job on real input, shown step by step: a file system is upgraded on
# a snapshot by a real kernel (user-mode-linux, an ordinary process), then
# checked, exported and merged offline.  "make quickstart" calls it.
set -eu
work=$(mktemp -d "${TMPDIR:-/tmp}/quickstart.XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$work"
here=$(pwd)

say() { printf '\n# %s\n' "$*"; }
# Shows a command as one would type it, and runs it.
run() {
	local word
	printf '$'
	for word in "$@"; do
		[[ $word == *[[:space:]]* ]] && printf " '%s'" "$word" || printf ' %s' "$word"
	done
	echo
	"$@"
}

say "An ext4 image with files in it: the origin."
mkdir -p tree/etc tree/usr
echo "version 1" >tree/etc/release
cp -r /usr/share/common-licenses tree/usr/licenses
run truncate -s 64M origin.img
run mke2fs -q -t ext4 -d tree origin.img

say "Make an empty snapshot store for it."
run snapcreate origin.img cow.img

say "A real kernel attaches the pair as a snapshot and upgrades the files on it."
cat >job.sh <<END
#!/bin/sh
PATH=/usr/sbin:/usr/bin:/sbin:/bin
mount -t proc proc /proc; mount -t sysfs sysfs /sys; mount -t tmpfs tmpfs /run
cd /usr/lib/uml/modules/\$(uname -r)/kernel || halt -f
for m in drivers/dax/dax drivers/md/dm-mod drivers/md/dm-bufio drivers/md/dm-snapshot; do
	[ ! -e \$m.ko ] || busybox insmod \$m.ko 2>/dev/null
done
set -e
echo "0 \$(blockdev --getsz /dev/ubdb) snapshot /dev/ubdb /dev/ubdc P 8" | dmsetup create snap --noudevsync
dmsetup mknodes
mkdir /run/snap
mount -t ext4 /dev/mapper/snap /run/snap
echo "version 2" >/run/snap/etc/release
dd if=/dev/urandom of=/run/snap/usr/new-program bs=1M count=4 status=none
rm -r /run/snap/usr/licenses
umount /run/snap
dmsetup status snap >$here/status
dmsetup remove snap --noudevsync
sync
echo done >$here/upgraded
halt -f
END
chmod +x job.sh
cat >boot.sh <<'END'
timeout -s KILL 120 linux.uml mem=256M root=/dev/root rootfstype=hostfs rootflags=/ rw \
	ubdb="$1" ubdc="$2" init="$3" con=null con0=null,fd:1 quiet </dev/null
END
printf '$ linux.uml ubdb=origin.img ubdc=cow.img init=job.sh    # dmsetup create, mount, write, umount\n'
sh boot.sh "$here/origin.img" "$here/cow.img" "$here/job.sh" >console 2>&1 || true
[ -e upgraded ] || {
	cat console
	echo "the kernel did not finish its part" >&2
	exit 1
}
cp --sparse=always origin.img before.img
echo "the kernel says: $(cat status)"

say "Check the store, with its verdict in words."
run snapcheck origin.img cow.img

say "Export what the snapshot shows, without mounting anything; GNU tar reads it."
run snapdump --tar -o view.tar origin.img cow.img
run tar -tvSf view.tar
mkdir out && tar -C out -xSf view.tar
view=$(find out -type f -name '*.img' -o -type f -name view | head -n 1)
run e2fsck -fn "$view"

say "The origin still has the old state. Merge the snapshot into it."
run debugfs -R 'cat /etc/release' before.img 2>/dev/null
run snapmerge -y origin.img cow.img

say "Proof: the origin is now the view, byte for byte; its file system is clean; the store is empty."
run cmp origin.img "$view"
run e2fsck -fn origin.img
run debugfs -R 'cat /etc/release' origin.img 2>/dev/null
run snapcheck -q origin.img cow.img
printf '\nquickstart: all of it worked.\n'
