# Branches, calls, stack, and what takes several instructions to show. See assembly.spec.ts for the registers at the start.
.include "case.macros"

CASE jump_distances
    jmp 1f
    .skip 40, 0xcc
1:  mov $1, %eax
    .byte 0xe9, 2, 0, 0, 0  # rel32
    ud2
    mov $2, %ebx
END_CASE

CASE call_and_ret
    call 1f
    mov $2, %ebx
    jmp 2f
1:  mov (%rsp), %rcx
    mov $1, %eax
    ret
2:
END_CASE

CASE ret_releases
    push $11
    push $12
    call 1f
    jmp 2f
1:  mov $1, %eax
    ret $16
2:
END_CASE

CASE call_register_and_memory
    lea 1f(%rip), %rax
    push %rax
    call *%rax
    call *(%rsp)
    mov %rsp, %rdx
    mov %rax, -8(%rsp)
    call *-8(%rsp)          # the target is read before the return address is pushed over it
    jmp 2f
1:  inc %rbx
    ret
2:
END_CASE

CASE jmp_register
    lea 1f(%rip), %r11
    jmp *%r11
    ud2
1:  mov %r11, %rax
    sub %r11, %rax
END_CASE

CASE loop_counts
    mov $5, %ecx
1:  add $3, %eax
    loop 1b
    mov $0x100000001, %rcx
    .byte 0x67; loop 2f     # ECX: 1 becomes 0, not taken
    mov $7, %ebx
2:
END_CASE

CASE loope_loopne
    mov $9, %ecx
    xor %eax, %eax
1:  inc %eax
    cmp $4, %eax
    loopne 1b
    mov %rcx, %r8
    mov $9, %ecx
2:  dec %eax
    test $0, %eax
    loope 2b
    mov %rcx, %r9
END_CASE

CASE jrcxz
    jrcxz 1f
    ud2
1:  mov $0x100000000, %rcx
    jrcxz 2f
    jecxz 3f
2:  ud2
3:  mov $1, %eax
END_CASE

CASE push_pop_rsp
    push %rsp
    pop %rax
    mov %rsp, %rbx
    push $0x1234
    push %rsp
    pop %rsp
    mov %rsp, %rcx
    pop %rdx
END_CASE

CASE pop_memory_uses_the_new_rsp
    push $0x55
    push $0x66
    popq 8(%rsp)
    popw -16(%rsp)
END_CASE

CASE push_sizes
    push $-2
    pushw $-3
    pushw %ax
    push $0x7fffffff
    pushq (%rsp)
    pushw (%rsp)
    popw %bx
END_CASE

CASE enter_and_leave
    mov %rsp, %rbp
    push $1
    enter $24, $3
    mov %rbp, %rax
    leave
    mov %rbp, %rbx
END_CASE

CASE pushf_stores
    stc
    std
    pushfq
    popq %rax
    and $0xcd5, %eax
    cld
    cmp %eax, %eax
    pushfw
    popw %bx
    and $0xcd5, %ebx
END_CASE

CASE flags_through_ah
    mov $0xffff, %eax
    sahf
    mov $0, %eax
    lahf
    cmc
    adc $0, %ebx
END_CASE

CASE inc_keeps_carry
    stc
    inc %rax
    adc $0, %rbx
    clc
    dec %rcx
    sbb $0, %rdx
END_CASE

CASE adc_chain
    mov $-1, %rax
    mov $-1, %rbx
    mov $1, %ecx
    add %rcx, %rax
    adc %rbx, %rbx
    adc %rdx, %rdx
    sbb %rsi, %rsi
END_CASE

CASE divide_by_zero
    mov $7, %eax
    xor %edx, %edx
    xor %ecx, %ecx
    div %ecx
END_CASE

CASE divide_overflow
    mov $2, %edx
    mov $2, %ecx
    div %rcx
END_CASE

CASE divide_most_negative
    mov $0x8000000000000000, %rax
    cqo
    mov $-1, %rcx
    idiv %rcx
END_CASE

CASE divide_128_by_64, 0x8d5
    mov $0x123456789abcdef0, %rdx
    mov $0xfedcba9876543210, %rax
    mov $0xf000000000000001, %rcx
    div %rcx
    mov %rax, %r8
    mov %rdx, %r9
    mov $-0x1234567, %rdx
    mov $17, %eax
    mov $0x7edcba9876543211, %rcx
    idiv %rcx
END_CASE

CASE undefined_opcode
    mov $1, %eax
    ud2
END_CASE

CASE xlat_table
    mov %rdi, %rbx
    movl $0x44332211, 16(%rdi)
    mov $18, %eax
    xlatb
END_CASE

CASE high_bytes
    mov $0x1234, %eax
    mov %ah, %bl
    mov %al, %bh
    add %ah, %bh
    mov %bh, %ch
    xchg %cl, %ch
    movzx %bh, %edx
    movsx %ah, %si
END_CASE

CASE cmpxchg16b
    mov $3, %rax
    mov $4, %rdx
    mov $5, %rbx
    mov $6, %rcx
    movq $3, 32(%rdi)
    movq $4, 40(%rdi)
    lock cmpxchg16b 32(%rdi)
    setz %r8b
    lock cmpxchg16b 32(%rdi)
    setz %r9b
END_CASE

CASE cmpxchg8b_crossing_a_page
    movq $7, 508(%rdi)
    mov $7, %eax
    mov $8, %ebx
    cmpxchg8b 508(%rdi)
    setz %r8b
    cmpxchg8b 508(%rdi)
END_CASE

CASE movs_across_a_page
    mov %rdi, %rsi
    add $0x1f0, %rdi
    mov $0x1122334455667788, %r10
    mov %r10, (%rsi)
    mov $0x99, %ecx
    rep movsb
END_CASE

CASE movs_overlapping_repeats_a_pattern
    movl $0x00c0ffee, (%rdi)
    mov %rdi, %rsi
    add $3, %rdi
    mov $700, %ecx
    rep movsb
END_CASE

CASE movs_backwards_overlapping
    mov $0x7766554433221100, %r10
    mov %r10, (%rdi)
    lea 7(%rdi), %rsi
    lea 9(%rdi), %rdi
    mov $8, %ecx
    std
    rep movsb
END_CASE

CASE stos_unaligned_across_a_page
    mov $0x0123456789abcdef, %rax
    add $5, %rdi
    mov $100, %ecx
    rep stosq
END_CASE

CASE stos_backwards_across_a_page
    mov $0x89abcdef, %eax
    add $0x2fd, %rdi
    mov $150, %ecx
    std
    rep stosl
END_CASE

CASE scas_finds
    movb $7, 0x205(%rdi)
    mov $7, %al
    mov $-1, %rcx
    repne scasb
END_CASE

CASE cmps_differs
    mov %rdi, %rsi
    add $0x100, %rdi
    movb $1, 0x85(%rsi)
    mov $0x90, %ecx
    repe cmpsw
END_CASE

CASE cmps_none_keeps_flags
    mov $0xd500, %eax       # SF ZF AF PF CF
    sahf
    mov $0, %ecx
    repe cmpsb
END_CASE

CASE lods_repeated
    mov %rdi, %rsi
    movq $0x42, 0x18(%rsi)
    mov $4, %ecx
    rep lodsq
END_CASE

CASE fused_compare_and_branch
    mov $3, %eax
    mov $-3, %ebx
    cmp %ebx, %eax
    jb 1f
    mov $1, %r8d
1:  cmp %ebx, %eax
    jg 2f
    mov $1, %r9d
2:  test %ebx, %ebx
    js 3f
    mov $1, %r10d
3:  sub $3, %eax
    jz 4f
    mov $1, %r11d
4:  setc %r12b
END_CASE

CASE flags_survive_moves
    cmp $5, %eax
    mov $-1, %rbx
    lea 4(%rbx), %rcx
    not %rdx
    bswap %rcx
    xchg %rcx, %rbx
    movzx %bl, %esi
    setb %r8b
    seto %r9b
    cmovb %rbx, %r10
END_CASE
