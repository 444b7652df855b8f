/** Typed access to the CPU state page, for everything that is not on the hot path. 64-bit quantities are bigint. */
import { CC_FLAGS, CC_LOGIC } from './codes.ts';
import * as L from './layout.ts';

export const enum Segment {
  ES = 0,
  CS = 1,
  SS = 2,
  DS = 3,
  FS = 4,
  GS = 5,
  LDTR = 6,
  TR = 7,
}

/** A segment register with its hidden part. */
export interface SegmentRegister {
  selector: number;
  base: bigint;
  /** Bytes, granularity applied. */
  limit: number;
  /** VMCS access-rights format (SDM 3C 25.4.1). */
  rights: number;
}

const TWO_32 = 0x1_0000_0000;

/** Views over the engine's linear memory. The memory never grows, so the views stay valid. */
export class LinearMemory {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly u32: Uint32Array;
  readonly u64: BigUint64Array;

  constructor(readonly memory: WebAssembly.Memory) {
    this.bytes = new Uint8Array(memory.buffer);
    this.view = new DataView(memory.buffer);
    this.u32 = new Uint32Array(memory.buffer);
    this.u64 = new BigUint64Array(memory.buffer);
  }

  get32(offset: number): number {
    return this.u32[offset >>> 2]!;
  }
  set32(offset: number, value: number): void {
    this.u32[offset >>> 2] = value;
  }
  get64(offset: number): bigint {
    return this.u64[offset >>> 3]!;
  }
  set64(offset: number, value: bigint): void {
    this.u64[offset >>> 3] = value;
  }
  /** Adds a whole number below 2^52 in magnitude to a u64, without a bigint. */
  add64(offset: number, value: number): void {
    const low = this.u32[offset >>> 2]! + value;
    this.u32[offset >>> 2] = low;
    if (low < 0 || low >= TWO_32) this.u32[(offset >>> 2) + 1]! += Math.floor(low / TWO_32);
  }
  copy64(to: number, from: number): void {
    this.u32[to >>> 2] = this.u32[from >>> 2]!;
    this.u32[(to >>> 2) + 1] = this.u32[(from >>> 2) + 1]!;
  }
  /** Stores 32 bits, zero-extended. */
  setLow64(offset: number, low: number): void {
    this.u32[offset >>> 2] = low;
    this.u32[(offset >>> 2) + 1] = 0;
  }
  get16(offset: number): number {
    return this.view.getUint16(offset, true);
  }
  set16(offset: number, value: number): void {
    this.view.setUint16(offset, value, true);
  }
}

/** The running vCPU's registers. */
export class CpuState {
  /** RAX to R15 in their order. */
  readonly gprs: BigUint64Array;

  constructor(readonly mem: LinearMemory) {
    this.gprs = new BigUint64Array(mem.memory.buffer, L.GPR, 16);
  }

  gpr(register: number): bigint {
    return this.mem.get64(L.GPR + register * 8);
  }
  setGpr(register: number, value: bigint): void {
    this.mem.set64(L.GPR + register * 8, value);
  }

  get rip(): bigint {
    return this.mem.get64(L.RIP);
  }
  set rip(value: bigint) {
    this.mem.set64(L.RIP, value);
  }
  /** Linear address of the instruction at RIP, which outside 64-bit mode is an offset in CS. */
  get codeAddress(): bigint {
    if (this.mem.get32(L.CODE_MODE) === 2) return this.rip;
    return BigInt((this.mem.get32(L.CS + L.SEG_BASE) + this.mem.get32(L.RIP)) >>> 0);
  }
  get rsp(): bigint {
    return this.gpr(4);
  }
  set rsp(value: bigint) {
    this.setGpr(4, value);
  }

  get cpl(): number {
    return this.mem.get32(L.CPL);
  }
  get nonRoot(): boolean {
    return this.mem.get32(L.NON_ROOT) !== 0;
  }

  get cr0(): bigint {
    return this.mem.get64(L.CR0);
  }
  get cr2(): bigint {
    return this.mem.get64(L.CR2);
  }
  set cr2(value: bigint) {
    this.mem.set64(L.CR2, value);
  }
  get cr3(): bigint {
    return this.mem.get64(L.CR3);
  }
  get cr4(): bigint {
    return this.mem.get64(L.CR4);
  }
  get efer(): bigint {
    return this.mem.get64(L.MSR_EFER);
  }

  /** Hidden and visible part of a segment register (VMCS order). */
  segment(index: Segment): SegmentRegister {
    const at = L.SEG + index * L.SEG_STRIDE;
    return {
      selector: this.mem.get16(at + L.SEG_SELECTOR),
      base: this.mem.get64(at + L.SEG_BASE),
      limit: this.mem.get32(at + L.SEG_LIMIT),
      rights: this.mem.get32(at + L.SEG_RIGHTS),
    };
  }
  /** Stores the parts as they are; the caller updates CPL and CODE_MODE (see cpu/system/segments.ts). */
  setSegment(index: Segment, segment: SegmentRegister): void {
    const at = L.SEG + index * L.SEG_STRIDE;
    this.mem.set16(at + L.SEG_SELECTOR, segment.selector);
    this.mem.set64(at + L.SEG_BASE, segment.base);
    this.mem.set32(at + L.SEG_LIMIT, segment.limit);
    this.mem.set32(at + L.SEG_RIGHTS, segment.rights);
  }

  /**
   * Clears the operand of lazy flags that their kind does not have. What it holds is left over from flags that nothing read, and whether those were written at
   * all depends on where runs were cut.
   */
  forgetDeadFlags(): void {
    const kind = this.mem.get32(L.CC_OP) >>> 2;
    if (kind === CC_FLAGS || kind === CC_LOGIC) this.mem.set64(L.CC_B, 0n);
  }
  /** Copies the whole state page out, so that another thread or vCPU can run. */
  save(into: Uint8Array = new Uint8Array(L.STATE_SIZE)): Uint8Array {
    this.forgetDeadFlags();
    into.set(this.mem.bytes.subarray(L.STATE, L.STATE + L.STATE_SIZE));
    return into;
  }
  /** Copies a state page in. The caller must call `engine.contextChanged()` before running. */
  load(from: Uint8Array): void {
    this.mem.bytes.set(from, L.STATE);
  }
}
