/* text: the C library's string functions over generated prose: lengths, copies, searches, comparisons, tokens.  N = passes. */
#include "bench.h"
#include <ctype.h>

enum { TEXT = 1 << 18, WORDS = 512 };
static char text[TEXT], copy[TEXT], work[TEXT];
static char words[WORDS][16];
static const char *wanted[] = {"zebra", "quixotic", "needle in a haystack", "the end"};

static size_t generate(uint64_t *s)
{
	size_t at = 0;
	for (int i = 0; i < WORDS; i++) {
		int len = 2 + (int)(bench_rand(s) % 11);
		for (int c = 0; c < len; c++)
			words[i][c] = (char)('a' + (bench_rand(s) >> 20) % 26);
		words[i][len] = 0;
	}
	while (at < TEXT - 32) {
		const char *w = words[bench_rand(s) % WORDS];
		at = (size_t)(stpcpy(text + at, w) - text);
		text[at++] = bench_rand(s) % 12 ? ' ' : '\n';
	}
	text[at] = 0;
	return at;
}

static NOIPA uint64_t pass(size_t size)
{
	uint64_t sum = 0;
	/* lines: strchr, strlen, memcpy, strncmp */
	char *line = text, *out = copy;
	while (*line) {
		char *end = strchr(line, '\n');
		size_t len = end ? (size_t)(end - line) : strlen(line);
		memcpy(out, line, len);
		out[len] = 0;
		sum = sum * 31 + strlen(out) + (unsigned)(strncmp(out, "mm", 2) > 0);
		out += len + 1;
		line += len + (end != NULL);
	}
	/* searches over the whole text */
	for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
		sum += strstr(text, wanted[i]) != NULL;
	for (int i = 0; i < 8; i++)
		sum += (uint64_t)(strstr(text, words[i * 61]) - text);
	sum += (uint64_t)((char *)memrchr(text, 'q', size) - text) + strspn(text, "abcdefghijklmnop");
	/* words, upper-cased by hand: strtok_r, strcmp, toupper */
	memcpy(work, text, size + 1);
	char *save, *previous = words[0];
	for (char *word = strtok_r(work, " \n", &save); word; word = strtok_r(NULL, " \n", &save)) {
		sum = sum * 3 + (unsigned)(strcmp(word, previous) > 0);
		previous = word;
		for (char *c = word; *c; c++)
			*c = (char)toupper((unsigned char)*c);
		sum += (uint64_t)(unsigned char)word[0];
	}
	memmove(copy, copy + 13, size / 2);
	memset(copy + size / 2, '#', 4096);
	return sum + (unsigned)(memcmp(copy, text, size) > 0);
}

int main(int argc, char **argv)
{
	unsigned long n = bench_args("text", argc, argv, 140);
	uint64_t s = 2024, sum = 0;
	size_t size = generate(&s);
	bench_begin();
	for (unsigned long i = 0; i < n; i++)
		sum = sum * 31 + pass(size);
	return bench_end(sum);
}
