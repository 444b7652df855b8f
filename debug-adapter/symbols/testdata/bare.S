# Functions without call frame information: one without a frame pointer calls one with. For the unwinder's fall-backs.
        .text
        .globl  without_anything
        .type   without_anything, @function
without_anything:
        pushq   %rbx
        pushq   $123
        pushq   $456
        call    with_frame_pointer
        addq    $16, %rsp
        popq    %rbx
        ret
        .size   without_anything, .-without_anything
        .type   with_frame_pointer, @function
with_frame_pointer:
        pushq   %rbp
        movq    %rsp, %rbp
        subq    $64, %rsp
        call    snapshot
        leave
        ret
        .size   with_frame_pointer, .-with_frame_pointer
        .section .note.GNU-stack,"",@progbits
