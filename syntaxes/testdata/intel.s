	.intel_syntax noprefix
	mov	eax, dword ptr [rdi + rcx*4 + 8]
	lea	rsi, [rip + message]
	mov	rax, offset table
	mov	cr3, rax
	rep stosq
	jmp	short_label
