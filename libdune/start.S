/* Where a program without a C library begins, unless it has a _start of its own: status = main(argc, argv, envp). */
	.globl	_start
	.type	_start, @function
_start:
	.cfi_startproc
	.cfi_undefined rip
	movq	(%rsp), %rdi
	leaq	8(%rsp), %rsi
	leaq	16(%rsp,%rdi,8), %rdx
	xorl	%ebp, %ebp
	andq	$-16, %rsp
	call	main
	movl	%eax, %edi
	call	exit
	.cfi_endproc
	.size	_start, . - _start

	.section .note.GNU-stack, "", @progbits
