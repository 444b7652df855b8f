/** IN, OUT, INS, OUTS (SDM 1 19, SDM 3C 26.1.3). Without a board there are no ports: reads give all ones, writes go nowhere. */
import type { CpuContext, PortAccess, SystemOutcome } from '../context.ts';
import type { Instruction, MemoryOperand, Operand } from '../instruction.ts';
import { Segment } from '../state.ts';
import { Field } from '../../vmx/fields.ts';
import { underSupervisor } from './descriptors.ts';
import { ExitReason, Primary, exit, memoryInformation, primary } from './exits.ts';
import { generalProtection, undefinedOpcode } from './fault.ts';
import { hex, linearAddress, readLinear, writeGpr, writeLinear } from './memory.ts';
import type { Bytes } from './memory.ts';
import { isVirtual8086 } from './modes.ts';
import { Flag, systemFlags } from './rflags.ts';

const TSS_IO_MAP_BASE = 102n;
const RAX = 0;
const RCX = 1;
const RDX = 2;
const RSI = 6;
const RDI = 7;

/** What decides about an access. */
export interface PortRange {
  readonly port: number;
  readonly bytes: number;
}

interface Access extends PortAccess {
  readonly bytes: Bytes;
  readonly immediate: boolean;
  readonly rep: boolean;
}

function refuse(context: CpuContext, access: Access): void {
  const refused = portRefusal(context, access, (gva) => Number(readLinear(context, gva, 2, 'supervisor')));
  if (refused !== undefined) generalProtection(refused);
}

/** Why the CPL may not use these ports. @param word reads two bytes of the TSS */
export function portRefusal(
  context: CpuContext,
  { port, bytes }: PortRange,
  word: (gva: bigint) => number,
): string | undefined {
  const { cpu } = context;
  // The map alone decides in virtual-8086 mode (SDM 1 19.5.2).
  if (!isVirtual8086(context) && cpu.cpl <= (systemFlags(context) & Flag.IOPL) >> 12) return undefined;
  const text = `port ${hex(port)} at CPL ${cpu.cpl}`;
  if (underSupervisor(context)) return `${text}: Linux grants none`;
  const tr = cpu.segment(Segment.TR);
  if (tr.limit < 103 || !(tr.rights & 8)) return `${text}: the TSS has no I/O map`;
  const at = word(tr.base + TSS_IO_MAP_BASE) + (port >> 3);
  if (at + 1 > tr.limit) return `${text}: outside the TSS's I/O map`;
  const bits = word(tr.base + BigInt(at)) >> (port & 7);
  return bits & ((1 << bytes) - 1) ? `${text}: the TSS's I/O map forbids it` : undefined;
}

/** Whether an access to ports exits, which nothing forbids (SDM 3C 26.1.3). */
export function portExits(context: CpuContext, access: PortRange): boolean {
  if (!context.cpu.nonRoot) return false;
  if (!primary(context, Primary.IoBitmaps)) return primary(context, Primary.UnconditionalIoExiting);
  if (access.port + access.bytes > 0x10000) return true;
  for (let port = access.port; port < access.port + access.bytes; port++) {
    const bitmap = Number(context.vmx.field(port < 0x8000 ? Field.ioBitmapA : Field.ioBitmapB));
    const byte = context.physical.slice(bitmap + ((port & 0x7fff) >> 3), 1)[0] ?? 0xff;
    if (byte & (1 << (port & 7))) return true;
  }
  return false;
}

function touchPort(context: CpuContext, access: Access): void {
  context.engine.debug.notePort(access.port, access.bytes);
  context.onPortAccess(access);
}

function readPort(context: CpuContext, access: Access): bigint {
  touchPort(context, access);
  return context.board ? BigInt(context.board.readPort(access.port, access.bytes)) : -1n;
}

function writePort(context: CpuContext, access: Access, value: bigint): void {
  touchPort(context, access);
  context.board?.writePort(access.port, access.bytes, Number(BigInt.asUintN(access.bytes * 8, value)));
}

function qualification(access: Access): bigint {
  const flags =
    (access.input ? 8 : 0) | (access.string ? 0x10 : 0) | (access.rep ? 0x20 : 0) | (access.immediate ? 0x40 : 0);
  return BigInt((access.bytes - 1) | flags) | (BigInt(access.port) << 16n);
}

function registerAccess(context: CpuContext, instruction: Instruction, port: Operand, input: boolean): Access {
  const immediate = port.kind === 'immediate';
  const number = immediate ? port.value & 0xffn : context.cpu.gpr(RDX) & 0xffffn;
  return { port: Number(number), bytes: instruction.size as Bytes, input, immediate, string: false, rep: false };
}

export function input(context: CpuContext, instruction: Instruction): SystemOutcome {
  const access = registerAccess(context, instruction, instruction.operands[1]!, true);
  refuse(context, access);
  if (portExits(context, access))
    return exit(context, instruction, ExitReason.IoInstruction, { qualification: qualification(access) });
  writeGpr(context, RAX, access.bytes, readPort(context, access));
  return 'next';
}

export function output(context: CpuContext, instruction: Instruction): SystemOutcome {
  const access = registerAccess(context, instruction, instruction.operands[0]!, false);
  refuse(context, access);
  if (portExits(context, access))
    return exit(context, instruction, ExitReason.IoInstruction, { qualification: qualification(access) });
  writePort(context, access, context.cpu.gpr(RAX));
  return 'next';
}

/** INS and OUTS: one item; with REP, RIP stays until the count is used up. */
export const stringIo =
  (direction: 'in' | 'out') =>
  (context: CpuContext, instruction: Instruction): SystemOutcome => {
    const operand = instruction.operands.find((o): o is MemoryOperand => o.kind === 'memory');
    if (!operand) undefinedOpcode('string I/O needs a memory operand');
    const rep = instruction.rep !== 'none';
    const mask = (1n << BigInt(operand.addressSize)) - 1n;
    const count = context.cpu.gpr(RCX) & mask;
    if (rep && count === 0n) return 'next';
    const isInput = direction === 'in';
    const port = Number(context.cpu.gpr(RDX) & 0xffffn);
    const access: Access = {
      port,
      bytes: instruction.size as Bytes,
      input: isInput,
      immediate: false,
      string: true,
      rep,
    };
    refuse(context, access);
    const gva = linearAddress(context, operand, access.bytes, isInput);
    if (portExits(context, access)) {
      return exit(context, instruction, ExitReason.IoInstruction, {
        qualification: qualification(access),
        guestLinearAddress: gva,
        instructionInformation: stringInformation(operand, isInput),
      });
    }
    if (isInput) {
      // The port is read only if its value can be stored.
      writeLinear(context, gva, access.bytes, -1n, 'cpl');
      writeLinear(context, gva, access.bytes, readPort(context, access), 'cpl');
    } else writePort(context, access, readLinear(context, gva, access.bytes, 'cpl'));
    advancePointer(context, isInput ? RDI : RSI, access.bytes, mask);
    if (!rep) return 'next';
    replaceLow(context, RCX, count - 1n, mask);
    return count === 1n ? 'next' : 'again';
  };

/** VM-exit instruction information (SDM 3C table 28-8): address size, and the segment of OUTS. */
function stringInformation(operand: MemoryOperand, isInput: boolean): number {
  return memoryInformation(operand) & (isInput ? ADDRESS_SIZE : ADDRESS_SIZE | SEGMENT);
}
const ADDRESS_SIZE = 0x380;
const SEGMENT = 0x3_8000;

function advancePointer(context: CpuContext, register: number, bytes: number, mask: bigint): void {
  const step = systemFlags(context) & Flag.DF ? -bytes : bytes;
  replaceLow(context, register, context.cpu.gpr(register) + BigInt(step), mask);
}

/** 32-bit results clear the upper half; 16-bit ones keep it. */
function replaceLow(context: CpuContext, register: number, value: bigint, mask: bigint): void {
  const kept = mask === 0xffffn ? context.cpu.gpr(register) & ~mask : 0n;
  context.cpu.setGpr(register, BigInt.asUintN(64, kept | (value & mask)));
}
