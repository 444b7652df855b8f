/* Times of files: utimensat and its older kin, what writing, truncating and changing modes do to them. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
#include <utime.h>
static struct timespec start;
static void show(const char *what, const char *path, int follow) {
    struct stat st;
    /* struct statx: the time of modification is at 112. */
    long long extended[32];
    if (follow ? stat(path, &st) : lstat(path, &st)) return perror(path);
    syscall(SYS_statx, AT_FDCWD, path, follow ? 0 : AT_SYMLINK_NOFOLLOW, 0x7ff, extended);
    struct timespec *times[] = {&st.st_atim, &st.st_mtim, &st.st_ctim};
    printf("%s:", what);
    for (int i = 0; i < 3; i++)
        if (times[i]->tv_sec >= start.tv_sec) printf(" now");
        else printf(" %ld.%09ld", times[i]->tv_sec, times[i]->tv_nsec);
    printf(" %d\n", extended[14] == st.st_mtim.tv_sec && (int)extended[15] == st.st_mtim.tv_nsec);
}
static void result(long r) { printf("%ld %s\n", r, r < 0 ? strerror(errno) : ""); }
int main(void) {
    char name[] = "/tmp/dune-times-XXXXXX", link[64];
    clock_gettime(CLOCK_REALTIME_COARSE, &start);
    start.tv_sec -= 2;
    int fd = mkstemp(name);
    show("created", name, 1);
    struct timespec times[2] = {{500000000, 123456789}, {500000001, 5}};
    result(utimensat(AT_FDCWD, name, times, 0));
    show("set", name, 1);
    times[0].tv_nsec = UTIME_OMIT, times[1].tv_sec = 7, times[1].tv_nsec = 999999999;
    result(utimensat(AT_FDCWD, name, times, 0));
    show("one", name, 1);
    times[1].tv_nsec = UTIME_OMIT;
    result(futimens(fd, times));
    show("none", name, 1);
    times[0].tv_nsec = UTIME_NOW;
    result(futimens(fd, times));
    show("now", name, 1);
    times[0].tv_nsec = 1000000000;
    result(futimens(fd, times));
    result(futimens(99, 0));
    result(utimensat(AT_FDCWD, "/tmp/there/is/none", 0, 0));
    result(syscall(SYS_utime, name, &(struct utimbuf){11, 12}));
    show("utime", name, 1);
    result(syscall(SYS_utimes, name, (struct timeval[]){{13, 14}, {15, 16}}));
    show("utimes", name, 1);
    result(syscall(SYS_futimesat, AT_FDCWD, name, (struct timeval[]){{17, 18}, {19, 1000000}}));
    result(syscall(SYS_utimes, name, (void *)8));
    times[0] = times[1] = (struct timespec){20, 0};
    futimens(fd, times);
    if (write(fd, "x", 1) != 1) perror("write");
    show("written", name, 1);
    futimens(fd, times);
    if (ftruncate(fd, 0)) perror("ftruncate");
    show("truncated", name, 1);
    futimens(fd, times);
    fchmod(fd, 0600);
    show("mode", name, 1);
    sprintf(link, "%s-link", name);
    if (symlink(name, link)) perror("symlink");
    result(utimensat(AT_FDCWD, link, (struct timespec[]){{30, 0}, {31, 0}}, AT_SYMLINK_NOFOLLOW));
    show("link", link, 0);
    show("its target", name, 1);
    result(utimensat(AT_FDCWD, name, 0, 0));
    show("without times", name, 1);
    unlink(link), unlink(name);
    mkdir(name, 0700);
    utimensat(AT_FDCWD, name, times, 0);
    sprintf(link, "%s/x", name);
    close(open(link, O_CREAT | O_WRONLY, 0600));
    show("directory", name, 1);
    utimensat(AT_FDCWD, name, times, 0);
    unlink(link);
    show("directory", name, 1);
    rmdir(name);
    return 0;
}
