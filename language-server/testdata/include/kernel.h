#pragma once
/* What all parts of the kernel know. */
#define MSR_EFER 0xc0000080
#define EFER_LME (1 << 8)
#define LOAD(msr) \
	mov	$msr, %ecx; \
	rdmsr
#ifndef __ASSEMBLER__
int not_for_the_assembler(void);
#endif
