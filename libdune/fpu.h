/* The vector and floating-point state. Dune mode shares it with the Linux thread; a handler that uses it saves it first. */
#ifndef LIBDUNE_FPU_H
#define LIBDUNE_FPU_H

#include <cpuid.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct fpu_area {
	uint8_t bytes[832];
} __attribute__((aligned(64)));

#define FPU_MXCSR_OFFSET 24
#define FPU_MXCSR_DEFAULT 0x1f80
#define FPU_CW_DEFAULT 0x037f

/* XSAVE if the operating system has enabled it, else FXSAVE. */
static inline bool dune_fpu_has_xsave(void)
{
	unsigned int eax, ebx, ecx, edx;

	return __get_cpuid(1, &eax, &ebx, &ecx, &edx) && (ecx & (1u << 27));
}

static inline bool dune_fpu_has_xsaveopt(void)
{
	unsigned int eax, ebx, ecx, edx;

	return dune_fpu_has_xsave() && __get_cpuid_count(0xd, 1, &eax, &ebx, &ecx, &edx) && (eax & 1);
}

static inline void dune_fpu_init(struct fpu_area *fpu)
{
	uint16_t control = FPU_CW_DEFAULT;
	uint32_t mxcsr = FPU_MXCSR_DEFAULT;

	memset(fpu, 0, sizeof(*fpu));
	memcpy(fpu->bytes, &control, sizeof(control));
	memcpy(fpu->bytes + FPU_MXCSR_OFFSET, &mxcsr, sizeof(mxcsr));
}

static inline void dune_fpu_load(struct fpu_area *fpu)
{
	if (dune_fpu_has_xsave())
		__asm__ __volatile__("xrstor64 %0" : : "m"(*fpu), "a"(-1), "d"(-1));
	else
		__asm__ __volatile__("fxrstor64 %0" : : "m"(*fpu));
}

/* The area must be one that was loaded or saved before. */
static inline void dune_fpu_save(struct fpu_area *fpu)
{
	if (dune_fpu_has_xsaveopt())
		__asm__ __volatile__("xsaveopt64 %0" : "+m"(*fpu) : "a"(-1), "d"(-1));
	else if (dune_fpu_has_xsave())
		__asm__ __volatile__("xsave64 %0" : "+m"(*fpu) : "a"(-1), "d"(-1));
	else
		__asm__ __volatile__("fxsave64 %0" : "=m"(*fpu));
}

/* Into any area. */
static inline void dune_fpu_save_safe(struct fpu_area *fpu)
{
	if (dune_fpu_has_xsave())
		__asm__ __volatile__("xsave64 %0" : "+m"(*fpu) : "a"(-1), "d"(-1));
	else
		__asm__ __volatile__("fxsave64 %0" : "=m"(*fpu));
}

#endif
