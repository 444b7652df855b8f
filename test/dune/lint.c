/*
 * What a program does wrong without noticing: each of these is told once, by a diagnostic event, for each place it happens.
 */
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "libdune/dune.h"

#define ELSEWHERE 0x300000000UL
#define FOUR_GB 0x100000000UL
/* Where Linux loads position-independent programs: in no window. */
#define PIE_IMAGE 0x555555554000UL

static char page[PGSIZE] __attribute__((aligned(4096)));
static char stack[4 * PGSIZE] __attribute__((aligned(4096)));
static uint64_t error_code;
#define NO_FAULT (~0UL)

static void ports(void)
{
	unsigned char bytes[4] = {1, 2, 3, 4};
	uint32_t value = 0;
	uint64_t count = sizeof(bytes);
	void *at = bytes;

	__asm__ __volatile__("mov $3, %%ecx\n 1: inb $0x60, %%al\n loop 1b" : "+a"(value) : : "rcx");
	__asm__ __volatile__("outl %%eax, %%dx" : : "a"(0x1234), "d"(0xcf8));
	__asm__ __volatile__("rep insb" : "+D"(at), "+c"(count) : "d"(0x1f0) : "memory");
	printf("port reads: %x, %x %x %x %x\n", value, bytes[0], bytes[1], bytes[2], bytes[3]);
}

static void pointers(void)
{
	/* A page that the guest sees at another address than Linux does. */
	strcpy(page, "not what Linux sees\n");
	dune_vm_map_phys(pgroot, (void *)ELSEWHERE, PGSIZE, page, PERM_R | PERM_W);
	printf("write of a guest-only page: %ld\n", (long)write(1, (void *)ELSEWHERE, strlen((char *)ELSEWHERE)));
	printf("write of an ordinary one: %ld\n", (long)write(1, page, 0));
}

static void body(void)
{
	int i;

	for (i = 0; i < 2; i++) {
		long pid;

		__asm__ __volatile__("vmcall" : "=a"(pid) : "a"(SYS_getpid) : "memory");
	}
	__asm__ __volatile__("syscall" : : "a"(SYS_exit), "D"(0));
	__builtin_unreachable();
}

static void on_syscall(struct dune_tf *frame)
{
	dune_ret_from_user(ARG0(frame));
}

static int run(void (*code)(void))
{
	struct dune_tf frame;

	memset(&frame, 0, sizeof(frame));
	frame.rip = (uint64_t)code;
	frame.rsp = (uint64_t)stack + sizeof(stack) - 8;
	frame.rflags = 2;
	return dune_jump_to_user(&frame);
}

static void ring3(void)
{
	dune_register_syscall_handler(on_syscall);
	printf("ring 3: %d\n", run(body));
}

static void give_to_ring3(uintptr_t address, uint64_t code, struct dune_tf *frame)
{
	(void)code;
	(void)frame;
	dune_vm_mprotect(pgroot, (void *)PGADDR(address), PGSIZE, PERM_R | PERM_W | PERM_U);
}

static void pushing(void)
{
	__asm__ __volatile__("push %%rax\n pop %%rax\n syscall" : : "a"(SYS_exit), "D"(2));
	__builtin_unreachable();
}

/* As dune_enter leaves the stack of the thread: for ring 0 only. */
static void ring3_stack(void)
{
	dune_register_pgflt_handler(give_to_ring3);
	dune_vm_mprotect(pgroot, stack, sizeof(stack), PERM_R | PERM_W);
	printf("ring 3 on a stack of ring 0: %d\n", run(pushing));
}

static void on_page_fault(uintptr_t address, uint64_t code, struct dune_tf *frame)
{
	(void)address;
	error_code = code;
	frame->rip += 2; /* movb (%rax), %al */
}

static uint64_t touch(uintptr_t address)
{
	error_code = NO_FAULT;
	__asm__ __volatile__("movb (%%rax), %%al" : "+a"(address) : : "memory");
	return error_code;
}

static void page_faults(void)
{
	ptent_t *entry;

	dune_register_pgflt_handler(on_page_fault);
	dune_vm_lookup(pgroot, (void *)ELSEWHERE, CREATE_NORMAL, &entry);
	*entry = PIE_IMAGE | PTE_P | PTE_W;
	dune_flush_tlb_one(ELSEWHERE);
	printf("a Linux address in an entry: error code %lx\n", touch(ELSEWHERE));

	if (mmap((void *)FOUR_GB, PGSIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
		printf("FAILED: mmap\n");
	printf("memory above 4 GB: error code %lx\n", touch(FOUR_GB));
}

int main(void)
{
	if (dune_init_and_enter())
		return 1;
	ports();
	pointers();
	ring3();
	ring3_stack();
	page_faults();
	return 0;
}
