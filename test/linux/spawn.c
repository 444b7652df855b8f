/* vfork and exec, posix_spawn, system-like use, environment and arguments, close-on-exec. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
extern char **environ;
int main(int argc, char **argv) {
    setvbuf(stdout, 0, _IONBF, 0);
    if (argc > 1) {
        printf("child: %s %s env %s fd %d\n", argv[1], argc > 2 ? argv[2] : "-", getenv("COLOUR") ? getenv("COLOUR") : "-", fcntl(50, F_GETFD));
        return atoi(argv[1]);
    }
    int status;
    dup2(1, 50);
    fcntl(50, F_SETFD, FD_CLOEXEC);
    pid_t child = vfork();
    if (child == 0) {
        execl("/proc/self/exe", "self", "5", "six", (char *)0);
        _exit(99);
    }
    waitpid(child, &status, 0);
    printf("vfork child %d\n", WEXITSTATUS(status));
    char *args[] = {"self", "9", 0}, *env[] = {"COLOUR=blue", 0};
    if (posix_spawn(&child, "/proc/self/exe", 0, 0, args, env)) return 1;
    waitpid(child, &status, 0);
    printf("spawned child %d\n", WEXITSTATUS(status));
    child = fork();
    if (child == 0) {
        execv("/does/not/exist", args);
        perror("execv");
        _exit(1);
    }
    waitpid(child, &status, 0);
    printf("%d\n", WEXITSTATUS(status));
    return 0;
}
