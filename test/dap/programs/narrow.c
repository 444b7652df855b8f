/* 32-bit code with frames and variables of every kind. */
struct node {
    struct node *next;
    short value;
};

static struct node nodes[3] = { { &nodes[1], 10 }, { &nodes[2], -20 }, { 0, 30 } };
const char *message = "narrow";
long long wide = -5;

__attribute__((noinline)) int sum(const struct node *list)
{
    int total = 0;
    for (; list; list = list->next)
        total += list->value; /* adds */
    return total;
}

__attribute__((noinline)) int depth(int n, const struct node *list)
{
    int here = n * 3;
    if (n == 0)
        return sum(list); /* deepest */
    return depth(n - 1, list) + here; /* recursion */
}

int kernel_main(void)
{
    int status = depth(2, nodes); /* calls */
    return status;
}
