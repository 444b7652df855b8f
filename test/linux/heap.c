/* malloc, realloc, free, calloc under stress, through brk, mmap and mremap. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
static unsigned seed = 12345;
static unsigned next(void) { return seed = seed * 1103515245u + 12345u; }
int main(void) {
    enum { COUNT = 400 };
    unsigned char *blocks[COUNT] = {0};
    size_t sizes[COUNT] = {0};
    unsigned long sum = 0;
    for (int round = 0; round < 6000; round++) {
        int i = next() % COUNT;
        size_t size = next() % (round % 100 == 0 ? 600000 : 3000) + 1;
        switch (next() % 3) {
        case 0:
            free(blocks[i]);
            blocks[i] = malloc(size);
            memset(blocks[i], i & 255, size);
            sizes[i] = size;
            break;
        case 1:
            blocks[i] = realloc(blocks[i], size);
            if (size > sizes[i]) memset(blocks[i] + sizes[i], i & 255, size - sizes[i]);
            sizes[i] = size;
            break;
        default:
            for (size_t k = 0; k < sizes[i]; k += 97)
                if (blocks[i][k] != (i & 255)) return printf("block %d corrupt at %zu\n", i, k), 1;
            sum += sizes[i];
        }
    }
    unsigned char *zeros = calloc(1, 3000000);
    for (size_t k = 0; k < 3000000; k += 4096) sum += zeros[k];
    char *big = malloc(1 << 20);
    strcpy(big, "kept across mremap");
    big = realloc(big, 8 << 20);
    printf("%lu %s\n", sum, big);
    return 0;
}
