/* resident: keeps a gigabyte in memory and writes to N of its pages in turn, for ever. */
#include "bench.h"

enum { SIZE = 1 << 30, PAGE = 4096 };

int main(int argc, char **argv)
{
	unsigned long n = bench_args("resident", argc, argv, 100);
	volatile unsigned char *memory = malloc(SIZE);
	if (!memory)
		return 2;
	for (size_t at = 0; at < SIZE; at += PAGE)
		memory[at] = 1;
	bench_begin();
	for (uint64_t i = 0;; i++)
		memory[i % n * (SIZE / n / PAGE) * PAGE]++;
}
