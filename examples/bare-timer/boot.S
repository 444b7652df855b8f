/* Multiboot 1 entry of the bare-metal example: from 32-bit protected mode to 64-bit C. */
#define MULTIBOOT_MAGIC 0x1badb002
#define CR4_PAE (1 << 5)
#define EFER 0xc0000080
#define EFER_LME (1 << 8)
#define CR0_PG (1 << 31)
#define PRESENT_WRITABLE 3
#define LARGE 0x80

    .text
    .code32
    .balign 4
    .long MULTIBOOT_MAGIC, 0, -MULTIBOOT_MAGIC

    .globl _start
_start:
    movl $stack_top, %esp
    /* Identity mapping of the first 4 GB in 2 MB pages. */
    movl $(pdpt + PRESENT_WRITABLE), pml4
    movl $(directories + PRESENT_WRITABLE), %eax
    movl $pdpt, %edi
    movl $4, %ecx
1:  movl %eax, (%edi)
    addl $0x1000, %eax
    addl $8, %edi
    loop 1b
    movl $(PRESENT_WRITABLE | LARGE), %eax
    movl $directories, %edi
    movl $2048, %ecx
2:  movl %eax, (%edi)
    addl $0x200000, %eax
    addl $8, %edi
    loop 2b

    movl %cr4, %eax
    orl $CR4_PAE, %eax
    movl %eax, %cr4
    movl $pml4, %eax
    movl %eax, %cr3
    movl $EFER, %ecx
    rdmsr
    orl $EFER_LME, %eax
    wrmsr
    movl %cr0, %eax
    orl $CR0_PG, %eax
    movl %eax, %cr0
    lgdt gdt_pointer
    ljmp $8, $long_mode

    .code64
    .type long_mode, @function
long_mode:
    .cfi_startproc
    .cfi_undefined rip
    movl $16, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    call kernel_main
    /* The debug exit of the board: the status. */
    movw $0xf4, %dx
    outl %eax, %dx
halt:
    hlt
    jmp halt
    .cfi_endproc
    .size long_mode, . - long_mode

    .section .rodata
    .balign 8
gdt:
    .quad 0
    .quad 0x00af9b000000ffff    /* 64-bit code */
    .quad 0x00cf93000000ffff    /* data */
gdt_pointer:
    .word . - gdt - 1
    .long gdt

    .bss
    .balign 4096
pml4:
    .skip 4096
pdpt:
    .skip 4096
directories:
    .skip 4 * 4096
    .skip 16384
stack_top:

    .section .note.GNU-stack, "", @progbits
