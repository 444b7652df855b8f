# A Dune program without C and without libdune: it enters Dune mode by hand, takes a page fault in ring 0,
# maps the missing page and goes on. F5 assembles it; no compiler is needed.

	.include "../asm-common/dune.inc"

	.set	UNMAPPED, 0x40000000	# 1 GB: nothing is mapped there at first

# PML4[0] -> PDPT[0] -> PD: 512 pages of 2 MB, the first gigabyte onto itself.
	.type	build_page_tables, @function
build_page_tables:
	lea	pdpt(%rip), %rax
	or	$P | W, %rax
	mov	%rax, pml4(%rip)
	lea	pd(%rip), %rax
	or	$P | W, %rax
	mov	%rax, pdpt(%rip)
	lea	pd(%rip), %rdi
	mov	$P | W | PS, %eax
	mov	$512, %ecx
1:	mov	%rax, (%rdi)
	add	$8, %rdi
	add	$0x200000, %rax
	dec	%ecx
	jnz	1b
	ret
	.size	build_page_tables, . - build_page_tables

# ---------------------------------------------------------------- Dune mode (ring 0, VMX non-root operation)
	.type	dune_start, @function
dune_start:
	lgdt	gdtr(%rip)
	pushq	$KERNEL_CODE
	lea	1f(%rip), %rax
	push	%rax
	lretq				# CS is a descriptor of ours now: gates need one
1:
	gate	FAULT_VECTOR, page_fault
	lidt	idtr(%rip)

	mov	$UNMAPPED, %ebx
	movl	$42, (%rbx)		# page fault: see `page_fault`
	mov	(%rbx), %r12d

	lea	message(%rip), %rsi
	mov	$message_length, %edx
	mov	$1, %edi
	mov	$SYS_write, %eax
	vmcall				# a Linux system call from ring 0

	mov	%r12d, %edi
	mov	$SYS_exit, %eax
	vmcall
	.size	dune_start, . - dune_start

# Error code and return address are on the stack, CR2 is what was touched.
	.type	page_fault, @function
page_fault:
	push	%rax
	push	%rcx
	mov	%cr2, %rax
	mov	$UNMAPPED, %ecx
	cmp	%rcx, %rax
	jne	wrong_address
	lea	second_pd(%rip), %rax
	or	$P | W, %rax
	mov	%rax, pdpt + 8		# the second gigabyte
	lea	second_pt(%rip), %rax
	or	$P | W, %rax
	mov	%rax, second_pd
	lea	page(%rip), %rax
	or	$P | W, %rax
	mov	%rax, second_pt
	incl	faults(%rip)
	pop	%rcx
	pop	%rax
	add	$8, %rsp		# the error code
	iretq
wrong_address:
	mov	$2, %edi
	mov	$SYS_exit, %eax
	vmcall
	.size	page_fault, . - page_fault

# ---------------------------------------------------------------- data
	.section .rodata
message: .ascii	"a page fault was handled in ring 0\n"
	.set	message_length, . - message

	.data
	.balign	8
gdt:	.quad	0
	.quad	0x00af9b000000ffff	# 08: 64-bit code, ring 0
	.set	gdt_size, . - gdt

	.bss
	.balign	PAGE
second_pd: .zero PAGE
second_pt: .zero PAGE
page:	.zero	PAGE
faults:	.zero	4
