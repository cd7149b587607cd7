/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * probe.c - tries from the inside what the sandbox of the tools is to prevent,
 * and what it must not prevent. A line for each: when, what, the answer.
 * usage: probe [-v] DIRECTORY OTHER PROCESS   as a tool that writes to DIRECTORY only;
 *          PROCESS, of the same user, is what it tries to kill
 *        probe courier DIRECTORY OTHER PROCESS   as a process that speaks with a server
 *        probe without landlock|seccomp|both COMMAND ARG...
 *          runs a tool on a kernel that lacks them, as far as it can see
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdarg.h>
#include <sched.h>
#include <scsi/sg.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <seccomp.h>

#include "tools/common/cli.h"
#include "tools/common/opts.h"
#include "tools/common/sandbox.h"
#include "tools/common/sandbox_filter.h"
#include "tools/remote/remote_courier.h"

/* What a server is connected by, where there is one, and what is not. */
static int kept[2], other[2];

static int make_sockets(int argc, char *const *argv, struct cow_err *err)
{
	(void)argc, (void)argv, (void)err;
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, kept) || socketpair(AF_UNIX, SOCK_STREAM, 0, other))
		return -errno;
	return 0;
}

static struct cli_common common;
static const struct opt option_table[] = { OPTS_COMMON(&common) };
static const struct opts_spec spec = {
	.tool = "probe",
	.operands = "DIRECTORY OTHER PROCESS",
	.summary = "",
	.force_ids = "",
	.options = option_table,
	.common = &common,
	.min_operands = 3,
	.max_operands = 3,
	.connect = make_sockets,
};

static const char *when;
static bool is_courier;

/* A courier cannot write: what it says lies in memory that it shares. */
#define SAID_BYTES 65536
static char *said;

__attribute__((format(printf, 1, 2))) static void line(const char *format, ...)
{
	size_t len = strlen(said);
	va_list args;

	va_start(args, format);
	vsnprintf(said + len, SAID_BYTES - len, format, args);
	va_end(args);
	if (is_courier)
		return;
	fputs(said, stdout);
	fflush(stdout);
	*said = '\0';
}

static void say(const char *what, long answer)
{
	line("%s %s: %s\n", when, what, answer < 0 ? strerrorname_np(errno) : "ok");
}

static void *in_thread(void *user)
{
	return user;
}

static void try_thread(void)
{
	pthread_t thread;

	errno = pthread_create(&thread, NULL, in_thread, NULL);
	say("thread", errno ? -1 : 0);
	if (!errno)
		pthread_join(thread, NULL);
}

static void try_ways_out(void)
{
	char *const nothing[] = { NULL };
	long pid;

	say("execve", execve("/bin/true", nothing, nothing));
	pid = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
	if (!pid)
		_exit(0);
	say("fork", pid);
	say("socket", socket(AF_INET, SOCK_STREAM, 0));
	say("ptrace", ptrace(PTRACE_TRACEME, 0, 0, 0));
	say("kill", kill(getppid(), 0));
	say("io_uring", syscall(SYS_io_uring_setup, 1, NULL));
	say("mount", syscall(SYS_mount, "none", "/", "tmpfs", 0, NULL));
	say("bpf", syscall(SYS_bpf, 0, NULL, 0));
	say("tiocsti", ioctl(STDIN_FILENO, TIOCSTI, "x"));
	try_thread();
}

static void try_files(void)
{
	void *page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	say("open", open("/etc/passwd", O_RDONLY));
	say("open-new", openat(AT_FDCWD, "new-file", O_CREAT | O_RDWR, 0600));
	say("open-tree", syscall(SYS_open_tree, AT_FDCWD, "/", 0));
	say("chmod", chmod("victim", 0777));
	say("truncate", truncate("victim", 0));
	say("mkdir", mkdir("new-directory", 0700));
	say("symlink", symlink("a", "new-link"));
	say("mprotect-exec", mprotect(page, 4096, PROT_EXEC));
	say("memfd", memfd_create("memory", MFD_CLOEXEC));
}

/* fd: of a file without a name, made in the directory. */
static void try_names(int fd, int directory)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	say("name", linkat(AT_FDCWD, path, directory, "named", AT_SYMLINK_FOLLOW));
	say("rename", renameat(directory, "named", directory, "renamed"));
	say("write", write(fd, "x", 1));
	say("truncate-open", ftruncate(fd, 0));
	say("flush", fsync(fd));
	say("unlink", unlinkat(directory, "renamed", 0));
	say("unlink-elsewhere", unlinkat(AT_FDCWD, "victim", 0));
	say("rename-elsewhere", renameat(AT_FDCWD, "victim", AT_FDCWD, "moved"));
	say("name-elsewhere", linkat(AT_FDCWD, path, AT_FDCWD, "named", AT_SYMLINK_FOLLOW));
}

/* What is open, by other means than reading and writing. */
static void try_open_files(int fd, pid_t victim)
{
	int in_pipe[2], flags = 0;

	say("fchmod", fchmod(fd, 04755));
	say("fchown", fchown(fd, 0, 0));
	say("umask", syscall(SYS_umask, 0));
	say("fsetxattr", syscall(SYS_fsetxattr, fd, "user.x", "y", 1, 0));
	say("dup", dup(fd));
	say("attributes", ioctl(fd, FS_IOC_SETFLAGS, &flags));
	say("scsi", ioctl(fd, SG_IO, NULL));
	say("lease", fcntl(fd, F_SETLEASE, F_RDLCK));
	say("notify", fcntl(fd, F_NOTIFY, DN_MODIFY));
	say("pipe", pipe(in_pipe));
	say("owner", fcntl(STDIN_FILENO, F_SETOWN, victim));
	say("signal", fcntl(STDIN_FILENO, F_SETSIG, SIGKILL));
	say("async", fcntl(STDIN_FILENO, F_SETFL, O_ASYNC | O_NONBLOCK));
	say("direct", fcntl(fd, F_SETFL, fcntl(fd, F_GETFL)));
}

static void try_process(pid_t victim)
{
	say("kill-other", kill(victim, SIGTERM));
	say("tgkill-other", syscall(SYS_tgkill, victim, victim, SIGTERM));
	say("queue", syscall(SYS_rt_sigqueueinfo, victim, SIGTERM, NULL));
	say("dumpable", prctl(PR_SET_DUMPABLE, 1));
	say("limit", syscall(SYS_prlimit64, victim, 0, NULL, NULL));
	say("namespace",
	    syscall(SYS_clone, CLONE_THREAD | CLONE_SIGHAND | CLONE_VM | CLONE_NEWNS, 0, 0, 0, 0));
}

/* Bytes go through the socket that was kept, and nothing else does. */
static void try_sockets(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct msghdr message = { .msg_iov = NULL };
	char byte = 'x';

	say("send", send(kept[0], &byte, 1, MSG_NOSIGNAL));
	say("receive", recv(kept[0], &byte, 1, MSG_DONTWAIT));
	say("send-other", send(other[0], &byte, 1, MSG_NOSIGNAL));
	say("receive-other", recv(other[0], &byte, 1, MSG_DONTWAIT));
	say("send-elsewhere",
	    sendto(kept[0], &byte, 1, MSG_NOSIGNAL, (struct sockaddr *)&address, sizeof(address)));
	say("send-descriptors", sendmsg(kept[0], &message, MSG_NOSIGNAL));
	say("receive-descriptors", recvmsg(kept[0], &message, MSG_DONTWAIT));
	say("connect", connect(kept[0], (struct sockaddr *)&address, sizeof(address)));
}

static bool is_allowed(const char *name)
{
	/* with arguments: each has a line of its own above */
	static const char *const some[] = { "fcntl",	"fcntl64", "ioctl",  "mmap",	 "mmap2",
					    "mprotect", "clone",   "tgkill", "prlimit64" };

	for (size_t i = 0; i < sizeof(some) / sizeof(some[0]); i++)
		if (!strcmp(some[i], name))
			return true;
	for (size_t i = 0; sandbox_filter_allowed(is_courier, i); i++)
		if (!strcmp(sandbox_filter_allowed(is_courier, i), name))
			return true;
	return false;
}

/* Every other system call that this machine has, also those that are named
 * nowhere. Zeros as arguments do no harm where one gets through. */
static void try_all_others(void)
{
	unsigned int nr_denied = 0;

	for (int nr = 0; nr < 1024; nr++) {
		char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, nr);

		if (!name)
			continue;
		errno = 0;
		if (is_allowed(name))
			;
		else if (syscall(nr, 0, 0, 0, 0, 0, 0) < 0 && (errno == EPERM || errno == ENOSYS))
			nr_denied++;
		else
			line("%s gets through: %s\n", when, name);
		free(name);
	}
	line("%s others: %u\n", when, nr_denied);
}

static void try_all(int fd, int directory, pid_t victim)
{
	try_ways_out();
	try_files();
	try_open_files(fd, victim);
	try_process(victim);
	try_sockets();
	try_names(fd, directory);
	try_all_others();
}

/* Of a courier everything but its sockets is closed, so what is tried here is worse. */
static int probe_courier(char **names)
{
	int directory = open(names[0], O_RDONLY | O_DIRECTORY), status;
	int fd = openat(directory, ".", O_TMPFILE | O_RDWR, 0600);
	struct cow_err err = COW_ERR_INIT;
	pid_t pid;

	is_courier = true;
	if (make_sockets(0, NULL, &err) || write(kept[1], "x", 1) != 1 || chdir(names[1]))
		return 2;
	pid = fork();
	if (!pid) {
		when = "jailed";
		remote_jail_enter(kept, 1);
		try_all(fd, directory, (pid_t)strtol(names[2], NULL, 10));
		_exit(0);
	}
	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return 2;
	fputs(said, stdout);
	return WEXITSTATUS(status);
}

static int probe(void)
{
	char *const *names = cli_operands();
	int directory = open(names[0], O_RDONLY | O_DIRECTORY);
	int fd = openat(directory, ".", O_TMPFILE | O_RDWR, 0600);
	pid_t victim = (pid_t)strtol(names[2], NULL, 10);

	when = "begun";
	try_ways_out();
	/* Not opened: what is open is an output. */
	if (chdir(names[1]))
		return cli_usage("%s: no directory", names[1]);
	say("open", open("/etc/passwd", O_RDONLY));
	sandbox_enter();
	when = "entered";
	try_all(fd, directory, victim);
	raise(SIGUSR1);
	say("raise", cli_wants_line() ? 0 : -1);
	return CLI_DONE;
}

static int run_without(const char *what, char **command)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
	bool both = !strcmp(what, "both");

	if (both || !strcmp(what, "landlock"))
		seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS),
				 seccomp_syscall_resolve_name("landlock_create_ruleset"), 0);
	if (both || !strcmp(what, "seccomp")) {
		seccomp_rule_add(filter, SCMP_ACT_ERRNO(EINVAL), SCMP_SYS(seccomp), 0);
		seccomp_rule_add(filter, SCMP_ACT_ERRNO(EINVAL), SCMP_SYS(prctl), 1,
				 SCMP_CMP(0, SCMP_CMP_EQ, PR_SET_SECCOMP, 0));
	}
	if (seccomp_load(filter))
		return 2;
	execvp(command[0], command);
	return 2;
}

int main(int argc, char **argv)
{
	bool is_ended;
	int status;

	said = mmap(NULL, SAID_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (argc > 3 && !strcmp(argv[1], "without"))
		return run_without(argv[2], argv + 3);
	if (argc > 4 && !strcmp(argv[1], "courier"))
		return probe_courier(argv + 2);
	status = cli_start(&spec, argc, argv, &is_ended);
	return cli_finish(is_ended ? status : probe());
}
