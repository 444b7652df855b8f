/* From the Multiboot entry to 64-bit C, and the two ways between the hypervisor and its guest. */
#include "../bare-common/long-mode.inc"

#define VMCS_HOST_RSP 0x6c14

    .type long_mode, @function
long_mode:
    .cfi_startproc
    .cfi_undefined rip
    call hypervisor_main
    /* The debug exit of the board: the status. */
    movw $0xf4, %dx
    outl %eax, %dx
1:  hlt
    jmp 1b
    .cfi_endproc
    .size long_mode, . - long_mode

    .macro save register
    pushq %\register
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset \register, 0
    .endm
    .macro restore register
    popq %\register
    .cfi_adjust_cfa_offset -8
    .cfi_restore \register
    .endm

/*
 * int enter_guest(struct guest_registers *registers, int launched): runs the guest until its next VM exit. 0, or -1 if it could not be entered.
 * The VM exit comes to vm_exit with the stack as it is here, so one description of the frame (.cfi) serves both sides.
 */
    .globl enter_guest
    .type enter_guest, @function
enter_guest:
    .cfi_startproc
    save rbp
    save rbx
    save r12
    save r13
    save r14
    save r15
    pushq %rdi
    .cfi_adjust_cfa_offset 8
    movl $VMCS_HOST_RSP, %eax
    vmwrite %rsp, %rax
    testl %esi, %esi
    movq 0(%rdi), %rax
    movq 8(%rdi), %rcx
    movq 16(%rdi), %rdx
    movq 24(%rdi), %rbx
    movq 32(%rdi), %rbp
    movq 40(%rdi), %rsi
    movq 56(%rdi), %r8
    movq 64(%rdi), %r9
    movq 72(%rdi), %r10
    movq 80(%rdi), %r11
    movq 88(%rdi), %r12
    movq 96(%rdi), %r13
    movq 104(%rdi), %r14
    movq 112(%rdi), %r15
    movq 48(%rdi), %rdi
    jnz 1f
    vmlaunch
    jmp 2f
1:  vmresume
2:  movl $-1, %eax
    jmp 3f

    .globl vm_exit
vm_exit:
    pushq %rdi
    .cfi_adjust_cfa_offset 8
    movq 8(%rsp), %rdi
    movq %rax, 0(%rdi)
    movq %rcx, 8(%rdi)
    movq %rdx, 16(%rdi)
    movq %rbx, 24(%rdi)
    movq %rbp, 32(%rdi)
    movq %rsi, 40(%rdi)
    movq %r8, 56(%rdi)
    movq %r9, 64(%rdi)
    movq %r10, 72(%rdi)
    movq %r11, 80(%rdi)
    movq %r12, 88(%rdi)
    movq %r13, 96(%rdi)
    movq %r14, 104(%rdi)
    movq %r15, 112(%rdi)
    popq %rax
    .cfi_adjust_cfa_offset -8
    movq %rax, 48(%rdi)
    xorl %eax, %eax
3:  popq %rdi
    .cfi_adjust_cfa_offset -8
    restore r15
    restore r14
    restore r13
    restore r12
    restore rbx
    restore rbp
    ret
    .cfi_endproc
    .size enter_guest, . - enter_guest

/* The guest, a program of its own: guest.S and guest.c. */
    .section .rodata
    .globl guest_image, guest_image_end
guest_image:
    .incbin GUEST_IMAGE
guest_image_end:

    .section .note.GNU-stack, "", @progbits
