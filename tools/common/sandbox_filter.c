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
#include <fcntl.h>
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
	/* network; where libc calls it by way of socketcall(2), as on i386 and s390x, each is
	 * one part of that, which libseccomp knows */
	"socket", "socketpair", "connect", "bind", "listen", "accept", "accept4",
	/* the tree of files, and files by number */
	"mount", "umount", "umount2", "move_mount", "open_tree", "fsopen", "fsconfig", "fsmount",
	"fspick", "mount_setattr", "pivot_root", "chroot", "open_by_handle_at", "mknod", "mknodat",
	"swapon", "swapoff", "quotactl", "quotactl_fd", "acct",
	/* other credentials */
	"setuid", "setgid", "setreuid", "setregid", "setresuid", "setresgid", "setfsuid",
	"setfsgid", "setgroups", "capset", "setns", "unshare", "keyctl", "add_key", "request_key",
	/* the same where numbers of users had 16 bits */
	"setuid32", "setgid32", "setreuid32", "setregid32", "setresuid32", "setresgid32",
	"setfsuid32", "setfsgid32", "setgroups32",
	/* the kernel */
	"bpf", "perf_event_open", "userfaultfd", "io_uring_setup", "io_uring_enter",
	"io_uring_register", "init_module", "finit_module", "delete_module", "kexec_load",
	"kexec_file_load", "reboot", "syslog", "settimeofday", "clock_settime", "adjtimex",
	"clock_adjtime", "sethostname", "setdomainname", "iopl", "ioperm", "modify_ldt",
	/* of 32 bit */
	"clock_settime64", "clock_adjtime64", "stime", "vm86", "vm86old", "uselib"
};

/* The second filter says EPERM here too: these are the calls that a fault
 * would be looking for, and EPERM says why they failed. */
static const char *const denied_later[] = {
	/* other files, by name */
	"open", "openat", "openat2", "creat", "mkdir", "mkdirat", "symlink", "symlinkat",
	"truncate", "truncate64", "rmdir", "chdir", "fchdir",
	/* rights, owners and attributes: of names, and of the outputs that are open */
	"chmod", "fchmod", "fchmodat", "fchmodat2", "chown", "fchown", "lchown", "fchownat",
	"chown32", "fchown32", "lchown32", "setxattr", "lsetxattr", "fsetxattr", "removexattr",
	"lremovexattr", "fremovexattr", "umask", "utimensat", "utimensat_time64",
	/* what is asked of this process by others, or of others by it */
	"prctl", "setrlimit", "setpriority", "sched_setscheduler", "sched_setaffinity",
	"ioprio_set", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "timer_create", "inotify_init",
	"inotify_init1", "fanotify_init", "shmget", "msgget", "semget", "mq_open", "splice", "tee",
	"vmsplice", "sendfile", "copy_file_range", "name_to_handle_at"
};

/*
 * What the second filter lets through, each with its reason: what could a parser
 * do with it that somebody has taken over? What is not here, below as a call with
 * arguments, or denied above does not exist.
 */
static const char *const allowed[] = {
	/* what is open: bytes, places, holes */
	"read",		    /* bytes of what is open; a parser is given them anyway */
	"readv",	    /* the same, in pieces */
	"pread64",	    /* the same, at a place */
	"preadv",	    /* the same, both */
	"preadv2",	    /* what libc calls preadv with */
	"write",	    /* only what is open for writing: the outputs, stdout, stderr */
	"writev",	    /* the same, in pieces */
	"pwrite64",	    /* the same, at a place */
	"pwritev",	    /* the same, both */
	"pwritev2",	    /* what libc calls pwritev with */
	"lseek",	    /* holes and data of what is open */
	"_llseek",	    /* the same on 32 bit */
	"close",	    /* the end of what was open */
	"flock",	    /* locks of what is open; gone with it */
	"fallocate",	    /* holes in outputs: what is open for writing */
	"ftruncate",	    /* the length of outputs, likewise */
	"ftruncate64",	    /* the same on 32 bit */
	"fsync",	    /* no more than a flush of what is open */
	"fdatasync",	    /* the same */
	"fadvise64",	    /* advice about the cache */
	"fadvise64_64",	    /* the same on 32 bit */
	"arm_fadvise64_64", /* the same on 32-bit ARM */
	/* what is there: answers, no contents, no change */
	"fstat",      /* size and kind of what is open */
	"fstat64",    /* the same on 32 bit */
	"newfstatat", /* libc's fstat; of names too: tells that they exist, and whose they are */
	"fstatat64",  /* the same on 32 bit */
	"statx",      /* the same on newer ones */
	"stat",	      /* an output's name before it is published */
	"stat64",     /* the same on 32 bit */
	"lstat",      /* the same, of a link itself */
	"lstat64",    /* the same on 32 bit */
	/* names; Landlock says in which directories */
	"link",	     /* an output gets its name; another file there may get a second one */
	"linkat",    /* the same, from no name */
	"rename",    /* an output takes the place of what it replaces */
	"renameat",  /* the same */
	"renameat2", /* the same, where there is nothing yet, or by an exchange of two names */
	"unlink",    /* what was not completed goes away */
	"unlinkat",  /* the same */
	/* memory; mmap and mprotect are below */
	"munmap",	/* memory of this process */
	"mremap",	/* the same: realloc(3); it keeps the protection */
	"madvise",	/* advice about memory of this process */
	"mincore",	/* is an image's page in the cache? of maps of what is open */
	"brk",		/* malloc(3) */
	"memfd_create", /* a file in memory for libblkid; nobody can execute it */
	/* threads: compression has some */
	"futex",	     /* waits and wakes in memory of this process */
	"futex_time64",	     /* the same on 32 bit */
	"set_robust_list",   /* the thread's own locks */
	"rseq",		     /* the thread's own place */
	"gettid",	     /* the thread's own number */
	"getpid",	     /* the process's own number */
	"sched_yield",	     /* waits */
	"sched_getaffinity", /* how many processors: threads of xz and zstd */
	"exit",		     /* the end of a thread */
	"exit_group",	     /* the end of the program */
	/* signals to itself */
	"rt_sigaction",	   /* the second Ctrl-C ends the tool; handlers of this process */
	"rt_sigprocmask",  /* what this thread blocks */
	"rt_sigreturn",	   /* the end of a handler */
	"sigreturn",	   /* the same on 32 bit */
	"sigaltstack",	   /* where handlers run */
	"restart_syscall", /* what a stopped wait goes on with */
	/* time, limits, questions to the terminal */
	"clock_gettime",	  /* what time it is */
	"clock_gettime64",	  /* the same on 32 bit */
	"clock_nanosleep",	  /* waits */
	"clock_nanosleep_time64", /* the same on 32 bit */
	"nanosleep",		  /* waits */
	"gettimeofday",		  /* what time it is */
	"time",			  /* the same */
	"poll",			  /* is there an answer on the terminal? */
	"ppoll",		  /* the same */
	"ppoll_time64",		  /* the same on 32 bit */
	"getrandom",		  /* a name that nobody guesses */
	"sysinfo",		  /* how much memory there is */
	"getuid",		  /* who runs this: libraries ask */
	"geteuid",		  /* the same */
	"getgid",		  /* the same */
	"getegid",		  /* the same */
};

/* What a process may do that speaks with a server; besides, what comes and goes on its
 * sockets. It has no file. */
static const char *const allowed_courier[] = {
	"poll",		   /* is there something on a socket? */
	"ppoll",	   /* the same */
	"ppoll_time64",	   /* the same on 32 bit */
	"close",	   /* the end of what was open */
	"munmap",	   /* memory of this process; mmap and mprotect are below */
	"mremap",	   /* the same: realloc(3); it keeps the protection */
	"madvise",	   /* advice about memory of this process */
	"brk",		   /* malloc(3) */
	"futex",	   /* locks of libnbd, in memory of this process */
	"futex_time64",	   /* the same on 32 bit */
	"gettid",	   /* the thread's own number */
	"getpid",	   /* the process's own number */
	"getrandom",	   /* bytes that nobody guesses */
	"clock_gettime",   /* what time it is */
	"clock_gettime64", /* the same on 32 bit */
	"rt_sigprocmask",  /* what this thread blocks: abort(3) */
	"rt_sigreturn",	   /* the end of a handler */
	"sigreturn",	   /* the same on 32 bit */
	"restart_syscall", /* what a stopped wait goes on with */
	"exit_group",	   /* the end of the program */
};

/* What newer libcs ask isatty(3) with; its header and termios.h exclude each
 * other (source: Linux, include/uapi/asm-generic/ioctls.h). */
#define TCGETS_2 0x802c542aUL

/* Of the terminal, of block devices, of files with shared extents. No TIOCSTI
 * (types into the terminal), no SG_IO (sends commands to a disk), no flags and
 * attributes of files. */
static const unsigned long allowed_ioctls[] = {
	TCGETS,	      /* is it a terminal? */
	TCGETS_2,     /* the same */
	TIOCGWINSZ,   /* how wide is it: the progress bar */
	TCFLSH,	      /* what was typed before the question */
	BLKGETSIZE64, /* how large is a device that is open */
	BLKSSZGET,    /* and its blocks */
	BLKROGET,     /* and may it be written */
	BLKFLSBUF,    /* its cache; the data stays */
	BLKZEROOUT,   /* zeros into an output or the origin: open for writing */
	BLKDISCARD,   /* the same for what is free again */
	FICLONE,      /* shares extents of one that is open with one that is open for writing */
	FICLONERANGE, /* the same */
};

/* By command: none makes a signal, watches, leases or enlarges anything. F_SETOWN
 * with F_SETSIG and O_ASYNC kills whom it likes. F_SETFL is below. */
static const int allowed_fcntls[] = {
	F_DUPFD_CLOEXEC, /* a second number for an output */
	F_GETFD,	 /* flags of a number */
	F_SETFD,	 /* the same */
	F_GETFL,	 /* how it was opened */
	F_OFD_SETLK,	 /* locks of what is open; gone with it */
	F_OFD_GETLK,	 /* is it locked? */
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

/* s390x has the stack first. */
#ifdef __s390x__
#define CLONE_FLAGS_ARG 1
#else
#define CLONE_FLAGS_ARG 0
#endif
/* What a thread is not made with: one in namespaces of its own may do there what
 * root may. */
#define CLONE_ELSEWHERE                                                                            \
	(CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER |             \
	 CLONE_NEWPID | CLONE_NEWNET | CLONE_VFORK | CLONE_PTRACE)

/* New threads, but no new processes. The flags of clone3(2) lie in memory,
 * where no filter sees them; without it libc takes clone(2). */
static int add_clone(scmp_filter_ctx filter, uint32_t default_action)
{
	const struct scmp_arg_cmp thread = SCMP_CMP(CLONE_FLAGS_ARG, SCMP_CMP_MASKED_EQ,
						    CLONE_THREAD | CLONE_ELSEWHERE, CLONE_THREAD);
	const struct scmp_arg_cmp process =
		SCMP_CMP(CLONE_FLAGS_ARG, SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0);
	int nr = seccomp_syscall_resolve_name("clone3"), ret = 0;

	if (default_action == SCMP_ACT_ALLOW && nr != __NR_SCMP_ERROR)
		ret = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), nr, 0);
	if (!ret && default_action != SCMP_ACT_ALLOW)
		ret = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1, thread);
	if (!ret)
		ret = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1, process);
	return ret;
}

/* A call by its name, where this machine has it. */
static int add_one(scmp_filter_ctx filter, const char *name, const struct scmp_arg_cmp *args,
		   unsigned int nr_args)
{
	int nr = seccomp_syscall_resolve_name(name), ret;

	if (nr == __NR_SCMP_ERROR)
		return 0;
	ret = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, nr, nr_args, args);
	return ret == -EDOM ? 0 : ret;
}

/* fcntl(2), which 32-bit machines have twice, by command. */
static int add_fcntl(scmp_filter_ctx filter, const char *name)
{
	const struct scmp_arg_cmp set_flags[] = {
		SCMP_CMP(1, SCMP_CMP_MASKED_EQ, UINT32_MAX, F_SETFL),
		SCMP_CMP(2, SCMP_CMP_MASKED_EQ, O_ASYNC, 0), /* asks for signals */
	};
	int ret = add_one(filter, name, set_flags, 2);

	for (size_t i = 0; i < NR(allowed_fcntls) && !ret; i++) {
		const struct scmp_arg_cmp command = SCMP_CMP(1, SCMP_CMP_MASKED_EQ, UINT32_MAX,
							     (scmp_datum_t)allowed_fcntls[i]);

		ret = add_one(filter, name, &command, 1);
	}
	return ret;
}

/* Memory that nobody can execute. The mmap of s390x and the old one of i386 have
 * their arguments in memory, where no filter sees them: i386 has mmap2. */
static int add_memory(scmp_filter_ctx filter)
{
	const struct scmp_arg_cmp no_code = SCMP_CMP(2, SCMP_CMP_MASKED_EQ, PROT_EXEC, 0);
	int ret = add_one(filter, "mprotect", &no_code, 1);

	if (!ret)
		ret = add_one(filter, "mmap2", &no_code, 1);
#if defined(__s390x__)
	if (!ret)
		ret = add_one(filter, "mmap", NULL, 0);
#elif !defined(__i386__)
	if (!ret)
		ret = add_one(filter, "mmap", &no_code, 1);
#endif
	return ret;
}

/* Calls that are allowed with some arguments only. */
static int add_with_arguments(scmp_filter_ctx filter)
{
	/* getrlimit(2): asks, of itself */
	const struct scmp_arg_cmp ask_self[] = {
		SCMP_CMP(0, SCMP_CMP_EQ, 0, 0),
		SCMP_CMP(2, SCMP_CMP_EQ, 0, 0),
	};
	int ret = 0;

	for (size_t i = 0; i < NR(allowed_ioctls) && !ret; i++) {
		const struct scmp_arg_cmp request =
			SCMP_CMP(1, SCMP_CMP_MASKED_EQ, UINT32_MAX, allowed_ioctls[i]);

		ret = add_one(filter, "ioctl", &request, 1);
	}
	return ret ? ret : add_one(filter, "prlimit64", ask_self, 2);
}

/* What tools and couriers have in common, and the names of the calls that one of them may
 * make whatever the arguments are. */
static int add_names(scmp_filter_ctx filter, const char *const *names, size_t nr)
{
	/* raise(3) and abort(3): signals to itself */
	const struct scmp_arg_cmp to_self = SCMP_CMP(0, SCMP_CMP_EQ, (scmp_datum_t)getpid(), 0);
	int ret = add(filter, SCMP_ACT_ERRNO(EPERM), denied, NR(denied));

	if (!ret)
		ret = add(filter, SCMP_ACT_ERRNO(EPERM), denied_later, NR(denied_later));
	if (!ret)
		ret = add(filter, SCMP_ACT_ALLOW, names, nr);
	if (!ret)
		ret = add_one(filter, "tgkill", &to_self, 1);
	if (!ret)
		ret = add_fcntl(filter, "fcntl");
	if (!ret)
		ret = add_fcntl(filter, "fcntl64");
	return ret ? ret : add_memory(filter);
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
	ret = add_names(filter, allowed, NR(allowed));
	if (!ret)
		ret = add_clone(filter, SCMP_ACT_ERRNO(ENOSYS));
	if (!ret)
		ret = add_with_arguments(filter);
	if (!ret)
		ret = seccomp_load(filter);
	seccomp_release(filter);
	return ret;
}

/* What comes and goes on a socket has no address and, unlike with recvmsg(2), brings no
 * descriptors along. The arguments of socketcall(2) lie in memory, where no filter sees
 * them: there recv(2) and send(2) work on each socket that is open. None can be made or
 * connected any more. */
static int add_socket(scmp_filter_ctx filter, int fd)
{
	const struct scmp_arg_cmp args[] = {
		SCMP_CMP(0, SCMP_CMP_EQ, (scmp_datum_t)fd, 0),
		SCMP_CMP(4, SCMP_CMP_EQ, 0, 0),
	};
	int ret = add_one(filter, "recvfrom", args, 2);

	if (!ret)
		ret = add_one(filter, "sendto", args, 2);
	if (!ret)
		ret = add_one(filter, "recv", args, 1);
	return ret ? ret : add_one(filter, "send", args, 1);
}

int sandbox_filter_courier(const int *fds, size_t nr_fds)
{
	scmp_filter_ctx filter = filter_new(SCMP_ACT_ERRNO(ENOSYS));
	int ret;

	if (!filter)
		return -ENOSYS;
	ret = add_names(filter, allowed_courier, NR(allowed_courier));
	for (size_t i = 0; i < nr_fds && !ret; i++)
		ret = add_socket(filter, fds[i]);
	if (!ret)
		ret = seccomp_load(filter);
	seccomp_release(filter);
	return ret;
}

const char *sandbox_filter_allowed(bool is_courier, size_t i)
{
	if (is_courier)
		return i < NR(allowed_courier) ? allowed_courier[i] : NULL;
	return i < NR(allowed) ? allowed[i] : NULL;
}
