/*
 * syscalls: a sandbox in forty lines.
 *
 * A function runs in ring 3. Its SYSCALL instructions do not reach Linux but our own ring 0, which decides on each: write is
 * passed on to Linux (by VMCALL), getpid is answered here, opening files is refused, exit ends the stay in ring 3.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "libdune/dune.h"

#define STACK_SIZE (64 * 1024)

static char stack[STACK_SIZE] __attribute__((aligned(4096)));
static int trapped;

static long call(long number, long a, long b, long c)
{
	long result;

	__asm__ __volatile__("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
	return result;
}

/* Ring 0. */
static void system_call(struct dune_tf *frame)
{
	trapped++;
	switch (frame->rax) {
	case SYS_write:
		dune_passthrough_syscall(frame);
		break;
	case SYS_getpid:
		frame->rax = 4711;
		break;
	case SYS_exit:
		dune_ret_from_user(ARG0(frame));
	case SYS_open:
	case SYS_openat:
		frame->rax = -EACCES;
		break;
	default:
		frame->rax = -ENOSYS;
	}
}

/* Ring 3. */
static void untrusted(void)
{
	static const char hello[] = "ring 3 says hello\n", refused[] = "no file for ring 3\n";

	call(SYS_write, 1, (long)hello, sizeof(hello) - 1);
	if (call(SYS_open, (long)"/etc/passwd", 0, 0) == -EACCES)
		call(SYS_write, 1, (long)refused, sizeof(refused) - 1);
	call(SYS_exit, call(SYS_getpid, 0, 0, 0) - 4700, 0, 0);
	__builtin_unreachable();
}

int main(void)
{
	struct dune_tf frame;
	int result;

	if (dune_init_and_enter())
		return EXIT_FAILURE;
	dune_register_syscall_handler(system_call);

	memset(&frame, 0, sizeof(frame));
	frame.rip = (uint64_t)untrusted;
	frame.rsp = (uint64_t)stack + STACK_SIZE - 8;
	frame.rflags = 0x202;
	printf("into ring 3\n");
	fflush(stdout);
	result = dune_jump_to_user(&frame);
	printf("back in ring 0 with %d after %d trapped system calls\n", result, trapped);
	return result == 11 ? EXIT_SUCCESS : EXIT_FAILURE;
}
