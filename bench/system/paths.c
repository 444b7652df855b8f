/*
 * paths: what leaves straight-line code, one loop a name. `paths NAME N` prints the lines of bench.h about N turns.
 * Names of Linux mode run natively, too; the others enter Dune mode first.
 */
#include "../programs/bench.h"
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "libdune/dune.h"

#define LOOP(n) for (unsigned long turn = 0; turn < (n); turn++)

static uint64_t result;

/* ---------------------------------------------------------------------------------------------- Linux mode */

static void getppid_loop(unsigned long n)
{
	LOOP(n) result += syscall(SYS_getppid) > 0;
}

static void on_signal(int signal)
{
	result += signal;
}

static void signal_loop(unsigned long n)
{
	pid_t pid = getpid(), tid = (pid_t)syscall(SYS_gettid);

	signal(SIGUSR1, on_signal);
	LOOP(n) syscall(SYS_tgkill, pid, tid, SIGUSR1);
}

static void mprotect_loop(unsigned long n)
{
	char *area = mmap(NULL, 3 * PGSIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	LOOP(n) {
		area[PGSIZE] = (char)turn;
		mprotect(area + PGSIZE, PGSIZE, PROT_READ);
		mprotect(area + PGSIZE, PGSIZE, PROT_READ | PROT_WRITE);
	}
	result += (unsigned char)area[PGSIZE];
}

/* First touch of anonymous memory, 256 pages a turn's mapping. In Dune mode the EPT has not seen it either. */
static void touch_loop(unsigned long n)
{
	enum { PAGES = 256 };

	for (unsigned long done = 0; done < n; done += PAGES) {
		char *area = mmap(NULL, PAGES * PGSIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		for (int page = 0; page < PAGES; page++)
			area[page * PGSIZE] = 1;
		result += (unsigned char)area[5 * PGSIZE];
		munmap(area, PAGES * PGSIZE);
	}
}

/* ---------------------------------------------------------------------------------------------- Dune mode */

static char page[PGSIZE] __attribute__((aligned(PGSIZE)));
static char stack[4 * PGSIZE] __attribute__((aligned(PGSIZE)));
static ptent_t *entry;

static void vmcall_loop(unsigned long n)
{
	LOOP(n) {
		long pid;

		__asm__ __volatile__("vmcall" : "=a"(pid) : "a"(SYS_getppid) : "rcx", "r11", "memory");
		result += pid > 0;
	}
}

static void cpuid_loop(unsigned long n)
{
	LOOP(n) {
		uint32_t a = 0, b, c = 0, d;

		__asm__ __volatile__("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
		result += a > 0;
	}
}

/* A handler of one's own at a vector, without libdune's frame. */
static void set_gate(int vector, void (*handler)(void))
{
	struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) idtr;
	uint64_t *gate, at = (uint64_t)handler;

	__asm__ __volatile__("sidt %0" : "=m"(idtr));
	gate = (uint64_t *)(idtr.base + (uint64_t)vector * 16);
	gate[0] = (at & 0xffff) | GD_KT << 16 | 0x8e00UL << 32 | (at >> 16 & 0xffff) << 48;
	gate[1] = at >> 32;
}

void just_iret(void), skip_two(void), give_write(void);
extern ptent_t *given_entry;
ptent_t *given_entry;
__asm__("just_iret: iretq\n"
	"skip_two: addq $2, (%rsp)\n iretq\n"
	"give_write: add $8, %rsp\n push %rax\n mov given_entry(%rip), %rax\n orq $2, (%rax)\n"
	" mov %cr2, %rax\n invlpg (%rax)\n pop %rax\n iretq\n");

static void int_loop(unsigned long n)
{
	set_gate(0x40, just_iret);
	LOOP(n) __asm__ __volatile__("int $0x40" ::: "memory");
}

static void ud2_loop(unsigned long n)
{
	set_gate(6, skip_two);
	LOOP(n) __asm__ __volatile__("ud2" ::: "memory");
}

/* Write-protects a page, writes; the handler gives the right back. */
static void guest_fault_loop(unsigned long n)
{
	set_gate(14, give_write);
	given_entry = entry;
	LOOP(n) {
		*entry &= ~PTE_W;
		dune_flush_tlb_one((unsigned long)page);
		((volatile char *)page)[5]++;
	}
	result += (unsigned char)page[5];
}

static void library_fault(uintptr_t address, uint64_t code, struct dune_tf *frame)
{
	(void)code;
	(void)frame;
	*entry |= PTE_W;
	dune_flush_tlb_one(address);
}

static void library_fault_loop(unsigned long n)
{
	dune_register_pgflt_handler(library_fault);
	LOOP(n) {
		*entry &= ~PTE_W;
		dune_flush_tlb_one((unsigned long)page);
		((volatile char *)page)[5]++;
	}
}

static unsigned long turns;

static void on_system_call(struct dune_tf *frame)
{
	if (frame->rax == SYS_exit)
		dune_ret_from_user(0);
	frame->rax = 1;
}

static void in_ring3(void)
{
	LOOP(turns) {
		long value;

		__asm__ __volatile__("syscall" : "=a"(value) : "a"(SYS_getppid) : "rcx", "r11", "memory");
		result += value;
	}
	__asm__ __volatile__("syscall" : : "a"(SYS_exit));
	__builtin_unreachable();
}

static void ring3_loop(unsigned long n)
{
	struct dune_tf frame;

	turns = n;
	dune_register_syscall_handler(on_system_call);
	memset(&frame, 0, sizeof frame);
	frame.rip = (uint64_t)in_ring3;
	frame.rsp = (uint64_t)stack + sizeof stack - 8;
	frame.rflags = 0x202;
	dune_jump_to_user(&frame);
}

/* The shortest way to ring 0 and back: a stub of one's own behind libdune's at LSTAR. */
void just_sysret(void), leave_ring3(void);
__asm__("just_sysret: cmp $60, %eax\n je leave_ring3\n mov $1, %eax\n sysretq\n");
__asm__("leave_ring3: mov saved_stack(%rip), %rsp\n pop %rbp\n pop %rbx\n pop %r12\n pop %r13\n pop %r14\n pop %r15\n ret\n");
uint64_t saved_stack;
void enter_ring3(void (*code)(void), char *top);
__asm__("enter_ring3: push %r15\n push %r14\n push %r13\n push %r12\n push %rbx\n push %rbp\n mov %rsp, saved_stack(%rip)\n"
	" mov %rdi, %rcx\n mov $0x202, %r11d\n mov %rsi, %rsp\n sysretq\n");

static void sysret_loop(unsigned long n)
{
	const uint64_t slot = offsetof(struct dune_percpu, syscall_entry), stub = (uint64_t)just_sysret;
	const uint64_t usermode = offsetof(struct dune_percpu, in_usermode);
	uint64_t library;

	turns = n;
	__asm__ __volatile__("mov %%gs:(%1), %0" : "=r"(library) : "r"(slot));
	__asm__ __volatile__("mov %0, %%gs:(%1)" : : "r"(stub), "r"(slot) : "memory");
	__asm__ __volatile__("movq $1, %%gs:(%0)" : : "r"(usermode) : "memory");
	enter_ring3(in_ring3, stack + sizeof stack - 8);
	__asm__ __volatile__("movq $0, %%gs:(%0)" : : "r"(usermode) : "memory");
	__asm__ __volatile__("mov %0, %%gs:(%1)" : : "r"(library), "r"(slot) : "memory");
}

static void cr3_loop(unsigned long n)
{
	unsigned long cr3 = read_cr3();

	LOOP(n) {
		load_cr3(cr3);
		result += (unsigned char)page[0];
	}
}

static void invlpg_loop(unsigned long n)
{
	LOOP(n) {
		dune_flush_tlb_one((unsigned long)page);
		result += ((volatile unsigned char *)page)[0];
	}
}

static void swapgs_loop(unsigned long n)
{
	LOOP(n) __asm__ __volatile__("swapgs; swapgs" ::: "memory");
}

static void rdtsc_loop(unsigned long n)
{
	LOOP(n) result += dune_get_ticks() != 0;
}

/* FS base: the one kind of MSR that does not exit. */
static void rdmsr_loop(unsigned long n)
{
	LOOP(n) {
		uint32_t low, high;

		__asm__ __volatile__("rdmsr" : "=a"(low), "=d"(high) : "c"(0xc0000100));
		result += low != 1;
	}
}

static void wrfsbase_loop(unsigned long n)
{
	LOOP(n) {
		uint64_t base;

		__asm__ __volatile__("rdfsbase %0; wrfsbase %0" : "=r"(base));
	}
}

static void port_loop(unsigned long n)
{
	LOOP(n) __asm__ __volatile__("outb %%al, $0x80" : : "a"(0));
}

static void cli_loop(unsigned long n)
{
	LOOP(n) __asm__ __volatile__("cli; sti; nop" ::: "memory");
}

static void popf_loop(unsigned long n)
{
	LOOP(n) __asm__ __volatile__("pushfq; popfq" ::: "memory", "cc");
}

/* ---------------------------------------------------------------------------------------------- */

static const struct {
	const char *name;
	void (*loop)(unsigned long n);
	int dune;
} paths[] = {
	{"getppid", getppid_loop, 0},
	{"signal", signal_loop, 0},
	{"mprotect", mprotect_loop, 0},
	{"touch", touch_loop, 0},
	{"vmcall", vmcall_loop, 1},
	{"libc", getppid_loop, 1},
	{"cpuid", cpuid_loop, 1},
	{"ept", touch_loop, 1},
	{"int", int_loop, 1},
	{"ud2", ud2_loop, 1},
	{"fault", guest_fault_loop, 1},
	{"libfault", library_fault_loop, 1},
	{"ring3", ring3_loop, 1},
	{"sysret", sysret_loop, 1},
	{"cr3", cr3_loop, 1},
	{"invlpg", invlpg_loop, 1},
	{"swapgs", swapgs_loop, 1},
	{"rdtsc", rdtsc_loop, 1},
	{"rdmsr", rdmsr_loop, 1},
	{"wrfsbase", wrfsbase_loop, 1},
	{"port", port_loop, 1},
	{"cli", cli_loop, 1},
	{"popf", popf_loop, 1},
};

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "";
	unsigned long n = bench_args(name, argc - 1, argv + 1, 1000);

	for (size_t index = 0; index < sizeof paths / sizeof *paths; index++) {
		if (strcmp(name, paths[index].name))
			continue;
		if (paths[index].dune) {
			if (dune_init_and_enter())
				return 1;
			page[0] = 1;
			dune_vm_mprotect(pgroot, page, PGSIZE, PERM_R | PERM_W | PERM_U);
			if (dune_vm_lookup(pgroot, page, CREATE_NORMAL, &entry))
				return 1;
		}
		paths[index].loop(n < 100 ? n : 100);
		bench_begin();
		paths[index].loop(n);
		return bench_end(result);
	}
	fprintf(stderr, "paths: no loop \"%s\"\n", name);
	return 2;
}
