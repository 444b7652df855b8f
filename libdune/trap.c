/* Exceptions, interrupts and the system calls of ring 3, on their way to the handlers of the program. Compiled without
 * SSE: what was interrupted still has live vector registers. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "local.h"

struct idt_entry {
	uint16_t offset_low;
	uint16_t selector;
	uint8_t ist;
	uint8_t type;
	uint16_t offset_middle;
	uint32_t offset_high;
	uint32_t reserved;
} __attribute__((packed));

struct descriptor {
	uint16_t limit;
	uint64_t base;
} __attribute__((packed));

#define GATE_INTERRUPT 0x8e /* present, ring 0; interrupts stay off until the frame is complete */
#define GATE_RING3 0x60

enum { T_NMI = 2, T_BP = 3, T_DF = 8, T_PF = 14, T_MC = 18 };

/* Each vector that can hit a handler at any point has an interrupt stack for itself; the others share one, which they
 * leave at once. */
enum { IST_NMI = 1, IST_BP, IST_DF, IST_MC, IST_COMMON };

static struct idt_entry idt[NR_INTERRUPTS] __attribute__((aligned(16)));
static struct descriptor idtr = {sizeof(idt) - 1, 0};

static dune_intr_cb intr_cbs[NR_INTERRUPTS];
static dune_pgflt_cb pgflt_cb;
static dune_syscall_cb syscall_cb;

static const char *const names[] = {
	"divide error", "debug", "NMI", "breakpoint", "overflow", "bound range", "invalid opcode", "device not available",
	"double fault", "coprocessor overrun", "invalid TSS", "segment not present", "stack fault", "general protection",
	"page fault", "vector 15", "x87 error", "alignment check", "machine check", "SIMD error", "virtualization",
	"control protection",
};

int dune_register_intr_handler(int vector, dune_intr_cb cb)
{
	if (vector < 0 || vector >= NR_INTERRUPTS)
		return -EINVAL;
	intr_cbs[vector] = cb;
	return 0;
}

int dune_register_signal_handler(int signum, dune_intr_cb cb)
{
	return dune_register_intr_handler(DUNE_SIGNAL_INTR_BASE + signum, cb);
}

void dune_register_pgflt_handler(dune_pgflt_cb cb)
{
	pgflt_cb = cb;
}

void dune_register_syscall_handler(dune_syscall_cb cb)
{
	syscall_cb = cb;
}

dune_sig_cb dune_signal(int sig, dune_sig_cb cb)
{
	struct sigaction action, old;

	memset(&action, 0, sizeof(action));
	action.sa_handler = cb;
	action.sa_flags = SA_RESTART;
	sigemptyset(&action.sa_mask);
	return sigaction(sig, &action, &old) ? SIG_ERR : old.sa_handler;
}

void dune_passthrough_syscall(struct dune_tf *tf)
{
	tf->rax = dune_vmcall(tf->rax, ARG0(tf), ARG1(tf), ARG2(tf), ARG3(tf), ARG4(tf), ARG5(tf));
}

uintptr_t dune_get_user_fs(void)
{
	uintptr_t base;

	__asm__ __volatile__("movq %%gs:%c1, %0" : "=r"(base) : "i"(offsetof(struct dune_percpu, ufs_base)));
	return base;
}

void dune_set_user_fs(uintptr_t fs_base)
{
	__asm__ __volatile__("movq %0, %%gs:%c1" : : "r"(fs_base), "i"(offsetof(struct dune_percpu, ufs_base)) : "memory");
}

static void dump_bytes(const char *what, uint64_t from, size_t len)
{
	const uint8_t *bytes = (const uint8_t *)from;
	size_t i;

	if (!dune_vm_readable(bytes, len)) {
		dune_printf("  %s %016lx: not mapped\n", what, from);
		return;
	}
	dune_printf("  %s %016lx:", what, from);
	for (i = 0; i < len; i++)
		dune_printf(" %02x", bytes[i]);
	dune_printf("\n");
}

void dune_dump_trap_frame(struct dune_tf *tf)
{
	int i;

	dune_printf("  rip %04x:%016lx  rsp %04x:%016lx  rflags %08lx  err %x\n", tf->cs, tf->rip, tf->ss, tf->rsp,
		    tf->rflags, tf->err);
	dune_printf("  rax %016lx  rbx %016lx  rcx %016lx  rdx %016lx\n", tf->rax, tf->rbx, tf->rcx, tf->rdx);
	dune_printf("  rsi %016lx  rdi %016lx  rbp %016lx  r8  %016lx\n", tf->rsi, tf->rdi, tf->rbp, tf->r8);
	dune_printf("  r9  %016lx  r10 %016lx  r11 %016lx  r12 %016lx\n", tf->r9, tf->r10, tf->r11, tf->r12);
	dune_printf("  r13 %016lx  r14 %016lx  r15 %016lx\n", tf->r13, tf->r14, tf->r15);
	for (i = 0; i < 12; i++) {
		uint64_t at = tf->rsp + 8 * i;

		if (!dune_vm_readable((void *)at, 8))
			break;
		dune_printf("  stack +%02x: %016lx\n", 8 * i, *(uint64_t *)at);
	}
	dump_bytes("code before", tf->rip - 16, 16);
	dump_bytes("code at", tf->rip, 16);
}

static void fatal(int vector, struct dune_tf *tf)
{
	uint64_t cr2;

	__asm__ __volatile__("mov %%cr2, %0" : "=r"(cr2));
	dune_printf("dune: fatal exception %d (%s), error code 0x%x, ring %d\n", vector,
		    vector < (int)(sizeof(names) / sizeof(names[0])) ? names[vector] : "interrupt", tf->err, tf->cs & 3);
	if (vector == T_PF)
		dune_printf("  address %016lx: %s by a %s\n", cr2, tf->err & FEC_P ? "refused" : "not mapped",
			    tf->err & FEC_I ? "fetch" : tf->err & FEC_W ? "write" : "read");
	dune_dump_trap_frame(tf);
	dune_die();
}

void dune_trap_handler(int vector, struct dune_tf *tf)
{
	if (intr_cbs[vector]) {
		intr_cbs[vector](tf);
		return;
	}
	if (vector == T_PF && pgflt_cb) {
		uint64_t cr2;

		__asm__ __volatile__("mov %%cr2, %0" : "=r"(cr2));
		pgflt_cb(cr2, tf->err, tf);
		return;
	}
	fatal(vector, tf);
}

void dune_syscall_handler(struct dune_tf *tf)
{
	if (syscall_cb) {
		syscall_cb(tf);
		return;
	}
	dune_printf("dune: system call %lu of ring 3, and no handler is registered\n", tf->rax);
	dune_dump_trap_frame(tf);
	dune_die();
}

void dune_trap_init(void)
{
	int i;

	for (i = 0; i < NR_INTERRUPTS; i++) {
		uint64_t entry = (uint64_t)__dune_intr + 16 * i;

		idt[i].offset_low = entry;
		idt[i].offset_middle = entry >> 16;
		idt[i].offset_high = entry >> 32;
		idt[i].selector = GD_KT;
		idt[i].type = GATE_INTERRUPT;
		idt[i].ist = IST_COMMON;
	}
	idt[T_BP].type |= GATE_RING3;
	idt[T_BP].ist = IST_BP;
	idt[T_NMI].ist = IST_NMI;
	idt[T_DF].ist = IST_DF;
	idt[T_MC].ist = IST_MC;
	idtr.base = (uint64_t)idt;
}

const void *dune_idt_descriptor(void)
{
	return &idtr;
}
