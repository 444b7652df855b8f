/** The FXSAVE image of a state page (SDM 1 10.5.1), for signal frames. Offsets are relative to the state page. */
import * as L from '../cpu/layout.ts';
import type { LinearMemory } from '../cpu/state.ts';

export const FXSAVE_BYTES = 512;
/** MXCSR bits that exist: reserved ones in a frame would be #GP. */
const MXCSR_MASK = 0xffff;
const EMPTY = 3;

export function saveFx(mem: LinearMemory): Uint8Array {
  const image = new Uint8Array(FXSAVE_BYTES);
  const view = new DataView(image.buffer);
  const top = mem.get32(L.X87_TOP) & 7;
  const tags = mem.get32(L.X87_TAG);
  let inUse = 0;
  for (let register = 0; register < 8; register++) if (((tags >> (register * 2)) & 3) !== EMPTY) inUse |= 1 << register;
  view.setUint16(0, mem.get32(L.X87_CW), true);
  view.setUint16(2, (mem.get32(L.X87_SW) & ~0x3800) | (top << 11), true);
  view.setUint8(4, inUse);
  view.setUint16(6, mem.get32(L.X87_LAST_OPCODE), true);
  view.setBigUint64(8, mem.get64(L.X87_LAST_IP), true);
  view.setBigUint64(16, mem.get64(L.X87_LAST_DP), true);
  view.setUint32(24, mem.get32(L.MXCSR), true);
  view.setUint32(28, MXCSR_MASK, true);
  for (let index = 0; index < 8; index++) {
    const at = L.X87 + ((top + index) & 7) * 16;
    image.set(mem.bytes.subarray(at, at + 10), 32 + index * 16);
  }
  for (let index = 0; index < 16; index++) {
    const at = L.XMM + index * L.XMM_STRIDE;
    image.set(mem.bytes.subarray(at, at + 16), 160 + index * 16);
  }
  return image;
}

export function restoreFx(mem: LinearMemory, image: Uint8Array): void {
  const view = new DataView(image.buffer, image.byteOffset, image.byteLength);
  const status = view.getUint16(2, true);
  const top = (status >> 11) & 7;
  const inUse = view.getUint8(4);
  let tags = 0;
  for (let register = 0; register < 8; register++) if (!(inUse & (1 << register))) tags |= EMPTY << (register * 2);
  mem.set32(L.X87_CW, view.getUint16(0, true));
  mem.set32(L.X87_SW, status & ~0x3800);
  mem.set32(L.X87_TOP, top);
  mem.set32(L.X87_TAG, tags);
  mem.set32(L.X87_LAST_OPCODE, view.getUint16(6, true));
  mem.set64(L.X87_LAST_IP, view.getBigUint64(8, true));
  mem.set64(L.X87_LAST_DP, view.getBigUint64(16, true));
  mem.set32(L.MXCSR, view.getUint32(24, true) & MXCSR_MASK);
  for (let index = 0; index < 8; index++)
    mem.bytes.set(image.subarray(32 + index * 16, 42 + index * 16), L.X87 + ((top + index) & 7) * 16);
  for (let index = 0; index < 16; index++)
    mem.bytes.set(image.subarray(160 + index * 16, 176 + index * 16), L.XMM + index * L.XMM_STRIDE);
}

/** What a program starts with: FNINIT and LDMXCSR 1F80h. */
export function initialFx(): Uint8Array {
  const image = new Uint8Array(FXSAVE_BYTES);
  const view = new DataView(image.buffer);
  view.setUint16(0, 0x37f, true);
  view.setUint32(24, 0x1f80, true);
  return image;
}
