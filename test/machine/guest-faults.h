/* What the guest of guest-faults.c and its hypervisor agree upon: CASE says what goes wrong. */
enum { HANDLED_PAGE_FAULT = 1, EPT_VIOLATION, TABLE_VIOLATION, MISCONFIGURED_PAGE, MISCONFIGURED_TABLE, TRIPLE_FAULT, INTERCEPTED_PAGE_FAULT, SHADOW_VMCS, HALTED };

/* The guest's linear addresses from WINDOW on are mapped by tables of their own. */
#define WINDOW 0x40000000000ULL
/* Guest-physical addresses that the hypervisor never maps. */
#define NOWHERE GUEST_HEAP_END
/* A page whose EPT entries the hypervisor spoils. */
#define SPOILED GUEST_HEAP
