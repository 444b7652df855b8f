/*
 * A program as the public library makes them, spoken by hand: 69 GB of guest addresses mapped by 18 million 4 KB entries; a
 * percpu block with TSS and GDT at the GS base; a stub in the page behind LSTAR that decides by a flag of that block where a
 * SYSCALL comes from, and puts RFLAGS back through the stack of its caller; trap stubs that call handlers with RSP 8 bytes off;
 * Linux mode going on, and taking signals, on the stack of the stopped guest.
 */
#include <signal.h>
#include <stddef.h>
#include <sys/time.h>

#include "guest.h"

#define POOL_SIZE (4 * GB)
#define VECTORS 256
#define STACK_WORDS 512

struct percpu {
	uint64_t percpu_ptr, tmp, kfs_base, ufs_base, in_usermode;
	struct {
		uint32_t reserved0;
		uint64_t rsp[3], ist[8];
		uint16_t reserved1[5], iomap;
	} __attribute__((packed)) tss;
	uint64_t gdt[9];
} __attribute__((packed));
_Static_assert(offsetof(struct percpu, tss.rsp) == 44, "the stubs know it");
_Static_assert(offsetof(struct percpu, gdt) == 144, "the stubs know it");

struct frame {
	uint64_t rdi, rsi, rdx, rcx, r8, r9, r10, r11, rbx, rbp, r12, r13, r14, r15, rax, err, rip, cs, rflags, rsp, ss;
};

struct idt_entry {
	uint16_t offset0, selector;
	uint8_t ist, type;
	uint16_t offset1;
	uint32_t offset2, reserved;
};

static struct idt_entry idt[VECTORS] __attribute__((aligned(16)));
static struct percpu percpu __attribute__((aligned(4096))) = {
	.gdt = {[2] = 0x00af9b000000ffffUL, [3] = 0x00af93000000ffffUL, [5] = 0x00aff3000000ffffUL, [6] = 0x00affb000000ffffUL},
};
static char safe_stack[PAGE] __attribute__((aligned(4096)));
static char target[PAGE] __attribute__((aligned(4096)));
static char user_stack[4 * PAGE] __attribute__((aligned(4096)));
static uint64_t *root, *target_entry;
static struct config config;
static volatile int page_faults, signals;
static volatile double number = 1.5;
static int with_double;

/* ---------------------------------------------------------------------------------------------- guest side */

/* 16 bytes a vector. Where the CPU pushes no error code, RAX stands in for it. */
extern char intr[];
__asm__(".text\n.balign 16\n.globl intr\nintr:\n.set vector, 0\n.rept 256\n .balign 16\n"
	".if !(vector == 8 || (vector >= 10 && vector <= 14) || vector == 17)\n push %rax\n.endif\n"
	" push %rax\n movl $vector, %eax\n jmp common\n .set vector, vector + 1\n.endr\n"
	"common:\n sub $112, %rsp\n"
	" movq %rdi, (%rsp)\n movq %rsi, 8(%rsp)\n movq %rdx, 16(%rsp)\n movq %rcx, 24(%rsp)\n movq %r8, 32(%rsp)\n"
	" movq %r9, 40(%rsp)\n movq %r10, 48(%rsp)\n movq %r11, 56(%rsp)\n movq %rbx, 64(%rsp)\n movq %rbp, 72(%rsp)\n"
	" movq %r12, 80(%rsp)\n movq %r13, 88(%rsp)\n movq %r14, 96(%rsp)\n movq %r15, 104(%rsp)\n"
	" movl %eax, %edi\n movq %rsp, %rsi\n testb $3, 136(%rsp)\n jz 1f\n movq $0, %gs:32\n"
	"1: call trap\n testb $3, 136(%rsp)\n jz 2f\n movq $1, %gs:32\n"
	/* RDI: a frame to leave by, on this stack or elsewhere. */
	"2: movq %rsp, %rdi\n.globl pop_trap_frame\npop_trap_frame:\n movq %rdi, %rsp\n"
	" pop %rdi\n pop %rsi\n pop %rdx\n pop %rcx\n pop %r8\n pop %r9\n pop %r10\n pop %r11\n pop %rbx\n pop %rbp\n"
	" pop %r12\n pop %r13\n pop %r14\n pop %r15\n pop %rax\n add $8, %rsp\n iretq\n");

/* At LSTAR. Ring 0: RFLAGS by way of the caller's stack, below RSP without regard to a red zone. Ring 3: a frame on the trap
 * stack in which only what SYSCALL gives is valid. */
extern char stub[], stub_end[];
__asm__(".globl stub\nstub:\n cmpq $0, %gs:32\n jne 1f\n push %r11\n popfq\n vmcall\n jmp *%rcx\n"
	"1: movq %rsp, %gs:8\n movq %gs:44, %rsp\n sub $168, %rsp\n"
	" movq %rdi, (%rsp)\n movq %rsi, 8(%rsp)\n movq %rdx, 16(%rsp)\n movq %r10, 24(%rsp)\n movq %r8, 32(%rsp)\n"
	" movq %r9, 40(%rsp)\n movq %rax, 112(%rsp)\n movq %rcx, 128(%rsp)\n movq %r11, 144(%rsp)\n"
	" movq %gs:8, %rax\n movq %rax, 152(%rsp)\n movq $0, %gs:32\n sti\n"
	" movq %rsp, %rdi\n movq $syscall_handler, %rax\n call *%rax\n movq $1, %gs:32\n"
	" movq (%rsp), %rdi\n movq 8(%rsp), %rsi\n movq 16(%rsp), %rdx\n movq 32(%rsp), %r8\n movq 40(%rsp), %r9\n"
	" movq 112(%rsp), %rax\n movq 128(%rsp), %rcx\n movq 144(%rsp), %r11\n movq 152(%rsp), %rsp\n sysretq\n"
	".globl stub_end\nstub_end:\n");

/* The registers of the caller stay at the top of the trap stack until ret_from_user. */
int jump_to_user(struct frame *frame);
void ret_from_user(int result) __attribute__((noreturn));
__asm__(".globl jump_to_user\njump_to_user:\n sub $176, %rsp\n movq %rbx, 64(%rsp)\n movq %rbp, 72(%rsp)\n movq %r12, 80(%rsp)\n"
	" movq %r13, 88(%rsp)\n movq %r14, 96(%rsp)\n movq %r15, 104(%rsp)\n pushfq\n popq 144(%rsp)\n"
	" movq %rsp, %gs:44\n movq $1, %gs:32\n movq $0x33, 136(%rdi)\n movq $0x2b, 160(%rdi)\n jmp pop_trap_frame\n"
	".globl ret_from_user\nret_from_user:\n movslq %edi, %rax\n movq %gs:44, %rsp\n movq %rax, 112(%rsp)\n"
	" lea 1f(%rip), %rax\n movq %rax, 128(%rsp)\n movq $0x10, 136(%rsp)\n movq %rsp, 152(%rsp)\n movq $0x18, 160(%rsp)\n"
	" movq %rsp, %rdi\n jmp pop_trap_frame\n1: add $176, %rsp\n ret\n");

static void fatal(uint64_t vector)
{
	printf("fatal exception %d\n", (int)vector);
	fflush(stdout);
	__asm__ __volatile__("vmcall" : : "a"(SYS_exit), "D"(1));
}

void trap(uint64_t vector, struct frame *frame)
{
	(void)frame;
	if (vector != 14)
		fatal(vector);
	page_faults++;
	*target_entry |= PTE_W;
	__asm__ __volatile__("invlpg %0" : : "m"(target));
	if (with_double)
		printf("a double in the handler: %f\n", number);
	else
		printf("an integer in the handler: %d\n", page_faults);
}

void syscall_handler(struct frame *frame)
{
	if (frame->rax == SYS_exit)
		ret_from_user(frame->rdi);
	frame->rax = frame->rdi + 1;
}

static void in_ring3(void)
{
	long result;

	__asm__ __volatile__("syscall" : "=a"(result) : "a"(1000), "D"(41) : "rcx", "r11", "memory");
	__asm__ __volatile__("syscall" : : "a"(SYS_exit), "D"(result));
	__builtin_unreachable();
}

static int ring3(void)
{
	struct frame frame = {.rip = (uint64_t)in_ring3, .rsp = (uint64_t)user_stack + sizeof(user_stack) - 8, .rflags = 2};

	return jump_to_user(&frame);
}

/* Returns in the guest. When the ioctl comes back, Linux mode goes on below the stack of the stopped guest. */
void enter_guest(int fd, struct config *config);
__asm__(".globl enter_guest\nenter_guest:\n"
	" push %rbx\n push %rbp\n push %r12\n push %r13\n push %r14\n push %r15\n"
	" movq %rsp, 56(%rsi)\n lea 1f(%rip), %rax\n movq %rax, 136(%rsi)\n movq $2, 144(%rsi)\n"
	" movq %rsi, %rdx\n movl $0x80b0e901, %esi\n movl $16, %eax\n syscall\n"
	" movq 56(%rdx), %rsp\n sub $128, %rsp\n and $-16, %rsp\n call stopped\n"
	"1: pop %r15\n pop %r14\n pop %r13\n pop %r12\n pop %rbp\n pop %rbx\n ret\n");

static void write_msr(uint32_t msr, uint64_t value)
{
	__asm__ __volatile__("wrmsr" : : "c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)));
}

static void boot(void)
{
	struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) gdtr = {sizeof(percpu.gdt) - 1, (uint64_t)percpu.gdt}, idtr = {sizeof(idt) - 1, (uint64_t)idt};

	__asm__ __volatile__("lgdt %0\n mov $0x18, %%eax\n mov %%eax, %%ds\n mov %%eax, %%es\n mov %%eax, %%ss\n"
			     "pushq $0x10\n lea 1f(%%rip), %%rax\n push %%rax\n lretq\n 1: mov $0x38, %%eax\n ltr %%ax\n"
			     "lidt %1\n sti\n"
			     :
			     : "m"(gdtr), "m"(idtr)
			     : "rax", "memory");
	write_msr(0xc0000101, (uint64_t)&percpu);
}

/* ---------------------------------------------------------------------------------------------- host side */

static int device;

void stopped(void)
{
	while (config.ret == 4)
		if (raw(SYS_ioctl, device, ENTER, (long)&config))
			break;
	if (config.ret == 1)
		raw(SYS_exit_group, config.status, 0, 0);
	printf("ENTER came back with ret %ld status %ld\n", (long)config.ret, (long)config.status);
	exit(1);
}

static void on_alarm(int sig)
{
	signals += sig == SIGALRM;
}

static void map(uint64_t va, uint64_t pa, uint64_t len, uint64_t flags)
{
	uint64_t at, *entry = NULL;

	for (at = 0; at < len; at += PAGE) {
		entry = (va + at) % (512 * PAGE) ? entry + 1 : slot(root, va + at, 0);
		*entry = (pa + at) | flags;
	}
}

static void set_up(void)
{
	uint64_t lstar = raw(SYS_ioctl, device, GET_SYSCALL, 0), base = (uint64_t)&percpu.tss;
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
		percpu.tss.ist[i] = (uint64_t)safe_stack + sizeof(safe_stack);
	percpu.tss.rsp[0] = percpu.tss.ist[0];
	percpu.gdt[7] = (base & 0xffffff) << 16 | (base & 0xff000000) << 32 | 0x890000000000UL | (sizeof(percpu.tss) - 1);
	percpu.gdt[8] = base >> 32;
	for (i = 0; i < VECTORS; i++) {
		uint64_t handler = (uint64_t)intr + 16 * i;
		int ist = i == 2 || i == 3 || i == 8 || i == 18;

		idt[i] = (struct idt_entry){handler, 0x10, ist, i == 3 ? 0xef : 0x8f, handler >> 16, handler >> 32, 0};
	}
}

static void fault(void)
{
	*target_entry &= ~PTE_W;
	__asm__ __volatile__("invlpg %0" : : "m"(target));
	*(volatile char *)target = 1;
}

/* The guest is deeper in the stack than Linux mode was when it entered; a signal comes. */
static int __attribute__((noinline)) words_lost_to_a_signal(void)
{
	struct itimerval timer = {.it_value = {.tv_usec = 1000}};
	volatile uint64_t victim[STACK_WORDS];
	int i, lost = 0;

	for (i = 0; i < STACK_WORDS; i++)
		victim[i] = 0x5a5a5a5a5a5a5a5aUL;
	setitimer(ITIMER_REAL, &timer, NULL);
	while (!signals)
		;
	for (i = 0; i < STACK_WORDS; i++)
		lost += victim[i] != 0x5a5a5a5a5a5a5a5aUL;
	return lost;
}

int main(void)
{
	struct sigaction action = {.sa_handler = on_alarm};
	uint64_t red_zone;

	device = open("/dev/dune", O_RDWR);
	if (device < 0)
		die("open of /dev/dune");
	set_up();
	printf("%lu tables\n", (pool_next - POOL) / PAGE);
	fflush(stdout);
	sigaction(SIGALRM, &action, NULL);
	config.cr3 = (uint64_t)root;
	enter_guest(device, &config);
	boot();
	target_entry = slot(root, (uint64_t)target, 0);
	fault();

	__asm__ __volatile__("movq $0x77, -8(%%rsp)\n syscall\n movq -8(%%rsp), %0" : "=r"(red_zone) : "a"(SYS_getpid) : "rcx", "r11", "memory");
	printf("the red zone of a system call in ring 0 is %s\n", red_zone == 0x77 ? "kept" : "overwritten");
	printf("ring 3 returns %d\n", ring3());
	printf("a signal destroys words of the guest's stack: %d\n", words_lost_to_a_signal() > 50);
	with_double = 1;
	fault();
	printf("FAILED: not reached\n");
	return 0;
}
