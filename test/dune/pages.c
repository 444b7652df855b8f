/*
 * libdune's page tables: leaves that were made large to save work are split when looked at, large pages that were asked for
 * are not; parts of both can be protected; a clone is whole; precise mapping, nested jumps to ring 3, handlers with SSE and
 * red zones hold what the library promises.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "libdune/dune.h"

#define WINDOW 0x300000000UL

static int checks;
static void check(const char *what, int good)
{
	checks++;
	if (!good) {
		printf("FAILED: %s\n", what);
		exit(1);
	}
}

static ptent_t *leaf(ptent_t *root, uintptr_t va)
{
	ptent_t *pte;

	return dune_vm_lookup(root, (void *)va, CREATE_NONE, &pte) ? NULL : pte;
}

static int count(const void *arg, ptent_t *pte, void *va)
{
	(void)pte;
	(void)va;
	++*(int *)(uintptr_t)arg;
	return 0;
}

static void large_pages(void)
{
	ptent_t *pte;
	int leaves = 0;

	check("map of a large page", !dune_vm_map_phys(pgroot, (void *)WINDOW, BIG_PGSIZE, (void *)WINDOW, PERM_R | PERM_W | PERM_BIG));
	pte = leaf(pgroot, WINDOW + 5 * PGSIZE);
	check("a large page stays when looked up", pte && (*pte & PTE_PS) && PTE_ADDR(*pte) == WINDOW);
	check("protection of a part", !dune_vm_mprotect(pgroot, (void *)(WINDOW + PGSIZE), PGSIZE, PERM_R));
	check("the part is read-only", (*leaf(pgroot, WINDOW + PGSIZE) & (PTE_P | PTE_W | PTE_PS)) == PTE_P);
	check("its neighbours are not", *leaf(pgroot, WINDOW) & PTE_W && *leaf(pgroot, WINDOW + 2 * PGSIZE) & PTE_W);
	check("addresses go on", PTE_ADDR(*leaf(pgroot, WINDOW + 511 * PGSIZE)) == WINDOW + 511 * PGSIZE);

	pte = leaf(pgroot, 0x10000000);
	check("low addresses look like 4 KB pages", pte && !(*pte & PTE_PS) && PTE_ADDR(*pte) == 0x10000000);
	check("W without R", dune_vm_mprotect(pgroot, (void *)WINDOW, PGSIZE, PERM_W) == -EINVAL);
	check("pages without R", dune_vm_map_pages(pgroot, (void *)WINDOW, PGSIZE, PERM_W) == -EINVAL);
	check("nothing there", dune_vm_lookup(pgroot, (void *)0x600000000000, CREATE_NONE, &pte) == -ENOENT);
	check("create", !dune_vm_lookup(pgroot, (void *)0x600000000000, CREATE_NORMAL, &pte) && *pte == 0);
	dune_vm_page_walk(pgroot, (void *)WINDOW, (void *)(WINDOW + 3 * PGSIZE), count, &leaves);
	check("the end of a walk is included", leaves == 4);
	dune_vm_unmap(pgroot, (void *)WINDOW, 2 * PGSIZE);
	check("unmapped", *leaf(pgroot, WINDOW) == 0 && *leaf(pgroot, WINDOW + 2 * PGSIZE) != 0);
}

static void clones(void)
{
	ptent_t *copy = dune_vm_clone(pgroot);
	uintptr_t at;

	check("clone", copy != NULL);
	for (at = PAGEBASE; at < PAGEBASE + 64 * BIG_PGSIZE; at += BIG_PGSIZE / 2)
		check("the whole pool is in the clone", leaf(copy, at) && PTE_ADDR(*leaf(copy, at)) == at);
	load_cr3((unsigned long)copy);
	check("running on the clone", PTE_ADDR(read_cr3()) == (physaddr_t)copy);
	load_cr3((unsigned long)pgroot);
	dune_vm_free(copy);
}

static char page[PGSIZE] __attribute__((aligned(4096)));
static double computed;
static volatile double one = 1;

static void page_fault(uintptr_t address, uint64_t error_code, struct dune_tf *frame)
{
	char text[32];

	(void)error_code;
	(void)frame;
	snprintf(text, sizeof(text), "%.3f", one / 8);
	check("printf of a double in a handler", !strcmp(text, "0.125"));
	computed += one;
	dune_vm_mprotect(pgroot, (void *)PGADDR(address), PGSIZE, PERM_R | PERM_W);
}

/* A leaf function with a red zone that faults in the middle of its life. */
long with_red_zone(volatile char *byte);
__asm__(".text\n.globl with_red_zone\nwith_red_zone:\n"
	"movq $0x1234, -8(%rsp)\n movq $0x5678, -128(%rsp)\n movb $1, (%rdi)\n"
	"movl $39, %eax\n syscall\n"
	"movq -8(%rsp), %rax\n addq -128(%rsp), %rax\n ret\n");

static void handlers(void)
{
	dune_register_pgflt_handler(page_fault);
	dune_vm_mprotect(pgroot, page, sizeof(page), PERM_R);
	check("red zones survive a fault and a system call", with_red_zone(page) == 0x1234 + 0x5678);
	check("one fault", computed == 1);
}

static char stacks[2][2 * PGSIZE] __attribute__((aligned(4096)));

static void inner(void)
{
	__asm__ __volatile__("syscall" : : "a"(SYS_exit), "D"(7));
	__builtin_unreachable();
}
static void outer(void)
{
	long result;

	__asm__ __volatile__("syscall" : "=a"(result) : "a"(1000) : "rcx", "r11", "memory");
	__asm__ __volatile__("syscall" : : "a"(SYS_exit), "D"(result + 1));
	__builtin_unreachable();
}

static int run_in_ring3(void (*code)(void), char *stack)
{
	struct dune_tf frame;

	memset(&frame, 0, sizeof(frame));
	frame.rip = (uint64_t)code;
	frame.rsp = (uint64_t)stack + sizeof(stacks[0]) - 8;
	frame.rflags = 0x202;
	return dune_jump_to_user(&frame);
}

static void system_call(struct dune_tf *frame)
{
	uint64_t saved = frame->rip;

	if (frame->rax == SYS_exit)
		dune_ret_from_user(ARG0(frame));
	frame->rax = run_in_ring3(inner, stacks[1]) * 10;
	check("the outer frame survives an inner jump", frame->rip == saved && frame->cs == GD_UT);
}

static void rings(void)
{
	dune_register_syscall_handler(system_call);
	check("nested jumps to ring 3", run_in_ring3(outer, stacks[0]) == 71);
}

int main(void)
{
	if (dune_init_and_enter())
		return 1;
	large_pages();
	clones();
	handlers();
	rings();
	printf("%d checks\n", checks);
	return 0;
}
