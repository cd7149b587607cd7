#!/usr/bin/python3 -B
# SPDX-License-Identifier: LGPL-2.1-or-later
# Copyright (C) 2026 the libcow authors
"""filter_sim.py ARCHITECTURE PROGRAM: does the sandbox's filter of another processor
let through what it must, and nothing else of this? PROGRAM is filter_export.c, built for
that one; the filters it writes are run here, as a kernel runs them."""
import errno
import struct
import subprocess
import sys

CLONE_THREAD, CLONE_VM, CLONE_NEWUSER, SIGCHLD = 0x10000, 0x100, 0x10000000, 17
PROT_READ, PROT_EXEC = 1, 4
F_GETFL, F_SETFL, F_SETOWN, O_ASYNC, O_NONBLOCK = 3, 4, 8, 0x2000, 0x800
TIOCSTI = 0x5412
ALLOW, NO = "allow", "no"
# The 32-bit ones.
NARROW = ("i386", "armhf")
# Where libc calls by way of socketcall(2): socket() is part 1, connect() 3, send() 9, recv() 10, sendto() 11, recvfrom() 12,
# sendmsg() 16, recvmsg() 17. libseccomp's numbers there are those of the parts; Linux has calls of their own, too.
MULTIPLEXED = ("i386", "s390x")
DIRECT = {"socket": 359, "connect": 362, "sendto": 369, "recvfrom": 371}


def parts(allowed):
    """Each part, whatever is in the other registers."""
    for part in range(0, 22):
        yield "socketcall", (part, 4096, 7, 7, 7, 7), ALLOW if part in allowed else NO


def calls(arch, pid):
    """(call, arguments, while files are opened, and then)"""
    stack_first = arch == "s390x"

    def clone(flags):
        return (0, flags) if stack_first else (flags,)

    yield from ((name, (), ALLOW, ALLOW) for name in
                ("read", "write", "close", "pread64", "pwrite64", "fdatasync", "exit_group",
                 "munmap", "ftruncate64" if arch in NARROW else "ftruncate", "rt_sigreturn"))
    yield from ((name, (), NO, NO) for name in
                ("execve", "execveat", "ptrace", "socket", "connect", "kill", "process_vm_writev",
                 "pidfd_getfd", "mount", "bpf", "init_module", "setuid", "chroot"))
    yield from ((name, (), ALLOW, NO) for name in ("openat",))
    yield from ((name, (), None, NO) for name in
                ("fchmod", "fchmodat", "fchown", "fsetxattr", "symlinkat", "mkdirat", "io_uring_setup",
                 "setrlimit", "personality", "perf_event_open", "userfaultfd", "keyctl"))
    fcntl = "fcntl64" if arch in NARROW else "fcntl"
    yield fcntl, (3, F_GETFL), ALLOW, ALLOW
    yield fcntl, (3, F_SETFL, O_NONBLOCK), ALLOW, ALLOW
    yield fcntl, (3, F_SETFL, O_ASYNC), None, NO
    yield fcntl, (3, F_SETOWN, 1), None, NO
    yield "ioctl", (0, TIOCSTI), NO, NO
    yield "ioctl", (0, TIOCSTI | 1 << 32), NO, NO
    yield "mprotect", (0, 4096, PROT_READ), ALLOW, ALLOW
    yield "mprotect", (0, 4096, PROT_READ | PROT_EXEC), ALLOW, NO
    mmap = "mmap2" if arch in NARROW else "mmap"
    yield mmap, (0, 4096, PROT_READ), ALLOW, ALLOW
    if arch != "s390x":  # its arguments lie in memory
        yield mmap, (0, 4096, PROT_EXEC), ALLOW, NO
    if arch == "i386":
        yield "mmap", (), ALLOW, NO
    yield "clone", clone(CLONE_THREAD | CLONE_VM), ALLOW, ALLOW
    yield "clone", clone(SIGCHLD), NO, NO
    yield "clone", clone(CLONE_THREAD | CLONE_NEWUSER), None, NO
    yield "clone3", (), NO, NO
    yield "tgkill", (pid, pid, 6), None, ALLOW
    yield "tgkill", (1, 1, 9), None, NO
    yield "recvfrom", (5, 0, 0, 0, 0), None, NO
    yield "sendto", (5, 0, 0, 0, 0), None, NO
    if arch in MULTIPLEXED:
        yield from ((name, args, NO if args[0] in (1, 2, 3, 4, 5, 8, 18) else None, wanted)
                    for name, args, wanted in parts(()))
    if arch in NARROW:
        yield from ((name, (), NO, NO) for name in ("setuid32", "setresgid32", "setgroups32", "clock_settime64"))
        yield from ((name, (), None, NO) for name in ("fchown32", "chown32", "truncate64", "utimensat_time64"))
    if arch == "i386":
        yield from ((name, (), NO, NO) for name in ("stime", "vm86old", "vm86", "uselib"))


def courier_calls(arch, pid):
    """(call, arguments, what a process that speaks with a server on descriptor 5 may)"""
    yield from ((name, (), ALLOW) for name in ("poll" if arch != "arm64" else "ppoll", "close", "munmap", "exit_group"))
    yield from ((name, (), NO) for name in
                ("read", "write", "openat", "execve", "socket", "connect", "kill", "fstat", "linkat", "clone3", "sendmsg",
                 "recvmsg"))
    if arch in MULTIPLEXED:
        yield from parts((9, 10))
    yield "recvfrom", (5, 0, 0, 0, 0), ALLOW
    yield "recvfrom", (6, 0, 0, 0, 0), NO
    yield "sendto", (5, 0, 0, 0, 4096), NO
    yield "tgkill", (1, 1, 9), NO
    yield "mprotect", (0, 4096, PROT_READ | PROT_EXEC), NO


class Filter:
    def __init__(self, code, is_big):
        order = ">" if is_big else "<"
        self.is_big = is_big
        self.code = [struct.unpack(order + "HBBI", code[i:i + 8]) for i in range(0, len(code), 8)]

    def run(self, nr, arch, args):
        args = (tuple(args) + (0,) * 6)[:6]
        order = ">" if self.is_big else "<"
        data = struct.pack(order + "IIQ6Q", nr & 0xffffffff, arch, 0, *args)
        at = a = x = 0
        memory = [0] * 16
        while True:
            op, yes, no, k = self.code[at]
            at += 1
            kind = op & 7
            if op == 0x20:  # ld [k]
                a = struct.unpack(order + "I", data[k:k + 4])[0]
            elif op in (0x00, 0x01):
                a, x = (k, x) if op == 0 else (a, k)
            elif op in (0x60, 0x61):
                a, x = (memory[k], x) if op == 0x60 else (a, memory[k])
            elif op in (0x02, 0x03):
                memory[k] = a if op == 2 else x
            elif op == 0x54:
                a &= k
            elif op == 0x44:
                a |= k
            elif kind == 5:
                how = {0x05: None, 0x15: a == k, 0x25: a > k, 0x35: a >= k, 0x45: bool(a & k)}[op]
                at += k if how is None else yes if how else no
            elif op == 0x06:
                return k
            else:
                raise SystemExit("an instruction that is not known: 0x%x" % op)


def what(answer, is_big):
    # libseccomp 2.5 leaves actions that are a filter's default in the order of this machine.
    if is_big and answer & 0xff00ffff == answer and answer & 0xffff == 0x0500:
        answer = struct.unpack(">I", struct.pack("<I", answer))[0]
    if is_big and answer == 0xff7f:
        return ALLOW
    if answer == 0x7fff0000:
        return ALLOW
    if answer & 0xffff0000 == 0x50000 and answer & 0xffff in (errno.EPERM, errno.ENOSYS):
        return NO
    return "0x%x" % answer


def main():
    arch, program = sys.argv[1:]
    names = sorted({call[0] for call in [*calls(arch, 0), *courier_calls(arch, 0)]})
    filters, numbers, nr_tried, nr_wrong = {}, {}, 0, 0
    for phase in ("begin", "enter", "courier"):
        done = subprocess.run([program, phase] + names, capture_output=True, check=True)
        numbers[phase] = {line.split()[0]: int(line.split()[1])
                          for line in done.stderr.decode().splitlines()}
        filters[phase] = Filter(done.stdout, arch == "s390x")
    for phase, column, asked in (("begin", 2, calls), ("enter", 3, calls), ("courier", 2, courier_calls)):
        known = numbers[phase]
        for call in asked(arch, known["pid"]):
            name, args, wanted = call[0], call[1], call[column]
            if known[name] < 0 and arch in MULTIPLEXED:
                known[name] = DIRECT.get(name, known[name])
            if known[name] < 0:  # a processor without it; what must work has to be there
                if wanted == ALLOW and name != "openat":
                    print("%s: %s is not there" % (arch, name))
                    nr_wrong += 1
                continue
            if wanted is None:
                continue
            found = what(filters[phase].run(known[name], known["arch"], args), arch == "s390x")
            nr_tried += 1
            if found != wanted:
                nr_wrong += 1
                print("%s: %s: %s%r: %s, wanted %s" % (arch, phase, name, args, found, wanted))
        other = what(filters[phase].run(known["read"], known["arch"] ^ 1, ()), arch == "s390x")
        if other != NO:
            nr_wrong += 1
            print("%s: another processor's call: %s" % (arch, other))
    print("%s: %d calls, %d wrong" % (arch, nr_tried, nr_wrong))
    return 1 if nr_wrong or nr_tried < 60 else 0


sys.exit(main())
