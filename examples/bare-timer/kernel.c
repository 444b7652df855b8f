/*
 * A kernel for the bare machine (launch attribute "machine": "bare"): it counts ticks of the local APIC's timer, asleep in between, then mends a page fault of its
 * own, and ends with the number of ticks as its status.
 */
#include <stdint.h>

#define APIC ((volatile uint32_t *)0xfee00000)
#define APIC_EOI (0x0b0 / 4)
#define APIC_SPURIOUS (0x0f0 / 4)
#define APIC_TIMER (0x320 / 4)
#define APIC_INITIAL_COUNT (0x380 / 4)
#define APIC_DIVIDE (0x3e0 / 4)
#define TIMER_PERIODIC (1 << 17)
#define MASKED (1 << 16)

#define PAGE_FAULT 14
#define TIMER_VECTOR 0x40
#define SPURIOUS_VECTOR 0xff
#define WANTED_TICKS 3

struct gate {
    uint16_t offset_low, selector;
    uint8_t stack, type;
    uint16_t offset_middle;
    uint32_t offset_high, reserved;
};

struct interrupt_frame {
    uint64_t rip, cs, rflags, rsp, ss;
};

static struct gate idt[256];
static volatile int ticks;
static volatile uint64_t fault_address;

static void out8(uint16_t port, uint8_t value)
{
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static uint8_t in8(uint16_t port)
{
    uint8_t value;
    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

static void print(const char *text)
{
    for (; *text; text++) {
        while (!(in8(0x3fd) & 0x20))
            ;
        out8(0x3f8, *text);
    }
}

static void print_number(uint64_t value)
{
    if (value >= 10)
        print_number(value / 10);
    char digit[2] = { '0' + value % 10, 0 };
    print(digit);
}

__attribute__((interrupt)) static void timer_tick(struct interrupt_frame *frame)
{
    (void)frame;
    ticks++;
    APIC[APIC_EOI] = 0;
}

/* Above 4 GB nothing is mapped: the handler skips the load, which is 3 bytes long. */
__attribute__((interrupt)) static void page_fault(struct interrupt_frame *frame, uint64_t error)
{
    uint64_t address;
    __asm__ volatile("movq %%cr2, %0" : "=r"(address));
    fault_address = address;
    if (error & 1)
        print("protection fault?\n");
    frame->rip += 3;
}

static void set_gate(int vector, void *handler)
{
    uint64_t offset = (uint64_t)handler;
    idt[vector] = (struct gate){ offset, 8, 0, 0x8e, offset >> 16, offset >> 32, 0 };
}

static void load_idt(void)
{
    struct {
        uint16_t limit;
        uint64_t base;
    } __attribute__((packed)) pointer = { sizeof(idt) - 1, (uint64_t)idt };
    __asm__ volatile("lidt %0" : : "m"(pointer));
}

static void wait_for_ticks(int wanted)
{
    APIC[APIC_SPURIOUS] = 0x100 | SPURIOUS_VECTOR;
    APIC[APIC_DIVIDE] = 0xb;
    APIC[APIC_TIMER] = TIMER_PERIODIC | TIMER_VECTOR;
    APIC[APIC_INITIAL_COUNT] = 100000;
    while (ticks < wanted)
        __asm__ volatile("sti; hlt; cli" : : : "memory");
    APIC[APIC_TIMER] = MASKED;
}

int kernel_main(void)
{
    set_gate(TIMER_VECTOR, timer_tick);
    set_gate(PAGE_FAULT, page_fault);
    load_idt();
    print("hello from ring 0\n");
    wait_for_ticks(WANTED_TICKS);
    print_number(ticks);
    print(" ticks\n");
    uint64_t nowhere = 0x123456789000;
    __asm__ volatile("movq (%0), %%rax" : : "b"(nowhere) : "rax", "memory");
    print(fault_address == nowhere ? "page fault where it should be\n" : "no page fault\n");
    return ticks;
}
