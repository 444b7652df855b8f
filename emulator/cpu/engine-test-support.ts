/** For specs: an engine alone, in 64-bit mode at CPL 0 over identity page tables of 4 KB pages. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { MmuCore } from '../mmu/core.ts';
import { EventBus } from '../machine/events.ts';
import { createMmu } from '../mmu/mmu.ts';
import type { MemoryManagement } from '../mmu/mmu.ts';
import { PhysicalMemory } from '../mmu/physical.ts';
import type { SystemOutcome } from './context.ts';
import { ExecutionEngine } from './engine.ts';
import type { Fault } from './engine-api.ts';
import type { Instruction } from './instruction.ts';
import type { HandlerTable } from './interpreter/keys.ts';
import * as L from './layout.ts';
import { EVERYTHING } from './system/model-test-support.ts';
import type { TranslatorOptions } from './region/translator.ts';
import { FAULT_BAIL, FAULT_EXCEPTION } from './codes.ts';

const DIST = join(import.meta.dirname, '../../dist');
const RAM_BYTES = 16 << 20;
/** Linear addresses that pages can be mapped at; those of RAM are. */
const LINEAR_BYTES = 64 << 20;
/** Page tables take the last megabyte of RAM. */
const TABLES = RAM_BYTES - (1 << 20);
const PRESENT_WRITABLE = 3n;
const PAGE = 4096;

const compile = (name: string): WebAssembly.Module => new WebAssembly.Module(readFileSync(join(DIST, name)));
let assets: { core: WebAssembly.Module; interpreter: WebAssembly.Module; forms: HandlerTable } | undefined;

export interface TestEngine {
  readonly engine: ExecutionEngine;
  readonly mmu: MemoryManagement;
  readonly physical: PhysicalMemory;
  /** Faults delivered so far; a delivered fault halts the CPU. */
  readonly faults: Fault[];
  /** Instructions handed to TypeScript; HLT halts, others are passed over. */
  readonly systems: Instruction[];
  /** Bytes at an address equal to its HPA. */
  put(gva: number, ...bytes: number[]): void;
  /** Maps a page to a frame with these entry bits; 0 unmaps. */
  map(gva: number, hpa: number, bits: bigint): void;
  /** As `map`, to a writable frame, but nothing else is invalidated. */
  remap(gva: number, hpa: number): void;
  /** Only the table's entry changes. */
  rewrite(gva: number, hpa: number): void;
  /** Starts at an address, with RSP at `stack`. */
  start(gva: number, stack?: number): void;
  /** All registers, flags, RIP and counts as text. */
  state(): string;
}

/** @param translate hot code is translated as soon as this says */
export function createTestEngine(translate?: TranslatorOptions): TestEngine {
  assets ??= {
    core: compile('core.wasm'),
    interpreter: compile('interpreter.wasm'),
    forms: JSON.parse(readFileSync(join(DIST, 'forms.json'), 'utf8')) as HandlerTable,
  };
  const engine = new ExecutionEngine(assets, {
    ramBytes: RAM_BYTES,
    physBits: 36,
    model: EVERYTHING,
    ...(translate ? { translate } : {}),
  });
  const { mem, cpu } = engine;
  const physical = new PhysicalMemory(mem, RAM_BYTES, (pfn) => engine.invalidateCode(pfn));
  const faults: Fault[] = [];
  const systems: Instruction[] = [];
  const halt = (): void => mem.set32(L.ACTIVITY, 1);

  for (let page = 0; page < RAM_BYTES / PAGE; page++)
    physical.write64(TABLES + 0x10000 + page * 8, BigInt(page * PAGE) | PRESENT_WRITABLE);
  for (let table = 0; table < LINEAR_BYTES / PAGE / 512; table++) {
    physical.write64(TABLES + 0x2000 + table * 8, BigInt(TABLES + 0x10000 + table * PAGE) | PRESENT_WRITABLE);
  }
  physical.write64(TABLES + 0x1000, BigInt(TABLES + 0x2000) | PRESENT_WRITABLE);
  physical.write64(TABLES, BigInt(TABLES + 0x1000) | PRESENT_WRITABLE);
  mem.set64(L.CR0, 0x8001_0031n);
  mem.set64(L.CR4, 0x4_0620n);
  mem.set64(L.XCR0, 7n);
  mem.set64(L.CR3, BigInt(TABLES));
  mem.set64(L.MSR_EFER, 0xd00n);
  mem.set32(L.CODE_MODE, 2);
  mem.set32(L.MXCSR, 0x1f80);
  mem.set32(L.X87_CW, 0x37f);
  mem.set32(L.X87_TAG, 0xffff);

  const mmu = createMmu({ mem, core: engine.core as unknown as MmuCore, events: new EventBus() });
  engine.hooks = {
    system(insn): SystemOutcome {
      systems.push(insn);
      if (insn.op !== 'hlt') return 'next';
      cpu.rip = insn.gva + BigInt(insn.length);
      halt();
      return 'moved';
    },
    deliver(fault) {
      faults.push(fault);
      halt();
    },
    takeFault() {
      const kind = mem.get32(L.FAULT_KIND);
      mem.set32(L.FAULT_KIND, 0);
      if (kind === FAULT_BAIL) throw new Error('a bail is no fault');
      if (kind !== FAULT_EXCEPTION) return { kind: 'ept-misconfiguration', gva: 0n, gpa: 0, qualification: 0n };
      return {
        kind: 'exception',
        vector: mem.get32(L.FAULT_VECTOR),
        errorCode: mem.get32(L.FAULT_ERROR),
        gva: mem.get64(L.FAULT_GVA),
      };
    },
    exitByViolation: () => false,
    supplied: () => {},
    settleLease: () => {},
    pendingInterrupt: () => undefined,
    boundary: () => false,
    idle: () => {},
    timePassed: () => {},
    selectBank: () => mmu.banks.contextChanged(),
    selectCpu: (index) => void (mmu.banks.cpu = index),
    forgetPage: (gva) => mmu.forgetPage(gva),
    protectFrame: (pfn) => mmu.protectFrame(pfn),
    peek: (gva) => mmu.peek(gva),
    undecodable: () => {},
  };
  engine.contextChanged();
  const enter = (gva: number, entry: bigint): void => physical.write64(TABLES + 0x10000 + (gva / PAGE) * 8, entry);

  return {
    engine,
    mmu,
    physical,
    faults,
    systems,
    put: (gva, ...bytes) => physical.write(gva, Uint8Array.from(bytes)),
    map(gva, hpa, bits) {
      enter(gva, bits === 0n ? 0n : BigInt(hpa) | bits);
      mmu.flushAll();
    },
    remap(gva, hpa) {
      enter(gva, BigInt(hpa) | PRESENT_WRITABLE);
      mmu.invalidatePage(BigInt(gva));
    },
    rewrite: (gva, hpa) => enter(gva, BigInt(hpa) | PRESENT_WRITABLE),
    start(gva, stack = 0x80000) {
      cpu.rip = BigInt(gva);
      cpu.rsp = BigInt(stack);
      mem.set32(L.ACTIVITY, 0);
      faults.length = 0;
    },
    state() {
      const registers = Array.from({ length: 16 }, (_, index) => cpu.gpr(index).toString(16));
      return `${cpu.rip.toString(16)} ${registers.join(' ')} f${engine.core.arithmeticFlags().toString(16)} n${engine.retired}`;
    },
  };
}
