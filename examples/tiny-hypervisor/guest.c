/* A guest that makes its hypervisor work: port I/O, CPUID, memory that is not there yet, VMCALL. */
#include <stdint.h>
#include "guest.h"

#define PAGE 4096
#define NODES 5

struct node {
    struct node *next;
    uint64_t value;
};

static int lines;

static void print(const char *text)
{
    for (; *text; text++)
        __asm__ volatile("outb %0, %1" : : "a"(*text), "N"(CONSOLE_PORT));
    lines++;
}

static uint64_t hypercall(uint64_t number, uint64_t argument)
{
    __asm__ volatile("vmcall" : "+a"(number) : "D"(argument) : "memory");
    return number;
}

static void hypervisor_name(uint32_t name[4])
{
    uint32_t leaf = HYPERVISOR_LEAF;
    __asm__ volatile("cpuid" : "+a"(leaf), "=b"(name[0]), "=c"(name[1]), "=d"(name[2]));
    name[3] = 0;
}

/* Every node has a page of its own, which the hypervisor has to bring. */
static struct node *make_list(void)
{
    struct node *list = 0;
    for (int i = 0; i < NODES; i++) {
        struct node *node = (struct node *)(uint64_t)(GUEST_HEAP + i * PAGE);
        node->value = i * i;
        node->next = list;
        list = node;
    }
    return list;
}

static uint64_t sum(const struct node *list)
{
    uint64_t total = 0;
    for (; list; list = list->next)
        total += list->value;
    return total;
}

int guest_main(void)
{
    uint32_t name[4];
    print("guest: hello from non-root ring 0\n");
    hypervisor_name(name);
    print("guest: this is ");
    print((const char *)name);
    print("\n");
    struct node *list = make_list();
    uint64_t pages = hypercall(HYPERCALL_REPORT, sum(list));
    return pages == NODES ? lines : 0;
}
