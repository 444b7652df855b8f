/* Clocks, sleeping, timers: only relations are printed. */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}
static volatile int ticks;
static void tick(int signal) { (void)signal, ticks++; }
int main(void) {
    double start = now();
    struct timespec half = {0, 50000000};
    nanosleep(&half, 0);
    double slept = now() - start;
    printf("%d\n", slept >= 0.05 && slept < 1);
    time_t before = time(0);
    struct timeval tv;
    gettimeofday(&tv, 0);
    printf("%d %d\n", tv.tv_sec - before <= 1, before > 1600000000);
    struct tm tm;
    time_t fixed = 86400 * 365;
    gmtime_r(&fixed, &tm);
    printf("%d-%d-%d\n", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday);
    start = now();
    printf("%d %d\n", poll(0, 0, 30), now() - start >= 0.03);
    int channel[2];
    if (pipe(channel)) return 1;
    struct pollfd entries[2] = {{channel[0], POLLIN, 0}, {channel[1], POLLOUT, 0}};
    printf("%d %d %d\n", poll(entries, 2, -1), entries[0].revents, entries[1].revents);
    write(channel[1], "x", 1);
    printf("%d %d\n", poll(entries, 1, -1), entries[0].revents);
    fd_set set;
    FD_ZERO(&set);
    FD_SET(channel[0], &set);
    struct timeval none = {0, 0};
    printf("%d %d\n", select(channel[0] + 1, &set, 0, 0, &none), FD_ISSET(channel[0], &set) != 0);
    int event = eventfd(3, 0), epoll = epoll_create1(0);
    struct epoll_event wanted = {.events = EPOLLIN, .data.u32 = 42}, got;
    epoll_ctl(epoll, EPOLL_CTL_ADD, event, &wanted);
    printf("%d %u\n", epoll_wait(epoll, &got, 1, 1000), got.data.u32);
    eventfd_t value;
    eventfd_read(event, &value);
    printf("%lu %d\n", (unsigned long)value, epoll_wait(epoll, &got, 1, 10));
    signal(SIGALRM, tick);
    struct itimerval every = {{0, 2000}, {0, 2000}};
    setitimer(ITIMER_REAL, &every, 0);
    while (ticks < 5) pause();
    printf("ticks %d\n", ticks >= 5);
    clock_t busy = clock();
    for (volatile int i = 0; i < 100000; i++) {}
    printf("%d\n", clock() >= busy);
    return 0;
}
