/* A guest of examples/tiny-hypervisor that meets what a debugger has to explain. Linked with that example's guest.S, whose tables map the first GB as it is. */
#include <stdint.h>
#include "guest.h"
#include "guest-faults.h"

#define PRESENT_WRITABLE 3
#define VMCS_GUEST_CR3 0x6802

struct gate {
    uint16_t offset_low, selector;
    uint8_t stack, type;
    uint16_t offset_middle;
    uint32_t offset_high, reserved;
};
struct frame {
    uint64_t rip, cs, rflags, rsp, ss;
};
struct pointer {
    uint16_t limit;
    uint64_t base;
} __attribute__((packed));

extern uint64_t guest_tables[512];
static uint64_t tables[3][512] __attribute__((aligned(4096)));
static volatile uint64_t page[512] __attribute__((aligned(4096))) = { 42 };
static struct gate idt[32];
static const uint64_t gdt[] = { 0, 0x00af9b000000ffff, 0x00cf93000000ffff };

static uint64_t physical(const volatile void *at)
{
    return (uint64_t)at - GUEST_BASE;
}

__attribute__((interrupt)) static void page_fault(struct frame *frame, uint64_t code)
{
    (void)frame;
    tables[2][0] = physical(page) | PRESENT_WRITABLE | (code & 0);
}

static void load_tables(void)
{
    struct pointer gdtr = { sizeof(gdt) - 1, (uint64_t)gdt }, idtr = { sizeof(idt) - 1, (uint64_t)idt };
    uint64_t offset = (uint64_t)page_fault;
    idt[14] = (struct gate){ offset, 8, 0, 0x8e, offset >> 16, offset >> 32, 0 };
    __asm__ volatile("lgdt %0; lidt %1" : : "m"(gdtr), "m"(idtr));
}

/* WINDOW is reached by tables of its own, the last of which stands at a guest-physical address of the caller's choice. */
static void map_window(uint64_t last_table)
{
    guest_tables[WINDOW >> 39] = physical(tables[0]) | PRESENT_WRITABLE;
    tables[0][0] = physical(tables[1]) | PRESENT_WRITABLE;
    tables[1][0] = last_table | PRESENT_WRITABLE;
}

static uint64_t look(uint64_t address)
{
    return *(volatile uint64_t *)address;
}

/* The hypervisor has put a shadow VMCS behind these. */
static uint64_t shadowed(void)
{
    uint64_t value, field = VMCS_GUEST_CR3;
    __asm__ volatile("vmread %1, %0" : "=r"(value) : "r"(field) : "cc");
    __asm__ volatile("vmwrite %1, %0" : : "r"(field), "r"(value + 0x1000) : "cc");
    return value >> 12;
}

int guest_main(void)
{
    load_tables();
    switch (CASE) {
    case HANDLED_PAGE_FAULT:
    case INTERCEPTED_PAGE_FAULT:
        map_window(physical(tables[2]));
        return look(WINDOW);
    case EPT_VIOLATION:
        return look(NOWHERE);
    case TABLE_VIOLATION:
        map_window(NOWHERE);
        return look(WINDOW);
    case MISCONFIGURED_PAGE:
        return look(SPOILED);
    case MISCONFIGURED_TABLE:
        map_window(SPOILED);
        return look(WINDOW);
    case TRIPLE_FAULT:
        __asm__ volatile("lidt %0" : : "m"((struct pointer){ 0, 0 }));
        return look(WINDOW);
    case SHADOW_VMCS:
        return shadowed();
    case HALTED:
        __asm__ volatile("cli; hlt");
        break;
    }
    return 0;
}
