/*
 * libdune: enter Dune mode (VMX non-root, ring 0) from an ordinary Linux process and use the privileged part of the CPU:
 * page tables, exceptions, ring 3, PCIDs, system-call interception.
 *
 * Unless said otherwise an int result is 0 or a negative errno.
 * Build programs static and at a fixed address: gcc -static -no-pie prog.c libdune/libdune.a -lpthread
 */
#ifndef LIBDUNE_DUNE_H
#define LIBDUNE_DUNE_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "config.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ------------------------------------------------------------------------------------------------ entering */

/* Once per process, in Linux mode. map_full: the guest page tables cover the low 4 GB, the mmap area and the stack
 * area whole; otherwise only what /proc/self/maps lists now, with its protection. */
int dune_init(bool map_full);
/* Once per thread, and again in a forked child. Returns 0 in Dune mode, ring 0, on the same stack. */
int dune_enter(void);
/* As dune_enter with a percpu block (struct dune_percpu) that the caller owns: zeroed, mapped in the guest. */
int dune_enter_ex(void *percpu);

static inline int dune_init_and_enter(void)
{
	int error = dune_init(true);

	return error ? error : dune_enter();
}

/* ------------------------------------------------------------------------------------------------ trap frames */

/* What a trap has interrupted. `err` is defined for the vectors that push one. In the frame of a SYSCALL from ring 3
 * rcx holds the fourth argument (R10); rip and rflags are what SYSCALL left in RCX and R11. */
struct dune_tf {
	uint64_t rdi, rsi, rdx, rcx, r8, r9;
	uint64_t r10, r11;
	uint64_t rbx, rbp, r12, r13, r14, r15;
	uint64_t rax;
	uint32_t err, pad_err;
	uint64_t rip;
	uint16_t cs, pad_cs[3];
	uint64_t rflags;
	uint64_t rsp;
	uint16_t ss, pad_ss[3];
} __attribute__((packed));

#define ARG0(tf) ((tf)->rdi)
#define ARG1(tf) ((tf)->rsi)
#define ARG2(tf) ((tf)->rdx)
#define ARG3(tf) ((tf)->rcx)
#define ARG4(tf) ((tf)->r8)
#define ARG5(tf) ((tf)->r9)

typedef void (*dune_intr_cb)(struct dune_tf *tf);
typedef void (*dune_pgflt_cb)(uintptr_t addr, uint64_t fec, struct dune_tf *tf);
typedef void (*dune_syscall_cb)(struct dune_tf *tf);
typedef void (*dune_sig_cb)(int sig);

/* Error code of a page fault. */
#define FEC_P 0x01   /* protection, not absence */
#define FEC_W 0x02   /* write */
#define FEC_U 0x04   /* from ring 3 */
#define FEC_RSV 0x08 /* reserved bit set in an entry */
#define FEC_I 0x10   /* instruction fetch */

#define DUNE_SIGNAL_INTR_BASE 200
#define NR_INTERRUPTS 256

/* The handler for a vector, 0..255; it goes before every other, the page-fault handler included. NULL removes it. */
int dune_register_intr_handler(int vector, dune_intr_cb cb);
int dune_register_signal_handler(int signum, dune_intr_cb cb);
void dune_register_pgflt_handler(dune_pgflt_cb cb);
void dune_register_syscall_handler(dune_syscall_cb cb);
/* As signal(): the old disposition, or SIG_ERR. Linux runs cb in Linux mode, on a stack of its own, between two stays
 * in Dune mode. */
dune_sig_cb dune_signal(int sig, dune_sig_cb cb);

/* Loads all registers from tf and goes on there (IRETQ). */
void dune_pop_trap_frame(struct dune_tf *tf) __attribute__((noreturn));
/* Runs tf in ring 3 (cs and ss are set); returns what a handler gives to dune_ret_from_user. Calls nest. */
int dune_jump_to_user(struct dune_tf *tf);
void dune_ret_from_user(int ret) __attribute__((noreturn));
void dune_dump_trap_frame(struct dune_tf *tf);
/* Executes the system call in tf, result in tf->rax. Ring 0 only. */
void dune_passthrough_syscall(struct dune_tf *tf);
/* FS base of ring 3; it takes effect at the next way out to ring 3. */
uintptr_t dune_get_user_fs(void);
void dune_set_user_fs(uintptr_t fs_base);

/* ------------------------------------------------------------------------------------------------ per CPU block */

struct dune_tss {
	uint32_t reserved0;
	uint64_t rsp[3];
	uint64_t ist[8]; /* ist[0] is reserved by the CPU */
	uint16_t reserved1[5];
	uint16_t iomap_base;
} __attribute__((packed));

#define NR_GDT_ENTRIES 9

/* At the GS base of a thread in Dune mode, in ring 0 and in ring 3. A page of its own. */
struct dune_percpu {
	uint64_t percpu_ptr;
	uint64_t tmp;
	uint64_t kfs_base;
	uint64_t ufs_base;
	uint64_t in_usermode;
	struct dune_tss tss;
	uint64_t gdt[NR_GDT_ENTRIES];
	/* Ours, behind the public part. */
	uint64_t syscall_entry; /* where the stub at LSTAR sends system calls of ring 3 */
	uint64_t host_stack;    /* top of the stack that Linux mode uses while the guest is away */
	uint64_t safe_stack;    /* lowest address of the interrupt stacks */
} __attribute__((packed));

#define GD_KT 0x10  /* ring 0 code */
#define GD_KD 0x18  /* ring 0 data */
#define GD_UD 0x2b  /* ring 3 data, with RPL */
#define GD_UT 0x33  /* ring 3 code, with RPL */
#define GD_TSS 0x38

/* ------------------------------------------------------------------------------------------------ small things */

int dune_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void dune_die(void) __attribute__((noreturn));
void *dune_mmap(void *addr, size_t length, int prot, int flags, int fd, off_t offset);

static inline uint64_t dune_get_ticks(void)
{
	uint32_t low, high;

	__asm__ __volatile__("rdtsc" : "=a"(low), "=d"(high));
	return (uint64_t)high << 32 | low;
}

/* ------------------------------------------------------------------------------------------------ x2APIC */

uint32_t dune_apic_id(void);
/* APIC id of a Linux CPU, 0xFFFFFFFF if no thread has entered there; *err is set if there is no such CPU. */
uint32_t dune_apic_id_for_cpu(uint32_t cpu, bool *err);
void dune_apic_send_ipi(uint8_t vector, uint32_t dest_apic_id);
void dune_apic_eoi(void);

/* ------------------------------------------------------------------------------------------------ page pool */

#define PGSHIFT 12
#define PGSIZE (1UL << PGSHIFT)
#define BIG_PGSHIFT 21
#define BIG_PGSIZE (1UL << BIG_PGSHIFT)
#define BIG_PGSHIFT_1GB 30
#define BIG_PGSIZE_1GB (1UL << BIG_PGSHIFT_1GB)
#define PGMASK (PGSIZE - 1)
#define PGADDR(va) ((uintptr_t)(va) & ~PGMASK)

#define PAGEBASE 0x200000000UL
#define MAX_PAGES (1UL << 20)
#define PAGEBASE_END (PAGEBASE + MAX_PAGES * PGSIZE)

typedef uint64_t physaddr_t;
typedef uint64_t ptent_t;

struct page {
	struct page *next;
	uint64_t ref;
};

extern struct page *pages;
extern size_t num_pages;
extern int dune_fd;
extern ptent_t *pgroot;
extern uintptr_t phys_limit, mmap_base, stack_base;

/* A page with one reference and any contents, NULL when there is none. VA and PA are equal. */
struct page *dune_page_alloc(void);
void dune_page_free(struct page *page);
void dune_page_stats(void);

static inline bool dune_page_isfrompool(physaddr_t pa)
{
	return pa >= PAGEBASE && pa < PAGEBASE + num_pages * PGSIZE;
}

static inline struct page *dune_pa2page(physaddr_t pa)
{
	return &pages[(pa - PAGEBASE) >> PGSHIFT];
}

static inline physaddr_t dune_page2pa(struct page *page)
{
	return PAGEBASE + ((physaddr_t)(page - pages) << PGSHIFT);
}

static inline struct page *dune_page_get(struct page *page)
{
	__atomic_fetch_add(&page->ref, 1, __ATOMIC_RELAXED);
	return page;
}

static inline void dune_page_put(struct page *page)
{
	if (__atomic_sub_fetch(&page->ref, 1, __ATOMIC_ACQ_REL) == 0)
		dune_page_free(page);
}

/* ------------------------------------------------------------------------------------------------ addresses */

/* Where the windows of the process lie in guest-physical memory (GET_LAYOUT). */
#define GPA_STACK_SIZE (1UL << 30)
#define GPA_MAP_SIZE ((64UL << 30) - GPA_STACK_SIZE)

static inline physaddr_t dune_mmap_addr_to_pa(void *ptr)
{
	return (uintptr_t)ptr - mmap_base + phys_limit - GPA_STACK_SIZE - GPA_MAP_SIZE;
}

static inline physaddr_t dune_stack_addr_to_pa(void *ptr)
{
	return (uintptr_t)ptr - stack_base + phys_limit - GPA_STACK_SIZE;
}

static inline physaddr_t dune_va_to_pa(void *ptr)
{
	if ((uintptr_t)ptr >= stack_base)
		return dune_stack_addr_to_pa(ptr);
	if ((uintptr_t)ptr >= mmap_base)
		return dune_mmap_addr_to_pa(ptr);
	return (uintptr_t)ptr;
}

/* ------------------------------------------------------------------------------------------------ page tables */

#define PTE_P (1UL << 0)
#define PTE_W (1UL << 1)
#define PTE_U (1UL << 2)
#define PTE_PWT (1UL << 3)
#define PTE_PCD (1UL << 4)
#define PTE_A (1UL << 5)
#define PTE_D (1UL << 6)
#define PTE_PS (1UL << 7)
#define PTE_G (1UL << 8)
#define PTE_COW (1UL << 9)
#define PTE_USR3 (1UL << 60)
#define PTE_USR2 (1UL << 61)
#define PTE_USR1 (1UL << 62)
#define PTE_NX (1UL << 63)
/* Ours: a large leaf nobody asked for. It stands for 4 KB pages and is split when one of them is looked up. */
#define PTE_AUTO (1UL << 10)

#define PTE_ADDR(pte) ((physaddr_t)(pte) & 0x000ffffffffff000UL)
#define PTE_FLAGS(pte) ((ptent_t)(pte) & ~0x000ffffffffff000UL)
#define PTE_DEF_FLAGS (PTE_P | PTE_W | PTE_U)

#define NPTLVLS 3 /* levels 3 (PML4) to 0 (page table) */
#define PDSHIFT(level) (PGSHIFT + 9 * (level))
#define PDX(level, va) (((uintptr_t)(va) >> PDSHIFT(level)) & 0x1ff)

#define PERM_NONE 0x0000
#define PERM_R 0x0001
#define PERM_W 0x0002
#define PERM_X 0x0004
#define PERM_U 0x0008
#define PERM_UC 0x0010
#define PERM_COW 0x0020
#define PERM_BIG 0x0100
#define PERM_BIG_1GB 0x0200
#define PERM_USR1 0x1000
#define PERM_USR2 0x2000
#define PERM_USR3 0x4000

/* What dune_vm_lookup creates on its way. */
enum {
	CREATE_NONE = 0,
	CREATE_NORMAL = 1,
	CREATE_BIG = 2,
	CREATE_BIG_1GB = 3,
};

/* Maps [va, va+len) to [pa, pa+len), replacing what is there; nothing is flushed. PERM_BIG and PERM_BIG_1GB make leaves
 * of that size. Without them aligned ranges may get large leaves too; every lookup then sees 4 KB pages all the same. */
int dune_vm_map_phys(ptent_t *root, void *va, size_t len, void *pa, int perm);
/* The same with fresh pages of the pool. */
int dune_vm_map_pages(ptent_t *root, void *va, size_t len, int perm);
/* Changes every leaf there is in the range, and flushes. */
int dune_vm_mprotect(ptent_t *root, void *va, size_t len, int perm);
void dune_vm_unmap(ptent_t *root, void *va, size_t len);
/* The leaf entry of an address: the 4 KB entry, or that of a PERM_BIG page. -ENOENT if a table lacks and create is 0. */
int dune_vm_lookup(ptent_t *root, void *va, int create, ptent_t **pte_out);
/* A copy of all tables; pages of the pool get one more reference. NULL when memory is short. */
ptent_t *dune_vm_clone(ptent_t *root);
/* Frees the tables; data pages stay. */
void dune_vm_free(ptent_t *root);

typedef int (*page_walk_cb)(const void *arg, ptent_t *ptep, void *va);
/* Calls cb for every leaf that is not zero in [start, end], until it returns something else than 0. A large leaf that lies
 * whole in the range comes once, with PTE_PS. */
int dune_vm_page_walk(ptent_t *root, void *start, void *end, page_walk_cb cb, const void *arg);
/* Gives the faulting address a page of its own if its entry says PTE_COW; anything else is fatal. */
void dune_vm_default_pgflt_handler(uintptr_t addr, uint64_t fec);

static inline void dune_flush_tlb_one(unsigned long addr)
{
	__asm__ __volatile__("invlpg (%0)" : : "r"(addr) : "memory");
}

static inline unsigned long read_cr3(void)
{
	unsigned long value;

	__asm__ __volatile__("mov %%cr3, %0" : "=r"(value));
	return value;
}

static inline void load_cr3(unsigned long value)
{
	__asm__ __volatile__("mov %0, %%cr3" : : "r"(value) : "memory");
}

static inline void dune_flush_tlb(void)
{
	load_cr3(read_cr3());
}

#define CR3_NOFLUSH (1UL << 63)

/* INVPCID types. */
#define INVPCID_ADDRESS 0
#define INVPCID_CONTEXT 1
#define INVPCID_ALL_GLOBAL 2
#define INVPCID_ALL 3

static inline void dune_invpcid(unsigned long type, unsigned long pcid, unsigned long addr)
{
	struct {
		uint64_t pcid, addr;
	} descriptor = {pcid, addr};

	__asm__ __volatile__("invpcid %1, %0" : : "r"(type), "m"(descriptor) : "memory");
}

/* For PCID 1, as the public library has it. */
static inline void __invpcid(unsigned long mode, unsigned long addr)
{
	dune_invpcid(mode, 1, addr);
}

/* ------------------------------------------------------------------------------------------------ /proc/self/maps */

enum {
	PROCMAP_TYPE_UNKNOWN = 0,
	PROCMAP_TYPE_FILE,
	PROCMAP_TYPE_ANONYMOUS,
	PROCMAP_TYPE_HEAP,
	PROCMAP_TYPE_STACK,
	PROCMAP_TYPE_VSYSCALL,
	PROCMAP_TYPE_VDSO,
	PROCMAP_TYPE_VVAR,
};

struct dune_procmap_entry {
	unsigned long begin;
	unsigned long end;
	unsigned long offset;
	bool r, w, x, p;
	char path[256];
	int type;
};

typedef void (*dune_procmap_cb)(const struct dune_procmap_entry *entry);
void dune_procmap_iterate(dune_procmap_cb cb);
void dune_procmap_dump(void);

#ifdef __cplusplus
}
#endif

#endif
