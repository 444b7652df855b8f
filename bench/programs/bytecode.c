/* bytecode: one stack machine twice, dispatched by switch and by computed goto; it sieves primes and counts.  N = runs. */
#include "bench.h"

enum op { PUSH, LOAD, STORE, ADD, SUB, MUL, LESS, JUMP, JUMP_ZERO, PEEK, POKE, DUP, DROP, XOR, HALT };
enum { CELLS = 4096, LIMIT = 4000 };

static int32_t program[256];
static int length;
static int64_t memory[CELLS];

static int emit(int op, int operand)
{
	program[length] = op;
	program[length + 1] = operand;
	length += 2;
	return length - 1;
}

/* variables: 0 = i, 1 = j, 2 = sum; cells from 16 on: the sieve */
static void assemble(void)
{
	int outer, skip, inner, end, next;
	emit(PUSH, 2), emit(STORE, 0), emit(PUSH, 0), emit(STORE, 2);
	outer = length;
	emit(LOAD, 0), emit(PUSH, LIMIT), emit(LESS, 0);
	end = emit(JUMP_ZERO, 0);
	emit(LOAD, 0), emit(PEEK, 16);
	skip = emit(JUMP_ZERO, 0);
	next = emit(JUMP, 0);
	program[skip] = length;
	/* a prime: sum = (sum * 3) ^ i; strike out its multiples */
	emit(LOAD, 2), emit(PUSH, 3), emit(MUL, 0), emit(LOAD, 0), emit(XOR, 0), emit(STORE, 2);
	emit(LOAD, 0), emit(DUP, 0), emit(ADD, 0), emit(STORE, 1);
	inner = length;
	emit(LOAD, 1), emit(PUSH, LIMIT), emit(LESS, 0);
	skip = emit(JUMP_ZERO, 0);
	emit(PUSH, 1), emit(LOAD, 1), emit(POKE, 16);
	emit(LOAD, 1), emit(LOAD, 0), emit(ADD, 0), emit(STORE, 1);
	emit(JUMP, inner);
	program[skip] = program[next] = length;
	emit(LOAD, 0), emit(PUSH, 1), emit(ADD, 0), emit(STORE, 0);
	emit(JUMP, outer);
	program[end] = length;
	emit(LOAD, 2), emit(HALT, 0);
}

static NOIPA int64_t run_switch(const int32_t *pc)
{
	int64_t stack[16], *sp = stack;
	for (;; pc += 2) {
		int32_t arg = pc[1];
		switch ((enum op)pc[0]) {
		case PUSH: *sp++ = arg; break;
		case LOAD: *sp++ = memory[arg]; break;
		case STORE: memory[arg] = *--sp; break;
		case ADD: sp--; sp[-1] += sp[0]; break;
		case SUB: sp--; sp[-1] -= sp[0]; break;
		case MUL: sp--; sp[-1] = (int64_t)((uint64_t)sp[-1] * (uint64_t)sp[0]); break;
		case XOR: sp--; sp[-1] ^= sp[0]; break;
		case LESS: sp--; sp[-1] = sp[-1] < sp[0]; break;
		case JUMP: pc = program + arg - 2; break;
		case JUMP_ZERO: if (!*--sp) pc = program + arg - 2; break;
		case PEEK: sp[-1] = memory[sp[-1] + arg]; break;
		case POKE: sp -= 2; memory[sp[1] + arg] = sp[0]; break;
		case DUP: *sp = sp[-1]; sp++; break;
		case DROP: sp--; break;
		case HALT: return sp[-1];
		}
	}
}

static NOIPA int64_t run_goto(const int32_t *pc)
{
	static const void *const labels[] = {&&push, &&load, &&store, &&add, &&sub, &&mul, &&less, &&jump, &&jump_zero,
					     &&peek, &&poke, &&dup, &&drop, &&xor, &&halt};
	int64_t stack[16], *sp = stack;
#define NEXT do { pc += 2; goto *labels[pc[0]]; } while (0)
	goto *labels[pc[0]];
push: *sp++ = pc[1]; NEXT;
load: *sp++ = memory[pc[1]]; NEXT;
store: memory[pc[1]] = *--sp; NEXT;
add: sp--; sp[-1] += sp[0]; NEXT;
sub: sp--; sp[-1] -= sp[0]; NEXT;
mul: sp--; sp[-1] = (int64_t)((uint64_t)sp[-1] * (uint64_t)sp[0]); NEXT;
xor: sp--; sp[-1] ^= sp[0]; NEXT;
less: sp--; sp[-1] = sp[-1] < sp[0]; NEXT;
jump: pc = program + pc[1] - 2; NEXT;
jump_zero: if (!*--sp) pc = program + pc[1] - 2; NEXT;
peek: sp[-1] = memory[sp[-1] + pc[1]]; NEXT;
poke: sp -= 2; memory[sp[1] + pc[1]] = sp[0]; NEXT;
dup: *sp = sp[-1]; sp++; NEXT;
drop: sp--; NEXT;
halt: return sp[-1];
}

int main(int argc, char **argv)
{
	unsigned long n = bench_args("bytecode", argc, argv, 360);
	uint64_t sum = 0;
	assemble();
	bench_begin();
	for (unsigned long i = 0; i < n; i++) {
		memset(memory, 0, sizeof memory);
		int64_t first = run_switch(program);
		memset(memory, 0, sizeof memory);
		if (run_goto(program) != first)
			return 3;
		sum = sum * 31 + (uint64_t)first;
	}
	return bench_end(sum);
}
