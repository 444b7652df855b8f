/* Files: open, read, write, seek, stat, directories, rename, unlink, stdio, mmap of a file, /proc and /dev. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>
#define CHECK(e) do { errno = 0; long r = (long)(e); printf("%s -> %ld %s\n", #e, r, r == -1 ? strerror(errno) : ""); } while (0)
static int byname(const void *a, const void *b) { return strcmp(*(char **)a, *(char **)b); }
int main(void) {
    char dir[] = "/tmp/dune-XXXXXX", text[256] = {0};
    if (!mkdtemp(dir)) return perror("mkdtemp"), 1;
    CHECK(chdir(dir));
    int fd = open("a", O_RDWR | O_CREAT | O_EXCL, 0644);
    CHECK(fd);
    CHECK(write(fd, "0123456789", 10));
    CHECK(lseek(fd, 4, SEEK_SET));
    CHECK(read(fd, text, 3));
    puts(text);
    struct iovec parts[2] = {{"abc", 3}, {"defg", 4}};
    CHECK(writev(fd, parts, 2));
    CHECK(pread(fd, text, 20, 2));
    puts(text);
    CHECK(pwrite(fd, "ZZ", 2, 100));
    struct stat st;
    CHECK(fstat(fd, &st));
    printf("%o %ld %d\n", st.st_mode & 0177777, (long)st.st_size, (int)st.st_nlink);
    char *map = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    map[1] = 'M';
    CHECK(msync(map, 4096, MS_SYNC));
    CHECK(pread(fd, text, 5, 0));
    text[5] = 0;
    puts(text);
    CHECK(pwrite(fd, "W", 1, 2));
    printf("%.5s\n", map);
    char *private = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    private[0] = 'P';
    printf("%.3s %.3s\n", private, map);
    CHECK(munmap(map, 4096));
    CHECK(ftruncate(fd, 5));
    CHECK(lseek(fd, 0, SEEK_END));
    CHECK(close(fd));
    CHECK(close(fd));
    CHECK(open("missing", O_RDONLY));
    CHECK(open("a/b", O_RDONLY));
    CHECK(open("a", O_RDWR | O_CREAT | O_EXCL, 0644));
    CHECK(mkdir("sub", 0755));
    CHECK(mkdir("sub", 0755));
    CHECK(rename("a", "sub/b"));
    CHECK(access("a", F_OK));
    CHECK(access("sub/b", R_OK | W_OK));
    CHECK(symlink("sub/b", "link"));
    memset(text, 0, sizeof text);
    CHECK(readlink("link", text, sizeof text));
    puts(text);
    CHECK(lstat("link", &st));
    printf("%o\n", st.st_mode & S_IFMT);
    CHECK(stat("link", &st));
    printf("%o %ld\n", st.st_mode & S_IFMT, (long)st.st_size);
    CHECK(link("sub/b", "hard"));
    CHECK(stat("hard", &st));
    printf("%d\n", (int)st.st_nlink);
    FILE *file = fopen("sub/c.txt", "w");
    for (int i = 0; i < 1000; i++) fprintf(file, "line %d\n", i);
    fclose(file);
    file = fopen("sub/c.txt", "r");
    int lines = 0;
    while (fgets(text, sizeof text, file)) lines++;
    printf("%d %s", lines, text);
    fclose(file);
    file = fopen("sub/c.txt", "a+");
    fputs("more", file);
    fseek(file, -4, SEEK_END);
    printf("%s\n", fgets(text, sizeof text, file));
    fclose(file);
    DIR *directory = opendir(".");
    char *names[16];
    int count = 0;
    for (struct dirent *entry; (entry = readdir(directory));) names[count++] = strdup(entry->d_name);
    closedir(directory);
    qsort(names, count, sizeof *names, byname);
    for (int i = 0; i < count; i++) printf("%s ", names[i]);
    puts("");
    CHECK(rmdir("sub"));
    CHECK(unlink("sub/b"));
    CHECK(unlink("sub/c.txt"));
    CHECK(rmdir("sub"));
    CHECK(unlink("hard"));
    CHECK(unlink("link"));
    CHECK(unlink("link"));
    CHECK(chdir("/tmp"));
    CHECK(rmdir(dir));
    fd = open("/dev/zero", O_RDONLY);
    CHECK(read(fd, text, 8));
    printf("%d\n", text[7]);
    CHECK(write(open("/dev/null", O_WRONLY), "x", 1));
    CHECK(write(open("/dev/full", O_WRONLY), "x", 1));
    int copy = dup2(fd, 60);
    CHECK(copy);
    CHECK(fcntl(copy, F_GETFD));
    CHECK(fcntl(copy, F_SETFD, FD_CLOEXEC));
    CHECK(fcntl(copy, F_GETFD));
    file = fopen("/proc/self/maps", "r");
    int stack = 0, self = 0;
    char line[512];
    while (fgets(line, sizeof line, file)) {
        if (strstr(line, "[stack]")) stack++;
        if (strstr(line, " r-xp ") && strstr(line, "files")) self++;
    }
    printf("stack %d text %d\n", stack, self);
    return 0;
}
