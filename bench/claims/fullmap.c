/* fullmap: 69 GB of addresses mapped by 18 million 4 KB entries, table by table, as the public libdune does when it starts.
 * With DUNE it is done in Dune mode, so that every table is an EPT violation when it is first written. N = times. */
#include "bench.h"
#include <sys/mman.h>
#ifdef DUNE
#include "libdune/dune.h"
#else
enum { PTE_P = 1, PTE_W = 2, PTE_U = 4 };
#endif

#define GIGABYTE (1UL << 30)
#define PAGE 4096UL
#define POOL_SIZE (160UL << 20)

static char *pool, *pool_next;
static uint64_t tables;

static uint64_t *new_table(void)
{
	uint64_t *table = (uint64_t *)pool_next;
	pool_next += PAGE;
	tables++;
	return table;
}

/* The entry of an address; tables are named by their addresses here. */
static uint64_t *slot(uint64_t *root, uint64_t va)
{
	uint64_t *table = root;
	for (int shift = 39; shift > 12; shift -= 9) {
		uint64_t *entry = &table[(va >> shift) & 511];
		if (!*entry)
			*entry = (uint64_t)new_table() | PTE_P | PTE_W | PTE_U;
		table = (uint64_t *)(*entry & ~(PAGE - 1));
	}
	return &table[(va >> 12) & 511];
}

static NOIPA void map(uint64_t *root, uint64_t va, uint64_t pa, uint64_t len)
{
	uint64_t *entry = NULL;
	for (uint64_t at = 0; at < len; at += PAGE) {
		entry = (va + at) % (512 * PAGE) ? entry + 1 : slot(root, va + at);
		*entry = (pa + at) | PTE_P | PTE_W | PTE_U;
	}
}

int main(int argc, char **argv)
{
	unsigned long n = bench_args("fullmap", argc, argv, 1);
	uint64_t sum = 0;
	if (n > 1)
		return 2;
	pool = mmap(NULL, POOL_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (pool == MAP_FAILED)
		return 2;
	pool_next = pool;
#ifdef DUNE
	if (dune_init_and_enter())
		return 3;
#endif
	bench_begin();
	for (unsigned long i = 0; i < n; i++) {
		uint64_t *root = new_table();
		map(root, 0, 0, 4 * GIGABYTE);
		map(root, 0x7f0000000000, 4 * GIGABYTE, 63 * GIGABYTE);
		map(root, 0x7fffc0000000, 68 * GIGABYTE, GIGABYTE);
		sum = tables * 31 + *slot(root, 0x7f0012345000);
	}
	return bench_end(sum);
}
