/* Random machine code: functions of a page or two that compute on registers and a buffer. Only defined flags and results are used, so that every processor agrees. */
#include <stdint.h>
#include <string.h>

enum { JIT_BYTES = 8192, BUFFER_PAGES = 8, BUFFER_BYTES = BUFFER_PAGES * 4096 };
typedef uint64_t function(uint8_t *buffer, uint64_t seed);

struct random {
    uint64_t state;
};
static inline uint64_t next(struct random *random) {
    uint64_t x = random->state += 0x9e3779b97f4a7c15ull;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ x >> 27) * 0x94d049bb133111ebull;
    return x ^ x >> 31;
}
static inline unsigned below(struct random *random, unsigned limit) { return (next(random) >> 32) % limit; }
static inline int one_in(struct random *random, unsigned limit) { return below(random, limit) == 0; }

/* Where code is written; where it will run may be elsewhere. */
struct jit {
    struct random *random;
    uint8_t *at, *start;
    /* It may store into itself. */
    int changes_itself;
    /* Immediates that may be stored into: offsets. */
    unsigned immediates[64], count;
};
static inline void put(struct jit *jit, const void *bytes, unsigned count) { memcpy(jit->at, bytes, count), jit->at += count; }
static inline void put8(struct jit *jit, unsigned byte) { *jit->at++ = byte; }
static inline void put32(struct jit *jit, uint32_t word) { put(jit, &word, 4); }

enum { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI };
static inline unsigned any_register(struct jit *jit) {
    static const uint8_t registers[] = {RAX, RCX, RDX, RSI, 8, 9, 10, 11};
    return registers[below(jit->random, sizeof registers)];
}
static inline void rex(struct jit *jit, int wide, unsigned reg, unsigned rm) { put8(jit, 0x40 | wide << 3 | (reg & 8) >> 1 | (rm & 8) >> 3); }
static inline void between(struct jit *jit, unsigned opcode, int wide, unsigned reg, unsigned rm) {
    rex(jit, wide, reg, rm);
    if (opcode > 0xff) put8(jit, opcode >> 8);
    put8(jit, opcode), put8(jit, 0xc0 | (reg & 7) << 3 | (rm & 7));
}
/* [RDI + displacement]; `bytes` are accessed. */
static inline unsigned place(struct jit *jit, unsigned bytes) {
    unsigned page = below(jit->random, BUFFER_PAGES) * 4096;
    if (page && one_in(jit->random, 6)) return page - below(jit->random, bytes);
    unsigned at = page + below(jit->random, 4096 - bytes);
    return one_in(jit->random, 4) ? at : at & ~7u;
}
static inline void with_memory(struct jit *jit, unsigned opcode, int wide, unsigned reg, unsigned bytes) {
    rex(jit, wide, reg, RDI);
    if (opcode > 0xff) put8(jit, opcode >> 8);
    put8(jit, opcode), put8(jit, 0x87 | (reg & 7) << 3), put32(jit, place(jit, bytes));
}
static inline void know_flags(struct jit *jit, unsigned reg) { between(jit, 0x85, 1, reg, reg); }

static inline void arithmetic(struct jit *jit) {
    static const uint8_t opcodes[] = {0x01, 0x29, 0x31, 0x21, 0x09, 0x11, 0x19, 0x39, 0x85, 0x03, 0x2b};
    between(jit, opcodes[below(jit->random, sizeof opcodes)], one_in(jit->random, 2), any_register(jit), any_register(jit));
}
static inline void immediate(struct jit *jit) {
    unsigned reg = any_register(jit), extension = (const uint8_t[]){0, 1, 4, 5, 6}[below(jit->random, 5)];
    rex(jit, one_in(jit->random, 2), 0, reg), put8(jit, 0x81), put8(jit, 0xc0 | extension << 3 | (reg & 7));
    if (jit->count < 64) jit->immediates[jit->count++] = jit->at - jit->start;
    put32(jit, next(jit->random));
}
static inline void shift(struct jit *jit) {
    unsigned reg = any_register(jit), extension = (const uint8_t[]){0, 1, 4, 5, 7}[below(jit->random, 5)];
    rex(jit, 1, 0, reg), put8(jit, 0xc1), put8(jit, 0xc0 | extension << 3 | (reg & 7)), put8(jit, 1 + below(jit->random, 62));
    know_flags(jit, reg);
}
static inline void multiply(struct jit *jit) {
    unsigned reg = any_register(jit);
    between(jit, 0x0faf, one_in(jit->random, 2), reg, any_register(jit)), know_flags(jit, reg);
}
static inline void load_store(struct jit *jit) {
    unsigned reg = any_register(jit);
    switch (below(jit->random, 9)) {
    case 0: case 1: with_memory(jit, 0x8b, 1, reg, 8); break;
    case 2: with_memory(jit, 0x89, 1, reg, 8); break;
    case 3: with_memory(jit, 0x01, 0, reg, 4); break;
    case 4: with_memory(jit, 0x0fb6, 0, reg, 1); break;
    case 5: with_memory(jit, 0x88, 0, reg, 1); break;
    case 6: put8(jit, 0xf0), with_memory(jit, 0x0fc1, 1, reg, 8); break;
    case 7: with_memory(jit, 0x33, 1, reg, 8); break;
    default: with_memory(jit, 0x29, 1, reg, 8);
    }
}
/* AND reg, 7fffh; MOV other, [RDI+reg], or the store. */
static inline void indexed(struct jit *jit) {
    unsigned reg = any_register(jit), other = any_register(jit);
    rex(jit, 0, 0, reg), put8(jit, 0x81), put8(jit, 0xe0 | (reg & 7)), put32(jit, (BUFFER_BYTES - 1) & ~7u);
    put8(jit, 0x48 | (other & 8) >> 1 | (reg & 8) >> 2), put8(jit, one_in(jit->random, 2) ? 0x8b : 0x89);
    put8(jit, 0x04 | (other & 7) << 3), put8(jit, (reg & 7) << 3 | RDI);
}
static inline void bits(struct jit *jit) {
    unsigned reg = any_register(jit), other = any_register(jit);
    switch (below(jit->random, 5)) {
    case 0: rex(jit, 1, 0, reg), put8(jit, 0x0f), put8(jit, 0xc8 | (reg & 7)); break;
    case 1: put8(jit, 0xf3), between(jit, 0x0fb8, 1, reg, other); break;
    case 2: between(jit, 0x0fb7, 1, reg, other); break;
    case 3: between(jit, 0x87, 1, reg, other); break;
    default: between(jit, 0x0f42 + (unsigned[]){0, 1, 2, 3, 6, 7}[below(jit->random, 6)], 1, reg, other);
    }
}
static inline void vector(struct jit *jit) {
    unsigned x = below(jit->random, 8), y = below(jit->random, 8), z = below(jit->random, 8);
    uint8_t modrm = 0xc0 | x << 3 | y;
    switch (below(jit->random, 10)) {
    case 0: put(jit, (uint8_t[]){0x66, 0x48, 0x0f, 0x6e, 0xc0 | x << 3 | RAX}, 5); break; /* MOVQ xmm, RAX */
    case 1: put(jit, (uint8_t[]){0x66, 0x48, 0x0f, 0x7e, 0xc0 | x << 3 | RDX}, 5); break;
    case 2: put(jit, (uint8_t[]){0x66, 0x0f, 0xd4, modrm}, 4); break;                     /* PADDQ */
    case 3: put(jit, (uint8_t[]){0x66, 0x0f, 0xf4, modrm}, 4); break;                     /* PMULUDQ */
    case 4: put(jit, (uint8_t[]){0x66, 0x0f, 0x70, modrm, next(jit->random)}, 5); break;  /* PSHUFD */
    case 5: put(jit, (uint8_t[]){0xf3, 0x0f, one_in(jit->random, 2) ? 0x6f : 0x7f, 0x87 | x << 3}, 4), put32(jit, place(jit, 16)); break;
    case 6: put(jit, (uint8_t[]){0xf2, 0x48, 0x0f, 0x2a, 0xc0 | x << 3 | RSI, 0xf2, 0x0f, (uint8_t[]){0x58, 0x59, 0x5c}[y % 3], modrm}, 9); break;
    case 7: put(jit, (uint8_t[]){0xf2, 0x48, 0x0f, 0x2c, 0xc0 | RCX << 3 | x}, 5); break; /* CVTTSD2SI RCX */
    case 8: put(jit, (uint8_t[]){0xc5, 0xc5 | (~z & 7) << 3, (uint8_t[]){0xd4, 0xef, 0xfe}[y % 3], modrm}, 4); break; /* VPADDQ ymm... */
    default: put(jit, (uint8_t[]){0xc5, 0xfe, one_in(jit->random, 2) ? 0x6f : 0x7f, 0x87 | x << 3}, 4), put32(jit, place(jit, 32));
    }
}
/* FILD, FILD, an operation, FISTP: through 80 bits. */
static inline void x87(struct jit *jit) {
    put(jit, (uint8_t[]){0xdf, 0xaf}, 2), put32(jit, place(jit, 8));
    put(jit, (uint8_t[]){0xdf, 0xaf}, 2), put32(jit, place(jit, 8));
    put(jit, (uint8_t[]){0xde, (uint8_t[]){0xc1, 0xc9, 0xe9}[below(jit->random, 3)]}, 2);
    put(jit, (uint8_t[]){0xdf, 0xbf}, 2), put32(jit, place(jit, 8));
}
/* PUSH RSI; PUSH RDI; LEA RSI, [RDI+a]; LEA RDI, [RDI+b]; MOV ECX, n; REP ...; POP RDI; POP RSI. */
static inline void string(struct jit *jit) {
    unsigned count = one_in(jit->random, 8) ? below(jit->random, 3000) : below(jit->random, 40);
    put(jit, (uint8_t[]){0x56, 0x57, 0x48, 0x8d, 0xb7}, 5), put32(jit, below(jit->random, BUFFER_BYTES - 3000));
    put(jit, (uint8_t[]){0x48, 0x8d, 0xbf}, 3), put32(jit, below(jit->random, BUFFER_BYTES - 3000));
    put8(jit, 0xb9), put32(jit, count);
    put(jit, (uint8_t[]){0xf3, (uint8_t[]){0xa4, 0xaa, 0xae}[below(jit->random, 3)], 0x5f, 0x5e}, 4);
    know_flags(jit, RCX);
}
/* sched_yield; what SYSCALL leaves in RCX and R11 depends on where the code is. */
static inline void yield(struct jit *jit) { put(jit, (uint8_t[]){0xb8, 24, 0, 0, 0, 0x0f, 0x05, 0x31, 0xc9, 0x45, 0x31, 0xdb}, 12); }
/* MOV [RIP + an immediate], EAX. */
static inline void change(struct jit *jit) {
    if (!jit->changes_itself || jit->count == 0) return;
    unsigned target = jit->immediates[below(jit->random, jit->count)];
    put(jit, (uint8_t[]){0x89, 0x05}, 2), put32(jit, target - (jit->at + 4 - jit->start));
}
static inline void operation(struct jit *jit) {
    switch (below(jit->random, 16)) {
    case 0: case 1: case 2: arithmetic(jit); break;
    case 3: case 4: immediate(jit); break;
    case 5: shift(jit); break;
    case 6: multiply(jit); break;
    case 7: case 8: case 9: load_store(jit); break;
    case 10: indexed(jit); break;
    case 11: bits(jit); break;
    case 12: case 13: vector(jit); break;
    case 14: one_in(jit->random, 3) ? string(jit) : x87(jit); break;
    default: one_in(jit->random, 6) ? yield(jit) : change(jit);
    }
}
static inline void operations(struct jit *jit, unsigned count) {
    while (count-- > 0) {
        if (count > 2 && one_in(jit->random, 6)) {
            /* A forward branch on CF, ZF, SF or PF. */
            put8(jit, 0x70 | (const uint8_t[]){2, 3, 4, 5, 8, 9, 10, 11}[below(jit->random, 8)]);
            uint8_t *distance = jit->at++;
            operation(jit), operation(jit);
            *distance = jit->at - distance - 1 < 128 ? jit->at - distance - 1 : 0;
        } else operation(jit);
    }
}

/*
 * A function written to `at` for any address: random loops, some with a call in them. Its registers begin as the seed says, vector and x87 registers as zero.
 */
static inline unsigned write_function(struct random *random, uint8_t *at, unsigned rounds, int changes_itself) {
    struct jit jit = {.random = random, .at = at, .start = at, .changes_itself = changes_itself};
    static const uint8_t entry[] = {0x53, 0xfc, 0xdb, 0xe3, 0xc5, 0xfc, 0x77,                               /* PUSH RBX; CLD; FNINIT; VZEROALL */
                                    0x48, 0x89, 0xf0, 0x48, 0x89, 0xf1, 0x48, 0xf7, 0xd1, 0x48, 0x89, 0xf2, /* MOV RAX, RSI; RCX = ~RSI; MOV RDX, RSI */
                                    0x49, 0x89, 0xf0, 0x49, 0x89, 0xf1, 0x49, 0x89, 0xf2, 0x49, 0x89, 0xf3, 0xd1, 0xca}; /* R8 to R11; ROR EDX, 1 */
    put(&jit, entry, sizeof entry);
    know_flags(&jit, RAX);
    for (unsigned loops = 1 + below(random, 3); loops > 0; loops--) {
        uint8_t *over = 0, *leaf = 0;
        if (one_in(random, 3)) {
            put8(&jit, 0xe9), over = jit.at, jit.at += 4, leaf = jit.at;
            operations(&jit, 1 + below(random, 6)), put8(&jit, 0xc3);
            uint32_t distance = jit.at - over - 4;
            memcpy(over, &distance, 4);
        }
        put8(&jit, 0xbb), put32(&jit, 1 + below(random, rounds));
        uint8_t *top = jit.at;
        operations(&jit, 2 + below(random, 16));
        if (leaf) put8(&jit, 0xe8), put32(&jit, leaf - jit.at - 4), operations(&jit, below(random, 4));
        put(&jit, (uint8_t[]){0xff, 0xcb, 0x0f, 0x85}, 4), put32(&jit, top - jit.at - 4);
    }
    for (unsigned reg = 1; reg < 12; reg++)
        if (reg < RBX || reg == RSI || reg > RDI) between(&jit, 0x01, 1, reg, RAX), put(&jit, (uint8_t[]){0x48, 0xc1, 0xc0, 7}, 4);
    put(&jit, (uint8_t[]){0x66, 0x48, 0x0f, 0x7e, 0xc1, 0x48, 0x01, 0xc8}, 8); /* MOVQ RCX, XMM0; ADD RAX, RCX */
    put(&jit, (uint8_t[]){0xc5, 0xf8, 0x77, 0x5b, 0xc3}, 5);                   /* VZEROUPPER; POP RBX; RET */
    return jit.at - at;
}
static inline uint64_t hash(uint64_t sum, const void *bytes, unsigned count) {
    const uint64_t *words = bytes;
    for (unsigned i = 0; i < count / 8; i++) sum = (sum ^ words[i]) * 0x100000001b3ull, sum ^= sum >> 29;
    return sum;
}
