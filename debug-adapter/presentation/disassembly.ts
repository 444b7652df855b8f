/** Instructions before and after an address, as the disassembly view asks for them. */
import type { DebugProtocol } from '@vscode/debugprotocol';
import type { DisassembledInstruction } from '../../emulator/machine/api.ts';
import type { Debuggee } from '../debuggee.ts';
import { protocolSource } from '../frames.ts';

/** Instructions are at most this long. */
const LONGEST = 15n;

/** `count` instructions, beginning `offset` instructions from the one at `gva`; where there are none the rows say so. */
export function instructionsFrom(
  debuggee: Debuggee,
  thread: number,
  gva: bigint,
  offset: number,
  count: number,
): DebugProtocol.DisassembledInstruction[] {
  const before = offset < 0 ? instructionsBefore(debuggee, thread, gva, -offset) : [];
  const missing = Math.max(0, -offset - before.length);
  const rows = Array.from({ length: Math.min(missing, count) }, (_, index) => invalid(gva - BigInt(missing - index)));
  const wanted = offset + count;
  const after = wanted > 0 ? debuggee.machine.disassemble(thread, gva, wanted).slice(Math.max(0, offset)) : [];
  rows.push(...[...before, ...after].map((instruction) => row(debuggee, thread, instruction)));
  const last = after.at(-1) ?? before.at(-1);
  let next = last ? last.gva + BigInt(last.bytes.length) : gva;
  while (rows.length < count) rows.push(invalid(next++));
  return rows.slice(0, count);
}

/** Decoding backwards is a guess on x86: start from a symbol, else from a place whose decoding arrives at the address. */
function instructionsBefore(debuggee: Debuggee, thread: number, gva: bigint, count: number): DisassembledInstruction[] {
  const symbol = debuggee.images.at(thread, gva - 1n)?.symbolAt(gva - 1n);
  const start = symbol ? gva - 1n - BigInt(symbol.offset) : undefined;
  const far = LONGEST * BigInt(count);
  if (start !== undefined && gva - start <= far * 4n) {
    const found = upTo(debuggee, thread, start, gva);
    if (found && (found.length >= count || symbol!.offset === 0)) return found.slice(-count);
    if (found) return [...instructionsBefore(debuggee, thread, start, count - found.length), ...found].slice(-count);
  }
  for (let back = far; back > 0n; back--) {
    const found = gva >= back ? upTo(debuggee, thread, gva - back, gva) : undefined;
    if (found) return found.slice(-count);
  }
  return [];
}

/** The instructions from `start` if one ends exactly at `end`. */
function upTo(debuggee: Debuggee, thread: number, start: bigint, end: bigint): DisassembledInstruction[] | undefined {
  const all = debuggee.machine.disassemble(thread, start, Number(end - start)).filter(({ gva }) => gva < end);
  const last = all.at(-1);
  return last && last.gva + BigInt(last.bytes.length) === end ? all : undefined;
}

function row(
  debuggee: Debuggee,
  thread: number,
  { gva, bytes, text }: DisassembledInstruction,
): DebugProtocol.DisassembledInstruction {
  const symbols = debuggee.images.at(thread, gva);
  const position = symbols?.addressToSource(gva);
  const symbol = symbols?.symbolAt(gva);
  return {
    address: `0x${gva.toString(16)}`,
    instructionBytes: [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(' '),
    instruction: text,
    symbol: symbol?.offset === 0 ? symbol.name : undefined,
    location: position ? protocolSource(debuggee, position.path) : undefined,
    line: position?.line,
  };
}

function invalid(gva: bigint): DebugProtocol.DisassembledInstruction {
  return {
    address: `0x${BigInt.asUintN(64, gva).toString(16)}`,
    instruction: '(no memory)',
    presentationHint: 'invalid',
  };
}
