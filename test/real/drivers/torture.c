/* Runs the test programs that are linked in (their main functions under other names), each in a process of its own, and prints how each ended. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

struct test {
    const char *name;
    int (*run)(void);
};
extern const struct test tests[];

int main(void) {
    for (const struct test *test = tests; test->name; test++) {
        fflush(stdout);
        pid_t child = fork();
        if (child == 0) {
            alarm(20);
            exit(test->run());
        }
        int status = 0;
        waitpid(child, &status, 0);
        printf("%s: %s %d\n", test->name, WIFEXITED(status) ? "exit" : "signal", WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
    }
    return 0;
}
