/*
 * Runs 16- and 32-bit code on the host CPU: in compatibility mode, by the flat segments of Linux (23h, 2Bh) and segments of an LDT. Reads cases from stdin,
 * writes outcomes to stdout (formats: legacy-case.ts).
 */
#include "host-common.h"
#include <asm/ldt.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CODE_BYTES 0x20000ul
#define DATA_BYTES 0x20000ul

struct test {
  uint32_t gpr[8]; /* EAX ECX EDX EBX ESP EBP ESI EDI */
  uint32_t eflags;
  uint32_t cs, ss, ds, es;
  /* Offset in CS, and its linear address. */
  uint32_t eip, address;
  uint32_t length;
  uint8_t code[CODE_MAX];
  uint8_t window[WINDOW_BYTES];
} __attribute__((packed));

struct outcome {
  /* Vector and error code of an exception, and where; -1: ran to the end. */
  int32_t vector;
  uint32_t error, eip;
  uint32_t gpr[8];
  uint32_t eflags;
  uint32_t ds, es;
  uint8_t window[WINDOW_BYTES];
} __attribute__((packed));

/* At SAVE: host RSP; at 0x100 a frame for IRETQ; at 0x200 the registers going in, at 0x400 those coming out. */
__asm__(".globl enter_guest, leave_guest\n"
        "enter_guest:\n"
        "  push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
        "  mov %rsp, 0x380000\n"
        "  mov 0x380180, %eax; mov %eax, %ds; mov 0x380188, %eax; mov %eax, %es\n"
        "  mov 0x380200, %eax; mov 0x380204, %ecx; mov 0x380208, %edx; mov 0x38020c, %ebx\n"
        "  mov 0x380214, %ebp; mov 0x380218, %esi; mov 0x38021c, %edi\n"
        "  mov $0x380100, %esp\n"
        "  iretq\n"
        "leave_guest:\n"
        "  mov %eax, 0x380400; mov %ecx, 0x380404; mov %edx, 0x380408; mov %ebx, 0x38040c\n"
        "  mov %esp, 0x380410; mov %ebp, 0x380414; mov %esi, 0x380418; mov %edi, 0x38041c\n"
        "  mov 0x380000, %rsp\n"
        "  pushfq; popq 0x380420; cld\n"
        "  mov %ds, %eax; mov %eax, 0x380428; mov %es, %eax; mov %eax, 0x38042c\n"
        "  mov $0x2b, %eax; mov %eax, %ss; mov %eax, %ds; mov %eax, %es\n"
        "  pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
        "  ret\n");

static struct outcome outcome;

static void on_signal(int signal, siginfo_t *info, void *context) {
  static const int ORDER[8] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI};
  ucontext_t *at = context;
  (void)info;
  (void)signal;
  __asm__ volatile("mov %%ds, %0; mov %%es, %1" : "=r"(outcome.ds), "=r"(outcome.es));
  outcome.vector = at->uc_mcontext.gregs[REG_TRAPNO];
  outcome.error = at->uc_mcontext.gregs[REG_ERR];
  outcome.eip = at->uc_mcontext.gregs[REG_RIP];
  for (int i = 0; i < 8; i++) outcome.gpr[i] = at->uc_mcontext.gregs[ORDER[i]];
  outcome.eflags = at->uc_mcontext.gregs[REG_EFL];
  __asm__ volatile("mov %0, %%ds; mov %0, %%es" : : "r"(0x2b));
  siglongjmp(escape, 1);
}

/* Entry `number` of the LDT; see legacy-case.ts. */
static void segment(int number, unsigned base, unsigned limit, unsigned contents, int big, int restricted, int absent) {
  struct user_desc d = {.entry_number = number, .base_addr = base, .limit = limit, .seg_32bit = big, .contents = contents,
                        .read_exec_only = restricted, .seg_not_present = absent, .useable = 1};
  if (syscall(SYS_modify_ldt, 0x11, &d, sizeof d)) {
    perror("host: modify_ldt");
    exit(2);
  }
}

int main(void) {
  uint8_t *save = map_all(CODE_BYTES, DATA_BYTES);
  segment(0, CODE, 0xffff, 2, 0, 0, 0);
  segment(1, CODE, 0xffff, 2, 1, 0, 0);
  segment(2, DATA, 0x1fff, 0, 1, 0, 0);
  segment(3, DATA, 0x1fff, 0, 0, 0, 0);
  segment(4, DATA, 0xdff, 1, 1, 0, 0);
  segment(5, DATA, 0xdff, 1, 0, 0, 0);
  segment(6, DATA, 0x3fff, 0, 1, 1, 0);
  segment(7, DATA, 0x3fff, 0, 1, 0, 1);
  segment(8, CODE, 0xffff, 2, 1, 1, 0);

  catch_signals(on_signal);

  static struct test test;
  while (fread(&test, sizeof test, 1, stdin) == 1) {
    memcpy((void *)(uint64_t)test.address, test.code, test.length);
    memset((void *)DATA, 0, DATA_BYTES);
    memcpy((void *)WINDOW, test.window, WINDOW_BYTES);
    uint64_t frame[5] = {test.eip, test.cs, test.eflags, test.gpr[4], test.ss};
    memcpy(save + 0x100, frame, sizeof frame);
    memcpy(save + 0x180, &test.ds, 4);
    memcpy(save + 0x188, &test.es, 4);
    memcpy(save + 0x200, test.gpr, sizeof test.gpr);
    memset(&outcome, 0, sizeof outcome);
    if (sigsetjmp(escape, 1) == 0) {
      enter_guest();
      outcome.vector = -1;
      memcpy(outcome.gpr, save + 0x400, sizeof outcome.gpr);
      memcpy(&outcome.eflags, save + 0x420, 4);
      memcpy(&outcome.ds, save + 0x428, 4);
      memcpy(&outcome.es, save + 0x42c, 4);
    }
    memcpy(outcome.window, (void *)WINDOW, WINDOW_BYTES);
    fwrite(&outcome, sizeof outcome, 1, stdout);
  }
  return 0;
}
