/* System calls with senseless numbers and arguments: the kernel must survive. The first argument seeds it. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
static unsigned long state;
static unsigned long next(void) {
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    return state;
}
static char area[1 << 16];
static long value(void) {
    switch (next() % 12) {
    case 0: return 0;
    case 1: return -1;
    case 2: return next() % 16;
    case 3: return 1L << next() % 64;
    case 4: return (1L << next() % 64) - 1;
    case 5: return next();
    case 6: return next() % 4096 * 4096;
    case 7: return 0x200000000 + next() % 256 * 4096;
    case 8: return -(long)(next() % 4096);
    default: return (long)(area + next() % sizeof area);
    }
}
static int forbidden(long number) {
    static const short list[] = {SYS_exit, SYS_exit_group, SYS_fork, SYS_vfork, SYS_clone, SYS_clone3, SYS_pause, SYS_rt_sigsuspend,
        SYS_rt_sigreturn, SYS_rt_sigaction, SYS_kill, SYS_tkill, SYS_tgkill, SYS_munmap, SYS_mprotect, SYS_mremap, SYS_brk, SYS_rt_sigtimedwait,
        SYS_ppoll, SYS_poll, SYS_select, SYS_pselect6, SYS_futex, SYS_nanosleep, SYS_clock_nanosleep, SYS_arch_prctl, SYS_wait4, SYS_waitid,
        SYS_rt_sigqueueinfo, SYS_rt_tgsigqueueinfo, SYS_setitimer, SYS_alarm, SYS_timer_settime, SYS_epoll_wait, SYS_epoll_pwait, SYS_prlimit64, SYS_setrlimit};
    for (unsigned i = 0; i < sizeof list / sizeof *list; i++) if (list[i] == number) return 1;
    return 0;
}
int main(int argc, char **argv) {
    state = argc > 1 ? strtoul(argv[1], 0, 0) : 1;
    for (int i = 1; i < 65; i++) signal(i, SIG_IGN);
    fcntl(0, F_SETFL, O_NONBLOCK);
    int out = dup2(1, 900);
    for (int i = 0; i < 20000; i++) {
        long number = next() % 460;
        if (forbidden(number)) continue;
        long a = value(), b = value(), c = value(), d = value(), e = value(), f = value();
        if (number == SYS_mmap) d = (d & ~MAP_FIXED) | MAP_PRIVATE | MAP_ANONYMOUS;
        if (number == SYS_madvise) c = 22 + next() % 2;
        if ((number == SYS_read || number == SYS_write) && a < 3) a = 5;
        if (number == SYS_close_range || number == SYS_close || number == SYS_dup2 || number == SYS_dup3) a = next() % 64, b = 100;
        syscall(number, a, b, c, d, e, f);
        if (next() % 8 == 0) strcpy(area + next() % (sizeof area - 32), next() % 2 ? "/tmp/x" : "/proc/self/maps");
    }
    dprintf(out, "survived\n");
    return 0;
}
