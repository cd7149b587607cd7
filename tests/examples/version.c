/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copyright (C) 2026 the libcow authors */
/* version: the smallest program that uses libcow; C and C++ alike. */
#include <libcow.h>
#include <stdio.h>

int main(void)
{
	return puts(cow_version()) < 0;
}
