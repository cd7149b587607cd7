/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * sandbox_filter.c - the system calls that a tool may make, as seccomp filters.
 *
 * Two filters. The first denies by name (EPERM), for the time in which files
 * are opened; the second allows by name, and what it does not list does not
 * exist (ENOSYS), to which every libc has an answer. A name that this
 * architecture or an old libseccomp does not know is left out of either.
 */
#include "tools/common/sandbox_filter.h"

#include <errno.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <seccomp.h>

/* What leads out of the process. clone(2) is below. */
static const char *const denied[] = {
	"execve", "execveat", "fork", "vfork",
	/* other processes */
	"ptrace", "process_vm_readv", "process_vm_writev", "pidfd_open", "pidfd_getfd",
	"pidfd_send_signal", "kcmp", "kill", "tkill",
	/* network */
	"socket", "socketpair", "socketcall", "connect", "bind", "listen", "accept", "accept4",
	/* the tree of files, and files by number */
	"mount", "umount", "umount2", "move_mount", "open_tree", "fsopen", "fsconfig", "fsmount",
	"fspick", "mount_setattr", "pivot_root", "chroot", "open_by_handle_at", "mknod", "mknodat",
	"swapon", "swapoff", "quotactl", "quotactl_fd", "acct",
	/* other credentials */
	"setuid", "setgid", "setreuid", "setregid", "setresuid", "setresgid", "setfsuid",
	"setfsgid", "setgroups", "capset", "setns", "unshare", "keyctl", "add_key", "request_key",
	/* the kernel */
	"bpf", "perf_event_open", "userfaultfd", "io_uring_setup", "io_uring_enter",
	"io_uring_register", "init_module", "finit_module", "delete_module", "kexec_load",
	"kexec_file_load", "reboot", "syslog", "settimeofday", "clock_settime", "adjtimex",
	"clock_adjtime", "sethostname", "setdomainname", "iopl", "ioperm", "modify_ldt"
};

/* The second filter says EPERM here too: these are the calls that a fault
 * would be looking for, and EPERM says why they failed. */
static const char *const denied_later[] = {
	"open",	    "openat", "openat2",  "creat", "mkdir",  "mkdirat",	 "symlink", "symlinkat",
	"truncate", "chmod",  "fchmodat", "chown", "lchown", "fchownat", "rmdir"
};

/* Work on descriptors and memory, names in directories, time, signals, threads. */
static const char *const allowed[] = {
	"read", "readv", "pread64", "preadv", "preadv2", "write", "writev", "pwrite64", "pwritev",
	"pwritev2", "lseek", "_llseek", "close", "close_range", "dup", "dup2", "dup3", "fcntl",
	"fcntl64", "flock", "fallocate", "ftruncate", "ftruncate64", "fsync", "fdatasync",
	"sync_file_range", "sync_file_range2", "fadvise64", "fadvise64_64", "arm_fadvise64_64",
	"readahead", "copy_file_range", "sendfile", "sendfile64", "fchmod",
	/* what is there */
	"fstat", "fstat64", "newfstatat", "fstatat64", "stat", "stat64", "lstat", "lstat64",
	"statx", "fstatfs", "fstatfs64", "statfs", "statfs64", "access", "faccessat", "faccessat2",
	"readlink", "readlinkat", "getcwd", "umask",
	/* names; Landlock says where */
	"link", "linkat", "rename", "renameat", "renameat2", "unlink", "unlinkat",
	/* memory; mmap and mprotect are below */
	"munmap", "mremap", "madvise", "mincore", "msync", "mlock", "munlock", "brk",
	"memfd_create", "membarrier",
	/* threads */
	"futex", "futex_time64", "set_robust_list", "get_robust_list", "rseq", "set_tid_address",
	"gettid", "getpid", "getppid", "getuid", "geteuid", "getgid", "getegid", "sched_yield",
	"sched_getaffinity", "sched_getscheduler", "sched_getparam", "getcpu", "arch_prctl", "exit",
	"exit_group",
	/* signals */
	"rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigreturn", "rt_sigpending",
	"rt_sigsuspend", "rt_sigtimedwait", "sigaltstack", "restart_syscall", "pause",
	/* time, limits, questions to the terminal */
	"clock_gettime", "clock_gettime64", "clock_getres", "clock_getres_time64",
	"clock_nanosleep", "clock_nanosleep_time64", "nanosleep", "gettimeofday", "time", "times",
	"getrusage", "getrlimit", "ugetrlimit", "poll", "ppoll", "ppoll_time64", "select",
	"_newselect", "pselect6", "pselect6_time64", "getrandom", "uname", "sysinfo"
};

/* What newer libcs ask isatty(3) with; its header and termios.h exclude each
 * other (source: Linux, include/uapi/asm-generic/ioctls.h). */
#define TCGETS_2 0x802c542aUL

/* Of the terminal, of block devices, of files with shared extents. No TIOCSTI
 * (types into the terminal), no SG_IO (sends commands to a disk). */
static const unsigned long allowed_ioctls[] = {
	TCGETS,	    TCGETS_2,	TIOCGWINSZ, FIONREAD,	  BLKGETSIZE,	 BLKGETSIZE64,
	BLKSSZGET,  BLKPBSZGET, BLKIOMIN,   BLKIOOPT,	  BLKROGET,	 BLKFLSBUF,
	BLKZEROOUT, BLKDISCARD, FICLONE,    FICLONERANGE, FS_IOC_FIEMAP, TCFLSH
};

#define NR(array) (sizeof(array) / sizeof((array)[0]))

static int add(scmp_filter_ctx filter, uint32_t action, const char *const *names, size_t nr_names)
{
	int ret = 0;

	for (size_t i = 0; i < nr_names && !ret; i++) {
		int nr = seccomp_syscall_resolve_name(names[i]);

		if (nr != __NR_SCMP_ERROR)
			ret = seccomp_rule_add(filter, action, nr, 0);
		/* One that this architecture does not have. */
		if (ret == -EDOM)
			ret = 0;
	}
	return ret;
}

/* New threads, but no new processes. The flags of clone3(2) lie in memory,
 * where no filter sees them; without it libc takes clone(2). */
static int add_clone(scmp_filter_ctx filter, uint32_t default_action)
{
	const struct scmp_arg_cmp thread =
		SCMP_CMP(0, SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD);
	const struct scmp_arg_cmp process = SCMP_CMP(0, SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0);
	int nr = seccomp_syscall_resolve_name("clone3"), ret = 0;

	if (default_action == SCMP_ACT_ALLOW && nr != __NR_SCMP_ERROR)
		ret = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), nr, 0);
	if (!ret && default_action != SCMP_ACT_ALLOW)
		ret = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1, thread);
	if (!ret)
		ret = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1, process);
	return ret;
}

/* Calls that are allowed with some arguments only. */
static int add_with_arguments(scmp_filter_ctx filter)
{
	const struct scmp_arg_cmp to_self = SCMP_CMP(0, SCMP_CMP_EQ, (scmp_datum_t)getpid(), 0);
	const struct scmp_arg_cmp no_code = SCMP_CMP(2, SCMP_CMP_MASKED_EQ, PROT_EXEC, 0);
	const struct scmp_arg_cmp of_self = SCMP_CMP(0, SCMP_CMP_EQ, 0, 0);
	const struct scmp_arg_cmp only_ask = SCMP_CMP(2, SCMP_CMP_EQ, 0, 0);
	int ret = 0;

	for (size_t i = 0; i < NR(allowed_ioctls) && !ret; i++)
		ret = seccomp_rule_add(
			filter, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1,
			SCMP_CMP(1, SCMP_CMP_MASKED_EQ, UINT32_MAX, allowed_ioctls[i]));
	if (!ret)
		ret = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1, to_self);
	if (!ret)
		ret = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1, no_code);
	if (!ret)
		ret = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1, no_code);
	if (!ret)
		ret = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), 2, of_self,
				       only_ask);
	return ret;
}

/* For both: no answer is death, and speed is not paid for (the mitigation that
 * old kernels couple to seccomp is the caller's own to ask for). */
static scmp_filter_ctx filter_new(uint32_t default_action)
{
	scmp_filter_ctx filter = seccomp_init(default_action);

	if (!filter)
		return NULL;
	seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ERRNO(ENOSYS));
	seccomp_attr_set(filter, SCMP_FLTATR_API_SYSRAWRC, 1);
	seccomp_attr_set(filter, SCMP_FLTATR_CTL_SSB, 1);
	seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	return filter;
}

int sandbox_filter_begin(void)
{
	scmp_filter_ctx filter = filter_new(SCMP_ACT_ALLOW);
	int ret;

	if (!filter)
		return -ENOSYS;
	ret = add(filter, SCMP_ACT_ERRNO(EPERM), denied, NR(denied));
	if (!ret)
		ret = add_clone(filter, SCMP_ACT_ALLOW);
	if (!ret)
		ret = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(ioctl), 1,
				       SCMP_CMP(1, SCMP_CMP_MASKED_EQ, UINT32_MAX, TIOCSTI));
	if (!ret)
		ret = seccomp_load(filter);
	seccomp_release(filter);
	return ret;
}

int sandbox_filter_enter(void)
{
	scmp_filter_ctx filter = filter_new(SCMP_ACT_ERRNO(ENOSYS));
	int ret;

	if (!filter)
		return -ENOSYS;
	ret = add(filter, SCMP_ACT_ERRNO(EPERM), denied, NR(denied));
	if (!ret)
		ret = add(filter, SCMP_ACT_ERRNO(EPERM), denied_later, NR(denied_later));
	if (!ret)
		ret = add(filter, SCMP_ACT_ALLOW, allowed, NR(allowed));
	if (!ret)
		ret = add_clone(filter, SCMP_ACT_ERRNO(ENOSYS));
	if (!ret)
		ret = add_with_arguments(filter);
	if (!ret)
		ret = seccomp_load(filter);
	seccomp_release(filter);
	return ret;
}
