/* records: merge sort, then heap sort, of 20,000 records of 32 bytes by a two-part key.  N = rounds. */
#include "bench.h"

enum { LEN = 20000 };

struct record {
	uint32_t group;
	uint32_t weight;
	uint64_t id;
	char name[16];
};

static struct record input[LEN], merged[LEN], spare[LEN], heap[LEN];

static NOIPA int before(const struct record *a, const struct record *b)
{
	if (a->group != b->group)
		return a->group < b->group;
	if (a->weight != b->weight)
		return a->weight > b->weight;
	return memcmp(a->name, b->name, sizeof a->name) < 0;
}

static void merge_sort(struct record *v, struct record *tmp, size_t n)
{
	size_t half = n / 2, i = 0, j = half, k = 0;
	if (n < 2)
		return;
	merge_sort(v, tmp, half);
	merge_sort(v + half, tmp + half, n - half);
	while (i < half && j < n)
		tmp[k++] = before(&v[j], &v[i]) ? v[j++] : v[i++];
	while (i < half)
		tmp[k++] = v[i++];
	while (j < n)
		tmp[k++] = v[j++];
	memcpy(v, tmp, n * sizeof *v);
}

static void sift(struct record *v, size_t root, size_t n)
{
	struct record top = v[root];
	for (;;) {
		size_t child = root * 2 + 1;
		if (child >= n)
			break;
		if (child + 1 < n && before(&v[child], &v[child + 1]))
			child++;
		if (!before(&top, &v[child]))
			break;
		v[root] = v[child];
		root = child;
	}
	v[root] = top;
}

static void heap_sort(struct record *v, size_t n)
{
	for (size_t i = n / 2; i-- > 0;)
		sift(v, i, n);
	for (size_t end = n; end-- > 1;) {
		struct record t = v[0];
		v[0] = v[end];
		v[end] = t;
		sift(v, 0, end);
	}
}

int main(int argc, char **argv)
{
	unsigned long n = bench_args("records", argc, argv, 48);
	uint64_t s = 99, sum = 0;
	bench_begin();
	for (unsigned long round = 0; round < n; round++) {
		for (size_t i = 0; i < LEN; i++) {
			uint64_t r = bench_rand(&s);
			input[i].group = (uint32_t)(r >> 58);
			input[i].weight = (uint32_t)(r >> 40) & 0xff;
			input[i].id = i;
			for (int c = 0; c < 15; c++)
				input[i].name[c] = (char)('a' + ((r >> (c * 4)) & 15));
		}
		memcpy(merged, input, sizeof input);
		memcpy(heap, input, sizeof input);
		merge_sort(merged, spare, LEN);
		heap_sort(heap, LEN);
		for (size_t i = 0; i < LEN; i++) {
			if (before(&merged[i], &heap[i]) || before(&heap[i], &merged[i]))
				return 3;
			sum = sum * 31 + merged[i].id;
		}
	}
	return bench_end(sum);
}
