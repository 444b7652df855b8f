/* fork, wait, pipes, copy-on-write, exit codes and signals of children. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
static int global = 1;
int main(void) {
    setvbuf(stdout, 0, _IONBF, 0);
    int channel[2];
    char *heap = malloc(100000);
    int *shared = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    memset(heap, 'p', 100000);
    if (pipe(channel)) return 1;
    pid_t child = fork();
    if (child == 0) {
        global = 2;
        heap[50000] = 'c';
        *shared = 77;
        char text[64];
        int n = snprintf(text, sizeof text, "child sees %d %c", global, heap[50000]);
        close(channel[0]);
        write(channel[1], text, n);
        exit(7);
    }
    close(channel[1]);
    char text[64] = {0};
    int status, n = read(channel[0], text, sizeof text);
    printf("%d %s\n", n, text);
    printf("%d\n", waitpid(child, &status, 0) == child);
    printf("exited %d code %d; parent has %d %c shared %d\n", WIFEXITED(status), WEXITSTATUS(status), global, heap[50000], *shared);
    printf("eof %ld\n", (long)read(channel[0], text, 1));

    child = fork();
    if (child == 0) *(volatile int *)8 = 1;
    waitpid(child, &status, 0);
    printf("signalled %d %d\n", WIFSIGNALED(status), WTERMSIG(status));
    child = fork();
    if (child == 0) for (;;) pause();
    kill(child, SIGTERM);
    waitpid(child, &status, 0);
    printf("signalled %d %d\n", WIFSIGNALED(status), WTERMSIG(status));
    int sum = 0;
    for (int i = 0; i < 10; i++)
        if (fork() == 0) _exit(i);
    while (wait(&status) > 0) sum += WEXITSTATUS(status);
    printf("sum %d none left %d\n", sum, wait(&status));
    signal(SIGPIPE, SIG_IGN);
    close(channel[0]);
    pipe(channel);
    close(channel[0]);
    printf("epipe %ld\n", (long)write(channel[1], "x", 1));
    pipe(channel);
    if (fork() == 0) {
        static char block[200000];
        memset(block, 'b', sizeof block);
        write(channel[1], block, sizeof block);
        _exit(0);
    }
    close(channel[1]);
    long total = 0;
    static char buffer[5000];
    while ((n = read(channel[0], buffer, sizeof buffer)) > 0) total += n;
    wait(0);
    printf("through the pipe %ld\n", total);
    FILE *command = 0;
    (void)command;
    return 3;
}
