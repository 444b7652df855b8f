/*
 * pcid: two address spaces in one process, and what the TLB remembers of them.
 *
 * A clone of the page tables maps another page at the same address. The PCID in CR3 tags the TLB's entries with their address
 * space, and bit 63 keeps them when CR3 is loaded. The price: a changed page-table entry goes unseen until INVLPG or INVPCID.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libdune/dune.h"

#define WINDOW ((char *)0x300000000UL)

static ptent_t *first, *second;

static void enter_space(ptent_t *root, unsigned long pcid)
{
	load_cr3((unsigned long)root | pcid | CR3_NOFLUSH);
}

static char *new_page(const char *text)
{
	return strcpy((char *)dune_page2pa(dune_page_alloc()), text);
}

static char look(void)
{
	return *(volatile char *)WINDOW;
}

int main(void)
{
	char *one, *two, *three, in_first, in_second, again, stale, fresh;
	ptent_t *entry;

	if (dune_init_and_enter())
		return EXIT_FAILURE;
	one = new_page("1");
	two = new_page("2");
	three = new_page("3");
	first = pgroot;
	second = dune_vm_clone(pgroot);
	if (!second || dune_vm_map_phys(first, WINDOW, PGSIZE, one, PERM_R) ||
	    dune_vm_map_phys(second, WINDOW, PGSIZE, two, PERM_R))
		return EXIT_FAILURE;

	enter_space(first, 1);
	in_first = look();
	enter_space(second, 2);
	in_second = look();
	enter_space(first, 1);
	again = look();
	printf("one address: '%c' in PCID 1, '%c' in PCID 2, '%c' in PCID 1 again\n", in_first, in_second, again);

	dune_vm_lookup(first, WINDOW, CREATE_NONE, &entry);
	again = look(); /* what this reads is in the TLB when the entry changes */
	*entry = (physaddr_t)three | PTE_FLAGS(*entry);
	stale = look();
	dune_invpcid(INVPCID_ADDRESS, 1, (unsigned long)WINDOW);
	fresh = look();
	printf("the entry changed: '%c' before, '%c' (stale) until INVPCID, '%c' after\n", again, stale, fresh);
	return EXIT_SUCCESS;
}
