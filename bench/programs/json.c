/* json: parses a generated document into a tree, sorts nothing, prints it again, compares.  N = documents. */
#include "bench.h"

enum { LIMIT = 1 << 17, NODES = 1 << 15 };
enum kind { NUL, TRUE, FALSE, NUMBER, STRING, ARRAY, OBJECT };

struct node {
	enum kind kind;
	double number;
	const char *string;
	const char *name;
	struct node *child, *next;
};

static char document[LIMIT], printed[LIMIT], strings[LIMIT];
static struct node nodes[NODES];
static size_t used_nodes, used_strings;
static const char *in;
static char *out;

static char *generate(char *p, uint64_t *s, int depth)
{
	uint64_t r = bench_rand(s) >> 16;
	int count = 3 + (int)(r % 6);
	if (depth > 0 && r & 0x100) {
		*p++ = '{';
		for (int i = 0; i < count; i++) {
			p += sprintf(p, "%s\"field_%d\":", i ? "," : "", i * 7);
			p = generate(p, s, depth - 1);
		}
		*p++ = '}';
	} else if (depth > 0) {
		*p++ = '[';
		for (int i = 0; i < count; i++) {
			if (i)
				*p++ = ',';
			p = generate(p, s, depth - 1);
		}
		*p++ = ']';
	} else if (r & 0x200)
		p += sprintf(p, "%d.%d", (int)(r >> 40), (int)(r >> 24 & 0xff) * 2 + 1);
	else if (r & 0x400)
		p += sprintf(p, "\"text \\\"%x\\\" and\\n more\"", (unsigned)(r >> 20));
	else
		p = stpcpy(p, r & 0x800 ? "true" : r & 0x1000 ? "false" : "null");
	return p;
}

static void blanks(void)
{
	while (*in == ' ' || *in == '\n' || *in == '\t')
		in++;
}

static const char *parse_string(void)
{
	char *start = strings + used_strings, *to = start;
	for (in++; *in != '"'; in++) {
		if (*in == '\\') {
			in++;
			*to++ = *in == 'n' ? '\n' : *in;
		} else
			*to++ = *in;
	}
	in++;
	*to++ = 0;
	used_strings += (size_t)(to - start);
	return start;
}

static NOIPA struct node *parse(void)
{
	struct node *node = &nodes[used_nodes++], **link = &node->child;
	memset(node, 0, sizeof *node);
	blanks();
	switch (*in) {
	case '{':
	case '[': {
		char close = *in == '{' ? '}' : ']';
		node->kind = *in == '{' ? OBJECT : ARRAY;
		in++;
		while (*in != close) {
			const char *name = NULL;
			blanks();
			if (node->kind == OBJECT) {
				name = parse_string();
				blanks();
				in++;
			}
			*link = parse();
			(*link)->name = name;
			link = &(*link)->next;
			blanks();
			if (*in == ',')
				in++;
		}
		in++;
		break;
	}
	case '"':
		node->kind = STRING;
		node->string = parse_string();
		break;
	case 't':
		node->kind = TRUE;
		in += 4;
		break;
	case 'f':
		node->kind = FALSE;
		in += 5;
		break;
	case 'n':
		node->kind = NUL;
		in += 4;
		break;
	default: {
		char *end;
		node->kind = NUMBER;
		node->number = strtod(in, &end);
		in = end;
	}
	}
	return node;
}

static void print_string(const char *s)
{
	*out++ = '"';
	for (; *s; s++) {
		if (*s == '"' || *s == '\\' || *s == '\n')
			*out++ = '\\';
		*out++ = *s == '\n' ? 'n' : *s;
	}
	*out++ = '"';
}

static NOIPA void print(const struct node *node)
{
	static const char *const plain[] = {"null", "true", "false"};
	switch (node->kind) {
	case NUMBER:
		out += sprintf(out, "%.10g", node->number);
		break;
	case STRING:
		print_string(node->string);
		break;
	case ARRAY:
	case OBJECT:
		*out++ = node->kind == ARRAY ? '[' : '{';
		for (const struct node *c = node->child; c; c = c->next) {
			if (c->name) {
				print_string(c->name);
				*out++ = ':';
			}
			print(c);
			if (c->next)
				*out++ = ',';
		}
		*out++ = node->kind == ARRAY ? ']' : '}';
		break;
	default:
		out = stpcpy(out, plain[node->kind]);
	}
}

int main(int argc, char **argv)
{
	unsigned long n = bench_args("json", argc, argv, 280);
	uint64_t s = 31, sum = 0;
	size_t size = (size_t)(generate(document, &s, 5) - document);
	document[size] = 0;
	bench_begin();
	for (unsigned long i = 0; i < n; i++) {
		used_nodes = used_strings = 0;
		in = document;
		out = printed;
		print(parse());
		if ((size_t)(out - printed) != size || memcmp(printed, document, size))
			return 3;
		sum = sum * 31 + used_nodes * 7 + used_strings + (unsigned char)printed[(i * 7919) % size];
	}
	return bench_end(sum);
}
