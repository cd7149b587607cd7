/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * filter_export.c - writes the filter of sandbox_filter.c, as it would be made on another
 * processor, to standard output, and the numbers of calls there to standard error.
 * usage: filter_export FILTER NAME... where FILTER is begin, enter or courier; built with
 * -DFOR=SCMP_ARCH_... and, where sandbox_filter.c asks for a processor, -DFOR_I386 or
 * -DFOR_S390X. filter.bats runs the calls through it.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

static scmp_filter_ctx init_for(uint32_t action)
{
	scmp_filter_ctx filter = seccomp_init(action);

	/* Byte orders do not mix: first this machine leaves. */
	if (!filter || seccomp_arch_remove(filter, SCMP_ARCH_NATIVE) ||
	    seccomp_arch_add(filter, FOR))
		return NULL;
	return filter;
}

static int export_it(scmp_filter_ctx filter)
{
	return seccomp_export_bpf(filter, STDOUT_FILENO);
}

#define seccomp_init(action) init_for(action)
#define seccomp_load(filter) export_it(filter)
/* Not for what this is built on. */
#undef __i386__
#undef __s390x__
#ifdef FOR_I386
#define __i386__ 1
#endif
#ifdef FOR_S390X
#define __s390x__ 1
#endif
#include "tools/common/sandbox_filter.c"

int main(int argc, char **argv)
{
	const int socket_fd = 5;

	for (int i = 2; i < argc; i++)
		fprintf(stderr, "%s %d\n", argv[i],
			seccomp_syscall_resolve_name_arch(FOR, argv[i]));
	fprintf(stderr, "arch %u\npid %d\n", (unsigned int)FOR, getpid());
	if (argc > 1 && !strcmp(argv[1], "begin"))
		return !!sandbox_filter_begin();
	if (argc > 1 && !strcmp(argv[1], "courier"))
		return !!sandbox_filter_courier(&socket_fd, 1);
	return !!sandbox_filter_enter();
}
