/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/*
 * list_findings: the table of all findings that a check can have, a line each,
 * columns divided by tabs: id, class, how it is repaired (p: without asking, y:
 * when told to, -: not at all), what it is, what the kernel does, what to do.
 *
 * Shows: the table behind finding->problem. The manual page is made from this.
 */
#include <libcow.h>
#include <stdio.h>

static const char *const class_names[] = { "info", "note", "damage", "lost" };

int main(void)
{
	const struct cow_problem *p;

	for (size_t i = 0; (p = cow_problem_get(i)); i++)
		printf("%s\t%s\t%s\t%s\t%s\t%s\n", p->id, class_names[p->klass],
		       p->flags & COW_PROBLEM_SAFE	? "p"
		       : p->flags & COW_PROBLEM_FIXABLE ? "y"
							: "-",
		       p->summary, p->kernel, p->fix);
	return 0;
}
