/* The hypervisor of examples/tiny-hypervisor with what CASE wants besides: entries of the EPT that can never be valid, an exception bitmap, a shadow VMCS. */
#define hypervisor_main tiny_main
#include "hypervisor.c"
#undef hypervisor_main
#include "guest-faults.h"

#define SECONDARY_VMCS_SHADOWING (1 << 14)
#define SHADOW_INDICATOR (1u << 31)
#define MSR_APIC_BASE 0x1b
#define MSR_X2APIC 0x800
#define APIC_X2 0xc00
#define APIC_PERIODIC (1 << 17)
#define EXCEPTION_BITMAP 0x4004
#define VMREAD_BITMAP 0x2026
#define VMWRITE_BITMAP 0x2028
#define PAGE_FAULT (1 << 14)
#define WRITE_ONLY 2
#define RESERVED_MEMORY_TYPE (2 << 3)
#define SHADOW_GUEST_CR3 0x5000

/* The page's own entry of the EPT. */
static uint64_t *ept_entry(uint64_t gpa)
{
    uint64_t *table = ept_root;
    for (int shift = 39; shift > 12; shift -= 9)
        table = (uint64_t *)(table[gpa >> shift & 511] & ~0xfffull);
    return &table[gpa >> 12 & 511];
}

/* VMREAD and VMWRITE of the guest go there, but for those of fields whose bits are set. */
static void shadow_vmcs(void)
{
    uint32_t *region = (uint32_t *)new_page();
    uint64_t shadow = (uint64_t)region, own = (uint64_t)vmcs_region;
    char *bitmap = new_page();
    region[0] = rdmsr(MSR_VMX_BASIC) | SHADOW_INDICATOR;
    __asm__ volatile("vmclear %0; vmptrld %0" : : "m"(shadow) : "cc", "memory");
    vmwrite(GUEST_CR3, SHADOW_GUEST_CR3);
    __asm__ volatile("vmclear %0; vmptrld %1" : : "m"(shadow), "m"(own) : "cc", "memory");
    set_controls(SECONDARY_CONTROLS, MSR_PROCBASED2, SECONDARY_EPT | SECONDARY_VMCS_SHADOWING);
    vmwrite(VMREAD_BITMAP, (uint64_t)bitmap);
    vmwrite(VMWRITE_BITMAP, (uint64_t)bitmap);
    vmwrite(VMCS_LINK_POINTER, shadow);
}

/* The local APIC's, in x2APIC mode: an interrupt every 4096 cycles, which do not exit. */
static void start_timer(void)
{
    wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) | APIC_X2);
    wrmsr(MSR_X2APIC + 0xf, 0x1ff);
    wrmsr(MSR_X2APIC + 0x32, APIC_PERIODIC | 0x40);
    wrmsr(MSR_X2APIC + 0x38, 2048);
}

int hypervisor_main(void)
{
    enter_vmx_operation();
    load_guest();
    build_vmcs();
    switch (CASE) {
    case MISCONFIGURED_PAGE:
        ept_map(SPOILED, new_page());
        *ept_entry(SPOILED) = (*ept_entry(SPOILED) & ~(uint64_t)EPT_RWX) | WRITE_ONLY;
        break;
    case MISCONFIGURED_TABLE:
        ept_map(SPOILED, new_page());
        *ept_entry(SPOILED) ^= EPT_WRITE_BACK ^ RESERVED_MEMORY_TYPE;
        break;
    case INTERCEPTED_PAGE_FAULT:
        vmwrite(EXCEPTION_BITMAP, PAGE_FAULT);
        break;
    case SHADOW_VMCS:
        shadow_vmcs();
        break;
    case HALTED:
        start_timer();
        set_controls(PRIMARY_CONTROLS, MSR_TRUE_PROCBASED, PRIMARY_UNCONDITIONAL_IO | PRIMARY_SECONDARY);
        break;
    }
    return run_guest();
}
