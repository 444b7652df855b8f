# Assembly on libdune, without a C library: libdune-nolibc.a brings _start, which calls main. In Dune mode a page fault is handled: the handler maps
# the page, and the access is done again. Needs the launch attribute "libraries": ["libdune"].

	.set	MAP_EVERYTHING, 1
	.set	UNMAPPED, 0x5000000000	# in none of the areas that dune_init maps
	.set	PERM_RW, 3
	.set	PGSIZE, 4096

	.text
	.globl	main
	.type	main, @function
main:
	.cfi_startproc
	push	%rbx			# and the stack is aligned
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %rbx, 0
	mov	$MAP_EVERYTHING, %edi
	call	dune_init
	test	%eax, %eax
	jnz	out
	call	dune_enter		# from here on in ring 0 of Dune mode
	test	%eax, %eax
	jnz	out

	lea	on_page_fault(%rip), %rdi
	call	dune_register_pgflt_handler
	movabs	$UNMAPPED, %rbx
	movl	$42, (%rbx)		# page fault: see `on_page_fault`

	lea	done(%rip), %rdi
	mov	(%rbx), %esi
	mov	faults(%rip), %edx
	xor	%eax, %eax
	call	dune_printf
	mov	(%rbx), %eax
out:	pop	%rbx
	.cfi_adjust_cfa_offset -8
	.cfi_restore %rbx
	ret				# the exit status
	.cfi_endproc
	.size	main, . - main

# void on_page_fault(uintptr_t address, uint64_t error_code, struct dune_tf *frame)
	.type	on_page_fault, @function
on_page_fault:
	.cfi_startproc
	push	%rbx
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %rbx, 0
	mov	%rdi, %rbx
	incl	faults(%rip)
	lea	fault(%rip), %rdi
	mov	%rsi, %rdx
	mov	%rbx, %rsi
	xor	%eax, %eax
	call	dune_printf
	mov	pgroot(%rip), %rdi	# dune_vm_map_phys(root, address, length, physical address, permissions)
	mov	%rbx, %rsi
	mov	$PGSIZE, %edx
	lea	page(%rip), %rcx
	mov	$PERM_RW, %r8d
	call	dune_vm_map_phys
	pop	%rbx
	.cfi_adjust_cfa_offset -8
	.cfi_restore %rbx
	ret
	.cfi_endproc
	.size	on_page_fault, . - on_page_fault

	.section .rodata
fault:	.asciz	"page fault at %#lx, error code %lx\n"
done:	.asciz	"%d is there, after %u page fault\n"

	.bss
	.balign	PGSIZE
page:	.zero	PGSIZE
faults:	.zero	4
