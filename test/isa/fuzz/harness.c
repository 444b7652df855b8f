/*
 * Runs code on the host CPU, each from a given state, and tells the state it ends in: `harness <cases> <outcomes>`.
 * The layouts are those of layout.ts. The program is position independent, so that nothing of its own lies below 4 GB.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <ucontext.h>
#include <unistd.h>

#define CODE 0x400000ul
#define CODE_BYTES 0x200000ul
#define GATE 0x7e0000000000ul
#define DATA 0x200000ul
#define PAGE 4096ul
#define PAGES 8
#define STATE_BYTES 1024
#define XSAVE_AT 192
#define PATCHES 3
#define PATCH_BYTES 64
#define MOST_CHANGES 127
#define NO_VECTOR 0xffff

/* Of each page of DATA: 0 not mapped, 1 read-only, 2 writable. */
static const int RIGHTS[PAGES] = {2, 2, 0, 1, 2, 2, 0, 1};

struct header {
  uint64_t code_bytes, states;
  uint8_t pages[PAGES * PAGE];
};
struct patch {
  uint64_t address;
  uint8_t bytes[PATCH_BYTES];
};
struct test {
  uint8_t state[STATE_BYTES];
  struct patch patches[PATCHES];
  uint8_t spare[40];
};
struct outcome {
  uint8_t state[STATE_BYTES];
  uint64_t changes;
  struct {
    uint64_t address, value;
  } change[MOST_CHANGES];
  uint64_t spare;
};
_Static_assert(sizeof(struct test) == 1280, "layout.ts");
_Static_assert(sizeof(struct outcome) == 3072, "layout.ts");

/* RAX..R15, RFLAGS 128, RIP 136, vector 144, error code 152, address 160, FS and GS base 168, 176, XSAVE area 192. */
uint8_t guest_in[STATE_BYTES] __attribute__((aligned(64)));
uint8_t guest_out[STATE_BYTES] __attribute__((aligned(64)));
uint64_t host_rsp, host_fs, host_gs;
const uint32_t default_mxcsr = 0x1f80;

void enter_guest(void);
void leave_guest(void);
void resume_host(void);
__asm__(".globl enter_guest, leave_guest, resume_host\n"
        ".macro all do\n"
        "  \\do 0, %rax; \\do 8, %rcx; \\do 16, %rdx; \\do 24, %rbx; \\do 32, %rsp; \\do 40, %rbp; \\do 48, %rsi; \\do 56, %rdi\n"
        "  \\do 64, %r8; \\do 72, %r9; \\do 80, %r10; \\do 88, %r11; \\do 96, %r12; \\do 104, %r13; \\do 112, %r14; \\do 120, %r15\n"
        ".endm\n"
        ".macro load at, register\n mov guest_in+\\at(%rip), \\register\n.endm\n"
        ".macro store at, register\n mov \\register, guest_out+\\at(%rip)\n.endm\n"
        "enter_guest:\n"
        "  push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
        "  mov %rsp, host_rsp(%rip)\n"
        "  mov $7, %eax; xor %edx, %edx; xrstor64 guest_in+192(%rip)\n"
        "  mov guest_in+168(%rip), %rax; wrfsbase %rax\n"
        "  mov guest_in+176(%rip), %rax; wrgsbase %rax\n"
        "  pushq guest_in+128(%rip); popfq\n"
        "  all load\n"
        "  jmp *guest_in+136(%rip)\n"
        "leave_guest:\n"
        "  all store\n"
        "  mov host_rsp(%rip), %rsp\n"
        "  pushfq; popq guest_out+128(%rip); pushq $0x202; popfq\n"
        "  rdfsbase %rax; mov %rax, guest_out+168(%rip)\n"
        "  rdgsbase %rax; mov %rax, guest_out+176(%rip)\n"
        "  mov $7, %eax; xor %edx, %edx; xsave64 guest_out+192(%rip)\n"
        "resume_host:\n"
        "  mov host_fs(%rip), %rax; wrfsbase %rax\n"
        "  mov host_gs(%rip), %rax; wrgsbase %rax\n"
        "  cld; fninit; vzeroall; ldmxcsr default_mxcsr(%rip)\n"
        "  pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
        "  ret\n");

static void put64(unsigned at, uint64_t value) { memcpy(guest_out + at, &value, 8); }

/* The extended state that the kernel saved; what is in its initial state need not be there. */
static void take_xsave(const uint8_t *area) {
  uint8_t *out = guest_out + XSAVE_AT;
  uint64_t present;
  memcpy(&present, area + 512, 8);
  memset(out, 0, 832);
  if (present & 1) memcpy(out, area, 24), memcpy(out + 32, area + 32, 128);
  else out[0] = 0x7f, out[1] = 3;
  memcpy(out + 24, area + 24, 4);
  if (present & 2) memcpy(out + 160, area + 160, 256);
  if (present & 4) memcpy(out + 576, area + 576, 256);
}

static void on_signal(int signal, siginfo_t *info, void *context) {
  static const int ORDER[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                                REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};
  /* The kernel leaves AC as it was. */
  __asm__ volatile("pushfq; andl $0xfffbffff, (%%rsp); popfq" ::: "cc", "memory");
  greg_t *at = ((ucontext_t *)context)->uc_mcontext.gregs;
  uint64_t base;
  (void)signal, (void)info;
  __asm__ volatile("rdfsbase %0" : "=r"(base));
  put64(168, base);
  __asm__ volatile("rdgsbase %0" : "=r"(base));
  put64(176, base);
  __asm__ volatile("wrfsbase %0" ::"r"(host_fs));
  __asm__ volatile("wrgsbase %0" ::"r"(host_gs));
  for (int i = 0; i < 16; i++) put64(i * 8, at[ORDER[i]]);
  put64(128, at[REG_EFL]);
  put64(136, at[REG_RIP]);
  put64(144, at[REG_TRAPNO]);
  put64(152, at[REG_ERR]);
  put64(160, at[REG_TRAPNO] == 14 ? at[REG_CR2] : 0);
  take_xsave((const uint8_t *)((ucontext_t *)context)->uc_mcontext.fpregs);
  at[REG_RIP] = (greg_t)resume_host;
  at[REG_RSP] = host_rsp;
  at[REG_EFL] = 0x202;
}

static void *map(uint64_t address, uint64_t bytes) {
  void *at = mmap((void *)address, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  if (at == MAP_FAILED) {
    perror("harness: mmap at a fixed address");
    exit(1);
  }
  return at;
}
static void *map_file(const char *name, uint64_t *bytes) {
  struct stat status;
  int file = open(name, O_RDWR);
  if (file < 0 || fstat(file, &status) < 0) {
    perror(name);
    exit(1);
  }
  *bytes = status.st_size;
  return mmap(NULL, *bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
}

/* Canonical: nothing that is not compared (last-instruction pointers, mask, header). */
static void canonical(uint8_t *area) {
  memset(area + 5, 0, 19);
  memset(area + 28, 0, 4);
  memset(area + 416, 0, 160);
  for (int i = 0; i < 8; i++) memset(area + 42 + i * 16, 0, 6);
}

static void run(const struct header *all, const struct test *test, struct outcome *outcome) {
  memcpy(guest_in, test->state, STATE_BYTES);
  for (int i = 0; i < PATCHES; i++)
    if (test->patches[i].address) memcpy((void *)test->patches[i].address, test->patches[i].bytes, PATCH_BYTES);
  memset(guest_out, 0, STATE_BYTES);
  put64(136, GATE);
  put64(144, NO_VECTOR);
  enter_guest();
  canonical(guest_out + XSAVE_AT);
  memcpy(outcome->state, guest_out, STATE_BYTES);
  outcome->changes = 0;
  for (int page = 0; page < PAGES; page++) {
    if (RIGHTS[page] != 2) continue;
    uint64_t *now = (uint64_t *)(DATA + page * PAGE);
    const uint64_t *before = (const uint64_t *)(all->pages + page * PAGE);
    if (memcmp(now, before, PAGE) == 0) continue;
    for (unsigned i = 0; i < PAGE / 8; i++) {
      if (now[i] == before[i]) continue;
      if (outcome->changes < MOST_CHANGES) {
        outcome->change[outcome->changes].address = (uint64_t)(now + i);
        outcome->change[outcome->changes].value = now[i];
      }
      outcome->changes++;
      now[i] = before[i];
    }
  }
}

int main(int count, char **arguments) {
  if (count != 3) return 2;
  uint64_t bytes, room;
  const struct header *all = map_file(arguments[1], &bytes);
  struct outcome *outcomes = map_file(arguments[2], &room);
  const struct test *tests = (const struct test *)(all + 1);
  const uint8_t *code = (const uint8_t *)(tests + all->states);
  /* Every page of it is to be there, also those that hold nothing. */
  memset(map(CODE, CODE_BYTES), 0, CODE_BYTES);
  memcpy((void *)CODE, code, all->code_bytes);
  mprotect((void *)CODE, CODE_BYTES, PROT_READ | PROT_EXEC);
  uint8_t *gate = map(GATE, PAGE);
  void (*leave)(void) = leave_guest;
  /* The pointer is aligned, since AC may be set. */
  memcpy(gate, "\xff\x25\2\0\0\0", 6);
  memcpy(gate + 8, &leave, 8);
  mprotect(gate, PAGE, PROT_READ | PROT_EXEC);
  for (int page = 0; page < PAGES; page++) {
    if (!RIGHTS[page]) continue;
    void *at = map(DATA + page * PAGE, PAGE);
    memcpy(at, all->pages + page * PAGE, PAGE);
    if (RIGHTS[page] == 1) mprotect(at, PAGE, PROT_READ);
  }
  stack_t stack = {.ss_sp = map(0x7d0000000000ul, 1 << 18), .ss_size = 1 << 18};
  sigaltstack(&stack, NULL);
  struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
  const int signals[] = {SIGFPE, SIGILL, SIGSEGV, SIGBUS, SIGTRAP};
  for (unsigned i = 0; i < sizeof signals / sizeof *signals; i++) sigaction(signals[i], &action, NULL);
  __asm__ volatile("rdfsbase %0" : "=r"(host_fs));
  __asm__ volatile("rdgsbase %0" : "=r"(host_gs));
  if (room < all->states * sizeof *outcomes) return 3;
  for (uint64_t i = 0; i < all->states; i++) run(all, tests + i, outcomes + i);
  return 0;
}
