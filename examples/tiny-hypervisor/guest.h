/* What the hypervisor and its guest agree upon. */

/* Linear address of guest-physical address 0. The guest's image begins with its page tables at GUEST_TABLES, its code at GUEST_START (both guest-physical). */
#define GUEST_BASE 0xffffffff80000000
#define GUEST_TABLES 0x10000
#define GUEST_START 0x20000
#define GUEST_MEMORY 0x200000

/* What stands in guest-physical memory from here on comes into being when it is touched. */
#define GUEST_HEAP 0x1000000
#define GUEST_HEAP_END 0x1100000

/* A byte written to this port is printed. */
#define CONSOLE_PORT 0xe9

/* VMCALL: the number in RAX, an argument in RDI. */
#define HYPERCALL_REPORT 1
#define HYPERCALL_END 2

#define HYPERVISOR_LEAF 0x40000000
