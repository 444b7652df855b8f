/* What stepping, breakpoints, editing and input are tried on. The tests find lines by the words in their comments. */
#include <stdio.h>
#include <unistd.h>

struct point {
    int x, y;
};

static int counter;
volatile int spin = 1;

static inline __attribute__((always_inline)) int square(int side)
{
    int area = side * side; /* inlined */
    return area;
}

__attribute__((noinline)) int add(int a, int b)
{
    int sum = a + b; /* in add */
    counter++;
    return sum; /* end of add */
}

__attribute__((noinline)) int depth(int n)
{
    if (n == 0)
        return counter;       /* deepest */
    return depth(n - 1) + 1;  /* recursion */
}

int main(int argc, char **argv)
{
    struct point at = {3, 4};
    int total = 0;
    setvbuf(stdout, NULL, _IOLBF, 0);
    total = add(at.x, at.y); /* first */
    total += square(total);  /* second */
    total += depth(5);       /* third */
    for (int i = 0; i < 10; i++)
        total += i; /* loop */
    printf("%d %d %d\n", total, at.x, at.y); /* print */
    if (argc > 1 && argv[1][0] == 'i') {
        char line[64];
        while (fgets(line, sizeof line, stdin))
            printf("got %s", line);
    }
    if (argc > 1 && argv[1][0] == 's')
        while (spin)
            counter++; /* spinning */
    puts("end"); /* last */
    return 0;
}
