/*
 * Values of every kind in nested frames. The program stops for nobody: at `snapshot` it writes its registers and memory to
 * the file argv[1], and on stdout says what a debugger must see there: "frame|variable|text".
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

extern void snapshot(void);
uint64_t snapshot_registers[18];
static const char *snapshot_path;

static void put(FILE *to, uint64_t value) { fwrite(&value, 8, 1, to); }

/* Registers 0..16 by DWARF number, FS base, then areas: address, length, bytes. */
void snapshot_write(void)
{
    unsigned long fs = 0;
    char line[512];
    FILE *to = fopen(snapshot_path, "wb");
    FILE *maps = fopen("/proc/self/maps", "r");
    if (!to || !maps)
        exit(2);
    syscall(SYS_arch_prctl, 0x1003, &fs);
    snapshot_registers[17] = fs;
    fwrite(snapshot_registers, 8, 18, to);
    while (fgets(line, sizeof line, maps)) {
        unsigned long low, high;
        char rights[5];
        if (sscanf(line, "%lx-%lx %4s", &low, &high, rights) != 3 || rights[0] != 'r' || strstr(line, "[v"))
            continue;
        put(to, low);
        put(to, high - low);
        fwrite((void *)low, 1, high - low, to);
    }
    fclose(maps);
    fclose(to);
}

typedef unsigned long long u64_t;
enum color { RED, GREEN = 5, BLUE };
enum rights { READ = 1, WRITE = 2, EXECUTE = 4 };
typedef int (*operation)(int, int);

struct flags {
    unsigned present : 1;
    unsigned writable : 1;
    int delta : 6;
    unsigned long frame : 40;
    enum color shade : 4;
};

struct node {
    int key;
    const char *label;
    struct node *next;
    union {
        float single;
        uint32_t raw;
    };
    struct {
        short x, y;
    } at;
    unsigned char bytes[6];
};

struct opaque;

int global_counter = 1234567;
static double static_ratio = 0.125;
const char *global_text = "tab\there \"quoted\"";
int matrix[2][3] = {{1, 2, 3}, {4, 5, 6}};
__thread int per_thread = 77;
volatile int sink;

static int add(int a, int b) { return a + b; }

static inline __attribute__((always_inline)) int twice(int operand)
{
    int doubled = operand * 2;
    sink = doubled;
    snapshot();
    return doubled + sink;
}

__attribute__((noinline)) int inner(int depth, struct node *head, u64_t wide, const char *text)
{
    struct flags bits = {1, 0, -7, 0xabcdef0123UL, BLUE};
    enum rights access = READ | EXECUTE;
    enum color paint = GREEN;
    operation op = add;
    char word[12] = "hello";
    signed char small = -3;
    unsigned short port = 0xbeef;
    long double extended = 2.5L;
    float single = 1.1f;
    double numbers[3] = {1.5, -2.25, 1e100};
    _Bool truth = 1;
    int variable[depth + 2];
    static int calls = 41;
    struct opaque *hidden = (struct opaque *)0;
    int64_t negative = -5000000000LL;
    for (int index = 0; index < depth + 2; index++)
        variable[index] = index * index;
    calls++;
    printf("inner|depth|%d\n", depth);
    printf("inner|head->label|0x%lx \"first\"\n", (unsigned long)head->label);
    printf("inner|*head|{key = 7, label = 0x%lx \"first\", next = 0x%lx, {single = 3.5, raw = 1080033280}, at = {x = -1, y = 2}, bytes = \"abc\"}\n",
           (unsigned long)head->label, (unsigned long)head->next);
    printf("inner|head->next->key|8\n");
    printf("inner|wide|%llu\n", wide);
    printf("inner|text|0x%lx \"text\"\n", (unsigned long)text);
    printf("inner|bits|{present = 1, writable = 0, delta = -7, frame = 737894400291, shade = BLUE (6)}\n");
    printf("inner|access|READ | EXECUTE (5)\n");
    printf("inner|paint|GREEN (5)\n");
    printf("inner|op|0x%lx <add>\n", (unsigned long)op);
    printf("inner|word|\"hello\"\n");
    printf("inner|small|-3 '\\xfd'\n");
    printf("inner|port|48879\n");
    printf("inner|extended|2.5\n");
    printf("inner|single|1.1\n");
    printf("inner|numbers|{1.5, -2.25, 1e+100}\n");
    printf("inner|truth|true\n");
    printf("inner|variable|{0, 1, 4, 9, 16}\n");
    printf("inner|calls|42\n");
    printf("inner|hidden|NULL\n");
    printf("inner|negative|-5000000000\n");
    int result = twice(depth + 18);
    sink = bits.present + access + paint + op(1, 2) + word[0] + small + port + truth + variable[depth] + (hidden != 0) + (negative > 0) +
           (int)(extended + single + numbers[1]) + head->key + (int)wide + text[0];
    return result;
}

__attribute__((noinline)) int outer(long argument)
{
    struct node second = {.key = 8, .label = "second"};
    struct node first = {.key = 7, .label = "first", .next = &second, .single = 3.5f, .at = {-1, 2}, .bytes = "abc"};
    int local = (int)argument * 3;
    {
        int block = local + 1;
        sink = block;
        printf("outer|block|%d\n", block);
        printf("outer|local|%d\n", local);
        printf("outer|argument|%ld\n", argument);
        sink += inner(3, &first, 0xfedcba9876543210ULL, "text");
        sink += block;
    }
    return sink + local + first.key;
}

int main(int argc, char **argv)
{
    snapshot_path = argc > 1 ? argv[1] : "/dev/null";
    printf("main|argc|%d\n", argc);
    printf("main|global_counter|1234567\n");
    printf("main|static_ratio|%g\n", static_ratio);
    printf("main|global_text|0x%lx \"tab\\there \\\"quoted\\\"\"\n", (unsigned long)global_text);
    printf("main|matrix|{{1, 2, 3}, {4, 5, 6}}\n");
    printf("main|per_thread|%d\n", per_thread);
    sink = outer(argc * 10);
    static_ratio += sink;
    return per_thread + global_counter > 0 ? 0 : 1;
}
