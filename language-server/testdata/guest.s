	.include "guest.inc"

	.text
	.globl	_start
	.type	_start, @function
# Where the program begins.
_start:
	mov	$8, %edi
	call	helper
	write_msr LSTAR, 7
	mov	$0x681e, %eax
	vmread	%rax, %rbx
	orq	$0x83, table(%rip)
	pushq	$KERNEL_CODE
	lea	1f(%rip), %rax
	push	%rax
	lretq
1:	dec	%edi
	jnz	1b
	call	dune_enter
	mov	%cr3, %rax
	hlt
	.size	_start, . - _start

	.type	helper, @function
helper:
	cmp	$48, %eax
	je	done
	movl	$1, count(%rip)
done:	ret
	.size	helper, . - helper

	.data
count:	.long	0
table:	.quad	0x1067
