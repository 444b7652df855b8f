#include "kernel.h"
#include <broken.inc>
#include "missing.h"
#define STACK 0x8000
#define PUSH(value) pushq $(value); pushq %raz
#define	LONG_LINE(a, b) \
	movl	$a, %eax; \
	movl	$b, %ebx

	.text
	.globl	_start
_start:
	LOAD(MSR_EFER)		/* twice */ ; LOAD (MSR_EFER)
	orl	$EFER_LME, %eax
#ifdef SMP
	mov	$STACK, %esp
	wrmsr
#else
	PUSH(STACK)
	movl	$STACK, %ebz
#endif
	LONG_LINE(1,
		%ecx)
	mov	$MSR_EFER, /* where */ %rcx
	rdmsr
	store	table
#if defined(STACK) && STACK > 0x9000
	hlt
#elif STACK == 0x8000
	hlt
#endif
	.data
table:	.quad	STACK | EFER_LME
