/*
 * A random Dune program: `dune SEED ACTIONS MICROSECONDS`. Everything is computed twice, in memory that stays as it is and where entries come and go, in ring 0 or 3, under an
 * interval timer and interprocessor interrupts; both must come to the same. What it prints depends on the seed alone.
 */
#define _GNU_SOURCE
#include "jit.h"
#include "libdune/dune.h"
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ROUNDS = 200, CODE_PAGES = JIT_BYTES / 4096, MOST_THREADS = 3, SPACES = MOST_THREADS + 1, PING = 0xa1, QUIET = 0x77 };
#define REGION 0x300000000ul
#define SPACE_BYTES 0x100000ul

/* Windows of a thread: what it computes with, and the same for good. Of each page of the windows there are two frames, of which one is mapped. */
struct space {
    struct random random;
    uint8_t *code, *buffer, *reference_code, *reference_buffer;
    uint8_t *frames[CODE_PAGES + BUFFER_PAGES][2];
    unsigned mapped[CODE_PAGES + BUFFER_PAGES];
    ptent_t *entries[CODE_PAGES + BUFFER_PAGES];
    uint64_t sum;
    int ready;
};
static struct space spaces[SPACES];
static ptent_t *second_root;
static unsigned interval = 1000;
static volatile unsigned pings, alarms;
static volatile unsigned skip;
static uint64_t user_result;

static void fail(const char *what) {
    dune_printf("failed: %s\n", what);
    syscall(SYS_exit_group, 3);
}
static void fold(struct space *space, uint64_t value) { space->sum = (space->sum ^ value) * 0x100000001b3ull, space->sum ^= space->sum >> 31; }
static void invalidate(void *at) { dune_flush_tlb_one((unsigned long)at); }
static uint8_t *frame(void) {
    struct page *page = dune_page_alloc();
    if (!page) fail("page");
    return (uint8_t *)dune_page2pa(page);
}
static uint8_t *window_page(struct space *space, unsigned page) { return page < CODE_PAGES ? space->code + page * 4096 : space->buffer + (page - CODE_PAGES) * 4096; }
/* C functions use vector registers, which belong to the code that was interrupted. */
static void copy_page(uint8_t *to, const uint8_t *from) {
    unsigned long count = 4096;
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(count)::"memory");
}
static void map(struct space *space, unsigned page, ptent_t rights) { *space->entries[page] = (physaddr_t)space->frames[page][space->mapped[page]] | rights; }

static void prepare(struct space *space) {
    if (space->ready) return;
    uint8_t *base = (uint8_t *)REGION + (space - spaces) * SPACE_BYTES;
    space->code = base, space->buffer = base + 0x10000, space->reference_code = base + 0x20000, space->reference_buffer = base + 0x30000;
    for (unsigned page = 0; page < CODE_PAGES + BUFFER_PAGES; page++) {
        uint8_t *at = window_page(space, page);
        for (int i = 0; i < 2; i++) space->frames[page][i] = frame();
        if (dune_vm_map_phys(pgroot, at, PGSIZE, space->frames[page][0], PERM_R | PERM_W | PERM_X | PERM_U)) fail("window");
        if (dune_vm_map_phys(pgroot, at + 0x20000, PGSIZE, frame(), PERM_R | PERM_W | PERM_X | PERM_U)) fail("window");
        if (dune_vm_lookup(pgroot, at, CREATE_NORMAL, &space->entries[page])) fail("entry");
    }
    for (unsigned i = 0; i < BUFFER_BYTES; i += 8) *(uint64_t *)(space->buffer + i) = next(&space->random);
    space->ready = 1;
}

/* ---- faults, exceptions, interrupts (#DB and #BP are Linux's in Dune mode) */

static void page_fault(uintptr_t address, uint64_t error, struct dune_tf *tf) {
    struct space *space = &spaces[(address - REGION) / SPACE_BYTES];
    uintptr_t offset = (address - REGION) % SPACE_BYTES;
    unsigned page = offset < 0x10000 ? offset / 4096 : CODE_PAGES + (offset - 0x10000) / 4096;
    if (address < REGION || space >= spaces + SPACES || page >= CODE_PAGES + BUFFER_PAGES) {
        dune_printf("page fault at %lx, error %lx, rip %lx\n", address, error, tf->rip);
        fail("fault");
    }
    /* Its twin takes its place, now and then. */
    if (one_in(&space->random, 3)) {
        copy_page(space->frames[page][!space->mapped[page]], space->frames[page][space->mapped[page]]);
        space->mapped[page] ^= 1;
    }
    ptent_t rights = PTE_P | PTE_U | (error & FEC_W || page < CODE_PAGES || one_in(&space->random, 2) ? PTE_W : 0) | (error & FEC_I || page < CODE_PAGES ? 0 : PTE_NX);
    map(space, page, rights | (one_in(&space->random, 4) ? PTE_A | PTE_D : 0));
    invalidate(window_page(space, page));
    if (one_in(&space->random, 6)) dune_flush_tlb();
}
static void on_exception(struct dune_tf *tf) { tf->rip += skip, tf->rbx = tf->rbx * 3 + 1, tf->rflags ^= 0x8d5; }
static void on_quiet(struct dune_tf *tf) { tf->rbx += 7; }
static void on_ping(struct dune_tf *tf) { (void)tf, pings++, dune_apic_eoi(); }
static uint8_t disturbance[BUFFER_BYTES] __attribute__((aligned(64)));
static function *disturb;
static void on_alarm(int signal) { (void)signal, alarms++, disturb(disturbance, alarms); }
static void set_timer(struct random *random) {
    struct itimerval timer = {{0, interval * (1 + below(random, 10))}, {0, interval}};
    setitimer(ITIMER_REAL, &timer, 0);
}

/* ---- ring 3 */

static uint8_t user_stack[16 * 4096] __attribute__((aligned(4096)));
void user_done(void);
__asm__("user_done: mov %rax, %rdi; mov $60, %eax; syscall; ud2");
static void system_call(struct dune_tf *tf) {
    if (tf->rax != SYS_exit) {
        dune_passthrough_syscall(tf);
        return;
    }
    user_result = ARG0(tf);
    dune_ret_from_user(0);
}
static uint64_t in_ring_3(function *code, uint8_t *buffer, uint64_t seed) {
    struct dune_tf tf = {.rip = (uint64_t)code, .rdi = (uint64_t)buffer, .rsi = seed, .rflags = 0x202};
    uint64_t *top = (uint64_t *)(user_stack + sizeof user_stack - 64);
    *--top = (uint64_t)user_done;
    tf.rsp = (uint64_t)top;
    dune_jump_to_user(&tf);
    return user_result;
}

/* ---- actions */

static void write_code(struct space *space) { write_function(&space->random, space->code, ROUNDS, one_in(&space->random, 2)); }
static void protect(struct space *space) {
    for (unsigned page = 0; page < CODE_PAGES + BUFFER_PAGES; page++)
        if (one_in(&space->random, 2)) {
            map(space, page, one_in(&space->random, 2) ? 0 : PTE_P | PTE_U | (page < CODE_PAGES && one_in(&space->random, 2) ? PTE_NX : 0));
            invalidate(window_page(space, page));
        }
}
static void restore(struct space *space) {
    for (unsigned page = 0; page < CODE_PAGES + BUFFER_PAGES; page++) map(space, page, PTE_P | PTE_W | PTE_U), invalidate(window_page(space, page));
}
/* The function in `code`, once for reference and once in earnest. */
static void compare(struct space *space, int ring) {
    uint64_t seed = next(&space->random), expected, got;
    memcpy(space->reference_code, space->code, JIT_BYTES), memcpy(space->reference_buffer, space->buffer, BUFFER_BYTES);
    expected = ((function *)space->reference_code)(space->reference_buffer, seed);
    protect(space);
    got = ring == 3 ? in_ring_3((function *)space->code, space->buffer, seed) : ((function *)space->code)(space->buffer, seed);
    restore(space);
    if (got != expected) fail("result");
    if (memcmp(space->buffer, space->reference_buffer, BUFFER_BYTES)) fail("memory");
    if (memcmp(space->code, space->reference_code, JIT_BYTES)) fail("code");
    fold(space, got);
    space->sum = hash(space->sum, space->buffer, BUFFER_BYTES);
}
static void compute(struct space *space, int rings) {
    if (one_in(&space->random, 2)) write_code(space);
    for (unsigned times = 1 + below(&space->random, 3); times > 0; times--) compare(space, rings && one_in(&space->random, 2) ? 3 : 0);
}
static void other_root(struct space *space) {
    unsigned long first = read_cr3(), keep = one_in(&space->random, 2) ? CR3_NOFLUSH : 0;
    load_cr3((unsigned long)second_root | 2 | keep);
    dune_invpcid(INVPCID_CONTEXT, 2, 0);
    /* Its lower tables are its own: what the windows show there is what stood there when it was made. */
    fold(space, ((function *)space->reference_code)(space->reference_buffer, next(&space->random)));
    load_cr3(first | keep);
    space->sum = hash(space->sum, space->reference_buffer, BUFFER_BYTES);
}
static void exceptions(struct space *space) {
    static const struct {
        unsigned length, skip;
        uint8_t bytes[4];
    } kinds[] = {{2, 2, {0x0f, 0x0b}}, {3, 3, {0x48, 0xf7, 0xf1}}, {2, 0, {0xcd, QUIET}}, {4, 4, {0x0f, 0x28, 0x4f, 0x01}}};
    unsigned kind = below(&space->random, 4);
    uint8_t *at = space->code;
    uint32_t rounds = 1 + below(&space->random, 60);
    /* PUSH RBX; XOR ECX, ECX; MOV RBX, RSI; MOV RAX, RSI; SUB EDX, EDX; MOV R8D, rounds; loop: what faults; LAHF; ADD RBX, RAX; DEC R8D; JNZ; MOV RAX, RBX; POP RBX; RET */
    memcpy(at, (uint8_t[]){0x53, 0x31, 0xc9, 0x48, 0x89, 0xf3, 0x48, 0x89, 0xf0, 0x29, 0xd2, 0x41, 0xb8}, 13), at += 13;
    memcpy(at, &rounds, 4), at += 4;
    uint8_t *top = at;
    memcpy(at, kinds[kind].bytes, kinds[kind].length), at += kinds[kind].length;
    memcpy(at, (uint8_t[]){0x9f, 0x48, 0x01, 0xc3, 0x41, 0xff, 0xc8, 0x75}, 8), at += 8;
    *at = top - at - 1, at++;
    memcpy(at, (uint8_t[]){0x48, 0x89, 0xd8, 0x5b, 0xc3}, 5);
    skip = kinds[kind].skip;
    compare(space, one_in(&space->random, 2) && kind != 2 ? 3 : 0);
    write_code(space);
}
/* Memory of Linux, which EPT entries follow. */
static void kernel_memory(struct space *space) {
    uint8_t *at = mmap(0, BUFFER_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) fail("mmap");
    memcpy(at, space->buffer, BUFFER_BYTES), memcpy(space->reference_buffer, at, BUFFER_BYTES);
    for (unsigned times = 1 + below(&space->random, 3); times > 0; times--) {
        unsigned page = below(&space->random, BUFFER_PAGES) * 4096;
        if (one_in(&space->random, 2)) madvise(at + page, 4096, MADV_DONTNEED), memset(space->reference_buffer + page, 0, 4096);
        else if (mmap(at + page, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED) fail("mmap");
        else memset(space->reference_buffer + page, 0, 4096);
        if (memcmp(at, space->reference_buffer, BUFFER_BYTES)) fail("kernel's memory");
        at[page] = 1, space->reference_buffer[page] = 1;
    }
    fold(space, ((function *)space->reference_code)(at, next(&space->random)));
    space->sum = hash(space->sum, at, BUFFER_BYTES);
    munmap(at, BUFFER_BYTES);
}

struct worker {
    pthread_t thread;
    struct space *space;
    sem_t *turn, *done;
    unsigned times;
    volatile uint32_t apic;
};
static uint8_t *common;
static void *work(void *argument) {
    struct worker *worker = argument;
    if (dune_enter()) fail("dune_enter");
    __asm__ volatile("sti");
    worker->apic = dune_apic_id();
    for (unsigned i = 0; i < worker->times; i++) compute(worker->space, 0);
    sem_wait(worker->turn);
    return 0;
}
static void threads(struct space *space) {
    struct worker workers[MOST_THREADS];
    unsigned count = 1 + below(&space->random, MOST_THREADS);
    sem_t end;
    sem_init(&end, 0, 0);
    for (unsigned i = 0; i < count; i++) {
        workers[i] = (struct worker){.space = &spaces[i + 1], .turn = &end, .times = 1 + below(&space->random, 3), .apic = -1u};
        spaces[i + 1].random.state = next(&space->random), spaces[i + 1].sum = 0;
        write_code(&spaces[i + 1]);
        for (unsigned word = 0; word < BUFFER_BYTES; word += 8) *(uint64_t *)(spaces[i + 1].buffer + word) = next(&spaces[i + 1].random);
        if (pthread_create(&workers[i].thread, 0, work, &workers[i])) fail("pthread_create");
    }
    for (unsigned sent = below(&space->random, 12); sent > 0; sent--) {
        for (volatile unsigned wait = below(&space->random, 2000); wait > 0; wait--);
        uint32_t target = workers[below(&space->random, count)].apic;
        if (target != -1u) dune_apic_send_ipi(PING, target);
        sched_yield();
    }
    for (unsigned i = 0; i < count; i++) sem_post(&end);
    for (unsigned i = 0; i < count; i++) pthread_join(workers[i].thread, 0), fold(space, spaces[i + 1].sum);
}
static void *writer(void *argument) {
    struct worker *worker = argument;
    if (dune_enter()) fail("dune_enter");
    for (unsigned i = 0; i < worker->times; i++) {
        sem_wait(worker->turn);
        write_function(&worker->space->random, common, 100, 1);
        sem_post(worker->done);
    }
    return 0;
}
static void cross_modify(struct space *space) {
    sem_t turn, done;
    sem_init(&turn, 0, 0), sem_init(&done, 0, 0);
    struct worker worker = {.space = &spaces[1], .times = 1 + below(&space->random, 6), .turn = &turn, .done = &done};
    spaces[1].random.state = next(&space->random);
    pthread_create(&worker.thread, 0, writer, &worker);
    for (unsigned i = 0; i < worker.times; i++) {
        sem_post(&turn), sem_wait(&done);
        for (unsigned times = 1 + below(&space->random, 20); times > 0; times--) fold(space, ((function *)common)(space->buffer, next(&space->random)));
    }
    pthread_join(worker.thread, 0);
}
static void act(struct space *space, unsigned depth);
static void child(struct space *space, unsigned depth) {
    int channel[2], status;
    if (pipe(channel)) fail("pipe");
    uint64_t seed = next(&space->random), got = 0;
    pid_t pid = fork();
    if (pid < 0) fail("fork");
    if (pid == 0) {
        if (dune_enter()) fail("dune_enter");
        space->random.state = seed, space->sum = seed;
        set_timer(&space->random);
        for (unsigned actions = 1 + below(&space->random, 3); actions > 0; actions--) act(space, depth + 1);
        if (write(channel[1], &space->sum, 8) != 8) fail("write");
        _exit(space->sum & 0x7f);
    }
    compute(space, 1);
    close(channel[1]);
    while (read(channel[0], &got, 8) < 0);
    while (waitpid(pid, &status, 0) < 0);
    close(channel[0]);
    fold(space, got), fold(space, status);
}
static void act(struct space *space, unsigned depth) {
    static const char *const names[] = {"compute", "compute", "root", "exceptions", "memory", "threads", "cross", "timer", "child"};
    unsigned kind = below(&space->random, depth == 0 ? 9 : 8);
    switch (kind) {
    case 0: case 1: compute(space, 1); break;
    case 2: other_root(space); break;
    case 3: exceptions(space); break;
    case 4: kernel_memory(space); break;
    case 5: threads(space); break;
    case 6: cross_modify(space); break;
    case 7: set_timer(&space->random); break;
    default: child(space, depth);
    }
    if (depth == 0) printf("%s %016llx\n", names[kind], (unsigned long long)space->sum), fflush(stdout);
}

int main(int count, char **arguments) {
    struct space *space = &spaces[0];
    uint64_t seed = count > 1 ? strtoull(arguments[1], 0, 0) : 1;
    unsigned actions = count > 2 ? atoi(arguments[2]) : 20;
    if (count > 3) interval = atoi(arguments[3]);
    disturb = mmap(0, JIT_BYTES, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct random other = {seed ^ 0x5555};
    write_function(&other, (uint8_t *)disturb, 8, 0);
    if (dune_init_and_enter()) return 2;
    dune_register_pgflt_handler(page_fault);
    dune_register_syscall_handler(system_call);
    const int vectors[] = {0, 6, 13};
    for (int i = 0; i < 3; i++) dune_register_intr_handler(vectors[i], on_exception);
    dune_register_intr_handler(PING, on_ping), dune_register_intr_handler(QUIET, on_quiet);
    dune_signal(SIGALRM, on_alarm);
    for (unsigned i = 0; i < SPACES; i++) spaces[i].random.state = seed + i, prepare(&spaces[i]);
    common = spaces[1].reference_code;
    write_code(space);
    memcpy(space->reference_code, space->code, JIT_BYTES);
    second_root = dune_vm_clone(pgroot);
    if (!second_root) fail("dune_vm_clone");
    set_timer(&space->random);
    while (actions-- > 0) act(space, 0);
    printf("end %016llx\n", (unsigned long long)space->sum);
    return 0;
}
