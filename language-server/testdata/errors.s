# Every line with an error has one; the others have none.
	.text
_start:
	mov	%eax, %rbx
	movq	$1, %eax, %ebx
	frobnicate %eax
	mov	$1, (%rax)
	.quux	3
	mov	8(%rax, %rsp, 4), %ecx
	add	$0x123456789, %rax
_start:
	jmp	9f
	.byte	256 * 3
	.macro	two a:req, b
	add	\a, \b
	.endm
	two
	two	%eax
	mov	%eax %ebx
	.ascii	"open
	nop
