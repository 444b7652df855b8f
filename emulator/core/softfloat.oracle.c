/*
 * The host CPU's answer to SSE arithmetic, for softfloat.spec.ts: reads cases from standard input, executes each with the
 * given MXCSR, writes result, MXCSR afterwards and whether #XM was raised.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <ucontext.h>

struct test { uint32_t op, size, mxcsr, pad; uint64_t a, b; };
struct answer { uint64_t result; uint32_t mxcsr, trapped; };

static sigjmp_buf out;
static uint32_t mxcsr_at_trap;

static void on_fpe(int sig, siginfo_t *info, void *context) {
  (void)sig; (void)info;
  mxcsr_at_trap = ((ucontext_t *)context)->uc_mcontext.fpregs->mxcsr;
  siglongjmp(out, 1);
}

#define BINARY(name) \
  asm volatile("ldmxcsr %2\n" name " %3, %0\nstmxcsr %1\nldmxcsr %4" : "+x"(x), "=m"(after) : "m"(t->mxcsr), "x"(y), "m"(clean))
#define FLAGS(name) \
  asm volatile("ldmxcsr %3\n" name " %4, %2\npushfq\npopq %0\nstmxcsr %1\nldmxcsr %5" \
               : "=r"(r), "=m"(after), "+x"(x) : "m"(t->mxcsr), "x"(y), "m"(clean))
#define FROM(name, type) \
  asm volatile("ldmxcsr %2\n" name " %3, %0\nstmxcsr %1\nldmxcsr %4" : "+x"(x), "=m"(after) : "m"(t->mxcsr), "r"((type)t->a), "m"(clean))
#define TO(name, modifier) \
  asm volatile("ldmxcsr %2\n" name " %3, %" modifier "0\nstmxcsr %1\nldmxcsr %4" : "=r"(r), "=m"(after) : "m"(t->mxcsr), "x"(x), "m"(clean))
#define BOTH(code, name) case code: if (t->size == 8) BINARY(name "sd"); else BINARY(name "ss"); break

static struct answer run(const struct test *t) {
  static const uint32_t clean = 0x1f80;
  uint32_t after = 0;
  uint64_t r = 0;
  double x, y;
  memcpy(&x, &t->a, 8);
  memcpy(&y, &t->b, 8);
  int from_register = 0;
  switch (t->op) {
    BOTH(0, "add"); BOTH(1, "sub"); BOTH(2, "mul"); BOTH(3, "div"); BOTH(4, "sqrt"); BOTH(5, "min"); BOTH(6, "max");
    BOTH(8, "cmpeq"); BOTH(9, "cmplt"); BOTH(10, "cmple"); BOTH(11, "cmpunord");
    BOTH(12, "cmpneq"); BOTH(13, "cmpnlt"); BOTH(14, "cmpnle"); BOTH(15, "cmpord");
  case 16: if (t->size == 8) FLAGS("ucomisd"); else FLAGS("ucomiss"); r &= 0x45; from_register = 1; break;
  case 17: if (t->size == 8) FLAGS("comisd"); else FLAGS("comiss"); r &= 0x45; from_register = 1; break;
  case 32: asm volatile("movapd %0, %1" : "+x"(x), "=x"(y)); BINARY("cvtss2sd"); break;
  case 33: asm volatile("movapd %0, %1" : "+x"(x), "=x"(y)); BINARY("cvtsd2ss"); break;
  case 34: FROM("cvtsi2ssl", int32_t); break;
  case 35: FROM("cvtsi2ssq", int64_t); break;
  case 36: FROM("cvtsi2sdq", int64_t); break;
  case 37: TO("cvtss2si", "k"); from_register = 1; break;
  case 38: TO("cvtss2si", "q"); from_register = 1; break;
  case 39: TO("cvtsd2si", "k"); from_register = 1; break;
  case 40: TO("cvtsd2si", "q"); from_register = 1; break;
  case 53: TO("cvttss2si", "k"); from_register = 1; break;
  case 54: TO("cvttss2si", "q"); from_register = 1; break;
  case 55: TO("cvttsd2si", "k"); from_register = 1; break;
  case 56: TO("cvttsd2si", "q"); from_register = 1; break;
  }
  struct answer answer = {0, after, 0};
  memcpy(&answer.result, &x, 8);
  if (from_register) answer.result = r;
  return answer;
}

int main(void) {
  struct sigaction action = {.sa_sigaction = on_fpe, .sa_flags = SA_SIGINFO | SA_NODEFER};
  sigaction(SIGFPE, &action, 0);
  static struct test t;
  while (fread(&t, sizeof t, 1, stdin) == 1) {
    struct answer answer = {0, 0, 1};
    if (sigsetjmp(out, 0) == 0) answer = run(&t);
    else answer.mxcsr = mxcsr_at_trap;
    fwrite(&answer, sizeof answer, 1, stdout);
  }
}
