/** Repeated string instructions of more elements than a part (REPEAT_PART): what comes between two parts, and that all else is as without. */
import assert from 'node:assert/strict';
import { REPEAT_PART } from '../codes.ts';
import { InterruptionType, RunStop } from '../engine-api.ts';
import type { Fault } from '../engine-api.ts';
import type { EngineHooks } from '../engine-parts.ts';
import type { ExecutionEngine } from '../engine.ts';
import * as L from '../layout.ts';
import { createTestMachine, IDT, UNMAPPED } from '../system/system-test-support.ts';
import type { TestMachine } from '../system/system-test-support.ts';

const RCX = 1;
const RSI = 6;
const RDI = 7;
const FROM = 0x200000;
const TO = 0x500000;
/** Where the handler puts RCX, RSI, RDI, RIP and RFLAGS. */
const SEEN = 0x400000;
const VECTOR = 0x41;
const RF = 0x10000;
const IF = 0x200;
/** RCX before an instruction of two parts and a bit. */
const COUNT = 2 * REPEAT_PART + 100;

const HANDLER = `
  handler: push rax
    mov [${SEEN}], rcx
    mov [${SEEN + 8}], rsi
    mov [${SEEN + 16}], rdi
    mov rax, [rsp + 8]
    mov [${SEEN + 24}], rax
    mov rax, [rsp + 24]
    mov [${SEEN + 32}], rax
    inc dword ptr [${SEEN + 40}]
    pop rax
    iretq`;

function machineOf(source: string): TestMachine {
  const machine = createTestMachine(`${source}\n hlt\n ${HANDLER}`);
  const { physical } = machine.context;
  const handler = machine.symbols.get('handler')!;
  for (const vector of [1, VECTOR]) {
    physical.write32(IDT + vector * 16, (handler & 0xffff) | 0x10_0000);
    physical.write32(IDT + vector * 16 + 4, (handler & 0xffff_0000) | 0x8e00);
  }
  return machine;
}

const slot = ({ context }: TestMachine, index: number): number => Number(context.physical.read64(SEEN + index * 8));
const deliveries = (machine: TestMachine): number => slot(machine, 5);
const gpr = ({ context }: TestMachine, register: number): number => Number(context.cpu.gpr(register));

type Hooks = { -readonly [K in keyof EngineHooks]: EngineHooks[K] };
/** Runs with other hooks of the engine. */
function withHooks(machine: TestMachine, change: (hooks: Hooks) => void, run: () => void): void {
  const { hooks } = machine.context.engine as ExecutionEngine;
  const kept = { ...hooks };
  change(hooks);
  try {
    run();
  } finally {
    Object.assign(hooks, kept);
  }
}

/** An external interrupt comes during the first part. */
function runInterrupted(machine: TestMachine): void {
  const { mem } = machine.context;
  let state: 'before' | 'pending' | 'taken' = 'before';
  const take = (): Fault | undefined => {
    if (state !== 'pending' || !(mem.get32(L.SYSTEM_FLAGS) & IF)) return undefined;
    state = 'taken';
    return { kind: 'exception', vector: VECTOR, type: InterruptionType.External };
  };
  const change = (hooks: Hooks): void => {
    const { timePassed } = hooks;
    hooks.pendingInterrupt = take;
    hooks.timePassed = (cycles) => {
      timePassed(cycles);
      if (state === 'before') state = 'pending';
    };
  };
  withHooks(machine, change, () => machine.run());
  assert.equal(deliveries(machine), 1);
}

interface Case {
  readonly name: string;
  readonly source: string;
  readonly bytes: number;
  /** Which pointers move. */
  readonly moves: readonly ('rsi' | 'rdi')[];
}

const SIZES = { b: 1, w: 2, d: 4, q: 8 } as const;
const OPERATIONS: readonly [string, Case['moves']][] = [
  ['rep movs', ['rsi', 'rdi']],
  ['rep stos', ['rdi']],
  ['rep lods', ['rsi']],
  ['repe scas', ['rdi']],
  ['repne scas', ['rdi']],
  ['repe cmps', ['rsi', 'rdi']],
];
const CASES: readonly Case[] = OPERATIONS.flatMap(([operation, moves]) =>
  Object.entries(SIZES).flatMap(([letter, bytes]) =>
    ['', 'addr32 '].map((prefix) => ({
      name: `${prefix}${operation}${letter}`,
      source: `${prefix}${operation}${letter}`,
      bytes,
      moves,
    })),
  ),
);

describe('repeated string instructions of several parts', () => {
  for (const { name, source, bytes, moves } of CASES)
    for (const down of [false, true])
      it(`let an interrupt in: ${name}${down ? ' downwards' : ''}`, () => {
        // What REPE and REPNE look for is not there.
        const wanted = source.includes('repne') ? 1 : 0;
        const start = down ? (COUNT - 1) * bytes : 0;
        const high = source.startsWith('addr32') ? 0xffff_ffff_0000_0000n : 0n;
        const machine = machineOf(`
          sti\n ${down ? 'std' : 'cld'}
          mov rax, ${wanted}
          movabs rsi, ${BigInt(FROM + start) + high}\n movabs rdi, ${BigInt(TO + start) + high}
          movabs rcx, ${BigInt(COUNT) + high}
          at: ${source}`);
        const before = machine.context.engine.retired;
        runInterrupted(machine);
        const step = down ? -bytes : bytes;
        const pointer = (from: number, which: 'rsi' | 'rdi', done: number): number =>
          from + start + (moves.includes(which) ? done * step : 0);
        const done = COUNT - 2 * REPEAT_PART;
        const wide = (value: number, which: 'rsi' | 'rdi'): number =>
          moves.includes(which) ? value : Number(BigInt(value) + high);
        assert.deepEqual(
          [0, 1, 2, 3].map((index) => slot(machine, index)),
          [
            2 * REPEAT_PART,
            wide(pointer(FROM, 'rsi', done), 'rsi'),
            wide(pointer(TO, 'rdi', done), 'rdi'),
            machine.symbols.get('at'),
          ],
        );
        assert.equal(slot(machine, 4) & (RF | IF), RF | IF);
        assert.deepEqual(
          [gpr(machine, RCX), gpr(machine, RSI), gpr(machine, RDI)],
          [0, wide(pointer(FROM, 'rsi', COUNT), 'rsi'), wide(pointer(TO, 'rdi', COUNT), 'rdi')],
        );
        assert.equal(machine.context.mem.get32(L.SYSTEM_FLAGS) & RF, 0);
        // STI, CLD, four MOVs, three parts, HLT; eleven of the handler.
        assert.equal(machine.context.engine.retired - before, 10 + 11);
      });

  it('move the right bytes', () => {
    const machine = machineOf(`cld\n mov esi, ${FROM}\n mov edi, ${TO}\n mov ecx, ${COUNT}\n sti\n nop\n rep movsb`);
    const { physical } = machine.context;
    const pattern = Uint8Array.from({ length: COUNT }, (_, index) => (index * 7) ^ (index >> 8));
    physical.write(FROM, pattern);
    runInterrupted(machine);
    assert.deepEqual(physical.slice(TO, COUNT), pattern);
    assert.equal(physical.slice(TO + COUNT, 1)[0], 0);
  });

  it('stop where a comparison ends them, in any part', () => {
    for (const at of [0, 99, 100, 101, REPEAT_PART + 99, REPEAT_PART + 100, COUNT - 1]) {
      const machine = machineOf(`mov edi, ${FROM}\n mov ecx, ${COUNT}\n mov al, 5\n repne scasb\n sete dl`);
      machine.context.physical.write(FROM + at, Uint8Array.of(5));
      machine.run();
      assert.deepEqual([gpr(machine, RCX), gpr(machine, RDI)], [COUNT - at - 1, FROM + at + 1], `at ${at}`);
      assert.equal(gpr(machine, 2) & 0xff, 1);
    }
  });

  it('fault in a later part with their registers at the element', () => {
    const machine = createTestMachine(`
      mov edi, ${UNMAPPED - 8 * (REPEAT_PART + 1000)}\n mov ecx, ${3 * REPEAT_PART}\n at: rep stosq\n hlt`);
    machine.run();
    assert.equal(machine.report()?.vector, 14);
    assert.equal(machine.report()?.rip, machine.symbols.get('at'));
    assert.equal(machine.report()!.rflags & RF, RF);
    assert.deepEqual([gpr(machine, RCX), gpr(machine, RDI)], [2 * REPEAT_PART - 1000, UNMAPPED]);
  });

  it('are done a part at a time by a budget of one', () => {
    const machine = machineOf(`mov edi, ${FROM}\n mov ecx, ${COUNT}\n at: rep stosb`);
    const { engine, cpu, mem } = machine.context;
    assert.equal(engine.run(2), RunStop.Budget);
    const at = BigInt(machine.symbols.get('at')!);
    for (const left of [2 * REPEAT_PART, REPEAT_PART]) {
      assert.equal(engine.run(1), RunStop.Budget);
      assert.deepEqual([cpu.rip, gpr(machine, RCX)], [at, left]);
      assert.equal(mem.get32(L.SYSTEM_FLAGS) & RF, RF);
    }
    assert.equal(engine.run(1), RunStop.Budget);
    assert.deepEqual([cpu.rip, gpr(machine, RCX)], [at + 2n, 0]);
    assert.equal(mem.get32(L.SYSTEM_FLAGS) & RF, 0);
  });

  it('cost cycles, and bring `run` back when they cost many', () => {
    // The same page again and again: RSI wraps around at 4 GB in tables that repeat.
    const machine = machineOf(`mov esi, ${FROM}\n mov ecx, 0xffffffff\n at: addr32 rep lodsq`);
    const { engine, physical, mem, cpu } = machine.context;
    const directories = 0xf01000;
    const first = physical.read64(directories);
    for (let gigabyte = 1; gigabyte < 4; gigabyte++) physical.write64(directories + gigabyte * 8, first);
    const pages = Number(first & ~0xfffn);
    for (let page = 4; page < 512; page++) physical.write64(pages + page * 8, physical.read64(pages + (page & 3) * 8));
    const before = mem.get64(L.CYCLES);
    assert.equal(engine.run(1e9), RunStop.Fruitless);
    assert.equal(cpu.rip, BigInt(machine.symbols.get('at')!));
    const parts = (2 ** 32 - gpr(machine, RCX)) / REPEAT_PART;
    assert.ok(parts > 1000 && parts < 5000, `${parts} parts`);
    assert.equal(Number(mem.get64(L.CYCLES) - before), 2 + parts * (1 + REPEAT_PART));
  });

  it('do not meet their breakpoint again', () => {
    const machine = machineOf(`
      mov edi, ${FROM}\n mov ecx, ${COUNT}\n lea rax, [rip + at]\n mov dr0, rax\n mov eax, 0x401\n mov dr7, rax
      mov ax, ss\n mov ss, ax
      at: rep stosb\n mov dr7, rdx`);
    machine.run();
    assert.equal(deliveries(machine), 0);
    assert.deepEqual([gpr(machine, RCX), gpr(machine, RDI)], [0, FROM + COUNT]);
  });

  it('trap behind the element that meets a data breakpoint, and count the same', () => {
    const watched = REPEAT_PART + 50;
    const machine = machineOf(`
      mov edi, ${FROM}\n mov ecx, ${COUNT}\n mov eax, ${FROM + watched}\n mov dr0, rax\n mov eax, 0x10401\n mov dr7, rax
      at: rep stosb\n mov dr7, rdx`);
    const before = machine.context.engine.retired;
    machine.run();
    assert.equal(deliveries(machine), 1);
    assert.deepEqual([slot(machine, 0), slot(machine, 2)], [COUNT - watched - 1, FROM + watched + 1]);
    assert.equal(slot(machine, 4) & RF, RF);
    assert.equal(gpr(machine, RCX), 0);
    assert.equal(machine.context.engine.retired - before, 6 + 3 + 2 + 11);
  });

  it('step by elements under TF, and count the same', () => {
    const machine = machineOf(`
      mov edi, ${FROM}\n mov ecx, ${REPEAT_PART + 3}\n pushfq\n or dword ptr [rsp], 0x100\n popfq
      at: rep stosb\n pushfq\n and dword ptr [rsp], -0x101\n popfq`);
    const before = machine.context.engine.retired;
    const { engine } = machine.context;
    for (let steps = 0; deliveries(machine) < 5; steps++) {
      assert.ok(steps < 100);
      engine.step();
    }
    // Five traps: three elements up to the end of the part, and two.
    assert.deepEqual([slot(machine, 0), slot(machine, 2)], [REPEAT_PART - 2, FROM + 5]);
    assert.equal(slot(machine, 4) & RF, RF);
    // The end of the part counts, and the handler up to its INC.
    assert.equal(engine.retired - before, 5 + 1 + 4 * 11 + 9);
  });
});
