/*
 * The host CPU's answer to x87 instructions, for x87.spec.ts: each case restores a whole x87 state (FRSTOR image), executes one
 * instruction on it, and writes the state and memory operand afterwards.
 */
#include <stdint.h>
#include <stdio.h>

struct test { uint32_t op, pad; uint8_t memory[16]; uint8_t image[108]; uint8_t filler[4]; };
struct answer { uint8_t memory[16]; uint8_t image[108]; uint32_t flags; };

#define CASE(number, text) \
  case number: \
    asm volatile("frstor %3\n pushq $0\n popfq\n" text "\n pushfq\n popq %2\n fnsave %0\n fninit" \
                 : "=m"(a.image), "+m"(a.memory), "=&r"(flags) : "m"(t->image) : "memory", "cc"); \
    break
#define M "%1"

static struct answer run(const struct test *t) {
  struct answer a = {{0}, {0}, 0};
  uint64_t flags = 0;
  for (int i = 0; i < 16; i++) a.memory[i] = t->memory[i];
  switch (t->op) {
    CASE(0, "fadd %%st(1), %%st");
    CASE(1, "fsub %%st(2), %%st");
    CASE(2, "fmul %%st(1), %%st");
    CASE(3, "fdiv %%st(2), %%st");
    CASE(4, ".byte 0xdc, 0xc1");   /* fadd st1, st0 */
    CASE(5, ".byte 0xde, 0xe9");   /* fsubp st1, st0 */
    CASE(6, ".byte 0xde, 0xe2");   /* fsubrp st2, st0 */
    CASE(7, ".byte 0xde, 0xf9");   /* fdivp st1, st0 */
    CASE(8, ".byte 0xd8, 0xf9");   /* fdivr st0, st1 */
    CASE(9, "fadds " M);
    CASE(10, "fsubl " M);
    CASE(11, "fimuls " M);
    CASE(12, "fidivl " M);
    CASE(13, "fdivrl " M);
    CASE(14, "fisubrl " M);
    CASE(16, "fchs");
    CASE(17, "fabs");
    CASE(18, "fsqrt");
    CASE(19, "frndint");
    CASE(20, "fscale");
    CASE(21, "fxtract");
    CASE(22, "fprem");
    CASE(23, "fprem1");
    CASE(32, "flds " M);
    CASE(33, "fldl " M);
    CASE(34, "filds " M);
    CASE(35, "fildl " M);
    CASE(36, "fildll " M);
    CASE(37, "fldt " M);
    CASE(38, "fld %%st(1)");
    CASE(39, "fbld " M);
    CASE(48, "fsts " M);
    CASE(49, "fstl " M);
    CASE(50, "fstps " M);
    CASE(51, "fstpl " M);
    CASE(52, "fstpt " M);
    CASE(53, "fists " M);
    CASE(54, "fistl " M);
    CASE(55, "fistpll " M);
    CASE(56, "fisttps " M);
    CASE(57, "fisttpll " M);
    CASE(58, "fbstp " M);
    CASE(59, "fst %%st(3)");
    CASE(60, "fstp %%st(1)");
    CASE(61, "fxch %%st(2)");
    CASE(62, "ffree %%st(1)");
    CASE(63, "fincstp");
    CASE(64, "fdecstp");
    CASE(65, "fcmovnb %%st(1), %%st");
    CASE(66, "fcmovb %%st(1), %%st");
    CASE(80, "fcom %%st(1)");
    CASE(81, "fucomp %%st(1)");
    CASE(82, "fcompp");
    CASE(83, "fcoms " M);
    CASE(84, "fcompl " M);
    CASE(85, "ficoms " M);
    CASE(86, "fcomi %%st(1), %%st");
    CASE(87, "fucomip %%st(1), %%st");
    CASE(88, "ftst");
    CASE(89, "fxam");
    CASE(96, "fld1");
    CASE(97, "fldl2t");
    CASE(98, "fldl2e");
    CASE(99, "fldpi");
    CASE(100, "fldlg2");
    CASE(101, "fldln2");
    CASE(102, "fldz");
    CASE(112, "f2xm1");
    CASE(113, "fyl2x");
    CASE(114, "fyl2xp1");
    CASE(115, "fptan");
    CASE(116, "fpatan");
    CASE(117, "fsin");
    CASE(118, "fcos");
    CASE(119, "fsincos");
    CASE(128, "fnclex");
    CASE(129, "fnstcw " M);
    CASE(130, "fldcw " M);
    CASE(131, "fnstsw " M);
  }
  a.flags = flags & 0x8d5;
  return a;
}

int main(void) {
  static struct test t;
  while (fread(&t, sizeof t, 1, stdin) == 1) {
    struct answer a = run(&t);
    fwrite(&a, sizeof a, 1, stdout);
  }
}
