/* What host.c and host-legacy.c share: fixed addresses, the gate that programs leave by, signals. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#define CODE 0x400000ul
#define DATA 0x200000ul
#define EXIT 0x3f0000ul
#define SAVE 0x380000ul
#define WINDOW (DATA + 0xe00)
#define WINDOW_BYTES 1024
#define CODE_MAX 128

void enter_guest(void);
void leave_guest(void);

static sigjmp_buf escape;

static uint8_t *map(uint64_t address, uint64_t bytes, int protection) {
  void *at = mmap((void *)address, bytes, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  if (at == MAP_FAILED) {
    perror("host: mmap at a fixed address");
    exit(1);
  }
  return at;
}

/* Memory at the fixed addresses; answers the save area. EXIT jumps to leave_guest. */
static uint8_t *map_all(uint64_t code_bytes, uint64_t data_bytes) {
  map(CODE, code_bytes, PROT_READ | PROT_WRITE | PROT_EXEC);
  map(DATA, data_bytes, PROT_READ | PROT_WRITE);
  uint8_t *gate = map(EXIT, 4096, PROT_READ | PROT_WRITE | PROT_EXEC);
  /* jmp *0(%rip) */
  memcpy(gate, "\xff\x25\0\0\0\0", 6);
  void (*leave)(void) = leave_guest;
  memcpy(gate + 6, &leave, 8);
  return map(SAVE, 0x2000, PROT_READ | PROT_WRITE);
}

/* What a faulting program raises goes to `handler`, on a stack of its own. */
static void catch_signals(void (*handler)(int, siginfo_t *, void *)) {
  stack_t stack = {.ss_sp = malloc(65536), .ss_size = 65536};
  sigaltstack(&stack, NULL);
  struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_ONSTACK};
  const int signals[] = {SIGFPE, SIGILL, SIGSEGV, SIGBUS, SIGTRAP};
  for (unsigned i = 0; i < sizeof signals / sizeof *signals; i++) sigaction(signals[i], &action, NULL);
}
