/** The core's common cases of event delivery and IRETQ (core/transfer.ts) against cpu/system, from random states: same registers, memory, TLB. */
import assert from 'node:assert/strict';
import type { CpuContext } from '../context.ts';
import { InterruptionType } from '../engine-api.ts';
import * as L from '../layout.ts';
import { Segment } from '../state.ts';
import { updateDerived } from './descriptors.ts';
import { deliverThroughIdt, deliverWithChecks } from './exceptions.ts';
import { GuestFault } from './fault.ts';
import type { Exception } from './gates.ts';
import { iret, iretWithChecks } from './iret.ts';
import { CODE, GDT, IDT, RSP0, STACK, TSS, UNMAPPED, USER_STACK, createTestMachine } from './system-test-support.ts';

const SEED = Number(process.env['SEED'] ?? Date.now() % 1_000_000);
const CASES = 3000;
/** Part of the cases that must have gone the short way, or the comparison says little: well below what seeds come to (a fifth of returns, two fifths of events). */
const LEAST = 0.15;

/** What is looked at after a case: tables of segments, gates and pages, stacks. */
const RANGES: readonly (readonly [start: number, end: number])[] = [
  [GDT, TSS + 4096],
  [STACK - 4096, STACK],
  [0x67000, 0x69000],
  [0x6f000, 0x71000],
  [USER_STACK - 4096, USER_STACK],
  [UNMAPPED - 4096, UNMAPPED],
  [0xf00000, 0xf03000],
];
const IRETQ = { op: 'iret', size: 8, length: 2, operands: [], gva: BigInt(CODE) } as never;

let seed = SEED;
/** 0 to n - 1. */
function below(n: number): number {
  seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
  return Math.floor((seed / 2 ** 32) * n);
}
const oneOf = <T>(...values: readonly T[]): T => values[below(values.length)]!;
/** Mostly the first. */
const mostly = <T>(usual: T, ...others: readonly T[]): T => (below(16) === 0 ? oneOf(...others) : usual);

const SYSTEM_FLAGS = [0x200, 0, 0x1000, 0x3200, 0x40200, 0x4000, 0x100, 0x10200, 0x20000, 0x180000, 0x200000];
const FLAT_LIMIT = 0xffff_ffff;

function randomDescriptors({ physical }: CpuContext): void {
  const low = (type: number, bits: number): bigint =>
    (BigInt(bits) << 52n) | (BigInt(type) << 40n) | 0xf_0000_0000_ffffn;
  const code0 = mostly(0x9b, 0x9a, 0x1b, 0x9f, 0x93, 0xfb);
  const code3 = mostly(0xfb, 0xfa, 0x7b, 0xff, 0xf3, 0x9b);
  const data0 = mostly(0x93, 0x92, 0x13, 0x91, 0x9b, 0xf3);
  const data3 = mostly(0xf3, 0xf2, 0x73, 0xf1, 0xfb, 0x93);
  const long = (): number => mostly(0xa, 0xc, 0xe, 0x2);
  physical.write64(GDT + 2 * 8, low(code0, long()));
  physical.write64(GDT + 3 * 8, low(data0, 0xc) | (BigInt(below(256)) << 56n));
  physical.write64(GDT + 5 * 8, low(data3, 0xc));
  physical.write64(GDT + 6 * 8, low(code3, long()));
}

/** In ring 0 or 3, with everything that delivery and IRET look at chosen anew. */
function randomState(context: CpuContext): void {
  const { cpu, mem, physical, mmu } = context;
  randomDescriptors(context);
  const cpl = oneOf(0, 3);
  const code = { base: 0n, limit: FLAT_LIMIT, rights: mostly(0xa09b, 0xc09b) | (cpl << 5) };
  cpu.setSegment(Segment.CS, { ...code, selector: cpl ? 0x33 : 0x10 });
  cpu.setSegment(Segment.SS, { base: 0n, limit: FLAT_LIMIT, rights: 0xc093 | (cpl << 5), selector: cpl ? 0x2b : 0x18 });
  for (const segment of [Segment.DS, Segment.ES, Segment.FS, Segment.GS])
    cpu.setSegment(segment, {
      selector: oneOf(0, 0x18, 0x2b),
      base: BigInt(below(1000)),
      limit: FLAT_LIMIT,
      rights: oneOf(0xc093, 0xc0f3, 0x10000, 0xc09f, 0xc0b3),
    });
  for (let register = 0; register < 16; register++) cpu.setGpr(register, BigInt(below(2 ** 31)));
  const stack = cpl ? USER_STACK : STACK;
  const lowest = stack - (stack % 4096);
  cpu.rsp = mostly(
    BigInt(stack - 0x400 - below(64)),
    BigInt(UNMAPPED - 16),
    BigInt(lowest + 24),
    0x8000_0000_0000n,
    BigInt(UNMAPPED + 8),
  );
  cpu.rip = BigInt(CODE + below(0x1000));
  mem.set32(L.CC_OP, (below(9) << 2) | below(4));
  mem.set64(L.CC_A, BigInt(below(2 ** 31)) * 0x1_0001n);
  mem.set64(L.CC_B, BigInt(below(2 ** 31)));
  mem.set32(L.SYSTEM_FLAGS, mostly(0x200, ...SYSTEM_FLAGS));
  mem.set32(L.INTERRUPTIBILITY, mostly(0, 1, 2, 8));
  mem.set64(L.DR7, mostly(0x400n, 0x401n));
  mem.set32(L.IDTR_LIMIT, mostly(0xfff, 0x7f));
  mem.set32(L.TR + L.SEG_LIMIT, mostly(0x67, 0x20, 0x3));
  mem.set64(L.CR4, mostly(0x20n, 0x30_0020n, 0x1020n));
  physical.write(
    TSS + 4,
    new Uint8Array(new BigUint64Array([BigInt(mostly(RSP0, RSP0 + 8, UNMAPPED, 0x68010 - 0x1000 + 0xff0))]).buffer),
  );
  updateDerived(context);
  mmu.flushAll();
}

function randomEvent({ physical, mem }: CpuContext): Exception {
  const vector = mostly(below(256), 1, 2, 8, 13, 14, 18);
  const type = oneOf(0, 3, 3, 4, 6, 5, 2) as InterruptionType;
  const at = IDT + vector * 16;
  const offset = mostly(CODE + 0x100, CODE + 0x2000);
  const rights = mostly(0x8e, 0x8f, 0x0e, 0xee, 0x8c, 0xef);
  const words = [
    offset & 0xffff,
    mostly(0x10, 0x33, 0, 0x14, 0x18, 0x13),
    (rights << 8) | mostly(0, 1, 7),
    offset >>> 16,
  ];
  physical.write(
    at,
    new Uint8Array(Uint16Array.from([...words, mostly(0, 0x7fff, 0x8000), mostly(0, 0x8000, 0xffff), 0, 0]).buffer),
  );
  mem.set32(L.ACTIVITY, mostly(0, 1));
  return {
    kind: 'exception',
    vector,
    type,
    ...(below(2) ? { errorCode: below(65536) } : {}),
    ...(vector === 14 ? { gva: BigInt(below(2 ** 31)) } : {}),
    ...(type >= 4 ? { instructionLength: 1 + below(15) } : {}),
  };
}

function randomFrame({ cpu, physical }: CpuContext): void {
  const rsp = Number(cpu.rsp);
  if (rsp + 40 > UNMAPPED) return;
  const selector = mostly(oneOf(0x10, 0x33), 0x0, 0x14, 0x18, 0x13, 0x30, 0x7b);
  const frame = [
    mostly(BigInt(CODE + below(4096)), 0x8000_0000_0000n, 0xffff_8000_0000_0000n),
    BigInt(selector | (below(2) << 20)),
    BigInt(mostly(below(0x1000), ...SYSTEM_FLAGS) | 2 | (below(2) << 16)),
    BigInt(below(2 ** 31)),
    BigInt(mostly(selector & 3 ? 0x2b : oneOf(0x18, 0), 0, 3, 0x10, 0x28, 0x2f)),
  ];
  physical.write(rsp, new Uint8Array(BigUint64Array.from(frame).buffer));
}

interface Outcome {
  readonly state: Uint8Array;
  /** By range. */
  readonly memory: readonly Uint8Array[];
  readonly tlb: unknown;
  readonly fault: unknown;
}

/** @param tlb look at it, too, which takes longer than the rest */
function outcome(context: CpuContext, tlb: boolean, action: () => unknown): Outcome {
  const { physical, cpu, mmu } = context;
  let fault: unknown;
  try {
    fault = action();
  } catch (error) {
    if (!(error instanceof GuestFault)) throw error;
    fault = error.fault;
  }
  return {
    state: cpu.save(),
    memory: RANGES.map(([start, end]) => physical.slice(start, end - start).slice()),
    tlb: tlb ? mmu.entries() : [],
    fault,
  };
}

function reset(context: CpuContext, before: Outcome): void {
  const { physical, cpu, engine, mmu } = context;
  RANGES.forEach(([start], index) => physical.write(start, before.memory[index]!));
  cpu.load(before.state);
  engine.contextChanged();
  mmu.flushAll();
}

/** Bytes that differ, by address in the state page or in memory; faults and TLB entries that do. */
function differences(quick: Outcome, slow: Outcome): string[] {
  const found: string[] = [];
  const bytes = (what: string, base: number, a: Uint8Array, b: Uint8Array): void =>
    void (
      Buffer.compare(a, b) === 0 ||
      a.forEach((value, at) => {
        if (value !== b[at]) found.push(`${what} 0x${(base + at).toString(16)}: ${value}, slow ${b[at]}`);
      })
    );
  bytes('state', L.STATE, quick.state, slow.state);
  RANGES.forEach(([start], index) => bytes('memory', start, quick.memory[index]!, slow.memory[index]!));
  const text = (value: unknown): string =>
    JSON.stringify(value, (_, part: unknown) => (typeof part === 'bigint' ? `0x${part.toString(16)}` : part));
  if (text(quick.fault) !== text(slow.fault)) found.push(`${text(quick.fault)}, slow ${text(slow.fault)}`);
  if (text(quick.tlb) !== text(slow.tlb)) found.push(`TLB ${text(quick.tlb)}, slow ${text(slow.tlb)}`);
  return found;
}

describe('fast paths of the core', () => {
  /** Runs both ways from the same states; how many went the short way. */
  function compare(
    prepare: (context: CpuContext, number: number) => { quick: () => unknown; slow: () => unknown },
  ): number {
    const { context } = createTestMachine('hlt');
    const core = context.core as unknown as Record<string, (...values: number[]) => number>;
    let quick = 0;
    const counted = { ...core };
    for (const name of ['enterHandler', 'returnFromHandler'])
      counted[name] = (...values) => {
        const before = context.cpu.save();
        const done = core[name]!(...values);
        if (done) quick++;
        else
          assert.equal(
            Buffer.compare(context.cpu.save(), before),
            0,
            'a fast path that declines leaves the state alone',
          );
        return done;
      };
    (context as { core: unknown }).core = counted;
    try {
      for (let number = 0; number < CASES; number++) {
        randomState(context);
        const ways = prepare(context, number);
        const tlb = number % 8 === 0;
        const before = outcome(context, false, () => undefined);
        const slow = outcome(context, tlb, ways.slow);
        reset(context, before);
        assert.deepEqual(differences(outcome(context, tlb, ways.quick), slow), [], `case ${number} of seed ${SEED}`);
        reset(context, before);
      }
    } finally {
      (context as { core: unknown }).core = core;
    }
    return quick;
  }

  it(`deliver an event as the slow path does (seed ${SEED})`, function () {
    this.timeout(120_000);
    const quick = compare((context) => {
      const event = randomEvent(context);
      return { quick: () => deliverThroughIdt(context, event), slow: () => deliverWithChecks(context, event) };
    });
    assert.ok(quick > CASES * LEAST, `${quick} of ${CASES}`);
  });

  it(`return as the slow path does (seed ${SEED})`, function () {
    this.timeout(120_000);
    const quick = compare((context) => {
      randomFrame(context);
      return { quick: () => iret(context, IRETQ), slow: () => iretWithChecks(context, IRETQ) };
    });
    assert.ok(quick > CASES * LEAST, `${quick} of ${CASES}`);
  });
});
