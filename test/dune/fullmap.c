/*
 * A start-up as the public library does it, spoken by hand: 69 GB of guest addresses mapped by 18 million 4 KB entries, a
 * stub in the page behind LSTAR that puts RFLAGS back through the stack of its caller, trap gates, one stack page for
 * everything with an IST, and a trap stub that calls its handler with RSP 8 bytes off, so that MOVAPS in a handler faults.
 */
#include <sys/ioctl.h>

#include "guest.h"

#define POOL_SIZE (4 * GB)

struct tss {
	uint32_t reserved0;
	uint64_t rsp[3], ist[8];
	uint16_t reserved1[5], iomap;
} __attribute__((packed));

struct idt_entry {
	uint16_t offset0, selector;
	uint8_t ist, type;
	uint16_t offset1;
	uint32_t offset2, reserved;
};

static struct idt_entry idt[256] __attribute__((aligned(16)));
static struct tss tss;
static uint64_t gdt[9] = {[2] = 0x00af9b000000ffffUL, [3] = 0x00af93000000ffffUL, [5] = 0x00aff3000000ffffUL, [6] = 0x00affb000000ffffUL};
static char safe_stack[PAGE] __attribute__((aligned(4096)));
static char target[PAGE] __attribute__((aligned(4096)));
static uint64_t *root, *target_entry;
static struct config config;
static int page_faults, protections;
static uint64_t handler_rsp;

/* ---------------------------------------------------------------------------------------------- guest side */

/* frame: rdi rsi rdx rcx r8 r9 r10 r11 rax error rip cs rflags rsp ss */
void trap(uint64_t vector, uint64_t *frame)
{
	uint64_t aligned[2] __attribute__((aligned(16)));

	if (vector == 13) {
		protections++;
		frame[10] += 4; /* movaps %xmm0, (%rsp) */
		return;
	}
	page_faults++;
	handler_rsp = (uint64_t)aligned;
	*target_entry |= PTE_W;
}

/* A trap stub enters here with 15 words on a stack the CPU had aligned: RSP is 8 modulo 16 at the call. */
void trap_14(void);
void trap_13(void);
__asm__(".macro STUB vector\n"
	"push %rax\n push %r11\n push %r10\n push %r9\n push %r8\n push %rcx\n push %rdx\n push %rsi\n push %rdi\n"
	"movl $\\vector, %edi\n movq %rsp, %rsi\n sub $16, %rsp\n"
	".if \\vector == 14\n movaps %xmm0, (%rsp)\n .endif\n"
	"call trap\n add $16, %rsp\n"
	"pop %rdi\n pop %rsi\n pop %rdx\n pop %rcx\n pop %r8\n pop %r9\n pop %r10\n pop %r11\n pop %rax\n add $8, %rsp\n iretq\n"
	".endm\n"
	".globl trap_14\ntrap_14:\n STUB 14\n.globl trap_13\ntrap_13:\n STUB 13\n");

/* At LSTAR: RFLAGS by way of the caller's stack, below RSP without regard to a red zone. */
extern char stub[], stub_end[];
__asm__(".globl stub\nstub:\n push %r11\n popfq\n vmcall\n jmp *%rcx\n.globl stub_end\nstub_end:\n");

/* Returns in the guest. When the ioctl comes back, Linux mode goes on below the stack of the stopped guest. */
void enter_guest(int fd, struct config *config);
__asm__(".globl enter_guest\nenter_guest:\n"
	"push %rbx\n push %rbp\n push %r12\n push %r13\n push %r14\n push %r15\n"
	"movq %rsp, 56(%rsi)\n lea 1f(%rip), %rax\n movq %rax, 136(%rsi)\n movq $2, 144(%rsi)\n"
	"movq %rsi, %rdx\n movl $0x80b0e901, %esi\n movl $16, %eax\n syscall\n"
	"movq 56(%rdx), %rsp\n sub $128, %rsp\n and $-16, %rsp\n call stopped\n"
	"1: pop %r15\n pop %r14\n pop %r13\n pop %r12\n pop %rbp\n pop %rbx\n ret\n");

static void boot(void)
{
	struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) gdtr = {sizeof(gdt) - 1, (uint64_t)gdt}, idtr = {sizeof(idt) - 1, (uint64_t)idt};

	__asm__ __volatile__("lgdt %0\n mov $0x18, %%eax\n mov %%eax, %%ds\n mov %%eax, %%es\n mov %%eax, %%ss\n"
			     "pushq $0x10\n lea 1f(%%rip), %%rax\n push %%rax\n lretq\n 1: mov $0x38, %%eax\n ltr %%ax\n"
			     "lidt %1\n sti\n"
			     :
			     : "m"(gdtr), "m"(idtr)
			     : "rax", "memory");
}

/* ---------------------------------------------------------------------------------------------- host side */

void stopped(void)
{
	if (config.ret == 1)
		raw(SYS_exit_group, config.status, 0, 0);
	printf("ENTER came back with ret %ld status %ld\n", (long)config.ret, (long)config.status);
	exit(1);
}

static void map(uint64_t va, uint64_t pa, uint64_t len, uint64_t flags)
{
	uint64_t at, *entry = NULL;

	for (at = 0; at < len; at += PAGE) {
		entry = (va + at) % (512 * PAGE) ? entry + 1 : slot(root, va + at, 0);
		*entry = (pa + at) | flags;
	}
}

static void gate(int vector, void (*handler)(void))
{
	uint64_t entry = (uint64_t)handler;

	idt[vector] = (struct idt_entry){.offset0 = entry, .selector = 0x10, .type = 0x8f, .offset1 = entry >> 16, .offset2 = entry >> 32};
}

static void set_up(int device)
{
	uint64_t lstar = raw(SYS_ioctl, device, GET_SYSCALL, 0), base = (uint64_t)&tss;
	struct layout layout;
	uint64_t at, *page;
	int i;

	if (raw(SYS_ioctl, device, GET_LAYOUT, (long)&layout))
		die("GET_LAYOUT");
	root = new_table();
	for (at = 0; at < POOL_SIZE; at += 2 << 20)
		*slot(root, POOL + at, 1) = (POOL + at) | PTE_P | PTE_W | PTE_PS | PTE_NX;
	map(0, 0, 4 * GB, PTE_P | PTE_W | PTE_U);
	map(layout.base_map, layout.phys_limit - 64 * GB, 63 * GB, PTE_P | PTE_W | PTE_U);
	map(layout.base_stack, layout.phys_limit - GB, GB, PTE_P | PTE_W | PTE_U);

	page = new_table();
	memcpy((char *)page + lstar % PAGE, stub, stub_end - stub);
	*slot(root, lstar, 0) = (uint64_t)page | PTE_P;

	for (i = 0; i < 8; i++)
		tss.ist[i] = (uint64_t)safe_stack + sizeof(safe_stack);
	tss.rsp[0] = tss.ist[0];
	gdt[7] = (base & 0xffffff) << 16 | (base & 0xff000000) << 32 | 0x890000000000UL | (sizeof(tss) - 1);
	gdt[8] = base >> 32;
	gate(13, trap_13);
	gate(14, trap_14);
}

int main(void)
{
	int device = open("/dev/dune", O_RDWR);
	uint64_t red_zone;

	if (device < 0)
		die("open of /dev/dune");
	set_up(device);
	printf("%lu tables\n", (pool_next - POOL) / PAGE);
	fflush(stdout);
	config.cr3 = (uint64_t)root;
	enter_guest(device, &config);
	boot();
	target_entry = slot(root, (uint64_t)target, 0);
	*target_entry &= ~PTE_W;
	__asm__ __volatile__("invlpg %0" : : "m"(target));
	*(volatile char *)target = 1;
	printf("page faults %d, MOVAPS faults in the stub %d\n", page_faults, protections);

	__asm__ __volatile__("movq $0x77, -8(%%rsp)\n syscall\n movq -8(%%rsp), %0" : "=r"(red_zone) : "a"(SYS_getpid) : "rcx", "r11", "memory");
	printf("the red zone of a system call in ring 0 is %s\n", red_zone == 0x77 ? "kept" : "overwritten");
	return 0;
}
