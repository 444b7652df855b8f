/** For specs: a whole processor in real mode, or in flat 32-bit protected mode with a GDT, an IDT whose handlers halt, and TSSs. Paging is off. */
import { assemble } from '../../../test/support/assemble.ts';
import type { CpuContext } from '../context.ts';
import { RunStop } from '../engine-api.ts';
import * as L from '../layout.ts';
import { Segment } from '../state.ts';
import { DEFAULT_MODEL } from './models.ts';
import { updateDerived } from './descriptors.ts';
import { resetRealMode } from './reset.ts';
import { sharedProcessor } from './system-test-support.ts';

export const CODE = 0x8000;
export const GDT = 0x1000;
export const IDT = 0x2000;
export const TSS = 0x3000;
export const STACK = 0x7000;
/** A handler for every vector: pushes the vector and halts, 8 bytes each. */
export const HANDLERS = 0x6000;
const HANDLER_BYTES = 8;

/** Selectors of the GDT, by what they name. */
export const Gdt = {
  code32: 0x08,
  data32: 0x10,
  code16: 0x18,
  data16: 0x20,
  code64: 0x28,
  userCode: 0x33,
  userData: 0x3b,
  tss: 0x40,
  tssB: 0x48,
  tss16: 0x50,
  ldt: 0x58,
  gate: 0x60,
  absent: 0x68,
  conforming: 0x70,
} as const;
const DESCRIPTORS: Readonly<Record<number, bigint>> = {
  [Gdt.code32]: 0x00cf_9b00_0000_ffffn,
  [Gdt.data32]: 0x00cf_9300_0000_ffffn,
  [Gdt.code16]: 0x0000_9b00_0000_ffffn,
  [Gdt.data16]: 0x0000_9300_0000_ffffn,
  [Gdt.code64]: 0x00af_9b00_0000_ffffn,
  [Gdt.userCode]: 0x00cf_fb00_0000_ffffn,
  [Gdt.userData]: 0x00cf_f300_0000_ffffn,
  [Gdt.tss]: 0x0000_8900_3000_0067n,
  [Gdt.tssB]: 0x0000_8900_3100_0067n,
  [Gdt.tss16]: 0x0000_8100_3200_002bn,
  [Gdt.ldt]: 0x0000_8200_3300_001fn,
  [Gdt.absent]: 0x00cf_1300_0000_ffffn,
  [Gdt.conforming]: 0x00cf_9f00_0000_ffffn,
};

export interface GateOptions {
  /** Label or address of the handler. */
  readonly at?: string | number;
  readonly selector?: number;
  /** 5 task, 6 and 7 16-bit, 14 and 15 32-bit. */
  readonly type?: number;
  readonly dpl?: number;
  readonly present?: boolean;
  /** Parameters of a call gate. */
  readonly parameters?: number;
}

export interface LegacyMachine {
  readonly context: CpuContext;
  readonly symbols: ReadonlyMap<string, number>;
  run(): void;
  gate(vector: number, options?: GateOptions): void;
  callGate(selector: number, options: GateOptions): void;
  gpr(register: number): number;
  /** 16-bit words from an address. */
  words(address: number, count: number): number[];
  /** 32-bit words from an address (default: the top of the stack). */
  dwords(count: number, address?: number): number[];
  write32(address: number, ...values: number[]): void;
}

function start(source: string): LegacyMachine {
  const context = sharedProcessor(DEFAULT_MODEL);
  const { cpu, physical, engine } = context;
  const program = assemble(source, CODE);
  physical.write(CODE, program.bytes);
  resetRealMode(context);
  const place = (at: string | number): number => (typeof at === 'number' ? at : program.symbols.get(at)!);
  const describe = ({
    at = 0,
    selector = Gdt.code32,
    type = 14,
    dpl = 0,
    present = true,
    parameters = 0,
  }: GateOptions) => {
    const offset = BigInt(place(at));
    const rights = BigInt(type | (dpl << 5) | (present ? 0x80 : 0));
    return (
      (offset & 0xffffn) |
      (BigInt(selector) << 16n) |
      (BigInt(parameters) << 32n) |
      (rights << 40n) |
      ((offset >> 16n) << 48n)
    );
  };
  const bytesAt = (address: number, count: number): DataView =>
    new DataView(physical.slice(address, count).slice().buffer);
  return {
    context,
    symbols: program.symbols,
    gate: (vector, options = {}) =>
      physical.write64(IDT + vector * 8, describe({ at: HANDLERS + vector * HANDLER_BYTES, ...options })),
    callGate: (selector, options) => physical.write64(GDT + selector, describe({ type: 12, dpl: 3, ...options })),
    gpr: (register) => Number(cpu.gpr(register) & 0xffff_ffffn),
    words: (address, count) => {
      const view = bytesAt(address, count * 2);
      return Array.from({ length: count }, (_, index) => view.getUint16(index * 2, true));
    },
    dwords: (count, address) => {
      const base = Number(cpu.segment(Segment.SS).base);
      const view = bytesAt(address ?? base + Number(cpu.rsp), count * 4);
      return Array.from({ length: count }, (_, index) => view.getUint32(index * 4, true));
    },
    write32: (address, ...values) => physical.write(address, new Uint8Array(Uint32Array.from(values).buffer)),
    run() {
      const stop = engine.run(100_000);
      if (stop !== RunStop.Halted) throw new Error(`still running at ${cpu.codeAddress.toString(16)}`);
    },
  };
}

/** Real mode at the first instruction of `source`, all segments at 0. */
export function createRealMachine(source: string): LegacyMachine {
  const machine = start(`.code16\n${source}`);
  const { context } = machine;
  context.cpu.setSegment(Segment.CS, { selector: 0, base: 0n, limit: 0xffff, rights: 0x93 });
  context.cpu.rip = BigInt(CODE);
  context.cpu.rsp = BigInt(STACK);
  context.mem.set32(L.IDTR_LIMIT, 0x3ff);
  updateDerived(context);
  return machine;
}

/** Flat 32-bit protected mode, ring 0. */
export function createProtectedMachine(source: string): LegacyMachine {
  const machine = start(`.code32\n${source}`);
  const { context } = machine;
  const { mem, cpu, physical } = context;
  for (const [selector, low] of Object.entries(DESCRIPTORS)) physical.write64(GDT + (Number(selector) & 0xf8), low);
  for (let vector = 0; vector < 256; vector++) {
    physical.write(HANDLERS + vector * HANDLER_BYTES, Uint8Array.of(0x68, vector, 0, 0, 0, 0xf4));
    machine.gate(vector);
  }
  mem.set64(L.CR0, 0x11n);
  mem.set64(L.GDTR_BASE, BigInt(GDT));
  mem.set32(L.GDTR_LIMIT, 0x7f);
  mem.set64(L.IDTR_BASE, BigInt(IDT));
  mem.set32(L.IDTR_LIMIT, 0x7ff);
  const flat = { base: 0n, limit: 0xffff_ffff };
  cpu.setSegment(Segment.CS, { ...flat, selector: Gdt.code32, rights: 0xc09b });
  for (const segment of [Segment.ES, Segment.SS, Segment.DS, Segment.FS, Segment.GS])
    cpu.setSegment(segment, { ...flat, selector: Gdt.data32, rights: 0xc093 });
  cpu.setSegment(Segment.TR, { selector: Gdt.tss, base: BigInt(TSS), limit: 0x67, rights: 0x8b });
  physical.write(GDT + Gdt.tss + 5, Uint8Array.of(0x8b));
  // ESP0 and SS0; no I/O map.
  machine.write32(TSS + 4, 0x7800, Gdt.data32);
  machine.write32(TSS + 100, 0x68 << 16);
  cpu.rip = BigInt(CODE);
  cpu.rsp = BigInt(STACK);
  updateDerived(context);
  return machine;
}
