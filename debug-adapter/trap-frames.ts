/** Finding what a trap interrupted where no call frame information says it: the frames that the processor itself pushes. */
import type { Machine } from '../emulator/machine/api.ts';
import type { Debuggee } from './debuggee.ts';
import { littleEndian } from './symbols/dwarf/expression.ts';
import type { FrameRegister, FrameRegisters } from './symbols/dwarf/unwind.ts';
import type { TargetAccess } from './symbols/stack-frame.ts';

export interface Interrupted {
  readonly registers: FrameRegisters;
  readonly ring: number;
}

/** Stack words looked through: an entry stub has pushed little. */
const SEARCHED_WORDS = 32;
/** RIP, CS, RFLAGS, RSP, SS. */
const FRAME_BYTES = 40;
const RFLAGS_FIXED_ONE = 2n;
const RFLAGS_RESERVED = ~0x3f_7fd7n;
/** Registers that code reaches through a trap with the values they had. */
const KEPT = [3, 6, 12, 13, 14, 15];
const [RCX, RSP, RIP] = [2, 7, 16];

/** RIP, CS, RFLAGS, RSP, SS as an exception pushes them in 64-bit mode (SDM 3A 6.14.2), at or a little above RSP. */
export function hardwareFrame(debuggee: Debuggee, thread: number, registers: FrameRegisters): Interrupted | undefined {
  const rsp = registers[RSP]?.value;
  if (rsp === undefined) return undefined;
  const bytes = debuggee.machine.readMemory(thread, 'gva', rsp, (SEARCHED_WORDS + 5) * 8);
  for (let at = 0; at + FRAME_BYTES <= bytes.length; at += 8) {
    const frame = frameAt(debuggee, thread, bytes.subarray(at));
    if (frame) return interrupted(kept(registers), frame, rsp + BigInt(at));
  }
  return undefined;
}

/**
 * What the handler of registers that were unwound interrupted, if the return address stands in such a frame: compilers describe handlers of their own (`interrupt`
 * functions) as if a call had led there, so that all but the stack pointer is right.
 */
export function hardwareFrameOf(debuggee: Debuggee, thread: number, unwound: FrameRegisters): Interrupted | undefined {
  const at = unwound[RIP]?.savedAt;
  if (at === undefined) return undefined;
  const bytes = debuggee.machine.readMemory(thread, 'gva', at, FRAME_BYTES);
  const frame = bytes.length === FRAME_BYTES ? frameAt(debuggee, thread, bytes) : undefined;
  return frame && interrupted([...unwound], frame, at);
}

interface HardwareFrame {
  readonly rip: bigint;
  readonly rsp: bigint;
  readonly ring: number;
}

function frameAt(debuggee: Debuggee, thread: number, bytes: Uint8Array): HardwareFrame | undefined {
  const [rip, cs, rflags, rsp, ss] = Array.from({ length: 5 }, (_, word) => wordAt(bytes, word * 8));
  if (!looksLikeFlags(rflags!) || !looksLikeSelector(cs!) || !(ss === 0n || looksLikeSelector(ss!))) return undefined;
  if ((cs! & 3n) !== (ss! & 3n) || !debuggee.images.at(thread, rip!)) return undefined;
  return { rip: rip!, rsp: rsp!, ring: Number(cs! & 3n) };
}

function interrupted(next: (FrameRegister | undefined)[], { rip, rsp, ring }: HardwareFrame, at: bigint): Interrupted {
  next[RIP] = { value: rip, savedAt: at };
  next[RSP] = { value: rsp, savedAt: at + 24n };
  return { registers: next, ring };
}

/** At the entry of SYSCALL (LSTAR) the processor has put RIP into RCX; the stack is still the caller's. */
export function syscallEntry(machine: Machine, thread: number, registers: FrameRegisters): Interrupted | undefined {
  const entry = machine.readRegister(thread, 'lstar');
  const rcx = registers[RCX];
  if (entry === undefined || !rcx || registers[RIP]?.value !== entry) return undefined;
  const next = [...registers];
  next[RIP] = { value: rcx.value };
  return { registers: next, ring: 3 };
}

/** Ring of the code a trap frame belongs to: CS stands above RIP, in the processor's frame and in trap frames built on it. */
export function ringOfTrapFrame(target: TargetAccess, registers: FrameRegisters): number | undefined {
  const at = registers[RIP]?.savedAt;
  if (at === undefined) return undefined;
  const bytes = target.readMemory(at + 8n, 8);
  if (bytes.length < 8) return undefined;
  const cs = wordAt(bytes, 0) & 0xffffn;
  return looksLikeSelector(cs) ? Number(cs & 3n) : undefined;
}

function kept(registers: FrameRegisters): (FrameRegister | undefined)[] {
  const next: (FrameRegister | undefined)[] = new Array<FrameRegister | undefined>(registers.length).fill(undefined);
  for (const register of KEPT) next[register] = registers[register];
  return next;
}

function wordAt(bytes: Uint8Array, offset: number): bigint {
  return littleEndian(bytes.subarray(offset, offset + 8));
}
function looksLikeFlags(value: bigint): boolean {
  return (value & RFLAGS_FIXED_ONE) !== 0n && (value & RFLAGS_RESERVED) === 0n;
}
/** A selector of the GDT, not null, of ring 0 or 3. */
function looksLikeSelector(value: bigint): boolean {
  return value >= 8n && value < 0x100n && (value & 4n) === 0n && ((value & 3n) === 0n || (value & 3n) === 3n);
}
