/*
 * A hypervisor in one file, for the bare machine (launch attribute "machine": "bare"): it enters VMX operation, builds a VMCS and an EPT, and runs one guest. CPUID, VMCALL,
 * port I/O and EPT violations of the guest come to the handlers below. Its status is the number of lines that the guest printed. Sections are those of Intel's SDM, volume 3C.
 */
#include <stdint.h>
#include "guest.h"

#define PAGE 4096
#define ALIGNED(bytes) __attribute__((aligned(bytes)))

#define MSR_FEATURE_CONTROL 0x3a
#define MSR_VMX_BASIC 0x480
#define MSR_CR0_FIXED0 0x486
#define MSR_CR4_FIXED0 0x488
#define MSR_PROCBASED2 0x48b
#define MSR_TRUE_PINBASED 0x48d
#define MSR_TRUE_PROCBASED 0x48e
#define MSR_TRUE_EXIT 0x48f
#define MSR_TRUE_ENTRY 0x490
#define FEATURE_LOCKED 1
#define FEATURE_VMXON 4
#define CR4_PAE (1 << 5)
#define CR4_VMXE (1 << 13)
#define CR0_PE 1
#define CR0_PG (1u << 31)

/* Controls (25.6 to 25.8). */
#define PRIMARY_HLT_EXITING (1 << 7)
#define PRIMARY_UNCONDITIONAL_IO (1 << 24)
#define PRIMARY_SECONDARY (1u << 31)
#define SECONDARY_EPT (1 << 1)
#define EXIT_HOST_64 (1 << 9)
#define ENTRY_GUEST_64 (1 << 9)

/* VMCS fields (appendix B). */
enum {
    GUEST_CS = 0x0802, GUEST_TR = 0x080e,
    HOST_ES = 0x0c00, HOST_CS = 0x0c02, HOST_SS = 0x0c04, HOST_DS = 0x0c06, HOST_TR = 0x0c0c,
    EPT_POINTER = 0x201a, GUEST_PHYSICAL_ADDRESS = 0x2400, VMCS_LINK_POINTER = 0x2800,
    PIN_CONTROLS = 0x4000, PRIMARY_CONTROLS = 0x4002, EXIT_CONTROLS = 0x400c, ENTRY_CONTROLS = 0x4012, SECONDARY_CONTROLS = 0x401e,
    INSTRUCTION_ERROR = 0x4400, EXIT_REASON = 0x4402, EXIT_INSTRUCTION_LENGTH = 0x440c,
    GUEST_LIMITS = 0x4800, GUEST_RIGHTS = 0x4814,
    EXIT_QUALIFICATION = 0x6400,
    GUEST_CR0 = 0x6800, GUEST_CR3 = 0x6802, GUEST_CR4 = 0x6804, GUEST_DR7 = 0x681a, GUEST_RSP = 0x681c, GUEST_RIP = 0x681e, GUEST_RFLAGS = 0x6820,
    HOST_CR0 = 0x6c00, HOST_CR3 = 0x6c02, HOST_CR4 = 0x6c04, HOST_TR_BASE = 0x6c0a, HOST_RIP = 0x6c16,
};

/* Exit reasons (appendix C). */
enum { EXIT_CPUID = 10, EXIT_HLT = 12, EXIT_VMCALL = 18, EXIT_IO = 30, EXIT_EPT_VIOLATION = 48 };

/* EPT entries (29.3.2): rights, and write-back memory in those that map a page. */
#define EPT_RWX 7
#define EPT_WRITE_BACK (6 << 3)
#define EPT_FOUR_LEVELS (3 << 3)
#define EPT_POINTER_WRITE_BACK 6

/* In the order of enter_guest and vm_exit (boot.S). RSP is in the VMCS. */
struct guest_registers {
    uint64_t rax, rcx, rdx, rbx, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15;
};

static struct {
    struct guest_registers registers;
    int launched, ended, status;
    uint64_t pages, exits;
} guest;

extern int enter_guest(struct guest_registers *registers, int launched);
extern const char vm_exit[], guest_image[], guest_image_end[];

static uint32_t vmxon_region[PAGE / 4] ALIGNED(PAGE), vmcs_region[PAGE / 4] ALIGNED(PAGE);
static uint64_t ept_root[512] ALIGNED(PAGE);
static char guest_memory[GUEST_MEMORY] ALIGNED(PAGE);
/* Pages for the guest's heap and for tables of the EPT. */
static char pool[64][PAGE] ALIGNED(PAGE);
static int pool_used;
static char tss[104];

static void out8(uint16_t port, uint8_t value)
{
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static void print_byte(char byte)
{
    uint8_t status;
    do
        __asm__ volatile("inb %1, %0" : "=a"(status) : "Nd"((uint16_t)0x3fd));
    while (!(status & 0x20));
    out8(0x3f8, byte);
}

static void print(const char *text)
{
    while (*text)
        print_byte(*text++);
}

static void print_hex(uint64_t value)
{
    if (value >= 16)
        print_hex(value / 16);
    print_byte("0123456789abcdef"[value % 16]);
}

static uint64_t rdmsr(uint32_t msr)
{
    uint32_t low, high;
    __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
    return (uint64_t)high << 32 | low;
}

static void wrmsr(uint32_t msr, uint64_t value)
{
    __asm__ volatile("wrmsr" : : "c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)));
}

static void vmwrite(uint64_t field, uint64_t value)
{
    __asm__ volatile("vmwrite %1, %0" : : "r"(field), "r"(value) : "cc");
}

static uint64_t vmread(uint64_t field)
{
    uint64_t value;
    __asm__ volatile("vmread %1, %0" : "=r"(value) : "r"(field) : "cc");
    return value;
}

static char *new_page(void)
{
    return pool[pool_used++];
}

static void enter_vmx_operation(void)
{
    uint64_t cr4, region = (uint64_t)vmxon_region;
    if (!(rdmsr(MSR_FEATURE_CONTROL) & FEATURE_LOCKED))
        wrmsr(MSR_FEATURE_CONTROL, FEATURE_LOCKED | FEATURE_VMXON);
    __asm__ volatile("movq %%cr4, %0" : "=r"(cr4));
    __asm__ volatile("movq %0, %%cr4" : : "r"(cr4 | CR4_VMXE));
    vmxon_region[0] = vmcs_region[0] = rdmsr(MSR_VMX_BASIC);
    __asm__ volatile("vmxon %0" : : "m"(region) : "cc", "memory");
    region = (uint64_t)vmcs_region;
    __asm__ volatile("vmclear %0; vmptrld %0" : : "m"(region) : "cc", "memory");
}

/* Maps a page of guest-physical memory. */
static void ept_map(uint64_t gpa, const char *page)
{
    uint64_t *table = ept_root;
    for (int shift = 39; shift > 12; shift -= 9) {
        uint64_t *entry = &table[gpa >> shift & 511];
        if (!*entry)
            *entry = (uint64_t)new_page() | EPT_RWX;
        table = (uint64_t *)(*entry & ~0xfffull);
    }
    table[gpa >> 12 & 511] = (uint64_t)page | EPT_RWX | EPT_WRITE_BACK;
}

static void load_guest(void)
{
    for (uint64_t at = 0; guest_image + at < guest_image_end; at++)
        guest_memory[GUEST_TABLES + at] = guest_image[at];
    for (uint64_t gpa = 0; gpa < GUEST_MEMORY; gpa += PAGE)
        ept_map(gpa, guest_memory + gpa);
}

/* Controls as wanted, and as the processor has to have them (appendix A.2). */
static void set_controls(uint64_t field, uint32_t capability, uint32_t wanted)
{
    uint64_t allowed = rdmsr(capability);
    vmwrite(field, (wanted | (uint32_t)allowed) & allowed >> 32);
}

static void set_host_state(void)
{
    uint64_t cr0, cr3, cr4;
    __asm__("movq %%cr0, %0; movq %%cr3, %1; movq %%cr4, %2" : "=r"(cr0), "=r"(cr3), "=r"(cr4));
    vmwrite(HOST_CR0, cr0);
    vmwrite(HOST_CR3, cr3);
    vmwrite(HOST_CR4, cr4);
    vmwrite(HOST_CS, 8);
    vmwrite(HOST_SS, 16);
    vmwrite(HOST_DS, 16);
    vmwrite(HOST_ES, 16);
    vmwrite(HOST_TR, 24);
    vmwrite(HOST_TR_BASE, (uint64_t)tss);
    vmwrite(HOST_RIP, (uint64_t)vm_exit);
}

/* 64-bit mode with flat segments, at the first instruction of the guest. */
static void set_guest_state(void)
{
    static const uint16_t rights[] = { 0xc093, 0xa09b, 0xc093, 0xc093, 0xc093, 0xc093, 0x82, 0x8b };
    for (int segment = 0; segment < 8; segment++) {
        vmwrite(GUEST_LIMITS + 2 * segment, segment < 6 ? 0xffffffff : 0xffff);
        vmwrite(GUEST_RIGHTS + 2 * segment, rights[segment]);
    }
    vmwrite(GUEST_CS, 8);
    vmwrite(GUEST_TR, 24);
    vmwrite(GUEST_CR0, rdmsr(MSR_CR0_FIXED0) | CR0_PE | CR0_PG);
    vmwrite(GUEST_CR3, GUEST_TABLES);
    vmwrite(GUEST_CR4, rdmsr(MSR_CR4_FIXED0) | CR4_PAE);
    vmwrite(GUEST_DR7, 0x400);
    vmwrite(GUEST_RIP, GUEST_BASE + GUEST_START);
    vmwrite(GUEST_RFLAGS, 2);
    vmwrite(VMCS_LINK_POINTER, ~0ull);
}

static void build_vmcs(void)
{
    set_controls(PIN_CONTROLS, MSR_TRUE_PINBASED, 0);
    set_controls(PRIMARY_CONTROLS, MSR_TRUE_PROCBASED, PRIMARY_HLT_EXITING | PRIMARY_UNCONDITIONAL_IO | PRIMARY_SECONDARY);
    set_controls(SECONDARY_CONTROLS, MSR_PROCBASED2, SECONDARY_EPT);
    set_controls(EXIT_CONTROLS, MSR_TRUE_EXIT, EXIT_HOST_64);
    set_controls(ENTRY_CONTROLS, MSR_TRUE_ENTRY, ENTRY_GUEST_64);
    vmwrite(EPT_POINTER, (uint64_t)ept_root | EPT_FOUR_LEVELS | EPT_POINTER_WRITE_BACK);
    set_host_state();
    set_guest_state();
}

static void skip_instruction(void)
{
    vmwrite(GUEST_RIP, vmread(GUEST_RIP) + vmread(EXIT_INSTRUCTION_LENGTH));
}

static void handle_cpuid(void)
{
    struct guest_registers *registers = &guest.registers;
    uint32_t a = registers->rax, b, c = registers->rcx, d;
    if (a == HYPERVISOR_LEAF) {
        b = 0x796e6974; /* "tiny-hyperv" */
        c = 0x7079682d;
        d = 0x00767265;
    } else
        __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    registers->rax = a;
    registers->rbx = b;
    registers->rcx = c;
    registers->rdx = d;
    skip_instruction();
}

/* The port is in bits 31:16 of the qualification, IN in bit 3 (table 28-5). */
static void handle_io(void)
{
    uint64_t qualification = vmread(EXIT_QUALIFICATION);
    if (qualification & 8)
        guest.registers.rax |= 0xff;
    else if (qualification >> 16 == CONSOLE_PORT)
        print_byte(guest.registers.rax);
    skip_instruction();
}

static void handle_vmcall(void)
{
    struct guest_registers *registers = &guest.registers;
    if (registers->rax == HYPERCALL_REPORT) {
        print("hypervisor: the guest reports 0x");
        print_hex(registers->rdi);
        print("\n");
        registers->rax = guest.pages;
    } else {
        guest.status = registers->rdi;
        guest.ended = 1;
    }
    skip_instruction();
}

/* The heap comes page by page; the instruction is executed again. */
static int handle_ept_violation(void)
{
    uint64_t gpa = vmread(GUEST_PHYSICAL_ADDRESS);
    if (gpa < GUEST_HEAP || gpa >= GUEST_HEAP_END)
        return -1;
    ept_map(gpa & ~0xfffull, new_page());
    guest.pages++;
    return 0;
}

static int handle_exit(void)
{
    switch (vmread(EXIT_REASON)) {
    case EXIT_CPUID:
        handle_cpuid();
        return 0;
    case EXIT_VMCALL:
        handle_vmcall();
        return 0;
    case EXIT_IO:
        handle_io();
        return 0;
    case EXIT_EPT_VIOLATION:
        return handle_ept_violation();
    default:
        return -1;
    }
}

static int run_guest(void)
{
    while (!guest.ended) {
        if (enter_guest(&guest.registers, guest.launched)) {
            print("hypervisor: VM entry failed with error 0x");
            print_hex(vmread(INSTRUCTION_ERROR));
            print("\n");
            return -1;
        }
        guest.launched = 1;
        guest.exits++;
        if (handle_exit()) {
            print("hypervisor: unexpected exit 0x");
            print_hex(vmread(EXIT_REASON));
            print("\n");
            return -1;
        }
    }
    return guest.status;
}

int hypervisor_main(void)
{
    print("hypervisor: hello from root ring 0\n");
    enter_vmx_operation();
    load_guest();
    build_vmcs();
    int status = run_guest();
    print("hypervisor: 0x");
    print_hex(guest.pages);
    print(" pages brought, guest ended\n");
    return status;
}
