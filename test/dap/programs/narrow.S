/* A Multiboot kernel of 32-bit code: its stack, and its status to the debug exit. */
    .balign 4
    .long 0x1badb002, 0, -0x1badb002
    .globl _start
    .type _start, @function
_start:
    .cfi_startproc
    .cfi_undefined eip
    movl $stack_top, %esp
    call kernel_main
    movw $0xf4, %dx
    outl %eax, %dx
1:  hlt
    jmp 1b
    .cfi_endproc
    .size _start, . - _start

    .bss
    .balign 16
    .skip 8192
stack_top:
    .section .note.GNU-stack, "", @progbits
