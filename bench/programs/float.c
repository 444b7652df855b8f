/* float: planets in scalar doubles (SSE2), a Mandelbrot set in long doubles (x87).  N = hundredths of a set. */
#include "bench.h"
#include <math.h>

enum { BODIES = 5, SIDE = 100, DEPTH = 60 };

struct body {
	double x[3], v[3], mass;
};
static struct body bodies[BODIES];

static NOIPA void advance(double dt)
{
	for (int i = 0; i < BODIES; i++)
		for (int j = i + 1; j < BODIES; j++) {
			struct body *a = &bodies[i], *b = &bodies[j];
			double d[3], square = 0.01;
			for (int k = 0; k < 3; k++) {
				d[k] = a->x[k] - b->x[k];
				square += d[k] * d[k];
			}
			double pull = dt / (square * sqrt(square));
			for (int k = 0; k < 3; k++) {
				a->v[k] -= d[k] * b->mass * pull;
				b->v[k] += d[k] * a->mass * pull;
			}
		}
	for (int i = 0; i < BODIES; i++)
		for (int k = 0; k < 3; k++)
			bodies[i].x[k] += dt * bodies[i].v[k];
}

static NOIPA uint64_t mandelbrot_row(int row)
{
	uint64_t sum = 0;
	long double ci = (long double)row * 2 / SIDE - 1;
	for (int column = 0; column < SIDE; column++) {
		long double cr = (long double)column * 3 / SIDE - 2, zr = 0, zi = 0;
		int depth = 0;
		while (depth < DEPTH && zr * zr + zi * zi < 4) {
			long double t = zr * zr - zi * zi + cr;
			zi = 2 * zr * zi + ci;
			zr = t;
			depth++;
		}
		sum = sum * 7 + (unsigned)depth;
	}
	return sum;
}

int main(int argc, char **argv)
{
	unsigned long n = bench_args("float", argc, argv, 1600);
	uint64_t s = 17, sum = 0, bits;
	for (int i = 0; i < BODIES; i++) {
		for (int k = 0; k < 3; k++) {
			bodies[i].x[k] = (double)(int)(bench_rand(&s) % 2001) / 100 - 10;
			bodies[i].v[k] = (double)(int)(bench_rand(&s) % 2001) / 1000 - 1;
		}
		bodies[i].mass = i ? 0.01 * i : 40;
	}
	bench_begin();
	for (unsigned long i = 0; i < n; i++) {
		for (int step = 0; step < 500; step++)
			advance(0.001);
		sum = sum * 31 + mandelbrot_row((int)(i % SIDE));
		memcpy(&bits, &bodies[i % BODIES].x[i % 3], sizeof bits);
		sum = sum * 31 + bits;
	}
	return bench_end(sum);
}
