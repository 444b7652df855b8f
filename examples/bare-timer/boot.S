/* Multiboot 1 entry of the bare-metal example: to 64-bit C. */
#include "../bare-common/long-mode.inc"

    .type long_mode, @function
long_mode:
    .cfi_startproc
    .cfi_undefined rip
    call kernel_main
    /* The debug exit of the board: the status. */
    movw $0xf4, %dx
    outl %eax, %dx
halt:
    hlt
    jmp halt
    .cfi_endproc
    .size long_mode, . - long_mode

    .section .note.GNU-stack, "", @progbits
