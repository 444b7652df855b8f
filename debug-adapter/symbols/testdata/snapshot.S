# void snapshot(void): records every general register as it is on entry, then writes registers and writable memory
# (snapshot_write in values.c). Its own frame has no frame pointer, only CFI.
        .text
        .globl  snapshot
        .type   snapshot, @function
snapshot:
        .cfi_startproc
        movq    %rax, snapshot_registers+0(%rip)
        movq    %rdx, snapshot_registers+8(%rip)
        movq    %rcx, snapshot_registers+16(%rip)
        movq    %rbx, snapshot_registers+24(%rip)
        movq    %rsi, snapshot_registers+32(%rip)
        movq    %rdi, snapshot_registers+40(%rip)
        movq    %rbp, snapshot_registers+48(%rip)
        movq    %rsp, snapshot_registers+56(%rip)
        movq    %r8, snapshot_registers+64(%rip)
        movq    %r9, snapshot_registers+72(%rip)
        movq    %r10, snapshot_registers+80(%rip)
        movq    %r11, snapshot_registers+88(%rip)
        movq    %r12, snapshot_registers+96(%rip)
        movq    %r13, snapshot_registers+104(%rip)
        movq    %r14, snapshot_registers+112(%rip)
        movq    %r15, snapshot_registers+120(%rip)
        leaq    snapshot(%rip), %rax
        movq    %rax, snapshot_registers+128(%rip)
        subq    $8, %rsp
        .cfi_adjust_cfa_offset 8
        call    snapshot_write
        addq    $8, %rsp
        .cfi_adjust_cfa_offset -8
        ret
        .cfi_endproc
        .size   snapshot, .-snapshot
        .section .note.GNU-stack,"",@progbits
