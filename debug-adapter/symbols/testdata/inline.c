/* Inlining across several levels, loops and a second copy: what stepping and addr2line -i must agree about. */
#include <stdio.h>

volatile int seen;

static inline int clamp(int value, int low, int high)
{
    seen = value;
    if (value < low)
        return low;
    if (value > high)
        return high;
    return value;
}

static inline int scale(int value)
{
    int wide = clamp(value, -100, 100);
    return wide * 3;
}

__attribute__((noinline)) int total(const int *values, int count)
{
    int sum = 0;
    for (int index = 0; index < count; index++) {
        sum += scale(values[index]);
        sum += clamp(sum, 0, 1000);
    }
    return sum;
}

__attribute__((noinline)) int fibonacci(int n)
{
    if (n < 2)
        return n;
    return fibonacci(n - 1) + fibonacci(n - 2);
}

int main(int argc, char **argv)
{
    int values[4] = {argc, 20, -300, 4000};
    (void)argv;
    printf("%d %d\n", total(values, 4), fibonacci(10));
    return 0;
}
