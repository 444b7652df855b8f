/* Guest page tables. Tables are pages of the pool, so an entry's address is also where the table can be read. */
#include <cpuid.h>
#include <errno.h>
#include <string.h>

#include "local.h"

ptent_t *pgroot;

static bool have_1gb_pages;

static size_t level_size(int level)
{
	return 1UL << PDSHIFT(level);
}

static ptent_t *table_of(ptent_t pte)
{
	return (ptent_t *)PTE_ADDR(pte);
}

static bool is_big(int level, ptent_t pte)
{
	return level > 0 && (pte & PTE_PS);
}

static ptent_t *new_table(void)
{
	struct page *page = dune_page_alloc();

	return page ? memset((void *)dune_page2pa(page), 0, PGSIZE) : NULL;
}

static void free_table(ptent_t *table)
{
	dune_page_put(dune_pa2page((physaddr_t)table));
}

static void free_tables(ptent_t *table, int level)
{
	int i;

	for (i = 0; level > 0 && i < 512; i++)
		if (table[i] && !is_big(level, table[i]))
			free_tables(table_of(table[i]), level - 1);
	free_table(table);
}

/* Puts a table of smaller leaves in the place of a large one. The translation stays the same, so nothing is flushed. */
static int split(ptent_t *pte, int level)
{
	ptent_t *table = new_table();
	ptent_t flags = PTE_FLAGS(*pte);
	physaddr_t pa = PTE_ADDR(*pte) & ~(level_size(level) - 1);
	int i;

	if (!table)
		return -ENOMEM;
	if (level == 1)
		flags &= ~(PTE_PS | PTE_AUTO);
	for (i = 0; i < 512; i++)
		table[i] = (pa + i * level_size(level - 1)) | flags;
	*pte = (ptent_t)table | PTE_DEF_FLAGS;
	return 0;
}

static ptent_t perm_to_pte(int perm)
{
	ptent_t pte = 0;

	if (perm & PERM_R)
		pte |= PTE_P;
	if (perm & PERM_W)
		pte |= PTE_W;
	if (!(perm & PERM_X))
		pte |= PTE_NX;
	if (perm & PERM_U)
		pte |= PTE_U;
	if (perm & PERM_UC)
		pte |= PTE_PCD;
	if (perm & PERM_COW)
		pte |= PTE_COW;
	if (perm & PERM_USR1)
		pte |= PTE_USR1;
	if (perm & PERM_USR2)
		pte |= PTE_USR2;
	if (perm & PERM_USR3)
		pte |= PTE_USR3;
	return pte;
}

/* The slot of va at a level. Tables on the way are made, leaves on the way split. */
static int slot_at(ptent_t *root, uintptr_t va, int level, ptent_t **slot)
{
	ptent_t *table = root;
	int at, error;

	for (at = NPTLVLS; at > level; at--) {
		ptent_t *pte = &table[PDX(at, va)];

		if (!*pte) {
			ptent_t *next = new_table();

			if (!next)
				return -ENOMEM;
			*pte = (ptent_t)next | PTE_DEF_FLAGS;
		} else if (is_big(at, *pte)) {
			error = split(pte, at);
			if (error)
				return error;
		}
		table = table_of(*pte);
	}
	*slot = &table[PDX(level, va)];
	return 0;
}

/* Level of the leaf to map next. */
static int leaf_level(uintptr_t va, physaddr_t pa, size_t len, int perm)
{
	if (perm & PERM_BIG_1GB)
		return 2;
	if (perm & PERM_BIG)
		return 1;
	if (have_1gb_pages && ((va | pa) & (BIG_PGSIZE_1GB - 1)) == 0 && len >= BIG_PGSIZE_1GB)
		return 2;
	if (((va | pa) & (BIG_PGSIZE - 1)) == 0 && len >= BIG_PGSIZE)
		return 1;
	return 0;
}

int dune_vm_map_phys(ptent_t *root, void *va, size_t len, void *pa, int perm)
{
	uintptr_t at = PGADDR(va);
	physaddr_t target = PGADDR(pa);
	size_t left = (((uintptr_t)va & PGMASK) + len + PGMASK) & ~PGMASK;
	ptent_t flags = perm_to_pte(perm);

	while (left) {
		int level = leaf_level(at, target, left, perm);
		size_t size = level_size(level);
		ptent_t *pte;
		int error = slot_at(root, at, level, &pte);

		if (error)
			return error;
		if (level > 0 && *pte && !is_big(level, *pte))
			free_tables(table_of(*pte), level - 1);
		*pte = target | flags;
		if (level > 0)
			*pte |= perm & (PERM_BIG | PERM_BIG_1GB) ? PTE_PS : PTE_PS | PTE_AUTO;
		at += size;
		target += size;
		left -= size < left ? size : left;
	}
	return 0;
}

int dune_vm_map_pages(ptent_t *root, void *va, size_t len, int perm)
{
	uintptr_t at, end = (uintptr_t)va + len;

	if (perm && !(perm & PERM_R))
		return -EINVAL;
	for (at = PGADDR(va); at < end; at += PGSIZE) {
		struct page *page = dune_page_alloc();
		int error;

		if (!page)
			return -ENOMEM;
		error = dune_vm_map_phys(root, (void *)at, PGSIZE, (void *)dune_page2pa(page),
					 perm & ~(PERM_BIG | PERM_BIG_1GB));
		if (error) {
			dune_page_put(page);
			return error;
		}
	}
	return 0;
}

int dune_vm_lookup(ptent_t *root, void *va, int create, ptent_t **pte_out)
{
	int target = create == CREATE_BIG_1GB ? 2 : create == CREATE_BIG ? 1 : 0;
	ptent_t *table = root;
	int level, error;

	for (level = NPTLVLS;; level--) {
		ptent_t *pte = &table[PDX(level, va)];

		if (level == target || (is_big(level, *pte) && !(*pte & PTE_AUTO))) {
			*pte_out = pte;
			return 0;
		}
		if (!*pte) {
			ptent_t *next;

			if (!create)
				return -ENOENT;
			next = new_table();
			if (!next)
				return -ENOMEM;
			*pte = (ptent_t)next | PTE_DEF_FLAGS;
		} else if (is_big(level, *pte)) {
			error = split(pte, level);
			if (error)
				return error;
		}
		table = table_of(*pte);
	}
}

typedef int (*leaf_cb)(void *arg, ptent_t *pte, uintptr_t va, int level);

struct leaf_walk {
	leaf_cb cb;
	void *arg;
	/* Large leaves that the range covers only in part are split, also those that were asked for. */
	bool split_all;
};

static int each_leaf(ptent_t *table, int level, uintptr_t first, uintptr_t last, const struct leaf_walk *walk)
{
	size_t size = level_size(level);
	uintptr_t va = first;

	for (;;) {
		uintptr_t slot_last = va | (size - 1);
		uintptr_t stop = slot_last < last ? slot_last : last;
		ptent_t *pte = &table[PDX(level, va)];
		int result = 0;

		if (is_big(level, *pte) && (walk->split_all || (*pte & PTE_AUTO)) &&
		    ((va & (size - 1)) || stop != slot_last)) {
			result = split(pte, level);
			if (result)
				return result;
		}
		if (*pte && (level == 0 || is_big(level, *pte)))
			result = walk->cb(walk->arg, pte, va & ~(size - 1), level);
		else if (*pte)
			result = each_leaf(table_of(*pte), level - 1, va, stop, walk);
		if (result || stop == last)
			return result;
		va = slot_last + 1;
	}
}

static int walk_range(ptent_t *root, void *va, size_t len, leaf_cb cb, void *arg)
{
	struct leaf_walk walk = {cb, arg, true};

	return len ? each_leaf(root, NPTLVLS, PGADDR(va), ((uintptr_t)va + len - 1) | PGMASK, &walk) : 0;
}

static int protect_leaf(void *arg, ptent_t *pte, uintptr_t va, int level)
{
	ptent_t keep = level > 0 ? *pte & (PTE_PS | PTE_AUTO) : 0;

	(void)va;
	*pte = PTE_ADDR(*pte) | keep | *(ptent_t *)arg;
	return 0;
}

int dune_vm_mprotect(ptent_t *root, void *va, size_t len, int perm)
{
	ptent_t flags = perm_to_pte(perm);
	int error;

	if ((perm & PERM_W) && !(perm & PERM_R))
		return -EINVAL;
	error = walk_range(root, va, len, protect_leaf, &flags);
	if (dune_in_ring0())
		dune_flush_tlb();
	return error;
}

static int unmap_leaf(void *arg, ptent_t *pte, uintptr_t va, int level)
{
	physaddr_t pa = PTE_ADDR(*pte);

	(void)arg;
	(void)va;
	*pte = 0;
	if (level == 0 && dune_page_isfrompool(pa) && dune_pa2page(pa)->ref)
		dune_page_put(dune_pa2page(pa));
	return 0;
}

void dune_vm_unmap(ptent_t *root, void *va, size_t len)
{
	walk_range(root, va, len, unmap_leaf, NULL);
	if (dune_in_ring0())
		dune_flush_tlb();
}

struct user_walk {
	page_walk_cb cb;
	const void *arg;
};

static int user_leaf(void *arg, ptent_t *pte, uintptr_t va, int level)
{
	const struct user_walk *user = arg;

	(void)level;
	return user->cb(user->arg, pte, (void *)va);
}

int dune_vm_page_walk(ptent_t *root, void *start, void *end, page_walk_cb cb, const void *arg)
{
	struct user_walk user = {cb, arg};
	struct leaf_walk walk = {user_leaf, &user, false};

	if (start > end)
		return 0;
	return each_leaf(root, NPTLVLS, PGADDR(start), (uintptr_t)end | PGMASK, &walk);
}

static ptent_t *clone_table(const ptent_t *from, int level)
{
	ptent_t *to = new_table();
	int i;

	for (i = 0; to && i < 512; i++) {
		ptent_t pte = from[i];

		if (pte && level > 0 && !is_big(level, pte)) {
			ptent_t *table = clone_table(table_of(pte), level - 1);

			if (!table) {
				free_tables(to, level);
				return NULL;
			}
			pte = (ptent_t)table | PTE_FLAGS(pte);
		} else if (level == 0 && dune_page_isfrompool(PTE_ADDR(pte)) && dune_pa2page(PTE_ADDR(pte))->ref) {
			dune_page_get(dune_pa2page(PTE_ADDR(pte)));
		}
		to[i] = pte;
	}
	return to;
}

ptent_t *dune_vm_clone(ptent_t *root)
{
	return clone_table(root, NPTLVLS);
}

void dune_vm_free(ptent_t *root)
{
	free_tables(root, NPTLVLS);
}

void dune_vm_default_pgflt_handler(uintptr_t addr, uint64_t fec)
{
	ptent_t *root = (ptent_t *)PTE_ADDR(read_cr3());
	struct page *old, *page;
	ptent_t *pte;

	if ((fec & FEC_RSV) || !(fec & FEC_W) || dune_vm_lookup(root, (void *)addr, CREATE_NONE, &pte) ||
	    !(*pte & PTE_P) || !(*pte & PTE_COW)) {
		dune_printf("dune: page fault at %p (error code 0x%lx) is not a write to a copy-on-write page\n", (void *)addr,
			    (unsigned long)fec);
		dune_die();
	}
	/* A large page is copied one small page at a time. */
	if (slot_at(root, addr, 0, &pte)) {
		dune_printf("dune: no page left to split a large page\n");
		dune_die();
	}
	old = dune_page_isfrompool(PTE_ADDR(*pte)) ? dune_pa2page(PTE_ADDR(*pte)) : NULL;
	if (!old || old->ref != 1) {
		page = dune_page_alloc();
		if (!page) {
			dune_printf("dune: no page left for a copy on write\n");
			dune_die();
		}
		memcpy((void *)dune_page2pa(page), (void *)PGADDR(addr), PGSIZE);
		*pte = dune_page2pa(page) | PTE_FLAGS(*pte);
		if (old && old->ref)
			dune_page_put(old);
	}
	*pte = (*pte | PTE_W) & ~PTE_COW;
	dune_flush_tlb_one(addr);
}

bool dune_vm_readable(const void *va, size_t len)
{
	uintptr_t first = PGADDR(va), last = PGADDR((uintptr_t)va + len - 1);

	for (;; first += PGSIZE) {
		ptent_t *table = (ptent_t *)PTE_ADDR(read_cr3());
		int level;

		for (level = NPTLVLS;; level--) {
			ptent_t pte = table[PDX(level, first)];

			if (!(pte & PTE_P))
				return false;
			if (level == 0 || is_big(level, pte))
				break;
			table = table_of(pte);
		}
		if (first == last)
			return true;
	}
}

int dune_vm_init(void)
{
	unsigned int eax, ebx, ecx, edx;

	have_1gb_pages = __get_cpuid(0x80000001, &eax, &ebx, &ecx, &edx) && (edx & (1u << 26));
	pgroot = new_table();
	return pgroot ? 0 : -ENOMEM;
}
