/* Standard input to its end, in capitals. */
#include <ctype.h>
#include <stdio.h>
int main(void) {
    int c, lines = 0;
    while ((c = getchar()) != EOF) {
        putchar(toupper(c));
        if (c == '\n') lines++;
    }
    printf("%d lines\n", lines);
    return 0;
}
