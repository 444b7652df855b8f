/* cold: 20 MB of code: 200,000 functions of about 100 bytes.  N = thousands of calls.
 *
 * Nothing in it is hot: of 16 calls 15 go into a working set of 4096 neighbouring functions that wanders through the whole program, one goes anywhere.
 * With ZIPF defined there is a head, as in real programs: the function of rank k gets a share that goes by 1/k, and ranks are scattered over the program. */
#include "bench.h"
#ifdef ZIPF
#include <math.h>
#endif

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

#ifdef ZIPF
enum { STEPS = 1024, SCATTER = 123457 };
/* FUNCTIONS to the power of i / STEPS, with 20 bits of fraction: where i / STEPS of all calls have a lower rank. */
static uint64_t ranks[STEPS + 1];

static void choose_begin(void)
{
	for (int i = 0; i <= STEPS; i++)
		ranks[i] = (uint64_t)(pow(FUNCTIONS, (double)i / STEPS) * (1 << 20));
}
static inline uint32_t choose(uint64_t r, unsigned long i, unsigned long n)
{
	uint32_t step = (uint32_t)(r >> 54), part = (uint32_t)(r >> 20) & 0xfffff;
	uint64_t rank = (ranks[step] + ((ranks[step + 1] - ranks[step]) * part >> 20)) >> 20;
	return (uint32_t)(rank * SCATTER % FUNCTIONS);
}
#else
static void choose_begin(void)
{
}
static inline uint32_t choose(uint64_t r, unsigned long i, unsigned long n)
{
	uint32_t from = (uint32_t)(i * (FUNCTIONS - WORKING_SET) / n);
	return r >> 60 ? from + (uint32_t)(r >> 20) % WORKING_SET : (uint32_t)(r >> 20) % FUNCTIONS;
}
#endif

int main(int argc, char **argv)
{
	unsigned long n = bench_args("cold", argc, argv, 10000);
	static uint64_t state[256];
	uint64_t s = 3, sum = 0;
	if (code_end - code_begin < 19 << 20)
		return 2;
	choose_begin();
	bench_begin();
	for (unsigned long i = 0; i < n * 1000; i++) {
		uint64_t r = bench_rand(&s);
		sum = functions[choose(r, i, n * 1000)](sum + r, state);
	}
	return bench_end(sum);
}
