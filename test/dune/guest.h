/* What the programs of this folder share: /dev/dune spoken by hand, without libdune. */
#ifndef TEST_DUNE_GUEST_H
#define TEST_DUNE_GUEST_H

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ENTER 0x80b0e901UL
#define GET_SYSCALL 0xe902UL
#define GET_LAYOUT 0x4018e903UL
#define TRAP_ENABLE 0x8029e904UL
#define TRAP_DISABLE 0xe905UL

#define POOL 0x200000000UL
#define PAGE 4096UL
#define GB (1UL << 30)

#define PTE_P 1UL
#define PTE_W 2UL
#define PTE_U 4UL
#define PTE_PS 0x80UL
#define PTE_NX (1UL << 63)

struct config {
	int64_t ret;
	uint64_t rax, rbx, rcx, rdx, rsi, rdi, rsp, rbp;
	uint64_t r8, r9, r10, r11, r12, r13, r14, r15;
	uint64_t rip, rflags, cr3;
	int64_t status;
	uint64_t vcpu;
} __attribute__((packed));
_Static_assert(sizeof(struct config) == 176, "the ioctl's number holds this size");

struct layout {
	uint64_t phys_limit, base_map, base_stack;
};

static inline long raw(long nr, long a, long b, long c)
{
	long result;

	__asm__ __volatile__("syscall" : "=a"(result) : "a"(nr), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
	return result;
}

static inline void die(const char *what)
{
	printf("FAILED: %s\n", what);
	exit(1);
}

/* Page tables in memory at POOL, where virtual and guest-physical addresses agree. */
static uint64_t pool_next = POOL, pool_end = POOL;

static inline uint64_t *new_table(void)
{
	if (pool_next == pool_end) {
		void *at = mmap((void *)pool_end, 2 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

		if (at == MAP_FAILED)
			die("mmap of the pool");
		pool_end += 2 << 20;
	}
	pool_next += PAGE;
	return (uint64_t *)(pool_next - PAGE);
}

/* The slot of va in the table of a level (3 PML4 .. 0). */
static inline uint64_t *slot(uint64_t *root, uint64_t va, int level)
{
	uint64_t *table = root;
	int at;

	for (at = 3; at > level; at--) {
		uint64_t *entry = &table[va >> (12 + 9 * at) & 511];

		if (!*entry)
			*entry = (uint64_t)new_table() | PTE_P | PTE_W | PTE_U;
		table = (uint64_t *)(*entry & 0x000ffffffffff000UL);
	}
	return &table[va >> (12 + 9 * level) & 511];
}

#endif
