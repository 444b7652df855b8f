/*
 * EPT violations of all kinds and in no order, for a comparison of how they are served: areas that come and go, with all rights, of memory and of a file, read first or
 * written first, page by page, in runs, by one instruction over many pages; pages that were used before; rights that are taken away and given. Prints a checksum.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "libdune/dune.h"

#define AREAS 12
#define PAGES 700

static uint32_t state;
static uint32_t below(uint32_t n)
{
	state = state * 1664525 + 1013904223;
	return (state >> 8) % n;
}

static struct {
	volatile char *at;
	size_t pages;
	int prot, kind;
} areas[AREAS];
static uint64_t sum;
static int file;

static void renew(int n)
{
	static const int prots[] = { PROT_READ | PROT_WRITE, PROT_READ | PROT_WRITE, PROT_READ | PROT_WRITE | PROT_EXEC, PROT_READ };
	int kind = below(5);
	size_t pages = 1 + below(PAGES);
	int flags = kind == 0 ? MAP_SHARED | MAP_ANONYMOUS : kind == 1 ? MAP_PRIVATE : MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;

	if (areas[n].at)
		munmap((void *)areas[n].at, areas[n].pages * PGSIZE);
	if (kind == 1)
		pages = 1 + below(40);
	areas[n].prot = prots[below(4)];
	areas[n].kind = kind;
	areas[n].pages = pages;
	areas[n].at = mmap(NULL, pages * PGSIZE, areas[n].prot, flags, kind == 1 ? file : -1, 0);
	if (areas[n].at == MAP_FAILED)
		exit(1);
}

static void look(volatile char *at)
{
	sum = sum * 31 + (unsigned char)*at;
}

/* From one page to another, all of them. */
static void sweep(int n)
{
	size_t first = below(areas[n].pages), end = first + 1 + below(areas[n].pages - first);
	int write = areas[n].prot & PROT_WRITE && below(4);

	for (size_t page = first; page < end; page++) {
		volatile char *at = areas[n].at + page * PGSIZE;
		for (int word = 0; word < 20; word++) {
			if (write)
				at[word * 200] = page + word;
			else
				look(at + word * 200);
		}
	}
}

static void fill(int n)
{
	size_t first = below(areas[n].pages), end = first + 1 + below(areas[n].pages - first);

	if (areas[n].prot & PROT_WRITE)
		memset((void *)(areas[n].at + first * PGSIZE + 100), n, (end - first) * PGSIZE - 100);
}

static void protect(int n)
{
	size_t page = below(areas[n].pages);

	if (areas[n].kind == 1 || !(areas[n].prot & PROT_WRITE))
		return;
	mprotect((void *)(areas[n].at + page * PGSIZE), PGSIZE, PROT_READ);
	look(areas[n].at + page * PGSIZE);
	mprotect((void *)(areas[n].at + page * PGSIZE), PGSIZE, areas[n].prot);
	areas[n].at[page * PGSIZE] = 1;
}

int main(int argc, char **argv)
{
	state = argc > 1 ? atoi(argv[1]) : 1;
	int rounds = argc > 2 ? atoi(argv[2]) : 200;

	file = open(argv[0], O_RDONLY);
	for (int n = 0; n < AREAS; n++)
		renew(n);
	if (file < 0 || dune_init_and_enter())
		return 1;
	while (rounds--) {
		int n = below(AREAS);
		switch (below(6)) {
		case 0:
			renew(n);
			break;
		case 1:
			fill(n);
			break;
		case 2:
			protect(n);
			break;
		default:
			sweep(n);
		}
		if (below(64) == 0)
			load_cr3(read_cr3());
	}
	printf("%lx\n", (unsigned long)sum);
	return 0;
}
