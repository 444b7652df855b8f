/* Every way between the rings of Dune mode: traps, to ring 3 and back, system calls. */
#include "asm.h"

	.text

/* A DWARF expression for "what stands at RSP + off" (off < 8192). */
#define CFI_SLOT(reg, off) .cfi_escape 0x10, reg, 3, 0x77, (((off) & 0x7f) | 0x80), ((off) >> 7)
#define CFI_CFA_IN(off) .cfi_escape 0x0f, 4, 0x77, (((off) & 0x7f) | 0x80), ((off) >> 7), 0x06

/* The frame of the interrupted code lies at RSP + at. */
.macro CFI_TRAP_FRAME at
	.cfi_signal_frame
	CFI_CFA_IN(TF_RSP + \at)
	CFI_SLOT(3, TF_RBX + \at)
	CFI_SLOT(6, TF_RBP + \at)
	CFI_SLOT(12, TF_R12 + \at)
	CFI_SLOT(13, TF_R13 + \at)
	CFI_SLOT(14, TF_R14 + \at)
	CFI_SLOT(15, TF_R15 + \at)
	CFI_SLOT(16, TF_RIP + \at)
.endm

/* FS base := gs:slot unless both rings share one. Clobbers RAX, RCX, RDX. Interrupts are off. */
.macro SWITCH_FS slot
	movq	%gs:\slot, %rax
	movq	%gs:PERCPU_KFS_BASE, %rcx
	cmpq	%gs:PERCPU_UFS_BASE, %rcx
	je	.Lsame_fs\@
	movq	%rax, %rdx
	shrq	$32, %rdx
	movl	$MSR_FS_BASE, %ecx
	wrmsr
.Lsame_fs\@:
.endm

/* ---------------------------------------------------------------------------------------------- traps */

/* 256 entry points of 16 bytes. Vectors 8, 10-14, 17, 21, 29 and 30 push an error code, the others get a placeholder in
 * its place. NMI, #BP, #DF and #MC stay on their own interrupt stacks, every other moves on to the stack of the code it
 * interrupts. */
	.balign	16
	.globl	__dune_intr
__dune_intr:
	.set	vector, 0
	.rept	256
	.balign	16
	.if	!(vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21 || vector == 29 || vector == 30)
	pushq	$0
	.endif
	pushq	%rax
	movl	$vector, %eax
	.if	vector == 2 || vector == 3 || vector == 8 || vector == 18
	jmp	trap_in_place
	.else
	jmp	trap_move
	.endif
	.set	vector, vector + 1
	.endr
	.balign	16

/* On the interrupt stack: rax err rip cs rflags rsp ss; the vector in eax; interrupts off. The frame is built below the
 * red zone of ring 0 code, or below the frame dune_jump_to_user left for ring 3 code. */
trap_move:
	.cfi_startproc
	.cfi_signal_frame
	.cfi_undefined rip
	pushq	%rcx
	testb	$3, 32(%rsp)
	jnz	1f
	movq	48(%rsp), %rcx
	subq	$128, %rcx
	jmp	2f
1:	movq	%gs:PERCPU_TRAP_STACK, %rcx
2:	andq	$-16, %rcx
	subq	$TF_SIZE, %rcx
	popq	TF_RCX(%rcx)
	popq	TF_RAX(%rcx)
	popq	TF_ERR(%rcx)
	popq	TF_RIP(%rcx)
	popq	TF_CS(%rcx)
	popq	TF_RFLAGS(%rcx)
	popq	TF_RSP(%rcx)
	popq	TF_SS(%rcx)
	movq	%rcx, %rsp
	jmp	trap_common

trap_in_place:
	subq	$TF_RAX, %rsp
	movq	%rcx, TF_RCX(%rsp)

trap_common:
	movq	%rdi, TF_RDI(%rsp)
	movq	%rsi, TF_RSI(%rsp)
	movq	%rdx, TF_RDX(%rsp)
	movq	%r8, TF_R8(%rsp)
	movq	%r9, TF_R9(%rsp)
	movq	%r10, TF_R10(%rsp)
	movq	%r11, TF_R11(%rsp)
	movq	%rbx, TF_RBX(%rsp)
	movq	%rbp, TF_RBP(%rsp)
	movq	%r12, TF_R12(%rsp)
	movq	%r13, TF_R13(%rsp)
	movq	%r14, TF_R14(%rsp)
	movq	%r15, TF_R15(%rsp)
	CFI_TRAP_FRAME 0
	cld
	movl	%eax, %edi
	movq	%rsp, %rsi
	/* A trap that hits ring 0 between the rings must leave the switch as it found it: the flag is kept below the
	 * frame, where it also makes the stack a multiple of 16. */
	xorl	%ebx, %ebx
	testb	$3, TF_CS(%rsp)
	jnz	1f
	movq	%gs:PERCPU_IN_USERMODE, %rbx
1:	pushq	%rbx
	CFI_TRAP_FRAME 8
	cmpq	$0, %gs:PERCPU_IN_USERMODE
	je	2f
	SWITCH_FS PERCPU_KFS_BASE
	movq	$0, %gs:PERCPU_IN_USERMODE
2:	testl	$RFLAGS_IF, TF_RFLAGS(%rsi)
	jz	3f
	sti
3:	call	dune_trap_handler
	cli
	popq	%rbx
	CFI_TRAP_FRAME 0

/* The frame at RSP; RBX: code of ring 0 is to find the user-mode flag set. */
trap_return:
	testb	$3, TF_CS(%rsp)
	jnz	1f
	testq	%rbx, %rbx
	jz	2f
1:	SWITCH_FS PERCPU_UFS_BASE
	movq	$1, %gs:PERCPU_IN_USERMODE
2:	movq	TF_RDI(%rsp), %rdi
	movq	TF_RSI(%rsp), %rsi
	movq	TF_RDX(%rsp), %rdx
	movq	TF_RCX(%rsp), %rcx
	movq	TF_R8(%rsp), %r8
	movq	TF_R9(%rsp), %r9
	movq	TF_R10(%rsp), %r10
	movq	TF_R11(%rsp), %r11
	movq	TF_RBX(%rsp), %rbx
	movq	TF_RBP(%rsp), %rbp
	movq	TF_R12(%rsp), %r12
	movq	TF_R13(%rsp), %r13
	movq	TF_R14(%rsp), %r14
	movq	TF_R15(%rsp), %r15
	movq	TF_RAX(%rsp), %rax
	addq	$TF_RIP, %rsp
	iretq
	.cfi_endproc

/* void dune_pop_trap_frame(struct dune_tf *tf) */
	.globl	dune_pop_trap_frame
	.type	dune_pop_trap_frame, @function
dune_pop_trap_frame:
	.cfi_startproc
	.cfi_undefined rip
	cli
	andq	$-16, %rsp
	subq	$8, %rsp
	movzwl	TF_SS(%rdi), %eax
	pushq	%rax
	pushq	TF_RSP(%rdi)
	pushq	TF_RFLAGS(%rdi)
	movzwl	TF_CS(%rdi), %eax
	pushq	%rax
	pushq	TF_RIP(%rdi)
	movq	TF_RSI(%rdi), %rsi
	movq	TF_RDX(%rdi), %rdx
	movq	TF_RCX(%rdi), %rcx
	movq	TF_R8(%rdi), %r8
	movq	TF_R9(%rdi), %r9
	movq	TF_R10(%rdi), %r10
	movq	TF_R11(%rdi), %r11
	movq	TF_RBX(%rdi), %rbx
	movq	TF_RBP(%rdi), %rbp
	movq	TF_R12(%rdi), %r12
	movq	TF_R13(%rdi), %r13
	movq	TF_R14(%rdi), %r14
	movq	TF_R15(%rdi), %r15
	movq	TF_RAX(%rdi), %rax
	movq	TF_RDI(%rdi), %rdi
	iretq
	.cfi_endproc
	.size	dune_pop_trap_frame, . - dune_pop_trap_frame

/* int dune_jump_to_user(struct dune_tf *tf)
 * 184 bytes on the ring 0 stack hold the callee-saved registers, RFLAGS and the trap stack of an outer jump; they are
 * the new trap stack, below which traps of ring 3 push. */
#define JUMP_OLD_TRAP_STACK TF_SIZE
#define JUMP_SIZE 184
	.globl	dune_jump_to_user
	.type	dune_jump_to_user, @function
dune_jump_to_user:
	.cfi_startproc
	subq	$JUMP_SIZE, %rsp
	.cfi_adjust_cfa_offset JUMP_SIZE
	movq	%rbx, TF_RBX(%rsp)
	movq	%rbp, TF_RBP(%rsp)
	movq	%r12, TF_R12(%rsp)
	movq	%r13, TF_R13(%rsp)
	movq	%r14, TF_R14(%rsp)
	movq	%r15, TF_R15(%rsp)
	pushfq
	.cfi_adjust_cfa_offset 8
	popq	TF_RFLAGS(%rsp)
	.cfi_adjust_cfa_offset -8
	cli
	movq	%gs:PERCPU_TRAP_STACK, %rax
	movq	%rax, JUMP_OLD_TRAP_STACK(%rsp)
	movq	%rsp, %gs:PERCPU_TRAP_STACK
	SWITCH_FS PERCPU_UFS_BASE
	movq	$1, %gs:PERCPU_IN_USERMODE
	movw	$0x33, TF_CS(%rdi)
	movw	$0x2b, TF_SS(%rdi)
	jmp	dune_pop_trap_frame
	.cfi_endproc
	.size	dune_jump_to_user, . - dune_jump_to_user

/* void dune_ret_from_user(int ret): from a handler, with the kernel's FS base in force. */
	.globl	dune_ret_from_user
	.type	dune_ret_from_user, @function
dune_ret_from_user:
	.cfi_startproc
	.cfi_undefined rip
	cli
	movl	%edi, %eax
	movq	%gs:PERCPU_TRAP_STACK, %rsp
	movl	$0x18, %ecx
	movl	%ecx, %ss
	movq	JUMP_OLD_TRAP_STACK(%rsp), %rcx
	movq	%rcx, %gs:PERCPU_TRAP_STACK
	movq	TF_RBX(%rsp), %rbx
	movq	TF_RBP(%rsp), %rbp
	movq	TF_R12(%rsp), %r12
	movq	TF_R13(%rsp), %r13
	movq	TF_R14(%rsp), %r14
	movq	TF_R15(%rsp), %r15
	pushq	TF_RFLAGS(%rsp)
	popfq
	addq	$JUMP_SIZE, %rsp
	ret
	.cfi_endproc
	.size	dune_ret_from_user, . - dune_ret_from_user

/* ---------------------------------------------------------------------------------------------- system calls */

/* Copied to LSTAR, so position independent. In ring 0 a SYSCALL becomes a VMCALL; RFLAGS is restored through the stack
 * below the red zone. In ring 3 it goes to dune_syscall_entry. Interrupts are off (FMASK). */
	.globl	__dune_syscall
__dune_syscall:
	.cfi_startproc
	.cfi_register rip, rcx
	cmpq	$0, %gs:PERCPU_IN_USERMODE
	jne	1f
	leaq	-128(%rsp), %rsp
	.cfi_adjust_cfa_offset 128
	pushq	%r11
	.cfi_adjust_cfa_offset 8
	popfq
	.cfi_adjust_cfa_offset -8
	leaq	128(%rsp), %rsp
	.cfi_adjust_cfa_offset -128
	vmcall
	jmp	*%rcx
1:	jmp	*%gs:PERCPU_SYSCALL_ENTRY
	.cfi_endproc
	.globl	__dune_syscall_end
__dune_syscall_end:

	.globl	dune_syscall_entry
	.type	dune_syscall_entry, @function
dune_syscall_entry:
	.cfi_startproc
	.cfi_signal_frame
	.cfi_register rip, rcx
	movq	%rsp, %gs:PERCPU_TMP
	movq	%gs:PERCPU_TRAP_STACK, %rsp
	subq	$TF_SIZE, %rsp
	movq	%rdi, TF_RDI(%rsp)
	movq	%rsi, TF_RSI(%rsp)
	movq	%rdx, TF_RDX(%rsp)
	movq	%r10, TF_RCX(%rsp)
	movq	%r8, TF_R8(%rsp)
	movq	%r9, TF_R9(%rsp)
	movq	%r10, TF_R10(%rsp)
	movq	%r11, TF_R11(%rsp)
	movq	%rbx, TF_RBX(%rsp)
	movq	%rbp, TF_RBP(%rsp)
	movq	%r12, TF_R12(%rsp)
	movq	%r13, TF_R13(%rsp)
	movq	%r14, TF_R14(%rsp)
	movq	%r15, TF_R15(%rsp)
	movq	%rax, TF_RAX(%rsp)
	movq	$0, TF_ERR(%rsp)
	movq	%rcx, TF_RIP(%rsp)
	movq	$0x33, TF_CS(%rsp)
	movq	%r11, TF_RFLAGS(%rsp)
	movq	%gs:PERCPU_TMP, %rax
	movq	%rax, TF_RSP(%rsp)
	movq	$0x2b, TF_SS(%rsp)
	CFI_TRAP_FRAME 0
	SWITCH_FS PERCPU_KFS_BASE
	movq	$0, %gs:PERCPU_IN_USERMODE
	movq	%rsp, %rdi
	subq	$8, %rsp
	CFI_TRAP_FRAME 8
	sti
	call	dune_syscall_handler
	cli
	addq	$8, %rsp
	CFI_TRAP_FRAME 0
	/* SYSRET to an address that is not canonical would fault in ring 0 on the stack of ring 3. */
	movq	TF_RIP(%rsp), %rcx
	shrq	$47, %rcx
	jnz	1f
	SWITCH_FS PERCPU_UFS_BASE
	movq	$1, %gs:PERCPU_IN_USERMODE
	movq	TF_RDI(%rsp), %rdi
	movq	TF_RSI(%rsp), %rsi
	movq	TF_RDX(%rsp), %rdx
	movq	TF_R8(%rsp), %r8
	movq	TF_R9(%rsp), %r9
	movq	TF_R10(%rsp), %r10
	movq	TF_RBX(%rsp), %rbx
	movq	TF_RBP(%rsp), %rbp
	movq	TF_R12(%rsp), %r12
	movq	TF_R13(%rsp), %r13
	movq	TF_R14(%rsp), %r14
	movq	TF_R15(%rsp), %r15
	movq	TF_RAX(%rsp), %rax
	movq	TF_RIP(%rsp), %rcx
	movq	TF_RFLAGS(%rsp), %r11
	movq	TF_RSP(%rsp), %rsp
	sysretq
1:	xorl	%ebx, %ebx
	jmp	trap_return
	.cfi_endproc
	.size	dune_syscall_entry, . - dune_syscall_entry

	.section .note.GNU-stack,"",@progbits
