/* Between Linux mode and Dune mode; rings.S has the ways between the rings of the latter. */
#include "asm.h"

	.text

/* int __dune_enter(struct dune_config *conf, void *host_stack)
 * The guest starts at __dune_ret on this stack; Linux mode goes on in dune_host_loop on host_stack, which returns only
 * if the first entry fails. */
	.globl	__dune_enter
	.type	__dune_enter, @function
__dune_enter:
	.cfi_startproc
	pushq	%rbx
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset rbx, 0
	pushq	%rbp
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset rbp, 0
	pushq	%r12
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset r12, 0
	pushq	%r13
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset r13, 0
	pushq	%r14
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset r14, 0
	pushq	%r15
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset r15, 0
	movq	%rsp, CONF_RSP(%rdi)
	leaq	__dune_ret(%rip), %rax
	movq	%rax, CONF_RIP(%rdi)
	movq	$2, CONF_RFLAGS(%rdi)
	movq	%rsp, %rbx
	.cfi_remember_state
	.cfi_def_cfa rbx, 56
	movq	%rsi, %rsp
	call	dune_host_loop
	movq	%rbx, %rsp
	.cfi_restore_state
	jmp	1f

	.globl	__dune_ret
__dune_ret:
	xorl	%eax, %eax
1:	popq	%r15
	.cfi_adjust_cfa_offset -8
	popq	%r14
	.cfi_adjust_cfa_offset -8
	popq	%r13
	.cfi_adjust_cfa_offset -8
	popq	%r12
	.cfi_adjust_cfa_offset -8
	popq	%rbp
	.cfi_adjust_cfa_offset -8
	popq	%rbx
	.cfi_adjust_cfa_offset -8
	ret
	.cfi_endproc
	.size	__dune_enter, . - __dune_enter

/* void __dune_boot(const void *gdtr, const void *idtr, void *percpu)
 * First code of ring 0 that may take an exception afterwards. */
	.globl	__dune_boot
	.type	__dune_boot, @function
__dune_boot:
	.cfi_startproc
	movq	%rdx, %r8
	lgdt	(%rdi)
	movl	$0x18, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %ss
	pushq	$0x10
	.cfi_adjust_cfa_offset 8
	leaq	1f(%rip), %rax
	pushq	%rax
	.cfi_adjust_cfa_offset 8
	lretq
	.cfi_adjust_cfa_offset -16
1:	movl	$0x38, %eax
	ltr	%ax
	lidt	(%rsi)
	movl	%r8d, %eax
	movq	%r8, %rdx
	shrq	$32, %rdx
	movl	$MSR_GS_BASE, %ecx
	wrmsr
	sti
	ret
	.cfi_endproc
	.size	__dune_boot, . - __dune_boot

/* void __dune_go_linux(struct dune_config *conf): goes on in Linux mode with the registers of the stopped guest. */
	.globl	__dune_go_linux
	.type	__dune_go_linux, @function
__dune_go_linux:
	.cfi_startproc
	.cfi_undefined rip
	pushq	$0x2b
	pushq	CONF_RSP(%rdi)
	pushq	CONF_RFLAGS(%rdi)
	orq	$RFLAGS_IF, (%rsp)
	pushq	$0x33
	pushq	CONF_RIP(%rdi)
	movq	CONF_RAX(%rdi), %rax
	movq	CONF_RBX(%rdi), %rbx
	movq	CONF_RCX(%rdi), %rcx
	movq	CONF_RDX(%rdi), %rdx
	movq	CONF_RSI(%rdi), %rsi
	movq	CONF_RBP(%rdi), %rbp
	movq	CONF_R8(%rdi), %r8
	movq	CONF_R9(%rdi), %r9
	movq	CONF_R10(%rdi), %r10
	movq	CONF_R11(%rdi), %r11
	movq	CONF_R12(%rdi), %r12
	movq	CONF_R13(%rdi), %r13
	movq	CONF_R14(%rdi), %r14
	movq	CONF_R15(%rdi), %r15
	movq	CONF_RDI(%rdi), %rdi
	iretq
	.cfi_endproc
	.size	__dune_go_linux, . - __dune_go_linux

/* The kernel's notify call after the trap of TRAP_ENABLE: rdi = struct dune_trap_regs, rsi = private pointer. The bounce
 * began on the host stack whose top the library keeps; go back there. */
	.globl	__dune_trap_notify
	.type	__dune_trap_notify, @function
__dune_trap_notify:
	.cfi_startproc
	.cfi_undefined rip
	movq	8(%rsi), %rsp
	movq	(%rsi), %rsi
	call	dune_host_resume
	hlt
	.cfi_endproc
	.size	__dune_trap_notify, . - __dune_trap_notify

	.section .note.GNU-stack,"",@progbits
