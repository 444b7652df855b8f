/* Between the files of the library. */
#ifndef LIBDUNE_LOCAL_H
#define LIBDUNE_LOCAL_H

#include "dune.h"

#define VSYSCALL_ADDR 0xffffffffff600000UL

/* In dune.S, rings.S and vsyscall.S. */
int __dune_enter(struct dune_config *conf, void *host_stack);
void __dune_boot(const void *gdtr, const void *idtr, void *percpu);
void __dune_go_linux(struct dune_config *conf) __attribute__((noreturn));
void __dune_trap_notify(void);
extern char __dune_intr[], __dune_syscall[], __dune_syscall_end[], dune_syscall_entry[], __dune_vsyscall_page[];

/* Called from there. */
long dune_host_loop(struct dune_config *conf);
void dune_host_resume(struct dune_trap_regs *regs, struct dune_config *conf) __attribute__((noreturn));
void dune_trap_handler(int vector, struct dune_tf *tf);
void dune_syscall_handler(struct dune_tf *tf);

int dune_page_init(void);
int dune_vm_init(void);
void dune_trap_init(void);
const void *dune_idt_descriptor(void);
int dune_apic_init(void);
void dune_apic_init_rt_entry(void);

/* As dune_procmap_iterate; stops when cb returns something else than 0, and returns that. */
int dune_procmap_each(int (*cb)(const struct dune_procmap_entry *entry, void *arg), void *arg);

/* Bytes from a guest address, only if the page tables in force allow it: for dumps. */
bool dune_vm_readable(const void *va, size_t len);

/* In Dune mode, ring 0? */
static inline bool dune_in_ring0(void)
{
	uint16_t cs;

	__asm__ __volatile__("mov %%cs, %0" : "=r"(cs));
	return (cs & 3) == 0;
}

/* A system call straight to Linux. Ring 0 of Dune mode only. */
static inline long dune_vmcall(long nr, long a0, long a1, long a2, long a3, long a4, long a5)
{
	register long r10 __asm__("r10") = a3;
	register long r8 __asm__("r8") = a4;
	register long r9 __asm__("r9") = a5;
	long result;

	__asm__ __volatile__("vmcall"
			     : "=a"(result)
			     : "a"(nr), "D"(a0), "S"(a1), "d"(a2), "r"(r10), "r"(r8), "r"(r9)
			     : "memory");
	return result;
}

static inline long dune_raw_syscall(long nr, long a0, long a1, long a2)
{
	long result;

	__asm__ __volatile__("syscall"
			     : "=a"(result)
			     : "a"(nr), "D"(a0), "S"(a1), "d"(a2)
			     : "rcx", "r11", "memory");
	return result;
}

#endif
