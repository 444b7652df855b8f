# Rings in pure assembly: ring 0 of Dune mode goes to ring 3, which comes back by a software interrupt, and by a fault
# when it touches a page that belongs to ring 0.

	.include "../asm-common/dune.inc"

	.set	USER_CODE, 0x10 | 3
	.set	USER_DATA, 0x18 | 3
	.set	TASK, 0x20
	.set	SYSTEM_VECTOR, 0x80

# The 2 MB from 4 MB on, where this program lies, in pages of 4 KB: all for ring 0, those between user_start and user_end
# for ring 3 as well.
	.type	build_page_tables, @function
build_page_tables:
	lea	pdpt(%rip), %rax
	or	$P | W | U, %rax
	mov	%rax, pml4(%rip)
	lea	pd(%rip), %rax
	or	$P | W | U, %rax
	mov	%rax, pdpt(%rip)
	lea	pt(%rip), %rax
	or	$P | W | U, %rax
	mov	%rax, pd + 2 * 8	# 0x400000
	mov	$0x400000, %eax
	lea	pt(%rip), %rdi
	lea	user_start(%rip), %rsi
	lea	user_end(%rip), %rdx
1:	mov	%rax, %rcx
	or	$P | W, %rcx
	cmp	%rsi, %rax
	jb	2f
	cmp	%rdx, %rax
	jae	2f
	or	$U, %rcx
2:	mov	%rcx, (%rdi)
	add	$8, %rdi
	add	$PAGE, %rax
	cmp	$0x600000, %rax
	jb	1b
	ret
	.size	build_page_tables, . - build_page_tables

	.type	dune_start, @function
dune_start:
	# The task-state segment says where the ring-0 stack is; its descriptor wants its address in pieces.
	lea	kernel_stack(%rip), %rax
	mov	%rax, tss + 4
	lea	tss(%rip), %rax
	mov	%ax, tss_descriptor + 2
	shr	$16, %rax
	mov	%al, tss_descriptor + 4
	mov	%ah, tss_descriptor + 7
	shr	$16, %rax
	mov	%eax, tss_descriptor + 8
	lgdt	gdtr(%rip)
	pushq	$KERNEL_CODE
	lea	1f(%rip), %rax
	push	%rax
	lretq
1:	mov	$TASK, %eax
	ltr	%ax
	gate	SYSTEM_VECTOR, system_call, 3
	gate	FAULT_VECTOR, page_fault
	lidt	idtr(%rip)

	# To ring 3: SS, RSP, RFLAGS, CS, RIP.
	pushq	$USER_DATA
	lea	user_stack(%rip), %rax
	push	%rax
	pushq	$2
	pushq	$USER_CODE
	lea	user_code(%rip), %rax
	push	%rax
	iretq
	.size	dune_start, . - dune_start

# INT 0x80 of ring 3: RAX is the system call, handed on to Linux.
	.type	system_call, @function
system_call:
	vmcall
	iretq
	.size	system_call, . - system_call

	.type	page_fault, @function
page_fault:
	mov	(%rsp), %r12d		# error code: present, by ring 3
	lea	refused(%rip), %rsi
	mov	$refused_length, %edx
	mov	$1, %edi
	mov	$SYS_write, %eax
	vmcall
	mov	%r12d, %edi		# exit status: 5
	mov	$SYS_exit, %eax
	vmcall
	.size	page_fault, . - page_fault

# ---------------------------------------------------------------- ring 3
	.balign	PAGE
user_start:
	.type	user_code, @function
user_code:
	lea	greeting(%rip), %rsi
	mov	$greeting_length, %edx
	mov	$1, %edi
	mov	$SYS_write, %eax
	int	$SYSTEM_VECTOR
	mov	secret, %rax		# a page of ring 0
1:	jmp	1b
	.size	user_code, . - user_code
greeting: .ascii "hello from ring 3\n"
	.set	greeting_length, . - greeting
	.balign	PAGE
	.zero	PAGE
user_stack:
user_end:

	.section .rodata
refused: .ascii	"ring 3 was refused a page of ring 0\n"
	.set	refused_length, . - refused
secret:	.quad	42

	.data
	.balign	8
gdt:	.quad	0
	.quad	0x00af9b000000ffff	# 08: 64-bit code, ring 0
	.quad	0x00affb000000ffff	# 10: 64-bit code, ring 3
	.quad	0x00cff3000000ffff	# 18: data, ring 3
tss_descriptor:
	.quad	0x0000890000000067	# 20: task-state segment
	.quad	0
	.set	gdt_size, . - gdt

	.bss
	.balign	PAGE
pt:	.zero	PAGE
tss:	.zero	104
