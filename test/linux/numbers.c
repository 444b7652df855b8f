/* printf of doubles and long doubles, strtod, and integer conversions. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
int main(void) {
    double values[] = {0.0, 1.0, -1.5, 3.141592653589793, 1e300, 1e-300, 123456789.125, 2.0 / 3.0, INFINITY, NAN};
    for (unsigned i = 0; i < sizeof values / sizeof *values; i++)
        printf("%f %e %g %a %.3f %20.10f|\n", values[i], values[i], values[i], values[i], values[i], values[i]);
    for (long double x = 1.0L; x < 1e20L; x *= 12345.678L) printf("%Lf %Le %Lg %La\n", x, x, x, x);
    const char *texts[] = {"3.25", "1e10", "-0.1", "0x1.8p3", "inf", "123456789012345678901234567890", "4.9e-324"};
    for (unsigned i = 0; i < sizeof texts / sizeof *texts; i++) printf("%.17g %.20Lg\n", strtod(texts[i], 0), strtold(texts[i], 0));
    printf("%d %u %x %o %ld %lld %zu %c %s %p %5d|%-5d|%05d\n", -1, 4000000000u, 255, 8, -5L, 1LL << 62, sizeof(int), 'x', "text", (void *)0, 42, 42, 42);
    printf("%.6f %.6f %.6f %.6f %.6f\n", sin(1.0), cos(2.0), exp(1.5), log(10.0), pow(2.0, 0.5));
    printf("%.6f %.6f %.6f %.6f %ld\n", sqrt(2.0), floor(-1.5), fmod(7.5, 2.0), atan2(1.0, 2.0), lround(2.5));
    return 0;
}
