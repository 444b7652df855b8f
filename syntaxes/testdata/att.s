# AT&T syntax
	.set	PAGE, 4096	// a constant
COUNT = 3
/* a comment
   of two lines */
	.section .rodata, "a", @progbits
text:	.asciz	"two\tlines\n\x41"
	.text
	.globl	_start
	.type	_start, @function
_start:
	.cfi_startproc
	mov	$PAGE, %eax
	movq	%fs:0x28, %rcx; xor %edx, %edx
	lea	8(%rdi,%rcx,4), %rax
1:	lock incl counter(%rip)
	jnz	1b
	rep movsb
	call	printf@PLT
	movb	$'a', (%rsp)
	mov	%cr3, %rax
	mov	%rax, %cr3
	rdmsr
	vmcall
	cmovae	%eax, %ebx
	fadd	%st(3), %st
	vaddps	%ymm1, %ymm2, %ymm3
	ret
	.cfi_endproc
	.size	_start, . - _start
