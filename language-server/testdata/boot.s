	.code32
	.globl	_start
_start:	movl	%cr0, %eax
	pusha
	ljmp	$24, $sixteen
	mov	%rax, %rbx
	.code16
sixteen:
	lgdtl	table
	movw	(%bx,%si), %ax
	jcxz	sixteen
	pushw	(%ax)
	.code64
	pusha
	push	%rax
table:	.word	0
