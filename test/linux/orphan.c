/* A grandchild that outlives its parent and ends before the first process: the first one's status counts. */
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>
int main(void) {
    int channel[2];
    char byte;
    if (pipe(channel)) return 1;
    pid_t child = fork();
    if (child == 0) {
        if (fork() == 0) {
            while (getppid() == child) usleep(1000);
            usleep(20000);
            _exit(write(channel[1], "x", 1) == 1 ? 9 : 8);
        }
        _exit(4);
    }
    int status;
    waitpid(child, &status, 0);
    close(channel[1]);
    printf("%d\n", WEXITSTATUS(status));
    while (read(channel[0], &byte, 1) > 0);
    printf("%d\n", wait(&status));
    return 3;
}
