/* What takes the place of the kernel's vsyscall page in guest mappings: three calls at fixed offsets, each a system call
 * by the way its ring has. */
	.text

.macro VSYSCALL number
	movl	$\number, %eax
	movl	%cs, %ecx
	testb	$3, %cl
	jnz	1f
	vmcall
	ret
1:	syscall
	ret
.endm

	.balign	4096
	.globl	__dune_vsyscall_page
__dune_vsyscall_page:
	.cfi_startproc
	VSYSCALL 96	/* gettimeofday */
	.org	__dune_vsyscall_page + 0x400, 0xcc
	VSYSCALL 201	/* time */
	.org	__dune_vsyscall_page + 0x800, 0xcc
	VSYSCALL 309	/* getcpu */
	.cfi_endproc
	.org	__dune_vsyscall_page + 0x1000, 0xcc

	.section .note.GNU-stack,"",@progbits
