/** Runs cases in the emulator: the engine alone, in 64-bit mode with paging off, so that linear addresses are physical ones. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { FAULT_NOT_CANONICAL } from '../../../emulator/cpu/codes.ts';
import * as L from '../../../emulator/cpu/layout.ts';
import { ExecutionEngine } from '../../../emulator/cpu/engine.ts';
import { RunStop } from '../../../emulator/cpu/engine-api.ts';
import { TlbBanks } from '../../../emulator/mmu/banks.ts';
import type { MmuCore } from '../../../emulator/mmu/core.ts';
import { ARITHMETIC_FLAGS } from '../../../emulator/cpu/semantics/operations.ts';
import { EVERYTHING } from '../../../emulator/cpu/system/model-test-support.ts';
import { caseAddress, DATA, EXIT, FX_BYTES, HIGH_BYTES, WINDOW, WINDOW_BYTES, withExit } from './case.ts';
import type { Outcome, TestCase } from './case.ts';

const dist = process.env['DUNE_DIST'] ?? join(import.meta.dirname, '../../../dist');
const RAM_BYTES = 0xc00000 + 0x10000;
const HLT = 0xf4;
/** PE, MP, NE: protected mode, no paging; CR4.OSFXSR, OSXMMEXCPT and OSXSAVE. */
const CR0 = 0x23n;
const CR4 = 0x4_0600n;
/** x87, SSE and AVX state. */
const XCR0 = 7n;
const VECTOR_GP = 13;
/** Instructions after which a case has gone astray. */
const LIMIT = 100_000;
const DATA_BYTES = 0x4000;

export class EmulatedHost {
  readonly #engine: ExecutionEngine;
  #vector = -1;

  constructor() {
    const wasm = (name: string) => new WebAssembly.Module(readFileSync(join(dist, name)));
    const forms = JSON.parse(readFileSync(join(dist, 'forms.json'), 'utf8'));
    const assets = { core: wasm('core.wasm'), interpreter: wasm('interpreter.wasm'), forms };
    const engine = new ExecutionEngine(assets, { ramBytes: RAM_BYTES, physBits: 39, model: EVERYTHING });
    const { mem } = engine;
    mem.set64(L.CR0, CR0);
    mem.set64(L.CR4, CR4);
    mem.set64(L.XCR0, XCR0);
    mem.set32(L.CODE_MODE, 2);
    const banks = new TlbBanks(mem, engine.core as unknown as MmuCore);
    engine.hooks = {
      system: (instruction) => {
        if (instruction.op !== 'hlt') throw new Error(`${instruction.op} is left to cpu/system/`);
        engine.requestStop();
        return 'next';
      },
      deliver: (fault) => {
        this.#vector = fault.kind === 'exception' ? fault.vector : 256;
        engine.requestStop();
      },
      takeFault: () => {
        const notCanonical = mem.get32(L.FAULT_KIND) === FAULT_NOT_CANONICAL;
        mem.set32(L.FAULT_KIND, 0);
        return {
          kind: 'exception',
          vector: notCanonical ? VECTOR_GP : mem.get32(L.FAULT_VECTOR),
          errorCode: mem.get32(L.FAULT_ERROR),
          gva: mem.get64(L.FAULT_GVA),
        };
      },
      exitByViolation: () => false,
      supplied: () => {},
      settleLease: () => {},
      pendingInterrupt: () => undefined,
      boundary: () => false,
      idle: () => undefined,
      timePassed: () => undefined,
      selectBank: () => banks.contextChanged(),
      selectCpu: () => undefined,
      forgetPage: () => undefined,
      protectFrame: () => undefined,
      peek: (gva) => Number(gva),
      undecodable: () => undefined,
    };
    engine.contextChanged();
    mem.bytes[L.RAM_BASE + EXIT] = HLT;
    this.#engine = engine;
  }

  /** Runs a case at the address that belongs to its index; no two cases may share one. */
  run(test: TestCase, index: number): Outcome {
    const engine = this.#engine;
    const { mem, cpu } = engine;
    const address = caseAddress(index);
    mem.bytes.set(withExit(test.code), L.RAM_BASE + address);
    mem.bytes.fill(0, L.RAM_BASE + DATA, L.RAM_BASE + DATA + DATA_BYTES);
    mem.bytes.set(test.window, L.RAM_BASE + WINDOW);
    test.registers.gpr.forEach((value, register) => cpu.setGpr(register, value));
    mem.set32(L.CC_OP, 0);
    mem.set64(L.CC_A, BigInt(test.registers.rflags & ARITHMETIC_FLAGS));
    mem.set32(L.SYSTEM_FLAGS, test.registers.rflags & ~ARITHMETIC_FLAGS & ~2);
    setFx(mem.bytes, test.registers.fx);
    setHigh(mem.bytes, test.registers.high ?? new Uint8Array(HIGH_BYTES));
    cpu.rip = BigInt(address);
    this.#vector = -1;
    const stop = engine.run(LIMIT);
    if (stop !== RunStop.Requested) throw new Error(`${test.name}: the code did not end`);
    const gpr = new BigUint64Array(16).map((_, register) => cpu.gpr(register));
    const rflags = (engine.core.arithmeticFlags() | mem.get32(L.SYSTEM_FLAGS) | 2) >>> 0;
    const window = mem.bytes.slice(L.RAM_BASE + WINDOW, L.RAM_BASE + WINDOW + WINDOW_BYTES);
    return { vector: this.#vector, registers: { gpr, rflags, fx: getFx(mem.bytes), high: getHigh(mem.bytes) }, window };
  }
}

const upperHalf = (register: number) => L.XMM + register * L.XMM_STRIDE + 16;

function setHigh(bytes: Uint8Array, high: Uint8Array): void {
  for (let i = 0; i < 16; i++) bytes.set(high.subarray(i * 16, i * 16 + 16), upperHalf(i));
}

function getHigh(bytes: Uint8Array): Uint8Array {
  const high = new Uint8Array(HIGH_BYTES);
  for (let i = 0; i < 16; i++) high.set(bytes.subarray(upperHalf(i), upperHalf(i) + 16), i * 16);
  return high;
}

/** Loads the parts of an FXSAVE image that the state page holds: XMM, MXCSR, x87 control, status, tags and stack. */
function setFx(bytes: Uint8Array, fx: Uint8Array): void {
  const state = new DataView(bytes.buffer);
  const image = new DataView(fx.buffer, fx.byteOffset);
  for (let i = 0; i < 16; i++) bytes.set(fx.subarray(160 + i * 16, 176 + i * 16), L.XMM + i * L.XMM_STRIDE);
  state.setUint32(L.MXCSR, image.getUint32(24, true), true);
  const status = image.getUint16(2, true);
  const top = (status >> 11) & 7;
  state.setUint32(L.X87_CW, image.getUint16(0, true), true);
  state.setUint32(L.X87_SW, status & ~0x3800, true);
  state.setUint32(L.X87_TOP, top, true);
  let tags = 0;
  for (let i = 0; i < 8; i++) if (!((fx[4]! >> i) & 1)) tags |= 3 << (i * 2);
  state.setUint32(L.X87_TAG, tags, true);
  for (let i = 0; i < 8; i++) bytes.set(fx.subarray(32 + i * 16, 42 + i * 16), L.X87 + ((top + i) & 7) * 16);
}

function getFx(bytes: Uint8Array): Uint8Array {
  const fx = new Uint8Array(FX_BYTES);
  const image = new DataView(fx.buffer);
  const state = new DataView(bytes.buffer);
  for (let i = 0; i < 16; i++) {
    const at = L.XMM + i * L.XMM_STRIDE;
    fx.set(bytes.subarray(at, at + 16), 160 + i * 16);
  }
  image.setUint32(24, state.getUint32(L.MXCSR, true), true);
  image.setUint32(28, 0xffff, true);
  const top = state.getUint32(L.X87_TOP, true);
  image.setUint16(0, state.getUint32(L.X87_CW, true), true);
  image.setUint16(2, (state.getUint32(L.X87_SW, true) & ~0x3800) | (top << 11), true);
  const tags = state.getUint32(L.X87_TAG, true);
  for (let i = 0; i < 8; i++) {
    if (((tags >> (i * 2)) & 3) !== 3) fx[4] = fx[4]! | (1 << i);
    const at = L.X87 + ((top + i) & 7) * 16;
    fx.set(bytes.subarray(at, at + 10), 32 + i * 16);
  }
  return fx;
}
