/* cold: 20 MB of code, most of it cold: 200,000 functions of about 100 bytes.  Of 16 calls 15 go into a working set of 4096 neighbouring
 * functions that wanders through the whole program, one goes anywhere.  N = thousands of calls. */
#include "bench.h"

enum { FUNCTIONS = 200000, WORKING_SET = 4096 };
typedef uint64_t function(uint64_t x, uint64_t *state);
extern function *const functions[FUNCTIONS];
extern const char code_begin[], code_end[];

/* Each function has its own constants, one of four bodies, a branch that depends on its argument, and reads and writes memory. */
__asm__(".text\n"
	".globl code_begin\n"
	"code_begin:\n"
	"n = 0\n"
	".rept 200000\n"
	"	.balign 4\n"
	"1:	.pushsection .rodata.functions,\"a\",@progbits\n"
	"	.quad 1b\n"
	"	.popsection\n"
	"	movq %rdi, %rax\n"
	"	imulq $(n * 8 + 5), %rax, %rax\n"
	"	movl $(n * 2654435761 & 0x7fffffff), %ecx\n"
	"	xorq %rcx, %rax\n"
	"	movq (n & 255) * 8(%rsi), %rdx\n"
	"	addq %rdx, %rax\n"
	"	testl $(1 << (n & 7)), %edi\n"
	"	je 2f\n"
	"	.if (n & 3) == 0\n"
	"	shrq $7, %rdx\n"
	"	leaq 17(%rdx, %rax, 4), %rax\n"
	"	subl $(n & 0xffff), %ecx\n"
	"	.elseif (n & 3) == 1\n"
	"	rolq $11, %rax\n"
	"	andl $0xff00ff, %ecx\n"
	"	addq %rcx, %rax\n"
	"	.elseif (n & 3) == 2\n"
	"	cmpq %rdx, %rax\n"
	"	cmovbq %rdx, %rax\n"
	"	incq %rax\n"
	"	.else\n"
	"	movzbl %dl, %ecx\n"
	"	notq %rax\n"
	"	leaq (%rax, %rcx, 8), %rax\n"
	"	.endif\n"
	"2:	movq %rax, %r8\n"
	"	shrq $29, %r8\n"
	"	xorq %r8, %rax\n"
	"	movl %eax, %r9d\n"
	"	andl $255, %r9d\n"
	"	addq (%rsi, %r9, 8), %rax\n"
	"	leaq (n & 1023)(%rax, %rdi), %r10\n"
	"	movq %r10, (n & 255) * 8(%rsi)\n"
	"	xorl %r9d, %eax\n"
	"	addq $(n * 3 + 1000), %r8\n"
	"	orq %r8, %rax\n"
	"	subq %r10, %rax\n"
	"	ret\n"
	"n = n + 1\n"
	".endr\n"
	".globl code_end\n"
	"code_end:\n"
	".section .rodata.functions,\"a\",@progbits\n"
	".text\n");
__asm__(".pushsection .rodata.functions,\"a\",@progbits\n"
	".globl functions\n"
	"functions = . - 200000 * 8\n"
	".popsection\n");

int main(int argc, char **argv)
{
	unsigned long n = bench_args("cold", argc, argv, 10000);
	static uint64_t state[256];
	uint64_t s = 3, sum = 0;
	if (code_end - code_begin < 19 << 20)
		return 2;
	bench_begin();
	for (unsigned long i = 0; i < n * 1000; i++) {
		uint64_t r = bench_rand(&s);
		uint32_t from = (uint32_t)(i * (FUNCTIONS - WORKING_SET) / (n * 1000));
		uint32_t which = r >> 60 ? from + (uint32_t)(r >> 20) % WORKING_SET : (uint32_t)(r >> 20) % FUNCTIONS;
		sum = functions[which](sum + r, state);
	}
	return bench_end(sum);
}
