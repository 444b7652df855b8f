/*
 * Runs instruction sequences on the host CPU: reads cases from stdin, writes outcomes to stdout (formats: case.ts).
 * Code, data and the register save area stand at the fixed addresses of case.ts, the same that the emulator uses.
 */
#include "host-common.h"

#define CODE_BYTES 0x800000ul
#define DATA_BYTES 0x4000ul
/* Offsets in an XSAVE area. */
#define XSTATE_BV 512
#define YMM_HIGH 576

struct registers {
  uint64_t gpr[16]; /* RAX RCX RDX RBX RSP RBP RSI RDI R8..R15 */
  uint64_t rflags;
  uint8_t fx[512];   /* FXSAVE image */
  uint8_t high[256]; /* bits 255:128 of the vector registers */
} __attribute__((packed));

struct test {
  uint64_t address;
  uint64_t length;
  uint8_t code[CODE_MAX];
  struct registers in;
  uint8_t window[WINDOW_BYTES];
} __attribute__((packed));

struct outcome {
  uint64_t signal; /* 0: ran to the end */
  struct registers out;
  uint8_t window[WINDOW_BYTES];
} __attribute__((packed));

/*
 * At SAVE: host RSP, target, whether there is AVX; at 0x100 and 0x400 the registers going in and coming out (XSAVE areas at 0x1000 and 0x1400).
 */
__asm__(".globl enter_guest, leave_guest\n"
        "enter_guest:\n"
        "  push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
        "  mov %rsp, 0x380000\n"
        "  cmpb $0, 0x380010; je 1f\n"
        "  mov $7, %eax; xor %edx, %edx; xrstor64 0x381000; jmp 2f\n"
        "1: fxrstor64 0x381000\n"
        "2:\n"
        "  pushq 0x380180; popfq\n"
        "  mov 0x380100, %rax; mov 0x380108, %rcx; mov 0x380110, %rdx; mov 0x380118, %rbx\n"
        "  mov 0x380120, %rsp; mov 0x380128, %rbp; mov 0x380130, %rsi; mov 0x380138, %rdi\n"
        "  mov 0x380140, %r8;  mov 0x380148, %r9;  mov 0x380150, %r10; mov 0x380158, %r11\n"
        "  mov 0x380160, %r12; mov 0x380168, %r13; mov 0x380170, %r14; mov 0x380178, %r15\n"
        "  jmp *0x380008\n"
        "leave_guest:\n"
        "  mov %rax, 0x380400; mov %rcx, 0x380408; mov %rdx, 0x380410; mov %rbx, 0x380418\n"
        "  mov %rsp, 0x380420; mov %rbp, 0x380428; mov %rsi, 0x380430; mov %rdi, 0x380438\n"
        "  mov %r8, 0x380440;  mov %r9, 0x380448;  mov %r10, 0x380450; mov %r11, 0x380458\n"
        "  mov %r12, 0x380460; mov %r13, 0x380468; mov %r14, 0x380470; mov %r15, 0x380478\n"
        "  mov 0x380000, %rsp\n"
        "  pushfq; popq 0x380480; cld\n"
        "  cmpb $0, 0x380010; je 3f\n"
        "  mov $7, %eax; xor %edx, %edx; xsave64 0x381400; vzeroupper; jmp 4f\n"
        "3: fxsave64 0x381400\n"
        "4:\n"
        "  fninit\n"
        "  pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
        "  ret\n");

static struct outcome outcome;

/* The upper halves in an XSAVE area in standard format; a signal frame has one behind its FXSAVE image if it says so. */
static void take_high(const uint8_t *area) {
  uint64_t present;
  memcpy(&present, area + XSTATE_BV, 8);
  memset(outcome.out.high, 0, 256);
  if (present & 4) memcpy(outcome.out.high, area + YMM_HIGH, 256);
}

static void on_signal(int signal, siginfo_t *info, void *context) {
  static const int ORDER[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                                REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};
  ucontext_t *at = context;
  (void)info;
  outcome.signal = signal;
  for (int i = 0; i < 16; i++) outcome.out.gpr[i] = at->uc_mcontext.gregs[ORDER[i]];
  outcome.out.rflags = at->uc_mcontext.gregs[REG_EFL];
  const uint8_t *frame = (const uint8_t *)at->uc_mcontext.fpregs;
  memcpy(outcome.out.fx, frame, 512);
  if (*(uint32_t *)(frame + 464) == 0x46505853) take_high(frame);
  siglongjmp(escape, 1);
}

int main(void) {
  uint8_t *save = map_all(CODE_BYTES, DATA_BYTES);
  save[16] = __builtin_cpu_supports("avx") != 0;
  catch_signals(on_signal);

  static struct test test;
  while (fread(&test, sizeof test, 1, stdin) == 1) {
    memcpy((void *)test.address, test.code, test.length);
    memset((void *)DATA, 0, DATA_BYTES);
    memcpy((void *)WINDOW, test.window, WINDOW_BYTES);
    memcpy(save + 8, &test.address, 8);
    memcpy(save + 0x100, test.in.gpr, 0x88);
    memcpy(save + 0x1000, test.in.fx, 512);
    save[0x1000 + XSTATE_BV] = 7;
    memcpy(save + 0x1000 + YMM_HIGH, test.in.high, 256);
    memset(outcome.out.high, 0, 256);
    outcome.signal = 0;
    if (sigsetjmp(escape, 1) == 0) {
      enter_guest();
      memcpy(outcome.out.gpr, save + 0x400, 0x88);
      memcpy(outcome.out.fx, save + 0x1400, 512);
      if (save[16]) take_high(save + 0x1400);
    }
    memcpy(outcome.window, (void *)WINDOW, WINDOW_BYTES);
    fwrite(&outcome, sizeof outcome, 1, stdout);
  }
  return 0;
}
