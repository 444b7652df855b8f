/*
 * rings: what keeps ring 3 out.
 *
 * Ring 3 reads a page whose entry lacks the user bit: page fault, error code 5 (present, user). It tries a privileged
 * instruction: general protection. Ring 0 gives it the page, and the same read succeeds. TLS works in both rings.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "libdune/dune.h"

static char secret[PGSIZE] __attribute__((aligned(4096))) = "supervisor data";
static char stack[PGSIZE * 4] __attribute__((aligned(4096)));
static int faults, error_code_seen, ring_seen, protections;

static void page_fault(uintptr_t address, uint64_t error_code, struct dune_tf *frame)
{
	faults++;
	error_code_seen = error_code;
	ring_seen = frame->cs & 3;
	dune_vm_mprotect(pgroot, (void *)PGADDR(address), PGSIZE, PERM_R | PERM_U);
}

/* CLI is one byte. */
static void general_protection(struct dune_tf *frame)
{
	protections++;
	frame->rip += 1;
}

static void system_call(struct dune_tf *frame)
{
	dune_ret_from_user(ARG0(frame));
}

static void user(void)
{
	int letter = *(volatile char *)secret;

	__asm__ __volatile__("cli");
	__asm__ __volatile__("syscall" : : "a"(SYS_exit), "D"(letter));
	__builtin_unreachable();
}

int main(void)
{
	struct dune_tf frame;
	int letter;

	if (dune_init_and_enter())
		return EXIT_FAILURE;
	dune_register_pgflt_handler(page_fault);
	dune_register_intr_handler(13, general_protection);
	dune_register_syscall_handler(system_call);
	dune_vm_mprotect(pgroot, secret, sizeof(secret), PERM_R | PERM_W);

	memset(&frame, 0, sizeof(frame));
	frame.rip = (uint64_t)user;
	frame.rsp = (uint64_t)stack + sizeof(stack) - 8;
	frame.rflags = 0x202;
	letter = dune_jump_to_user(&frame);
	printf("ring %d read the page: %d fault, error code %d; then it saw '%c'\n", ring_seen, faults, error_code_seen, letter);
	printf("CLI in ring 3: %d general protection\n", protections);
	return EXIT_SUCCESS;
}
