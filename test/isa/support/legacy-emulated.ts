/** Runs 16- and 32-bit cases in the emulator: a whole processor in compatibility mode at CPL 3, with paging off, so that linear addresses are physical ones. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { CpuContext } from '../../../emulator/cpu/context.ts';
import { RunStop } from '../../../emulator/cpu/engine-api.ts';
import * as L from '../../../emulator/cpu/layout.ts';
import { createProcessor } from '../../../emulator/cpu/processor.ts';
import { Segment } from '../../../emulator/cpu/state.ts';
import { parseDescriptor, toSegment, nullSegment, updateDerived } from '../../../emulator/cpu/system/descriptors.ts';
import { resetFlat64 } from '../../../emulator/cpu/system/reset.ts';
import { readRflags, writeRflags } from '../../../emulator/cpu/system/rflags.ts';
import { EventBus } from '../../../emulator/machine/events.ts';
import { createVmx } from '../../../emulator/vmx/vmx.ts';
import {
  baseOf,
  codeAddress,
  DATA,
  DATA_BYTES,
  FLAT_CODE,
  FLAT_DATA,
  LDT,
  WIDE_CODE,
  WINDOW,
  WINDOW_BYTES,
  withExit,
} from './legacy-case.ts';
import type { LdtSegment, LegacyCase, LegacyOutcome } from './legacy-case.ts';

const dist = process.env['DUNE_DIST'] ?? join(import.meta.dirname, '../../../dist');
const RAM_BYTES = 0x500000;
const GDT = 0x1000;
const LDT_AT = 0x2000;
/** PE, MP, NE, ET: no paging. */
const CR0 = 0x33n;
/** LME, LMA: as under a 64-bit kernel, code of CS.L = 0 is in compatibility mode. */
const EFER = 0x500n;
const CODE32 = 0x00cf_fb00_0000_ffffn;
const DATA32 = 0x00cf_f300_0000_ffffn;
const CODE64 = 0x00af_fb00_0000_ffffn;
const LIMIT = 10_000;
const ESP = 4;

function descriptor({ base, limit, type, big, present }: LdtSegment): bigint {
  const rights = BigInt(type | 0x70 | (present ? 0x80 : 0));
  const wide = BigInt(base);
  return (
    BigInt(limit & 0xffff) |
    ((wide & 0xff_ffffn) << 16n) |
    (rights << 40n) |
    (BigInt((limit >> 16) | (1 << 4) | (big ? 4 << 4 : 0)) << 48n) |
    ((wide >> 24n) << 56n)
  );
}

export class LegacyEmulator {
  readonly #context: CpuContext;
  #vector = -1;
  #error = 0;

  constructor() {
    const wasm = (name: string) => new WebAssembly.Module(readFileSync(join(dist, name)));
    const forms = JSON.parse(readFileSync(join(dist, 'forms.json'), 'utf8')) as unknown;
    const context = createProcessor(
      { core: wasm('core.wasm'), interpreter: wasm('interpreter.wasm'), forms },
      {
        ramBytes: RAM_BYTES,
        physBits: 36,
        cpus: 1,
        events: new EventBus(),
        createVmx,
        pendingInterrupt: () => undefined,
      },
    );
    const { engine, physical } = context;
    const { hooks } = engine as unknown as {
      hooks: { -readonly [K in 'system' | 'deliver']: (what: never) => unknown };
    };
    const system = hooks.system as (insn: {
      op: string;
      operands: readonly { kind: string; value?: bigint }[];
    }) => unknown;
    hooks.system = (insn: never) => {
      const { op, operands } = insn as Parameters<typeof system>[0];
      if (op === 'jmp_far' && (operands[0]?.value ?? 0n) >> 32n === BigInt(WIDE_CODE)) {
        engine.requestStop();
        return 'next';
      }
      return system(insn);
    };
    hooks.deliver = (fault: never) => {
      const { kind, vector, errorCode } = fault as { kind: string; vector: number; errorCode?: number };
      this.#vector = kind === 'exception' ? vector : 256;
      this.#error = errorCode ?? 0;
      engine.requestStop();
    };
    physical.write64(GDT + (FLAT_CODE & 0xf8), CODE32);
    physical.write64(GDT + (FLAT_DATA & 0xf8), DATA32);
    physical.write64(GDT + (WIDE_CODE & 0xf8), CODE64);
    LDT.forEach((segment, index) => physical.write64(LDT_AT + index * 8, descriptor(segment)));
    this.#context = context;
  }

  run(test: LegacyCase, index: number): LegacyOutcome {
    const { mem, cpu, physical, engine } = this.#context;
    const address = codeAddress(index);
    physical.write(address, withExit(test));
    physical.fill(DATA, DATA_BYTES);
    physical.write(WINDOW, test.window);
    this.#start(test);
    cpu.rip = BigInt(address - baseOf(test.cs));
    this.#vector = -1;
    this.#error = 0;
    const stop = engine.run(LIMIT);
    if (stop !== RunStop.Requested) throw new Error(`${test.name}: the code did not end (${stop})`);
    return {
      vector: this.#vector,
      error: this.#error,
      eip: this.#vector < 0 ? 0 : mem.get32(L.RIP),
      gpr: new Uint32Array(8).map((_, register) => Number(cpu.gpr(register) & 0xffff_ffffn)),
      eflags: readRflags(this.#context),
      ds: cpu.segment(Segment.DS).selector,
      es: cpu.segment(Segment.ES).selector,
      window: physical.slice(WINDOW, WINDOW_BYTES),
    };
  }

  #start({ gpr, eflags, cs, ss, ds, es }: LegacyCase): void {
    const context = this.#context;
    const { mem, cpu } = context;
    resetFlat64(context, 0n);
    mem.set64(L.CR0, CR0);
    mem.set64(L.MSR_EFER, EFER);
    mem.set64(L.GDTR_BASE, BigInt(GDT));
    mem.set32(L.GDTR_LIMIT, 0x7f);
    cpu.setSegment(Segment.LDTR, { selector: 0x50, base: BigInt(LDT_AT), limit: LDT.length * 8 - 1, rights: 0x82 });
    // No I/O map.
    cpu.setSegment(Segment.TR, { selector: 0x40, base: 0n, limit: 0x5f, rights: 0x8b });
    const named = { [Segment.CS]: cs, [Segment.SS]: ss, [Segment.DS]: ds, [Segment.ES]: es };
    for (const [segment, selector] of Object.entries(named)) this.#load(Number(segment), selector);
    for (const segment of [Segment.FS, Segment.GS]) this.#load(segment, 0);
    gpr.forEach((value, register) => cpu.setGpr(register, BigInt(value)));
    if (ss === 0) cpu.setGpr(ESP, 0n);
    writeRflags(context, eflags);
    updateDerived(context);
  }
  #load(segment: Segment, selector: number): void {
    const { cpu, physical } = this.#context;
    if (selector === 0) return cpu.setSegment(segment, nullSegment(0));
    const at = (selector & 4 ? LDT_AT : GDT) + (selector & 0xf8);
    cpu.setSegment(segment, toSegment(parseDescriptor(BigInt(at), physical.read64(at)), selector));
  }
}
