/* /proc/self/cmdline shows the arguments as they stand in memory now, and beyond them what has grown into the environment. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
static void show(void) {
    char text[256];
    int fd = open("/proc/self/cmdline", O_RDONLY);
    long length = read(fd, text, sizeof text);
    close(fd);
    for (long i = 0; i < length; i++) putchar(text[i] ? text[i] : '|');
    putchar('\n'), fflush(stdout);
}
int main(int count, char **arguments) {
    if (count == 1) return execve("/proc/self/exe", (char *[]){"first", "second argument", "", "4", 0}, (char *[]){"A=environment", "B=more", 0});
    show();
    memcpy(arguments[0], "FIR", 3);
    arguments[1][0] = 0;
    show();
    if (fork() == 0) return show(), arguments[0][0] = 'c', show(), 0;
    wait(0);
    show();
    memset(arguments[0], 'x', 30);
    show();
    strcpy(arguments[0], "a title longer than that");
    show();
    return 0;
}
