/* The page pool: 4 KB pages at PAGEBASE, where their virtual and guest-physical addresses are the same, so that page
 * tables can be made of them. */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>

#include "local.h"

/* Linux gives the pool memory in steps of one large page. */
#define GROW_BYTES BIG_PGSIZE

struct page *pages;
size_t num_pages;

static struct page *free_list;
static size_t free_count;
static pthread_mutex_t pool_lock = PTHREAD_MUTEX_INITIALIZER;

static int grow(void)
{
	void *at = (void *)(PAGEBASE + num_pages * PGSIZE);
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
	void *memory;
	size_t i;

	if (num_pages + GROW_BYTES / PGSIZE > MAX_PAGES)
		return -ENOMEM;
	memory = mmap(at, GROW_BYTES, PROT_READ | PROT_WRITE, flags | MAP_HUGETLB, -1, 0);
	if (memory == MAP_FAILED)
		memory = mmap(at, GROW_BYTES, PROT_READ | PROT_WRITE, flags, -1, 0);
	if (memory == MAP_FAILED)
		return -errno;
	/* Last in, first out: the lowest page shall come first. */
	for (i = GROW_BYTES / PGSIZE; i-- > 0;) {
		struct page *page = &pages[num_pages + i];

		page->ref = 0;
		page->next = free_list;
		free_list = page;
	}
	num_pages += GROW_BYTES / PGSIZE;
	free_count += GROW_BYTES / PGSIZE;
	return 0;
}

struct page *dune_page_alloc(void)
{
	struct page *page;

	pthread_mutex_lock(&pool_lock);
	if (!free_list && grow()) {
		pthread_mutex_unlock(&pool_lock);
		return NULL;
	}
	page = free_list;
	free_list = page->next;
	free_count--;
	page->ref = 1;
	pthread_mutex_unlock(&pool_lock);
	return page;
}

void dune_page_free(struct page *page)
{
	if (page->ref) {
		dune_printf("dune: a page that is in use was freed\n");
		dune_die();
	}
	pthread_mutex_lock(&pool_lock);
	page->next = free_list;
	free_list = page;
	free_count++;
	pthread_mutex_unlock(&pool_lock);
}

void dune_page_stats(void)
{
	dune_printf("dune: page pool: %zu pages, %zu in use, %zu free\n", num_pages, num_pages - free_count, free_count);
}

int dune_page_init(void)
{
	void *table = mmap(NULL, MAX_PAGES * sizeof(struct page), PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	int error;

	if (table == MAP_FAILED)
		return -errno;
	pages = table;
	num_pages = 0;
	free_list = NULL;
	free_count = 0;
	error = grow();
	if (error)
		munmap(table, MAX_PAGES * sizeof(struct page));
	return error;
}
