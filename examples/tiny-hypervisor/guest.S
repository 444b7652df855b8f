/* Where the guest begins: 64-bit mode, its own page tables in CR3 (the hypervisor knows where they stand), no stack yet. */
#include "guest.h"
#define PRESENT_WRITABLE 3
#define LARGE 0x80

    .section .text.start, "ax"
    .globl guest_start
    .type guest_start, @function
guest_start:
    .cfi_startproc
    .cfi_undefined rip
    leaq stack_top(%rip), %rsp
    call guest_main
    movl %eax, %edi
    movl $HYPERCALL_END, %eax
    vmcall
1:  hlt
    jmp 1b
    .cfi_endproc
    .size guest_start, . - guest_start

/* The last 2 GB are where the guest is linked, in the first 2 MB of its memory; the first GB of linear addresses is guest-physical memory as it is. */
    .data
    .balign 4096
    .globl guest_tables
guest_tables:
    .quad low_pdpt - GUEST_BASE + PRESENT_WRITABLE
    .skip 510 * 8
    .quad high_pdpt - GUEST_BASE + PRESENT_WRITABLE
low_pdpt:
    .quad directory - GUEST_BASE + PRESENT_WRITABLE
    .skip 511 * 8
high_pdpt:
    .skip 510 * 8
    .quad directory - GUEST_BASE + PRESENT_WRITABLE
    .quad 0
directory:
    .set page, 0
    .rept 512
    .quad page + PRESENT_WRITABLE + LARGE
    .set page, page + 0x200000
    .endr

    .bss
    .balign 16
    .skip 8192
stack_top:

    .section .note.GNU-stack, "", @progbits
