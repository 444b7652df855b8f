/* lz: LZ77 with hash chains over 256 KiB of half-regular bytes, packed and unpacked.  N = rounds. */
#include "bench.h"

enum { SIZE = 1 << 18, HASH = 1 << 14, WINDOW = 1 << 15, CHAIN = 16, SHORTEST = 4, LONGEST = 255 };
static unsigned char input[SIZE], packed[SIZE * 2], output[SIZE];
static int32_t head[HASH], previous[WINDOW];

static inline uint32_t hash4(const unsigned char *p)
{
	uint32_t v;
	memcpy(&v, p, 4);
	return v * 2654435761u >> 18;
}

static NOIPA int match_length(const unsigned char *a, const unsigned char *b, int most)
{
	int n = 0;
	while (n < most && a[n] == b[n])
		n++;
	return n;
}

/* A token: literal count, literals, match length, distance (2 bytes). */
static NOIPA size_t pack(void)
{
	size_t out = 0, literal = 0, at = 0;
	memset(head, 0xff, sizeof head);
	while (at < SIZE) {
		int best = 0, most = (int)(SIZE - at < LONGEST ? SIZE - at : LONGEST);
		size_t distance = 0;
		if (at + SHORTEST <= SIZE) {
			uint32_t h = hash4(input + at);
			int32_t candidate = head[h];
			for (int tries = 0; candidate >= 0 && at - (size_t)candidate < WINDOW && tries < CHAIN; tries++) {
				int len = match_length(input + candidate, input + at, most);
				if (len > best) {
					best = len;
					distance = at - (size_t)candidate;
				}
				candidate = previous[candidate & (WINDOW - 1)];
			}
			previous[at & (WINDOW - 1)] = head[h];
			head[h] = (int32_t)at;
		}
		if (best >= SHORTEST || at - literal == 255 || at + 1 == SIZE) {
			size_t count = at - literal;
			if (best < SHORTEST)
				best = 0;
			packed[out++] = (unsigned char)count;
			memcpy(packed + out, input + literal, count);
			out += count;
			packed[out++] = (unsigned char)best;
			packed[out++] = (unsigned char)distance;
			packed[out++] = (unsigned char)(distance >> 8);
			if (!best)
				packed[out++] = input[at];
			at += best ? (size_t)best : 1;
			literal = at;
		} else
			at++;
	}
	return out;
}

static NOIPA size_t unpack(size_t size)
{
	size_t to = 0;
	for (size_t at = 0; at < size;) {
		size_t count = packed[at++];
		for (size_t i = 0; i < count; i++)
			output[to++] = packed[at++];
		size_t len = packed[at], distance = packed[at + 1] | (size_t)packed[at + 2] << 8;
		at += 3;
		if (!len)
			output[to++] = packed[at++];
		for (size_t i = 0; i < len; i++, to++)
			output[to] = output[to - distance];
	}
	return to;
}

int main(int argc, char **argv)
{
	unsigned long n = bench_args("lz", argc, argv, 128);
	uint64_t s = 55, sum = 0;
	for (size_t i = 0; i < SIZE; i++) {
		uint64_t r = bench_rand(&s) >> 24;
		size_t back = 1 + (r >> 8) % 5000;
		if (r % 5 && i > back)
			for (size_t k = 0; k < 3 + (r >> 20) % 20 && i + 1 < SIZE; k++, i++)
				input[i] = input[i - back];
		input[i] = (unsigned char)(r >> 32);
	}
	bench_begin();
	for (unsigned long i = 0; i < n; i++) {
		size_t size = pack();
		if (unpack(size) != SIZE || memcmp(input, output, SIZE))
			return 3;
		sum = sum * 31 + size + packed[(i * 7919) % size];
		input[i * 1237 % SIZE]++;
	}
	return bench_end(sum);
}
