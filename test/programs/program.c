/*
 * A random Linux program: `program SEED ACTIONS MICROSECONDS`. What it prints depends on the seed alone, not on time, addresses or how threads take turns, so that a processor and a kernel
 * can be compared with any other. An interval timer interrupts it all the while, every so many microseconds or up to ten times that.
 */
#define _GNU_SOURCE
#include "jit.h"
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

enum { ROUNDS = 300, SLOTS = 6, PAGE = 4096, ALARM_STACK = 1 << 16 };

static struct random random_state;

static uint64_t sum;
/* Memory that functions compute on: a memfd, so that there may be aliases of it. */
static uint8_t *buffer;
static int buffer_file;
/* Functions: each slot is two pages. `code` may be written and executed; `alias` is the same memory, written only. */
static uint8_t *code, *alias;
static int code_file;
static unsigned filled, interval = 1000;

static void fail(const char *what) { perror(what), _exit(3); }
static void *check(void *at, const char *what) {
    if (at == MAP_FAILED) fail(what);
    return at;
}
static void fold(uint64_t value) { sum = (sum ^ value) * 0x100000001b3ull, sum ^= sum >> 31; }
static void fold_buffer(void) { sum = hash(sum, buffer, BUFFER_BYTES); }
static function *slot(unsigned index) { return (function *)(code + index * JIT_BYTES); }

static void block(int how) {
    sigset_t set;
    sigemptyset(&set), sigaddset(&set, SIGALRM);
    pthread_sigmask(how, &set, 0);
}
static void fill_buffer(uint8_t *at) {
    for (unsigned i = 0; i < BUFFER_BYTES; i += 8) {
        uint64_t value = next(&random_state);
        memcpy(at + i, &value, 8);
    }
}
static void write_slot(unsigned index, int changes_itself) {
    uint8_t *to = one_in(&random_state, 2) ? code : alias;
    write_function(&random_state, to + index * JIT_BYTES, ROUNDS, changes_itself);
    filled |= 1 << index;
}
static unsigned some_slot(void) {
    unsigned index = below(&random_state, SLOTS);
    if (!(filled >> index & 1)) write_slot(index, one_in(&random_state, 3));
    return index;
}

/* ---- the timer: handlers that use every register, on a stack of their own or not */

static uint8_t disturbance[BUFFER_BYTES] __attribute__((aligned(64)));
static function *disturb;
static volatile unsigned alarms;
static sigjmp_buf again;
static volatile int jumping;
static void on_alarm(int signal) {
    (void)signal;
    alarms++;
    disturb(disturbance, alarms);
    if (jumping && --jumping == 0) siglongjmp(again, 1);
}
static void set_timer(void) {
    unsigned microseconds = interval * (1 + below(&random_state, 10));
    struct itimerval timer = {.it_interval = {.tv_usec = microseconds}, .it_value = {.tv_usec = microseconds}};
    setitimer(ITIMER_REAL, &timer, 0);
}
static void set_alarm_handler(void) {
    struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_RESTART | (one_in(&random_state, 2) ? SA_ONSTACK : 0)};
    if (sigaction(SIGALRM, &action, 0)) fail("sigaction");
    set_timer();
}

/* ---- faults: the handler makes room, or goes elsewhere with other registers */

static struct random fault_random;
static volatile unsigned faults, steps;
/* Length of an instruction that is there to raise an exception. */
static volatile unsigned skip;
static uint64_t fault_sum;
static void fault_fold(uint64_t value) { fault_sum = (fault_sum ^ value) * 0x100000001b3ull; }
static void on_exception(int signal, siginfo_t *info, void *context);
static void on_fault(int signal, siginfo_t *info, void *context) {
    ucontext_t *user = context;
    greg_t *registers = user->uc_mcontext.gregs;
    uint8_t *address = info->si_addr;
    if (registers[REG_TRAPNO] == 13 && skip) {
        on_exception(signal, info, context);
        return;
    }
    faults++;
    if (address < buffer || address >= buffer + BUFFER_BYTES) {
        dprintf(2, "signal %d at %p, address %p\n", signal, (void *)registers[REG_RIP], info->si_addr);
        _exit(4);
    }
    unsigned page = (address - buffer) / PAGE;
    fault_fold(signal), fault_fold(info->si_code), fault_fold(registers[REG_TRAPNO]), fault_fold(registers[REG_ERR]), fault_fold(address - buffer);
    if (one_in(&fault_random, 3)) {
        /* What stands there changes, too. */
        uint8_t copy[PAGE];
        uint8_t *fresh = check(mmap(0, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, buffer_file, page * PAGE), "mmap");
        memcpy(copy, fresh, PAGE), copy[below(&fault_random, PAGE)]++, memcpy(fresh, copy, PAGE);
        munmap(fresh, PAGE);
        check(mmap(buffer + page * PAGE, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, buffer_file, page * PAGE), "mmap");
    } else if (mprotect(buffer + page * PAGE, PAGE, PROT_READ | (registers[REG_ERR] & 2 ? PROT_WRITE : 0)))
        check(mmap(buffer + page * PAGE, PAGE, PROT_READ, MAP_SHARED | MAP_FIXED, buffer_file, page * PAGE), "mmap");
}
static void on_trap(int signal, siginfo_t *info, void *context) {
    ucontext_t *user = context;
    greg_t *registers = user->uc_mcontext.gregs;
    steps++;
    if ((uint64_t)registers[REG_RIP] - (uint64_t)code < SLOTS * JIT_BYTES) {
        fault_fold(signal), fault_fold(info->si_code), fault_fold(registers[REG_TRAPNO]);
        fault_fold(registers[REG_RIP] - (greg_t)code), fault_fold(registers[REG_RAX]);
    }
    if (steps > 300) registers[REG_EFL] &= ~0x100;
}
/* Every other exception: over the instruction, with other registers, vector registers and flags. */
static void on_exception(int signal, siginfo_t *info, void *context) {
    ucontext_t *user = context;
    greg_t *registers = user->uc_mcontext.gregs;
    faults++;
    fold(signal), fold(info->si_code), fold(registers[REG_TRAPNO]), fold(registers[REG_ERR]), fold(registers[REG_RAX]);
    registers[REG_RIP] += skip;
    registers[REG_RBX] = registers[REG_RBX] * 3 + signal;
    registers[REG_EFL] ^= 0x8d5;
    /* SSE state is there, even if it was all zero. */
    ((uint64_t *)user->uc_mcontext.fpregs)[64] |= 2;
    user->uc_mcontext.fpregs->_xmm[5].element[1] ^= 0x12345678;
    user->uc_mcontext.fpregs->mxcsr = 0x1f80 | (registers[REG_RBX] & 3) << 13;
}

/* ---- actions */

static void compute(void) {
    unsigned index = some_slot();
    fold(slot(index)(buffer, next(&random_state)));
    fold_buffer();
}
static void change_code(void) {
    unsigned index = some_slot();
    switch (below(&random_state, 4)) {
    case 0: write_slot(index, 1); break;
    case 1: {
        /* Other memory in the same place. */
        unsigned other = some_slot();
        check(mmap(code + index * JIT_BYTES, JIT_BYTES, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_SHARED | MAP_FIXED, code_file, other * JIT_BYTES), "mmap");
        fold(slot(index)(buffer, next(&random_state)));
        check(mmap(code + index * JIT_BYTES, JIT_BYTES, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_SHARED | MAP_FIXED, code_file, index * JIT_BYTES), "mmap");
        break;
    }
    case 2: {
        /* The same memory in another place, then back. */
        void *to = check(mmap(0, JIT_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), "mmap");
        check(mremap(code + index * JIT_BYTES, JIT_BYTES, JIT_BYTES, MREMAP_MAYMOVE | MREMAP_FIXED, to), "mremap");
        fold(((function *)to)(buffer, next(&random_state)));
        check(mremap(to, JIT_BYTES, JIT_BYTES, MREMAP_MAYMOVE | MREMAP_FIXED, code + index * JIT_BYTES), "mremap");
        break;
    }
    default: {
        /* A private copy of code, which changes itself or is written again. */
        uint8_t *copy = check(mmap(0, JIT_BYTES, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE, code_file, index * JIT_BYTES), "mmap");
        uint64_t seed = next(&random_state);
        fold(((function *)copy)(buffer, seed));
        if (one_in(&random_state, 2)) write_function(&random_state, copy, ROUNDS, 1);
        fold(((function *)copy)(buffer, seed));
        munmap(copy, JIT_BYTES);
    }
    }
    fold(slot(index)(buffer, next(&random_state)));
    fold_buffer();
}
static void with_faults(void) {
    unsigned index = some_slot();
    for (unsigned times = 1 + below(&random_state, 4); times > 0; times--) {
        for (unsigned page = 0; page < BUFFER_PAGES; page++)
            if (one_in(&random_state, 2)) mprotect(buffer + page * PAGE, PAGE, one_in(&random_state, 2) ? PROT_NONE : PROT_READ);
        if (one_in(&random_state, 3)) munmap(buffer + below(&random_state, BUFFER_PAGES) * PAGE, PAGE);
        fault_random.state = next(&random_state);
        faults = 0, fault_sum = 0;
        fold(slot(index)(buffer, next(&random_state)));
        fold(faults), fold(fault_sum);
    }
    check(mmap(buffer, BUFFER_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, buffer_file, 0), "mmap");
    fold_buffer();
}
static void single_step(void) {
    unsigned index = some_slot();
    uint64_t seed = next(&random_state), result = 0;
    block(SIG_BLOCK);
    steps = 0, fault_sum = 0;
    __asm__ volatile("pushfq; orl $0x100, (%%rsp); popfq; call *%3; pushfq; andl $~0x100, (%%rsp); popfq"
                     : "+a"(result) : "D"(buffer), "S"(seed), "b"(slot(index)) : "rcx", "rdx", "r8", "r9", "r10", "r11", "cc", "memory",
                       "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "st");
    block(SIG_UNBLOCK);
    fold(result), fold(steps > 300), fold(fault_sum), fold_buffer();
}
static void exceptions(void) {
    static const struct {
        unsigned length;
        uint8_t bytes[12];
    } kinds[] = {{2, {0x0f, 0x0b}}, {3, {0x48, 0xf7, 0xf1}}, {1, {0xf4}}, {2, {0xcd, 0x77}}, {4, {0x0f, 0x28, 0x4f, 0x01}}, {2, {0x0f, 0xff}}};
    for (unsigned times = 1 + below(&random_state, 6); times > 0; times--) {
        unsigned kind = below(&random_state, 6);
        uint8_t *at = code + SLOTS * JIT_BYTES, *start = at;
        /* PUSH RBX; XOR ECX, ECX; MOV RBX, RSI; MOV RAX, RSI; SUB EDX, EDX; MOVQ XMM5, RSI; loop of: what faults; DEC of a counter; then RBX, XMM5, MXCSR and flags into RAX. */
        memcpy(at, (uint8_t[]){0x53, 0x31, 0xc9, 0x48, 0x89, 0xf3, 0x48, 0x89, 0xf0, 0x29, 0xd2, 0x66, 0x48, 0x0f, 0x6e, 0xee, 0x41, 0xb8}, 18), at += 18;
        uint32_t rounds = 1 + below(&random_state, 40);
        memcpy(at, &rounds, 4), at += 4;
        uint8_t *top = at;
        memcpy(at, kinds[kind].bytes, kinds[kind].length), at += kinds[kind].length;
        /* LAHF; ADD RBX, RAX; MOVQ R9, XMM5; ADD RBX, R9; DEC R8D; JNZ */
        memcpy(at, (uint8_t[]){0x9f, 0x48, 0x01, 0xc3, 0x66, 0x49, 0x0f, 0x7e, 0xe9, 0x4c, 0x01, 0xcb, 0x41, 0xff, 0xc8, 0x75}, 16), at += 16;
        *at = top - at - 1, at++;
        memcpy(at, (uint8_t[]){0x48, 0x89, 0xd8, 0x5b, 0xc3}, 5);
        block(SIG_BLOCK);
        skip = kinds[kind].length;
        fold(((function *)start)(buffer, next(&random_state)));
        skip = 0;
        block(SIG_UNBLOCK);
        uint32_t mxcsr;
        __asm__ volatile("stmxcsr %0" : "=m"(mxcsr));
        fold(mxcsr & 0x6000), mxcsr = 0x1f80;
        __asm__ volatile("ldmxcsr %0" ::"m"(mxcsr));
    }
}
/* A handler leaves by siglongjmp in the middle of a function; then it runs again from the start. */
static void jump_out(void) {
    unsigned index = some_slot();
    uint64_t seed = next(&random_state);
    uint8_t saved_code[JIT_BYTES];
    static uint8_t saved[BUFFER_BYTES];
    memcpy(saved_code, code + index * JIT_BYTES, JIT_BYTES), memcpy(saved, buffer, BUFFER_BYTES);
    if (sigsetjmp(again, 1) == 0) {
        jumping = 1 + below(&random_state, 3);
        for (int i = 0; i < 3; i++) slot(index)(buffer, seed + i);
    }
    jumping = 0;
    memcpy(alias + index * JIT_BYTES, saved_code, JIT_BYTES), memcpy(buffer, saved, BUFFER_BYTES);
    fold(slot(index)(buffer, seed)), fold_buffer();
}

/* ---- threads: each with memory of its own, one set of functions, some of which others write */

enum { MOST_THREADS = 4 };
struct worker {
    pthread_t thread;
    struct random random;
    uint64_t result;
    unsigned pokes;
    sem_t *turn, *done;
};
static atomic_ulong shared;
static atomic_uint poked;
static uint8_t *common;
static void on_poke(int signal) { (void)signal, poked++; }

/* MOV EAX, a number that another thread changes; CMP EAX, ESI; JNE back; ends when it is what the caller waits for. The number is aligned. */
static const uint8_t waiting[] = {0x90, 0x90, 0x90, 0xb8, 0, 0, 0, 0, 0x39, 0xf0, 0x75, 0xf7, 0xc3};

static void *work(void *argument) {
    struct worker *worker = argument;
    static __thread uint8_t own[BUFFER_BYTES] __attribute__((aligned(64)));
    uint8_t *mine = check(mmap(0, JIT_BYTES, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), "mmap");
    for (unsigned rounds = 1 + below(&worker->random, 3); rounds > 0; rounds--) {
        write_function(&worker->random, mine, ROUNDS, 1);
        for (unsigned times = 1 + below(&worker->random, 4); times > 0; times--) {
            worker->result = worker->result * 31 + ((function *)mine)(own, next(&worker->random));
            worker->result = hash(worker->result, own, BUFFER_BYTES);
            atomic_fetch_add(&shared, worker->result & 0xffff);
            if (one_in(&worker->random, 2)) sched_yield();
        }
    }
    munmap(mine, JIT_BYTES);
    sem_wait(worker->turn);
    return 0;
}
static void threads(void) {
    struct worker workers[MOST_THREADS];
    sem_t end;
    sem_init(&end, 0, 0);
    unsigned count = 1 + below(&random_state, MOST_THREADS);
    atomic_store(&shared, 0), atomic_store(&poked, 0);
    for (unsigned i = 0; i < count; i++) {
        workers[i] = (struct worker){.random = {next(&random_state)}, .turn = &end};
        if (pthread_create(&workers[i].thread, 0, work, &workers[i])) fail("pthread_create");
    }
    unsigned pokes = 0;
    for (unsigned i = 0; i < count; i++)
        if (one_in(&random_state, 2) && pthread_kill(workers[i].thread, SIGUSR1) == 0) {
            pokes++;
            while (atomic_load(&poked) < pokes) sched_yield();
        }
    uint64_t all = 0;
    for (unsigned i = 0; i < count; i++) sem_post(&end);
    for (unsigned i = 0; i < count; i++) pthread_join(workers[i].thread, 0), all += workers[i].result;
    fold(all), fold(atomic_load(&shared));
}
/* One thread writes a function, the other calls it: in turns. */
static void *writer(void *argument) {
    struct worker *worker = argument;
    for (unsigned i = 0; i < worker->pokes; i++) {
        sem_wait(worker->turn);
        write_function(&worker->random, common, 100, 1);
        sem_post(worker->done);
    }
    return 0;
}
static void cross_modify(void) {
    sem_t turn, done;
    sem_init(&turn, 0, 0), sem_init(&done, 0, 0);
    struct worker worker = {.random = {next(&random_state)}, .pokes = 1 + below(&random_state, 8), .turn = &turn, .done = &done};
    pthread_create(&worker.thread, 0, writer, &worker);
    for (unsigned i = 0; i < worker.pokes; i++) {
        sem_post(&turn), sem_wait(&done);
        __asm__ volatile("cpuid" ::"a"(0) : "rbx", "rcx", "rdx", "memory");
        for (unsigned times = 1 + below(&random_state, 20); times > 0; times--) fold(((function *)common)(buffer, next(&random_state)));
    }
    pthread_join(worker.thread, 0);
    fold_buffer();
}
static void *changer(void *argument) {
    struct worker *worker = argument;
    _Atomic uint32_t *number = (_Atomic uint32_t *)(common + 4);
    for (unsigned i = 1; i <= worker->pokes; i++) {
        for (unsigned wait = below(&worker->random, 3000); wait > 0; wait--) __asm__ volatile("pause");
        atomic_store(number, i);
    }
    return 0;
}
/* One changes the code that the others are in the middle of. */
static void race(void) {
    memcpy(common, waiting, sizeof waiting);
    struct worker worker = {.random = {next(&random_state)}, .pokes = 1 + below(&random_state, 40)};
    pthread_create(&worker.thread, 0, changer, &worker);
    fold(((function *)common)(buffer, worker.pokes));
    pthread_join(worker.thread, 0);
}

/* ---- memory */

static void memory(void) {
    unsigned pages = 1 + below(&random_state, 12);
    uint8_t *at = check(mmap(0, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), "mmap");
    for (unsigned page = 0; page < pages; page++) memset(at + page * PAGE, next(&random_state), below(&random_state, PAGE));
    switch (below(&random_state, 4)) {
    case 0: madvise(at + below(&random_state, pages) * PAGE, PAGE, MADV_DONTNEED); break;
    case 1:
        at = check(mremap(at, pages * PAGE, 2 * pages * PAGE, MREMAP_MAYMOVE), "mremap");
        pages *= 2;
        break;
    case 2: check(mmap(at + below(&random_state, pages) * PAGE, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0), "mmap"); break;
    default: check(mmap(at, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, buffer_file, below(&random_state, BUFFER_PAGES) * PAGE), "mmap"), at[5]++;
    }
    sum = hash(sum, at, pages * PAGE);
    munmap(at, pages * PAGE);
    if (one_in(&random_state, 2)) {
        /* Another mapping of the buffer, at the same time. */
        uint8_t *second = check(mmap(0, BUFFER_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, buffer_file, 0), "mmap");
        unsigned index = some_slot();
        fold(slot(index)(second, next(&random_state)));
        munmap(second, BUFFER_BYTES);
    }
    fold_buffer();
}

static void act(unsigned depth);
static void child(unsigned depth) {
    int channel[2];
    if (pipe(channel)) fail("pipe");
    uint64_t seed = next(&random_state);
    /* Memory that is shared becomes a copy for the child, so that the two do not meet. */
    int file = memfd_create("buffer", 0), code2 = memfd_create("code", 0);
    if (write(file, buffer, BUFFER_BYTES) < 0 || write(code2, code, (SLOTS + 1) * JIT_BYTES) < 0) fail("write");
    pid_t pid = fork();
    if (pid < 0) fail("fork");
    if (pid == 0) {
        random_state.state = seed, sum = seed;
        check(mmap(buffer, BUFFER_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file, 0), "mmap");
        check(mmap(code, (SLOTS + 1) * JIT_BYTES, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_SHARED | MAP_FIXED, code2, 0), "mmap");
        check(mmap(alias, (SLOTS + 1) * JIT_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, code2, 0), "mmap");
        buffer_file = file, code_file = code2;
        set_timer();
        for (unsigned actions = 1 + below(&random_state, 4); actions > 0; actions--) act(depth + 1);
        if (write(channel[1], &sum, 8) != 8) fail("write");
        _exit(sum & 0x7f);
    }
    uint64_t got = 0;
    int status;
    fold(slot(some_slot())(buffer, next(&random_state)));
    close(channel[1]), close(file), close(code2);
    while (read(channel[0], &got, 8) < 0);
    while (waitpid(pid, &status, 0) < 0);
    close(channel[0]);
    fold(got), fold(status), fold_buffer();
}

static void act(unsigned depth) {
    static const char *const names[] = {"compute", "code", "faults", "step", "exceptions", "jump", "threads", "cross", "race", "memory", "child", "handler"};
    unsigned kind = below(&random_state, depth < 2 ? 12 : 10);
    switch (kind) {
    case 0: compute(); break;
    case 1: change_code(); break;
    case 2: with_faults(); break;
    case 3: single_step(); break;
    case 4: exceptions(); break;
    case 5: jump_out(); break;
    case 6: threads(); break;
    case 7: cross_modify(); break;
    case 8: race(); break;
    case 9: memory(); break;
    case 10: child(depth); break;
    default: set_alarm_handler();
    }
    if (depth == 0) printf("%s %016llx\n", names[kind], (unsigned long long)sum), fflush(stdout);
}

int main(int count, char **arguments) {
    random_state.state = count > 1 ? strtoull(arguments[1], 0, 0) : 1;
    unsigned actions = count > 2 ? atoi(arguments[2]) : 20;
    if (count > 3) interval = atoi(arguments[3]);
    buffer_file = memfd_create("buffer", 0), code_file = memfd_create("code", 0);
    if (buffer_file < 0 || code_file < 0 || ftruncate(buffer_file, BUFFER_BYTES) || ftruncate(code_file, (SLOTS + 1) * JIT_BYTES)) fail("memfd");
    buffer = check(mmap(0, BUFFER_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, buffer_file, 0), "mmap");
    code = check(mmap(0, (SLOTS + 1) * JIT_BYTES, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_SHARED, code_file, 0), "mmap");
    alias = check(mmap(0, (SLOTS + 1) * JIT_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, code_file, 0), "mmap");
    common = check(mmap(0, JIT_BYTES, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), "mmap");
    disturb = check(mmap(0, JIT_BYTES, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), "mmap");
    struct random other = {random_state.state ^ 0x5555};
    write_function(&other, (uint8_t *)disturb, 8, 0);
    stack_t stack = {.ss_sp = malloc(ALARM_STACK), .ss_size = ALARM_STACK};
    sigaltstack(&stack, 0);
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_NODEFER | (one_in(&random_state, 2) ? SA_ONSTACK : 0)};
    sigaction(SIGSEGV, &action, 0), sigaction(SIGBUS, &action, 0);
    action.sa_sigaction = on_trap, action.sa_flags &= ~SA_NODEFER, sigaction(SIGTRAP, &action, 0);
    action.sa_sigaction = on_exception, sigaction(SIGILL, &action, 0), sigaction(SIGFPE, &action, 0);
    struct sigaction poke = {.sa_handler = on_poke, .sa_flags = SA_RESTART};
    sigaction(SIGUSR1, &poke, 0);
    fill_buffer(buffer);
    set_alarm_handler();
    while (actions-- > 0) act(0);
    printf("end %016llx\n", (unsigned long long)sum);
    return 0;
}
