#include "registers.h"
#define PUSH(reg) push %reg
#ifdef CONFIG_X
	.macro gate vector:req, handler, dpl=0
	lea \handler(%rip), %rax
	.if \dpl > 0
	nop
	.else
	int3
	.endif
	.endm
	gate 14, page_fault
#endif
	.rept 3
	.byte 0b101, 017, -1
	.endr
