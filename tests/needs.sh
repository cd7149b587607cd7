#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# What the tests need of the machine or the container they run in, before
# anything is installed: "make check" fails here, in its first second, and says
# what is missing, rather than leave tests out.
# The words for Docker and Podman are in the workflow (.github/workflows).
set -eu
missing=0
need() {
	echo "make check: $1" >&2
	missing=1
}

[ "$(id -u)" -eq 0 ] || need "not run as root: some tests attach loop devices and mount file systems"

# Files that the kernel in user-mode runs from, as its memory, are mapped there.
probe=$(mktemp /dev/shm/needs.XXXXXX 2>/dev/null) || probe=
if [ -z "$probe" ]; then
	need "/dev/shm is missing or cannot be written to"
else
	printf '#!/bin/sh\nexit 0\n' >"$probe"
	chmod +x "$probe"
	"$probe" 2>/dev/null || need "no program may run from /dev/shm (mount option noexec): give the container --tmpfs /dev/shm:exec"
	rm -f "$probe"
fi

# PTRACE_TRACEME of a process that ends at once. perl is in each Debian.
case $(uname -m) in
x86_64) ptrace=101 ;;
aarch64 | riscv64) ptrace=117 ;;
*) ptrace=26 ;;
esac
perl -e "exit(syscall($ptrace, 0, 0, 0, 0) != 0)" ||
	need "no process may be traced (ptrace), which user-mode-linux, strace and LeakSanitizer do: give the container --cap-add SYS_PTRACE"

# A mount namespace of one's own takes what a mount takes.
unshare -m true 2>/dev/null || need "no file system may be mounted: give the container --privileged"
[ -c /dev/loop-control ] || need "there are no loop devices (/dev/loop-control): give the container --privileged"
exit $missing
