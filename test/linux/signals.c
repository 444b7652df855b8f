/* Signals: handlers, masks, siginfo, alternate stack, nesting, restart, sigsuspend, faults, timers. */
#define _GNU_SOURCE
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>
static volatile int hits;
static volatile double floating;
static sigjmp_buf jump;
static void count(int signal) { hits += signal; floating = floating * 2 + 1; }
static void inform(int signal, siginfo_t *info, void *context) {
    ucontext_t *user = context;
    printf("signal %d code %d addr %p trap %d err %d\n", signal, info->si_code, signal == SIGSEGV || signal == SIGBUS ? info->si_addr : 0,
           (int)user->uc_mcontext.gregs[REG_TRAPNO], (int)user->uc_mcontext.gregs[REG_ERR]);
    siglongjmp(jump, 1);
}
static void onstack(int signal) {
    stack_t now;
    sigaltstack(0, &now);
    printf("on alternate stack: %d %d\n", signal, now.ss_flags);
}
static void skip(int signal, siginfo_t *info, void *context) {
    (void)signal, (void)info;
    ((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP] += 2;
    ((ucontext_t *)context)->uc_mcontext.gregs[REG_RBX] = 1234;
}
/* A string instruction that repeats for long is left half done. */
static volatile long left;
static void leave(int signal, siginfo_t *info, void *context) {
    (void)signal, (void)info;
    greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    if (memcmp((void *)registers[REG_RIP], "\xf3\xac", 2)) return;
    left = registers[REG_RCX];
    registers[REG_RIP] += 2;
}
static void nested(int signal) {
    printf("enter %d\n", signal);
    if (signal == SIGUSR1) raise(SIGUSR2);
    printf("leave %d\n", signal);
}
int main(void) {
    setvbuf(stdout, 0, _IONBF, 0);
    signal(SIGUSR1, count);
    double before = 1.5;
    raise(SIGUSR1);
    kill(getpid(), SIGUSR1);
    printf("hits %d %.1f %.1f\n", hits, before, floating);
    sigset_t set, old;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, &old);
    raise(SIGUSR1);
    raise(SIGUSR1);
    sigset_t pending;
    sigpending(&pending);
    printf("blocked hits %d pending %d\n", hits, sigismember(&pending, SIGUSR1));
    sigprocmask(SIG_SETMASK, &old, 0);
    printf("unblocked hits %d\n", hits);

    struct sigaction action = {.sa_sigaction = inform, .sa_flags = SA_SIGINFO};
    int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};
    for (int i = 0; i < 5; i++) sigaction(signals[i], &action, 0);
    if (!sigsetjmp(jump, 1)) *(volatile int *)0x1234 = 1;
    if (!sigsetjmp(jump, 1)) (void)*(volatile int *)0x5678;
    char *readonly = mmap((void *)0x10000000, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    (void)*(volatile char *)readonly;
    if (!sigsetjmp(jump, 1)) *(volatile char *)readonly = 1;
    if (!sigsetjmp(jump, 1)) ((void (*)(void))readonly)();
    mprotect(readonly, 4096, PROT_NONE);
    if (!sigsetjmp(jump, 1)) (void)*(volatile char *)readonly;
    if (!sigsetjmp(jump, 1)) (void)*(volatile char *)0x8000000000000000;
    if (!sigsetjmp(jump, 1)) __asm__ volatile("xor %%ecx, %%ecx; div %%ecx" ::: "rax", "rcx", "rdx");
    if (!sigsetjmp(jump, 1)) __asm__ volatile("ud2");
    if (!sigsetjmp(jump, 1)) __asm__ volatile("int3");
    if (!sigsetjmp(jump, 1)) __asm__ volatile("hlt");

    action.sa_sigaction = skip;
    sigaction(SIGILL, &action, 0);
    long rbx = 0;
    __asm__ volatile("mov $1, %%rbx; ud2; mov %%rbx, %0" : "=r"(rbx)::"rbx");
    printf("handler changed rbx to %ld\n", rbx);

    static char stack[65536];
    stack_t alternate = {.ss_sp = stack, .ss_size = sizeof stack};
    sigaltstack(&alternate, 0);
    struct sigaction other = {.sa_handler = onstack, .sa_flags = SA_ONSTACK};
    sigaction(SIGUSR2, &other, 0);
    raise(SIGUSR2);
    other.sa_handler = nested;
    other.sa_flags = 0;
    sigaction(SIGUSR1, &other, 0);
    other.sa_flags = SA_RESETHAND;
    sigaction(SIGUSR2, &other, 0);
    raise(SIGUSR1);
    struct sigaction now;
    sigaction(SIGUSR2, 0, &now);
    printf("reset to default: %d\n", now.sa_handler == SIG_DFL);

    int channel[2];
    pipe(channel);
    struct sigaction alarmed = {.sa_handler = count};
    sigaction(SIGALRM, &alarmed, 0);
    struct itimerval soon = {.it_value = {.tv_usec = 20000}};
    setitimer(ITIMER_REAL, &soon, 0);
    char byte;
    hits = 0;
    long got = read(channel[0], &byte, 1);
    printf("read %ld %s hits %d\n", got, strerror(errno), hits);
    alarmed.sa_flags = SA_RESTART;
    sigaction(SIGALRM, &alarmed, 0);
    if (fork() == 0) {
        usleep(100000);
        write(channel[1], "x", 1);
        _exit(0);
    }
    setitimer(ITIMER_REAL, &soon, 0);
    printf("read restarted %ld hits %d\n", (long)read(channel[0], &byte, 1), hits);
    wait(0);
    setitimer(ITIMER_REAL, &soon, 0);
    sigfillset(&set);
    sigdelset(&set, SIGALRM);
    printf("sigsuspend %d %s\n", sigsuspend(&set), strerror(errno));
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, 0);
    raise(SIGTERM);
    siginfo_t info;
    printf("sigwaitinfo %d code %d\n", sigwaitinfo(&set, &info), info.si_code);
    union sigval value = {.sival_int = 99};
    sigset_t real;
    sigemptyset(&real);
    sigaddset(&real, SIGRTMIN);
    sigprocmask(SIG_BLOCK, &real, 0);
    sigqueue(getpid(), SIGRTMIN, value);
    value.sival_int = 100;
    sigqueue(getpid(), SIGRTMIN, value);
    sigwaitinfo(&real, &info);
    printf("queued %d\n", info.si_value.sival_int);
    sigwaitinfo(&real, &info);
    printf("queued %d\n", info.si_value.sival_int);
    /* The handler's floating point must not leak into the interrupted code. */
    hits = 0;
    soon.it_interval.tv_usec = 1000;
    setitimer(ITIMER_REAL, &soon, 0);
    double x = 1;
    while (hits < 14 * 3) x = x * 1.0000001;
    printf("%d\n", x > 1);
    struct sigaction leaving = {.sa_sigaction = leave, .sa_flags = SA_SIGINFO};
    sigaction(SIGALRM, &leaving, 0);
    size_t length = (size_t)1 << 36, count = length;
    const char *first = mmap(0, length, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0), *at = first;
    asm volatile("rep lodsb" : "+S"(at), "+c"(count) : : "rax", "memory");
    printf("left %d %d\n", left > 0 && left == (long)count, at == first + (length - count));
    abort();
}
