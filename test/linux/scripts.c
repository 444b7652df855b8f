/* Files that begin with #!: what the interpreter gets, and what execve refuses. Called with more arguments it is the interpreter, and shows them. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
static char self[PATH_MAX];
static void put(const char *name, int mode, const char *format, const char *path) {
    char text[PATH_MAX + 64];
    int fd = open(name, O_CREAT | O_TRUNC | O_WRONLY, 0700), length = snprintf(text, sizeof text, format, path);
    if (write(fd, text, length) != length) perror(name);
    close(fd);
    chmod(name, mode);
}
static void run(const char *name) {
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        execve(name, (char *[]){"zero", "one", "two words", 0}, (char *[]){"A=b", 0});
        printf("%s: %s\n", name, strerror(errno));
        exit(7);
    }
    int status;
    waitpid(child, &status, 0);
    printf("%d\n", status);
}
int main(int count, char **arguments) {
    if (count > 1) {
        for (int i = 1; i < count; i++) printf("[%s] ", arguments[i]);
        printf("A=%s, first %d\n", getenv("A"), strcmp(arguments[0], self) != 0);
        return 5;
    }
    char folder[] = "/tmp/dune-scripts-XXXXXX";
    if (readlink("/proc/self/exe", self, sizeof self - 1) < 0 || !mkdtemp(folder) || chdir(folder)) return perror("start"), 1;
    put("plain", 0700, "#!%s\nrest\n", self), run("plain"), run("./plain");
    put("argument", 0700, "#! \t%s  -x  y z \t \nrest\n", self), run("argument");
    put("no-newline", 0700, "#!%s", self), run("no-newline");
    put("nested", 0700, "#!./argument of nested\n", self), run("nested");
    put("missing", 0700, "#!/there/is/none\n", self), run("missing");
    put("empty", 0700, "#!  \n", self), run("empty");
    put("loop", 0700, "#!./loop\n", self), run("loop");
    put("no-right", 0600, "#!%s\n", self), run("no-right");
    put("text", 0700, "hello\n", self), run("text");
    const char *const names[] = {"plain", "argument", "no-newline", "nested", "missing", "empty", "loop", "no-right", "text"};
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++) unlink(names[i]);
    chdir("/");
    rmdir(folder);
    return 0;
}
