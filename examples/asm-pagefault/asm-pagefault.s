# A Dune program without C and without libdune: it enters Dune mode by hand, takes a page fault in ring 0,
# maps the missing page and goes on. F5 assembles it; no compiler is needed.

	.set	SYS_write, 1
	.set	SYS_open, 2
	.set	SYS_ioctl, 16
	.set	SYS_exit, 60
	.set	O_RDWR, 2
	.set	DUNE_ENTER, 0x80b0e901

	.set	P, 1			# present
	.set	W, 2			# writable
	.set	PS, 0x80		# this entry maps a large page
	.set	CODE_SELECTOR, 8
	.set	FAULT_VECTOR, 14
	.set	UNMAPPED, 0x40000000	# 1 GB: nothing is mapped there at first

# ---------------------------------------------------------------- Linux mode (ring 3, VMX root operation)
	.text
	.globl	_start
	.type	_start, @function
_start:
	mov	$SYS_open, %eax
	lea	device(%rip), %rdi
	mov	$O_RDWR, %esi
	syscall
	test	%eax, %eax
	js	failed
	mov	%eax, %ebx

	call	build_page_tables

	# What the guest starts with. Guest-physical addresses are our own addresses here.
	lea	dune_start(%rip), %rax
	mov	%rax, config_rip(%rip)
	lea	stack_top(%rip), %rax
	mov	%rax, config_rsp(%rip)
	movq	$2, config_rflags(%rip)
	lea	pml4(%rip), %rax
	mov	%rax, config_cr3(%rip)

	mov	$SYS_ioctl, %eax
	mov	%ebx, %edi
	mov	$DUNE_ENTER, %esi
	lea	config(%rip), %rdx
	syscall				# Dune mode runs inside this call

	test	%eax, %eax
	js	failed
	mov	config_status(%rip), %edi
	mov	$SYS_exit, %eax
	syscall

failed:
	mov	$SYS_exit, %eax
	mov	$1, %edi
	syscall
	.size	_start, . - _start

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
	pushq	$CODE_SELECTOR
	lea	1f(%rip), %rax
	push	%rax
	lretq				# CS is a descriptor of ours now: gates need one
1:
	# The gate of #PF: its address is known only here.
	lea	page_fault(%rip), %rax
	lea	idt + FAULT_VECTOR * 16, %rdi
	mov	%ax, (%rdi)
	shr	$16, %rax
	mov	%ax, 6(%rdi)
	shr	$16, %rax
	mov	%eax, 8(%rdi)
	movw	$CODE_SELECTOR, 2(%rdi)
	movb	$0x8e, 5(%rdi)		# 64-bit interrupt gate, present
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
device:	.asciz	"/dev/dune"
message: .ascii	"a page fault was handled in ring 0\n"
	.set	message_length, . - message

	.data
	.balign	8
gdt:	.quad	0
	.quad	0x00af9b000000ffff	# 08: 64-bit code, ring 0
	.set	gdt_size, . - gdt
gdtr:	.word	gdt_size - 1
	.quad	gdt
idtr:	.word	256 * 16 - 1
	.quad	idt

# struct dune_config
	.balign	8
config:	.quad	0			# ret
	.zero	0x30
config_rsp: .quad 0
	.zero	0x48
config_rip: .quad 0
config_rflags: .quad 0
config_cr3: .quad 0
config_status: .quad 0
	.quad	0			# vcpu: a new one

	.bss
	.balign	4096
pml4:	.zero	4096
pdpt:	.zero	4096
pd:	.zero	4096
second_pd: .zero 4096
second_pt: .zero 4096
idt:	.zero	4096
page:	.zero	4096
	.zero	8192
stack_top:
faults:	.zero	4
