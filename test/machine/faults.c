/*
 * What a debugger has to explain, on the bare machine: CASE says which. Linked with examples/bare-timer/boot.S, which maps 4 GB one to one in pages of 2 MB.
 */
#include <stdint.h>

enum { MISSING_INVLPG = 1, BROKEN_IDT, BAD_STACK, RESERVED_BIT, SMAP_ACCESS };

#define PRESENT 1
#define WRITABLE 2
#define USER 4
#define RESERVED (1ULL << 51)
#define WINDOW 0x40000000000ULL
#define CR4_SMAP (1ULL << 21)

struct gate {
    uint16_t offset_low, selector;
    uint8_t stack, type;
    uint16_t offset_middle;
    uint32_t offset_high, reserved;
};

static struct gate idt[32];
static uint64_t tables[3][512] __attribute__((aligned(4096)));
static volatile uint64_t one[512] __attribute__((aligned(4096))) = { 1 };
static volatile uint64_t two[512] __attribute__((aligned(4096))) = { 2 };

static void set_gate(int vector, void (*handler)(void), uint8_t type)
{
    uint64_t offset = (uint64_t)handler;
    idt[vector] = (struct gate){ offset, 8, 0, type, offset >> 16, offset >> 32, 0 };
}

static void load_idt(void)
{
    struct { uint16_t limit; uint64_t base; } __attribute__((packed)) pointer = { sizeof(idt) - 1, (uint64_t)idt };
    __asm__ volatile("lidt %0" : : "m"(pointer));
}

static uint64_t read_cr3(void)
{
    uint64_t value;
    __asm__ volatile("movq %%cr3, %0" : "=r"(value));
    return value;
}

/* Maps WINDOW and the pages behind it by tables of their own. */
static uint64_t *map(uint64_t entry)
{
    uint64_t *root = (uint64_t *)read_cr3();
    root[WINDOW >> 39] = (uint64_t)tables[0] | PRESENT | WRITABLE | USER;
    tables[0][0] = (uint64_t)tables[1] | PRESENT | WRITABLE | USER;
    tables[1][0] = (uint64_t)tables[2] | PRESENT | WRITABLE | USER;
    tables[2][0] = entry;
    return tables[2];
}

static uint64_t look(void)
{
    return *(volatile uint64_t *)WINDOW;
}

/* The entry changes behind the TLB's back: the second look goes to the first page. */
static int missing_invlpg(void)
{
    uint64_t *table = map((uint64_t)one | PRESENT | WRITABLE);
    uint64_t first = look();
    table[0] = (uint64_t)two | PRESENT | WRITABLE;
    uint64_t stale = look();
    __asm__ volatile("invlpg %0" : : "m"(*(char *)WINDOW) : "memory");
    return first * 16 + stale * 4 + look();
}

static void halt(void)
{
    for (;;)
        __asm__ volatile("hlt");
}

/* Gates of a type that there is not: neither the page fault nor the double fault finds a handler. */
static void broken_idt(void)
{
    for (int vector = 0; vector < 32; vector++)
        set_gate(vector, halt, 0x80);
    load_idt();
    look();
}

/* The page fault cannot push, and becomes a double fault, which has as little of a stack. */
static void bad_stack(void)
{
    for (int vector = 0; vector < 32; vector++)
        set_gate(vector, halt, 0x8e);
    load_idt();
    __asm__ volatile("movq %0, %%rsp; movq (%1), %%rax" : : "r"(WINDOW + 0x2000), "r"(WINDOW) : "rax", "memory");
}

int kernel_main(void)
{
    for (int vector = 0; vector < 32; vector++)
        set_gate(vector, halt, 0x8e);
    load_idt();
    switch (CASE) {
    case MISSING_INVLPG:
        return missing_invlpg();
    case BROKEN_IDT:
        broken_idt();
        break;
    case BAD_STACK:
        bad_stack();
        break;
    case RESERVED_BIT:
        map((uint64_t)one | PRESENT | WRITABLE | RESERVED);
        look();
        break;
    case SMAP_ACCESS:
        map((uint64_t)one | PRESENT | WRITABLE | USER);
        __asm__ volatile("movq %%cr4, %%rax; orq %0, %%rax; movq %%rax, %%cr4" : : "i"(CR4_SMAP) : "rax");
        look();
        break;
    }
    return 0;
}
