/** Runs cases in the emulator: a process at CPL 3 as Linux starts one, over the pages of layout.ts. Nothing is made anew between two cases. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { RunStop } from '../../../emulator/cpu/engine-api.ts';
import type { Fault } from '../../../emulator/cpu/engine-api.ts';
import type { ExecutionEngine } from '../../../emulator/cpu/engine.ts';
import type { CpuContext } from '../../../emulator/cpu/context.ts';
import * as L from '../../../emulator/cpu/layout.ts';
import { createProcessor } from '../../../emulator/cpu/processor.ts';
import { Segment } from '../../../emulator/cpu/state.ts';
import { ARITHMETIC_FLAGS } from '../../../emulator/cpu/semantics/operations.ts';
import { resetLinux } from '../../../emulator/cpu/system/reset.ts';
import { EventBus } from '../../../emulator/machine/events.ts';
import { createVmx } from '../../../emulator/vmx/vmx.ts';
import { MODEL } from './forms.ts';
import type { Batch } from './batch.ts';
import * as F from './layout.ts';
import type { Patch } from './layout.ts';

const dist = process.env['DUNE_DIST'] ?? join(import.meta.dirname, '../../../dist');
const RAM_BYTES = 16 << 20;
/** Frame of the gate, then page tables. */
const GATE_FRAME = 0xe00000;
const TABLES = 0xf00000;
const PRESENT = 1n;
const WRITABLE = 2n;
const USER = 4n;
const NO_EXECUTE = 1n << 63n;
const HLT = 0xf4;
/** Instructions after which a case has gone astray. */
const LIMIT = 100_000;
/** With fewer instructions than this to go, the engine steps singly. */
const STEPPED = 60;
const ALIGNMENT_CHECK = 0x40000;
const TOP = 0x3800;

let assets: { core: WebAssembly.Module; interpreter: WebAssembly.Module; forms: unknown } | undefined;

function loadAssets(): NonNullable<typeof assets> {
  const wasm = (name: string) => new WebAssembly.Module(readFileSync(join(dist, name)));
  const forms = () => JSON.parse(readFileSync(join(dist, 'forms.json'), 'utf8')) as unknown;
  return (assets ??= { core: wasm('core.wasm'), interpreter: wasm('interpreter.wasm'), forms: forms() });
}

export type BackEnd = 'interpreter' | 'translator';

/** Executions after which a program is translated, and programs in a module. */
const EAGER = { threshold: 2, batch: 64, modules: 1500, mostSteps: 1 };

/** Copies words between arrays, whose places are in bytes. */
function copyWords(to: Uint32Array, at: number, from: Uint32Array, start: number, count: number): void {
  for (let i = 0; i < count; i++) to[(at >> 2) + i] = from[(start >> 2) + i]!;
}
/** Copies ten bytes, and makes the two after them zero. */
function copyExtended(to: Uint32Array, at: number, from: Uint32Array, start: number): void {
  copyWords(to, at, from, start, 2);
  to[(at >> 2) + 2] = from[(start >> 2) + 2]! & 0xffff;
}

export class EmulatedCpu {
  readonly #context: CpuContext;
  readonly #engine: ExecutionEngine;
  /** State after a case. */
  readonly out = new Uint8Array(F.STATE_BYTES);
  readonly #view = new DataView(this.out.buffer);
  readonly #words = new Uint32Array(this.out.buffer);
  /** Page of the state as it is before every case. */
  readonly #fresh: Uint8Array;
  #alignmentChecked = false;

  constructor(readonly backEnd: BackEnd) {
    const context = createProcessor(loadAssets(), {
      ramBytes: RAM_BYTES,
      physBits: 39,
      cpus: 1,
      events: new EventBus(),
      createVmx,
      pendingInterrupt: () => undefined,
      model: MODEL,
      ...(backEnd === 'translator' ? { translate: EAGER } : {}),
    });
    context.events.context = () => ({
      thread: 0,
      cycles: 0,
      mode: 'root',
      instructions: 0,
      rip: context.cpu.rip,
      cpl: 3,
    });
    this.#context = context;
    this.#engine = context.engine as ExecutionEngine;
    const { mem, physical } = context;
    this.#map(TABLES);
    physical.write(GATE_FRAME, Uint8Array.of(HLT));
    resetLinux(context, BigInt(TABLES));
    // No I/O permission map: ports are refused.
    context.cpu.setSegment(Segment.TR, { selector: 0x40, base: 0n, limit: 0x65, rights: 0x8b });
    const take = (fault: Fault): void => {
      this.#engine.requestStop();
      if (fault.kind !== 'exception') throw new Error(`${fault.kind} at ${context.cpu.rip.toString(16)}`);
      this.#view.setUint32(F.AT_VECTOR, fault.vector, true);
      this.#view.setUint32(F.AT_ERROR, fault.errorCode ?? 0, true);
      this.#view.setBigUint64(F.AT_ADDRESS, fault.vector === 14 ? fault.gva! : 0n, true);
    };
    this.#engine.hooks.deliver = take;
    const unexpected = (): void => {
      throw new Error('only exceptions leave the program');
    };
    // INT3 goes its own way.
    this.#engine.supervisor = { syscall: unexpected, vmExit: unexpected, exception: take };
    this.#engine.contextChanged();
    this.#engine.setBreakpoints(new Set([BigInt(F.GATE)]));
    this.#fresh = mem.bytes.slice(L.STATE, L.STATE + L.STATE_SIZE);
  }

  #map(pml4: number): void {
    const { physical } = this.#context;
    const upper = PRESENT | WRITABLE | USER;
    const leaf = PRESENT | USER | NO_EXECUTE;
    const code = PRESENT | USER;
    physical.write64(pml4, BigInt(pml4 + 0x1000) | upper);
    physical.write64(pml4 + 0x1000, BigInt(pml4 + 0x2000) | upper);
    const table = (pde: number, at: number) => physical.write64(pml4 + 0x2000 + pde * 8, BigInt(at) | upper);
    table(F.DATA >> 21, pml4 + 0x3000);
    F.RIGHTS.forEach((right, page) => {
      const bits = right === F.Right.Write ? leaf | WRITABLE : leaf;
      if (right !== F.Right.None) physical.write64(pml4 + 0x3000 + page * 8, BigInt(F.DATA + page * F.PAGE) | bits);
    });
    table(F.CODE >> 21, pml4 + 0x4000);
    for (let page = 0; page < 512; page++)
      physical.write64(pml4 + 0x4000 + page * 8, BigInt(F.CODE + page * F.PAGE) | code);
    // The gate, by tables of its own.
    const indices = [39n, 30n, 21n, 12n].map((shift) => Number((BigInt(F.GATE) >> shift) & 511n));
    physical.write64(pml4 + indices[0]! * 8, BigInt(pml4 + 0x5000) | upper);
    physical.write64(pml4 + 0x5000 + indices[1]! * 8, BigInt(pml4 + 0x6000) | upper);
    physical.write64(pml4 + 0x6000 + indices[2]! * 8, BigInt(pml4 + 0x7000) | upper);
    physical.write64(pml4 + 0x7000 + indices[3]! * 8, BigInt(GATE_FRAME) | code);
  }

  get regions(): number {
    return this.#engine.translator?.translated ?? 0;
  }

  /** Takes over code and data of a batch. */
  load(batch: Batch): void {
    const { mem } = this.#context;
    mem.bytes.set(batch.code.subarray(0, batch.codeBytes), L.RAM_BASE + F.CODE);
    for (let at = 0; at < batch.codeBytes; at += F.PAGE) this.#engine.invalidateCode((F.CODE + at) >> 12);
    mem.bytes.set(batch.pages, L.RAM_BASE + F.DATA);
  }

  /** The data pages. */
  get pages(): Uint8Array {
    const from = L.RAM_BASE + F.DATA;
    return this.#context.mem.bytes.subarray(from, from + F.DATA_BYTES);
  }

  /** Runs a case from `state`, to `out` and the data pages. */
  run(state: Uint8Array, patches: readonly Patch[], stepped = false): void {
    const { mem } = this.#context;
    for (const { address, bytes } of patches) mem.bytes.set(bytes, L.RAM_BASE + address);
    this.#enter(state);
    this.out.fill(0);
    this.#view.setUint32(F.AT_VECTOR, F.NO_VECTOR, true);
    const stop = this.#engine.run(stepped ? STEPPED : LIMIT);
    if (stop === RunStop.Budget || stop === RunStop.Halted)
      throw new Error(`the program did not end: ${this.#context.cpu.rip.toString(16)}`);
    this.#leave();
  }

  #enter(state: Uint8Array): void {
    const { mem } = this.#context;
    const { bytes } = mem;
    const view = new DataView(state.buffer, state.byteOffset);
    const from = new Uint32Array(state.buffer, state.byteOffset, F.STATE_BYTES / 4);
    const to = mem.u32;
    bytes.set(this.#fresh, L.STATE);
    copyWords(to, L.GPR, from, 0, 32);
    const flags = view.getUint32(F.AT_RFLAGS, true);
    mem.set64(L.CC_A, BigInt(flags & ARITHMETIC_FLAGS));
    mem.set32(L.SYSTEM_FLAGS, flags & ~ARITHMETIC_FLAGS & ~2);
    mem.set64(L.RIP, view.getBigUint64(F.AT_RIP, true));
    mem.set64(L.FS + L.SEG_BASE, view.getBigUint64(F.AT_FS_BASE, true));
    mem.set64(L.GS + L.SEG_BASE, view.getBigUint64(F.AT_GS_BASE, true));
    for (let i = 0; i < 16; i++) {
      copyWords(to, L.XMM + i * L.XMM_STRIDE, from, F.X_XMM + i * 16, 4);
      copyWords(to, L.XMM + i * L.XMM_STRIDE + 16, from, F.X_YMM + i * 16, 4);
    }
    mem.set32(L.MXCSR, view.getUint32(F.X_MXCSR, true));
    const status = view.getUint16(F.X_FSW, true);
    const top = (status >> 11) & 7;
    mem.set32(L.X87_CW, view.getUint16(F.X_FCW, true));
    mem.set32(L.X87_SW, status & ~TOP);
    mem.set32(L.X87_TOP, top);
    let tags = 0;
    for (let i = 0; i < 8; i++) if (!((state[F.X_FTW]! >> i) & 1)) tags |= 3 << (i * 2);
    mem.set32(L.X87_TAG, tags);
    for (let i = 0; i < 8; i++) copyExtended(to, L.X87 + ((top + i) & 7) * 16, from, F.X_ST + i * 16);
    const checked = (flags & ALIGNMENT_CHECK) !== 0;
    if (checked !== this.#alignmentChecked) this.#engine.contextChanged();
    this.#alignmentChecked = checked;
  }

  #leave(): void {
    const { mem } = this.#context;
    const { out } = this;
    const view = this.#view;
    const to = this.#words;
    const from = mem.u32;
    copyWords(to, 0, from, L.GPR, 32);
    const flags = mem.get32(L.SYSTEM_FLAGS) | this.#engine.core.arithmeticFlags() | 2;
    view.setUint32(F.AT_RFLAGS, flags, true);
    view.setBigUint64(F.AT_RIP, mem.get64(L.RIP), true);
    view.setBigUint64(F.AT_FS_BASE, mem.get64(L.FS + L.SEG_BASE), true);
    view.setBigUint64(F.AT_GS_BASE, mem.get64(L.GS + L.SEG_BASE), true);
    for (let i = 0; i < 16; i++) {
      copyWords(to, F.X_XMM + i * 16, from, L.XMM + i * L.XMM_STRIDE, 4);
      copyWords(to, F.X_YMM + i * 16, from, L.XMM + i * L.XMM_STRIDE + 16, 4);
    }
    view.setUint32(F.X_MXCSR, mem.get32(L.MXCSR), true);
    const top = mem.get32(L.X87_TOP);
    view.setUint16(F.X_FCW, mem.get32(L.X87_CW), true);
    view.setUint16(F.X_FSW, (mem.get32(L.X87_SW) & ~TOP) | (top << 11), true);
    const tags = mem.get32(L.X87_TAG);
    for (let i = 0; i < 8; i++) {
      if (((tags >> (i * 2)) & 3) !== 3) out[F.X_FTW]! |= 1 << i;
      copyExtended(to, F.X_ST + i * 16, from, L.X87 + ((top + i) & 7) * 16);
    }
    // The AC flag may have changed on the way.
    this.#alignmentChecked = (flags & ALIGNMENT_CHECK) !== 0;
  }
}
