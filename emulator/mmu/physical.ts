/** Host physical memory: frames behind RAM_BASE in the engine's linear memory. All addresses are HPA, in bytes. */
import * as L from '../cpu/layout.ts';
import type { LinearMemory } from '../cpu/state.ts';

export const PAGE_SIZE = 4096;

export class PhysicalMemory {
  constructor(
    readonly mem: LinearMemory,
    /** Bytes, a multiple of 4096. */
    readonly size: number,
    /** Told when something other than the guest has written a frame that may hold decoded code. */
    public onCodeWrite: (pfn: number) => void = () => {},
  ) {}

  /** Told when something other than the guest has written a watched frame (FRAME_WATCHED). */
  onWatchedWrite: (hpa: number, bytes: number) => void = () => {};

  /** A window on RAM. Writers must call `touched` afterwards. */
  slice(hpa: number, bytes: number): Uint8Array {
    return this.mem.bytes.subarray(L.RAM_BASE + hpa, L.RAM_BASE + hpa + bytes);
  }
  has(hpa: number, bytes = 1): boolean {
    return hpa >= 0 && hpa + bytes <= this.size;
  }
  read64(hpa: number): bigint {
    return this.mem.get64(L.RAM_BASE + hpa);
  }
  write64(hpa: number, value: bigint): void {
    this.mem.set64(L.RAM_BASE + hpa, value);
    this.touched(hpa, 8);
  }
  read32(hpa: number): number {
    return this.mem.get32(L.RAM_BASE + hpa);
  }
  write32(hpa: number, value: number): void {
    this.mem.set32(L.RAM_BASE + hpa, value);
    this.touched(hpa, 4);
  }
  write(hpa: number, bytes: Uint8Array): void {
    this.mem.bytes.set(bytes, L.RAM_BASE + hpa);
    this.touched(hpa, bytes.length);
  }
  /** `value` is one byte. */
  fill(hpa: number, bytes: number, value = 0): void {
    this.mem.bytes.fill(value, L.RAM_BASE + hpa, L.RAM_BASE + hpa + bytes);
    this.touched(hpa, bytes);
  }

  /** Marks frames dirty for snapshots and drops decoded code in them. */
  touched(hpa: number, bytes: number): void {
    const last = Math.floor((hpa + bytes - 1) / PAGE_SIZE);
    for (let pfn = Math.floor(hpa / PAGE_SIZE); pfn <= last; pfn++) {
      const flags = this.mem.bytes[L.FRAME_FLAGS + pfn]!;
      this.mem.bytes[L.FRAME_FLAGS + pfn] = flags | L.FRAME_DIRTY;
      if (flags & L.FRAME_WATCHED) this.onWatchedWrite(hpa, bytes);
      const bitmap = (L.CODE_BITMAP >>> 2) + pfn * 2;
      if (this.mem.u32[bitmap]! | this.mem.u32[bitmap + 1]!) this.onCodeWrite(pfn);
    }
  }
}
