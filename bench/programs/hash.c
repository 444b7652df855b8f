/* hash: SipHash-2-4 keyed table with open addressing: inserts, look-ups, removals of short string keys.  N = rounds. */
#include "bench.h"

enum { SLOTS = 1 << 15, KEYS = SLOTS * 5 / 8, KEY = 24 };

struct entry {
	uint64_t hash; /* 0: empty, 1: removed */
	uint64_t value;
	uint32_t key;
	uint32_t length;
};

static struct entry table[SLOTS];
static char keys[KEYS][KEY];
static uint32_t lengths[KEYS];

#define ROTL(x, b) (((x) << (b)) | ((x) >> (64 - (b))))
#define ROUND() \
	do { \
		v0 += v1; \
		v1 = ROTL(v1, 13) ^ v0; \
		v0 = ROTL(v0, 32); \
		v2 += v3; \
		v3 = ROTL(v3, 16) ^ v2; \
		v0 += v3; \
		v3 = ROTL(v3, 21) ^ v0; \
		v2 += v1; \
		v1 = ROTL(v1, 17) ^ v2; \
		v2 = ROTL(v2, 32); \
	} while (0)

static NOIPA uint64_t siphash(const char *p, size_t n, uint64_t k0, uint64_t k1)
{
	uint64_t v0 = k0 ^ 0x736f6d6570736575ULL, v1 = k1 ^ 0x646f72616e646f6dULL;
	uint64_t v2 = k0 ^ 0x6c7967656e657261ULL, v3 = k1 ^ 0x7465646279746573ULL;
	uint64_t last = (uint64_t)n << 56, m;
	for (; n >= 8; n -= 8, p += 8) {
		memcpy(&m, p, 8);
		v3 ^= m;
		ROUND();
		ROUND();
		v0 ^= m;
	}
	for (size_t i = 0; i < n; i++)
		last |= (uint64_t)(unsigned char)p[i] << (8 * i);
	v3 ^= last;
	ROUND();
	ROUND();
	v0 ^= last;
	v2 ^= 0xff;
	ROUND();
	ROUND();
	ROUND();
	ROUND();
	m = v0 ^ v1 ^ v2 ^ v3;
	return m < 2 ? m + 2 : m;
}

static NOIPA struct entry *find(uint32_t key, uint64_t hash, int insert)
{
	struct entry *free = NULL;
	for (size_t at = hash & (SLOTS - 1);; at = (at + 1) & (SLOTS - 1)) {
		struct entry *e = &table[at];
		if (e->hash == hash && e->length == lengths[key] && !memcmp(keys[e->key], keys[key], e->length))
			return e;
		if (e->hash < 2 && !free)
			free = e;
		if (e->hash == 0)
			return insert ? free : NULL;
	}
}

int main(int argc, char **argv)
{
	unsigned long n = bench_args("hash", argc, argv, 100);
	uint64_t s = 4711, sum = 0;
	for (uint32_t i = 0; i < KEYS; i++)
		lengths[i] = (uint32_t)snprintf(keys[i], KEY, "key-%llx",
						(unsigned long long)(bench_rand(&s) >> (bench_rand(&s) % 32)));
	bench_begin();
	for (unsigned long round = 0; round < n; round++) {
		memset(table, 0, sizeof table);
		for (uint32_t i = 0; i < KEYS; i++) {
			uint64_t hash = siphash(keys[i], lengths[i], round, 7);
			struct entry *e = find(i, hash, 1);
			*e = (struct entry){hash, e->value + i, i, lengths[i]};
		}
		for (int i = 0; i < KEYS * 2; i++) {
			uint32_t key = (uint32_t)(bench_rand(&s) >> 33) % KEYS;
			struct entry *e = find(key, siphash(keys[key], lengths[key], round, 7), 0);
			sum = sum * 31 + (e ? e->value : 1);
			if (e && !(i & 7))
				e->hash = 1;
		}
	}
	return bench_end(sum);
}
