/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/* remote_courier.c - starts couriers, and exchanges messages with them. */
#include "tools/remote/remote_courier.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "libcow/base/err.h"

/* Descriptors of a courier, from the one to us on; below them /dev/null. */
#define FIRST_FD 3
/* Numbers that none of them has while they are sorted. */
#define FAR_FD 64

struct remote_courier {
	struct remote_shared *shared;
	int fd;
};

/* ----------------------------------------------------------- in the courier */

/* Leaves open what the courier is for. Nobody waits for a pipe that it holds. */
static bool descriptors_sort(struct remote_child *child)
{
	int all[REMOTE_PER_EXPORT + 1], nr = 0, null = open("/dev/null", O_RDWR);

	all[nr++] = child->control_fd;
	for (size_t i = 0; i < child->nr_fds; i++)
		all[nr++] = child->fds[i];
	for (int i = 0; i < nr; i++) {
		all[i] = fcntl(all[i], F_DUPFD, FAR_FD);
		if (all[i] < 0)
			return false;
	}
	for (int fd = 0; fd < FIRST_FD; fd++)
		if (null < 0 || dup2(null, fd) != fd)
			return false;
	for (int i = 0; i < nr; i++)
		if (dup2(all[i], FIRST_FD + i) < 0)
			return false;
	if (close_range((unsigned int)(FIRST_FD + nr), ~0U, 0))
		for (int fd = FIRST_FD + nr; fd < 1024; fd++)
			close(fd);
	child->control_fd = FIRST_FD;
	for (size_t i = 0; i < child->nr_fds; i++)
		child->fds[i] = FIRST_FD + 1 + (int)i;
	return true;
}

/* What is typed on the terminal goes to all processes there. We end at a point that is safe,
 * and need the courier until then; it ends when we are gone. */
static void signals_ignore(void)
{
	static const int ignored[] = { SIGINT,	SIGTERM, SIGHUP,  SIGQUIT, SIGPIPE,
				       SIGUSR1, SIGUSR2, SIGALRM, SIGXFSZ };

	for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		(void)signal(ignored[i], SIG_IGN);
}

__attribute__((noreturn)) static void courier_run(struct remote_child *child)
{
	int fds[REMOTE_PER_EXPORT + 1];

	signals_ignore();
	if (!descriptors_sort(child))
		_exit(1);
	fds[0] = child->control_fd;
	for (size_t i = 0; i < child->nr_fds; i++)
		fds[i + 1] = child->fds[i];
	remote_jail_enter(fds, child->nr_fds + 1);
	remote_child_run(child);
}

/* -------------------------------------------------------------------- ours */

static struct remote_courier *courier_new(int *ret_child_fd)
{
	struct remote_courier *courier = calloc(1, sizeof(*courier));
	int fds[2];

	if (!courier)
		return NULL;
	/* touched piece by piece, so most of it is never there */
	courier->shared = mmap(NULL, sizeof(*courier->shared), PROT_READ | PROT_WRITE,
			       MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (courier->shared == MAP_FAILED) {
		free(courier);
		return NULL;
	}
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds)) {
		munmap(courier->shared, sizeof(*courier->shared));
		free(courier);
		return NULL;
	}
	courier->fd = fds[0];
	*ret_child_fd = fds[1];
	return courier;
}

static void fds_close(const int *fds, size_t nr_fds)
{
	for (size_t i = 0; i < nr_fds; i++)
		close(fds[i]);
}

int remote_courier_start(const struct remote_lib *lib, const char *export, const int *fds,
			 size_t nr_fds, struct remote_courier **ret_courier, struct cow_err *err)
{
	struct remote_child child = { .lib = lib, .export = export, .nr_fds = nr_fds };
	struct remote_courier *courier = courier_new(&child.control_fd);
	pid_t pid;
	int code;

	if (!courier) {
		fds_close(fds, nr_fds);
		return cow_refuse(err, -ENOMEM, "no-memory", NULL,
				  "no memory for a connection to a server");
	}
	memcpy(child.fds, fds, nr_fds * sizeof(*fds));
	child.shared = courier->shared;
	pid = fork();
	if (!pid)
		courier_run(&child);
	code = errno;
	fds_close(fds, nr_fds);
	close(child.control_fd);
	if (pid > 0) {
		*ret_courier = courier;
		return 0;
	}
	close(courier->fd);
	munmap(courier->shared, sizeof(*courier->shared));
	free(courier);
	return cow_refuse(err, -code, "connection", NULL,
			  "no process can be started that speaks with the server: %s",
			  strerror(code));
}

/* A server's words are printed: what a terminal would take for a command is not. */
static void words_clean(char *words, size_t size)
{
	words[size - 1] = '\0';
	for (char *at = words; *at; at++)
		if ((unsigned char)*at < ' ' || *at == '\177')
			*at = '?';
}

int remote_courier_export(struct remote_courier *courier, struct remote_export *ret_export,
			  struct cow_err *err)
{
	struct remote_answer answer = { .tag = 0 };
	int ret = 0;

	while (!ret) {
		remote_courier_wait(courier);
		ret = remote_courier_receive(courier, &answer);
	}
	if (ret < 0 || answer.tag != REMOTE_TAG_EXPORT)
		return cow_refuse(err, -EIO, "connection", NULL,
				  "the process that speaks with the server has ended");
	memcpy(ret_export, &courier->shared->export, sizeof(*ret_export));
	words_clean(ret_export->why, sizeof(ret_export->why));
	if (ret_export->code)
		return cow_refuse(err, -EIO, "connection", NULL,
				  "the server does not give the export: %s", ret_export->why);
	return 0;
}

uint8_t *remote_courier_piece(const struct remote_courier *courier, uint32_t tag)
{
	return courier->shared->pieces[tag];
}

const struct remote_extent *remote_courier_extents(const struct remote_courier *courier)
{
	return courier->shared->extents;
}

/* There is room for as many messages as there are tags, so nobody waits here for long. */
bool remote_courier_send(const struct remote_courier *courier, const struct remote_request *request)
{
	ssize_t ret;

	do
		ret = write(courier->fd, request, sizeof(*request));
	while (ret < 0 && errno == EINTR);
	return ret == sizeof(*request);
}

void remote_courier_wait(const struct remote_courier *courier)
{
	struct pollfd wanted = { .fd = courier->fd, .events = POLLIN };

	(void)poll(&wanted, 1, -1);
}

int remote_courier_receive(const struct remote_courier *courier, struct remote_answer *ret_answer)
{
	struct pollfd wanted = { .fd = courier->fd, .events = POLLIN };
	int nr = poll(&wanted, 1, 0);

	if (!nr || (nr < 0 && errno == EINTR))
		return 0;
	if (nr < 0 || read(courier->fd, ret_answer, sizeof(*ret_answer)) != sizeof(*ret_answer))
		return -1;
	return 1;
}
