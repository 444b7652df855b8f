/**
 * Would an instruction exit? One rule an instruction, over the live controls; what decides is asked of the functions that the instruction itself asks.
 * The processor stands in non-root operation (as-guest.ts). Nothing is changed.
 */
import type { CpuContext } from '../cpu/context.ts';
import { InterruptionType } from '../cpu/engine-api.ts';
import type { Instruction, MemoryOperand } from '../cpu/instruction.ts';
import { cltsExits, controlMove, lmswExits, moveExits } from '../cpu/system/control-registers.ts';
import { secondary } from '../cpu/system/exits.ts';
import { GuestFault, raise, undefinedOpcode, Vector } from '../cpu/system/fault.ts';
import { type PortRange, portExits, portRefusal } from '../cpu/system/io.ts';
import { linearAddress } from '../cpu/system/memory.ts';
import { pauseLoop } from '../cpu/system/miscellaneous.ts';
import { msrName } from '../cpu/system/msrs.ts';
import { LAST_FUNCTION } from '../cpu/system/vmx-instructions.ts';
import { exitingComponents } from '../cpu/system/xsave.ts';
import { BITS } from '../describe/bits.ts';
import { controlBitName, Primary, Secondary } from './controls.ts';
import { ExitReason } from './exit-reasons.ts';
import { Field, fieldName, vmcsField } from './fields.ts';
import { functionResult } from './functions.ts';
import { exitsOfInstruction, type InstructionExit } from './instruction-exits.ts';
import { msrBitmapBit } from './intercepts.ts';
import type { VirtualWrite } from './posted.ts';
import type { CurrentVmcs } from './vmcs.ts';
import { RFLAGS_OF } from '../cpu/control-bits.ts';

/** What decides whether something exits. */
export interface Deciding {
  /** '"HLT exiting" is 1'. */
  readonly text: string;
  /** Field that it stands in, or that points to it. */
  readonly field?: number;
  /** Bit of the field, if it is one of its own bits. */
  readonly bit?: number;
  readonly section: string;
}

export interface Answer {
  /** Absent: it does not exit. */
  readonly reason?: number;
  readonly qualification?: bigint;
  readonly decides: readonly Deciding[];
  /** The instruction is executed first: the exit is trap-like. */
  readonly after?: true;
}

export interface Asked {
  readonly context: CpuContext;
  readonly vmcs: CurrentVmcs;
  readonly instruction: Instruction;
}

const LOW32 = 0xffff_ffffn;
const RAX = 0;
const RCX = 1;
const RDX = 2;

const hex = (value: bigint | number): string => `0x${value.toString(16)}`;
const no = (...decides: Deciding[]): Answer => ({ decides });
const yes = (reason: number, ...decides: Deciding[]): Answer => ({ reason, decides });

const sectionOf = (field: number): string => `SDM 3C ${vmcsField(field)!.section}`;

/** A control and how it stands. */
function control({ vmcs }: Pick<Asked, 'vmcs'>, field: number, mask: number): Deciding {
  const bit = 31 - Math.clz32(mask);
  const activated = field !== Field.secondaryControls || (vmcs.read32(Field.primaryControls) & Primary.SecondaryControls) !== 0; // prettier-ignore
  const set = ((vmcs.read32(field) >>> bit) & 1) === 1;
  const name = `"${controlBitName(field, bit)}"`;
  const text =
    activated || !set ? `${name} is ${set ? 1 : 0}` : `${name} counts as 0: secondary controls are not active`;
  return { text, field, bit, section: sectionOf(field) };
}
const primaryControl = (asked: Asked, mask: number): Deciding => control(asked, Field.primaryControls, mask);
const secondaryControl = (asked: Asked, mask: number): Deciding => control(asked, Field.secondaryControls, mask);
function isSet({ vmcs }: Asked, mask: number): boolean {
  return (vmcs.read32(Field.primaryControls) & mask) !== 0;
}

/** A bit of a bitmap in memory; all ones where no memory is, as the processor takes it. */
function stands({ context, vmcs }: Asked, field: number, bit: number): boolean {
  const at = vmcs.address(field) + (bit >> 3);
  return !context.physical.has(at) || ((context.physical.slice(at, 1)[0]! >> (bit & 7)) & 1) === 1;
}

function bitmapBit(asked: Asked, field: number, bit: number, what: string): Deciding {
  const at = asked.vmcs.address(field) + (bit >> 3);
  const inMemory = asked.context.physical.has(at);
  const where = inMemory ? `hpa:${hex(at)}, bit ${bit & 7}` : `hpa:${hex(at)}, where no memory is`;
  return {
    text: `the bit of ${what} is ${stands(asked, field, bit) ? 1 : 0} (${where})`,
    field,
    section: sectionOf(field),
  };
}

const ALWAYS: Deciding = { text: 'it always exits', section: 'SDM 3C 26.1.2' };

/** Of an instruction whose row in the table of exits says all. */
function plain(asked: Asked, exit: InstructionExit): Answer {
  if (exit.field === undefined || exit.mask === undefined) return yes(exit.reason, ALWAYS);
  const decides = control(asked, exit.field, exit.mask);
  const set = exit.field === Field.primaryControls ? isSet(asked, exit.mask) : secondary(asked.context, exit.mask);
  return set ? yes(exit.reason, decides) : no(decides);
}

// ---- ports

function portsOf({ context, instruction }: Asked): PortRange {
  const immediate = instruction.operands.find((operand) => operand.kind === 'immediate');
  const port = Number(immediate ? immediate.value & 0xffn : context.cpu.gpr(RDX) & 0xffffn);
  return { port, bytes: instruction.size };
}

function ports(asked: Asked): Answer {
  const access = portsOf(asked);
  refusePorts(asked.context, access);
  return portAnswer(asked, access);
}

function stringPorts(asked: Asked): Answer {
  const { context, instruction } = asked;
  const operand = instruction.operands.find((one): one is MemoryOperand => one.kind === 'memory');
  if (!operand) undefinedOpcode('string I/O needs a memory operand');
  const mask = (1n << BigInt(operand.addressSize)) - 1n;
  if (instruction.rep !== 'none' && (context.cpu.gpr(RCX) & mask) === 0n)
    return no({ text: 'the repeat count is 0', section: 'SDM 3C 26.1.3' });
  const access = portsOf(asked);
  refusePorts(context, access);
  linearAddress(context, operand, access.bytes, instruction.op === 'ins');
  return portAnswer(asked, access);
}

function refusePorts(context: CpuContext, access: PortRange): void {
  const refused = portRefusal(context, access, (gva) => peekWord(context, gva));
  if (refused !== undefined) raise(Vector.GP, 0, refused);
}

/** Two bytes of the guest's memory; all ones where there are none. */
function peekWord(context: CpuContext, gva: bigint): number {
  const byte = (at: bigint): number => {
    const hpa = context.mmu.peek(BigInt.asUintN(64, at));
    return hpa < 0 ? 0xff : context.physical.slice(hpa, 1)[0]!;
  };
  return byte(gva) | (byte(gva + 1n) << 8);
}

function portAnswer(asked: Asked, access: PortRange): Answer {
  const { context } = asked;
  const { port, bytes } = access;
  const exits = portExits(context, access);
  const bitmaps = primaryControl(asked, Primary.IoBitmaps);
  const answer = exits ? yes : (_reason: number, ...decides: Deciding[]) => no(...decides);
  if (!isSet(asked, Primary.IoBitmaps))
    return answer(ExitReason.IoInstruction, bitmaps, primaryControl(asked, Primary.UnconditionalIoExiting));
  if (port + bytes > 0x10000)
    return yes(ExitReason.IoInstruction, bitmaps, {
      text: 'the access goes on past port 0xffff',
      section: 'SDM 3C 25.6.4',
    });
  const all = Array.from({ length: bytes }, (_, index) => port + index);
  const named = all.filter((one) => stands(asked, bitmapOf(one), one & PORT_BITS));
  const shown = exits ? named.slice(0, 1) : all;
  const bits = shown.map((one) => bitmapBit(asked, bitmapOf(one), one & PORT_BITS, `port ${hex(one)}`));
  return answer(ExitReason.IoInstruction, bitmaps, ...bits);
}

const PORT_BITS = 0x7fff;
const bitmapOf = (port: number): number => (port > PORT_BITS ? Field.ioBitmapB : Field.ioBitmapA);

// ---- MSRs

const msrOf = ({ context }: Asked): number => Number(context.cpu.gpr(RCX) & LOW32);
function edxEax({ context: { cpu } }: Asked): bigint {
  return (cpu.gpr(RAX) & LOW32) | ((cpu.gpr(RDX) & LOW32) << 32n);
}

function msr(asked: Asked, write: boolean): Answer {
  const number = msrOf(asked);
  const reason = write ? ExitReason.Wrmsr : ExitReason.Rdmsr;
  const exits = asked.context.vmx.msrExits(number, write);
  const decides = [primaryControl(asked, Primary.MsrBitmaps)];
  if (isSet(asked, Primary.MsrBitmaps)) {
    const bit = msrBitmapBit(number, write);
    const name = `${write ? 'writes' : 'reads'} of ${hex(number)}${msrName(number) ? ` (${msrName(number)})` : ''}`;
    decides.push(
      bit < 0
        ? {
            text: `the bitmaps have no bit for ${hex(number)}`,
            field: Field.msrBitmaps,
            section: sectionOf(Field.msrBitmaps),
          }
        : bitmapBit(asked, Field.msrBitmaps, bit, name),
    );
  }
  return exits ? yes(reason, ...decides) : no(...decides);
}

function writeMsr(asked: Asked): Answer {
  const first = msr(asked, true);
  if (first.reason !== undefined) return first;
  const virtual = asked.context.vmx.foreseeVirtualApic(msrOf(asked), edxEax(asked));
  if (!virtual) return first;
  if (virtual.refused !== undefined) raise(Vector.GP, 0, virtual.refused);
  return virtualWrite(first.decides, virtual);
}

/** Of a write to the virtual-APIC page (SDM 3C 30.1.2 to 30.1.5). */
function virtualWrite(decides: readonly Deciding[], { exit: reason, qualification, because }: VirtualWrite): Answer {
  if (reason === undefined) return { decides };
  const why: Readonly<Record<number, Deciding>> = {
    [ExitReason.TprBelowThreshold]: {
      text: 'the virtual TPR falls below the TPR threshold',
      field: Field.tprThreshold,
      section: 'SDM 3C 30.1.2',
    },
    [ExitReason.VirtualizedEoi]: {
      text: 'the EOI-exit bitmap names the vector in service',
      field: Field.guestInterruptStatus,
      section: 'SDM 3C 30.1.4',
    },
    [ExitReason.ApicWrite]: {
      text: because?.text ?? 'the processor cannot virtualise this write',
      field: because?.field ?? Field.virtualApicAddress,
      section: because ? 'SDM 3C 30.1.6' : 'SDM 3C 30.4.3.3',
    },
  };
  return {
    reason,
    ...(qualification === undefined ? {} : { qualification: BigInt(qualification) }),
    decides: [why[reason]!],
    after: true,
  };
}

// ---- control registers

const TS = 3;

function fromControl(asked: Asked): Answer {
  const { control: register } = controlMove(asked.context, asked.instruction);
  if (register !== 3 && register !== 8)
    return no({ text: `no control makes a read of CR${register} exit`, section: 'SDM 3C 26.1.3' });
  const mask = register === 3 ? Primary.Cr3StoreExiting : Primary.Cr8StoreExiting;
  return plain(asked, { reason: ExitReason.CrAccess, field: Field.primaryControls, mask });
}

function toControl(asked: Asked): Answer {
  const { context, instruction } = asked;
  const { control: register, gpr, bytes } = controlMove(context, instruction);
  const value = BigInt.asUintN(bytes * 8, context.cpu.gpr(gpr));
  const exits = moveExits(context, register, value);
  const answer = (...decides: Deciding[]): Answer => (exits ? yes(ExitReason.CrAccess, ...decides) : no(...decides));
  switch (register) {
    case 0:
    case 4:
      return answer(...ownedBits(asked, register, value));
    case 3: {
      const decides = primaryControl(asked, Primary.Cr3LoadExiting);
      if (!isSet(asked, Primary.Cr3LoadExiting)) return answer(decides);
      const count = asked.vmcs.read32(Field.cr3TargetCount);
      const text = `${hex(value)} is ${exits ? 'none' : 'one'} of the ${count} CR3-target values`;
      return answer(decides, { text, field: Field.cr3TargetCount, section: sectionOf(Field.cr3TargetCount) });
    }
    case 8:
      return exits ? answer(primaryControl(asked, Primary.Cr8LoadExiting)) : virtualTpr(asked, value);
    default:
      return answer({ text: 'no control makes a write of CR2 exit', section: 'SDM 3C 26.1.3' });
  }
}

/** A MOV to CR8 that goes to the virtual-APIC page (SDM 3C 30.3). */
function virtualTpr(asked: Asked, value: bigint): Answer {
  if (value > 15n) raise(Vector.GP, 0, `MOV CR8: ${hex(value)} has reserved bits`);
  const decides = [primaryControl(asked, Primary.Cr8LoadExiting), primaryControl(asked, Primary.TprShadow)];
  if (!isSet(asked, Primary.TprShadow)) return { decides };
  return virtualWrite(decides, asked.context.vmx.foreseeVirtualTpr(Number(value) << 4));
}

/** The host-owned bits that a new value of CR0 or CR4 would set other than the read shadow has them. */
function ownedBits({ vmcs }: Asked, register: 0 | 4, value: bigint, bits = -1n): Deciding[] {
  const [maskField, shadowField] = register === 0 ? [Field.cr0Mask, Field.cr0Shadow] : [Field.cr4Mask, Field.cr4Shadow];
  const mask = vmcs.read(maskField);
  const section = sectionOf(maskField);
  const changed = (value ^ vmcs.read(shadowField)) & mask & bits;
  const names = BITS[register === 0 ? 'cr0' : 'cr4'];
  const found: Deciding[] = [];
  for (let bit = 0n; bit < 64n; bit++) {
    if (!((changed >> bit) & 1n)) continue;
    const name = names.find(({ lo }) => BigInt(lo) === bit)?.name ?? `bit ${bit}`;
    const text = `CR${register}.${name} is owned by the host, reads as ${1n - ((value >> bit) & 1n)}, and would be ${(value >> bit) & 1n}`;
    found.push({ text, field: maskField, bit: Number(bit), section });
  }
  if (found.length > 0) return found;
  return [
    { text: `no bit of the guest/host mask of CR${register} (${hex(mask)}) would change`, field: maskField, section },
  ];
}

function clearTaskSwitched(asked: Asked): Answer {
  const decides = ownedBits(asked, 0, 0n, 1n << BigInt(TS));
  return cltsExits(asked.context) ? yes(ExitReason.CrAccess, ...decides) : no(...decides);
}

/** PE MP EM TS. */
const STATUS_WORD = 0xfn;

function loadStatusWord(asked: Asked): Answer {
  const { context, instruction } = asked;
  const [operand] = instruction.operands;
  const word =
    operand?.kind === 'memory'
      ? BigInt(peekWord(context, linearAddress(context, operand, 2)))
      : operand?.kind === 'gpr'
        ? context.cpu.gpr(operand.register) & 0xffffn
        : 0n;
  const decides = ownedBits(asked, 0, word, STATUS_WORD);
  return lmswExits(context, word) ? yes(ExitReason.CrAccess, ...decides) : no(...decides);
}

// ---- the rest

function pause(asked: Asked): Answer {
  const decides = [primaryControl(asked, Primary.PauseExiting)];
  if (isSet(asked, Primary.PauseExiting)) return yes(ExitReason.Pause, ...decides);
  const loop = pauseLoop(asked.context);
  decides.push(secondaryControl(asked, Secondary.PauseLoopExiting));
  if (!loop) return no(...decides);
  const window = asked.vmcs.read32(Field.pleWindow);
  decides.push({
    text: `its loop began ${loop.now - loop.first} cycles ago; the PLE window is ${window}`,
    field: Field.pleWindow,
    section: 'SDM 3C 25.6.13',
  });
  return loop.exits ? yes(ExitReason.Pause, ...decides) : no(...decides);
}

function fieldAccess(asked: Asked): Answer {
  const { context, instruction } = asked;
  const write = instruction.op === 'vmwrite';
  const operand = instruction.operands[write ? 0 : 1];
  const encoding =
    operand?.kind === 'gpr' ? BigInt.asUintN(instruction.size * 8, context.cpu.gpr(operand.register)) : 0n;
  const decides = [secondaryControl(asked, Secondary.VmcsShadowing)];
  if (secondary(context, Secondary.VmcsShadowing)) {
    const field = write ? Field.vmwriteBitmap : Field.vmreadBitmap;
    decides.push(
      encoding >= 0x8000n
        ? { text: `the bitmap has no bit for ${hex(encoding)}`, field, section: sectionOf(field) }
        : bitmapBit(asked, field, Number(encoding), `${fieldName(Number(encoding))} (${hex(encoding)})`),
    );
  }
  if (context.vmx.isShadowed(encoding, write)) return no(...decides);
  return yes(write ? ExitReason.Vmwrite : ExitReason.Vmread, ...decides);
}

function supervisorState(asked: Asked): Answer {
  const components = exitingComponents(asked.context);
  const decides: Deciding = {
    text: components ? `the XSS-exiting bitmap names components ${hex(components)}` : 'the XSS-exiting bitmap names none of the components in EDX:EAX and IA32_XSS',
    field: Field.xssExitingBitmap,
    section: sectionOf(Field.xssExitingBitmap),
  }; // prettier-ignore
  if (components === 0n) return no(decides);
  return yes(asked.instruction.op === 'xsaves' ? ExitReason.Xsaves : ExitReason.Xrstors, decides);
}

function vmFunction(asked: Asked): Answer {
  const { context, vmcs } = asked;
  const number = Number(context.cpu.gpr(RAX) & LOW32);
  if (!secondary(context, Secondary.VmFunctions) || number > LAST_FUNCTION)
    undefinedOpcode(`VM function ${number} where there is none`);
  const result = functionResult(context, vmcs, number, Number(context.cpu.gpr(RCX) & LOW32));
  const at = { field: Field.vmFunctionControls, section: 'SDM 3C 26.5.6' };
  if (typeof result === 'string') return yes(ExitReason.Vmfunc, { text: result, ...at });
  return no({ text: `it would load the EPT pointer ${hex(result)}`, ...at });
}

function software(vector: Vector, type: InterruptionType, because: string): () => never {
  return () => {
    throw new GuestFault({ kind: 'exception', vector, type, because });
  };
}

function overflow({ context }: Asked): Answer {
  if (!(context.core.arithmeticFlags() & RFLAGS_OF)) return no({ text: 'RFLAGS.OF is 0', section: 'SDM 2A INTO' });
  throw new GuestFault({
    kind: 'exception',
    vector: Vector.OF,
    type: InterruptionType.SoftwareException,
    because: 'INTO',
  });
}

/** By the table row's `op`; the others' rows in the table of exits say all. */
const RULES: Readonly<Record<string, (asked: Asked) => Answer>> = {
  in: ports,
  out: ports,
  ins: stringPorts,
  outs: stringPorts,
  rdmsr: (asked) => msr(asked, false),
  wrmsr: writeMsr,
  mov_from_control: fromControl,
  mov_to_control: toControl,
  clts: clearTaskSwitched,
  lmsw: loadStatusWord,
  pause,
  vmread: fieldAccess,
  vmwrite: fieldAccess,
  xsaves: supervisorState,
  xrstors: supervisorState,
  vmfunc: vmFunction,
  int3: software(Vector.BP, InterruptionType.SoftwareException, 'INT3'),
  int1: software(Vector.DB, InterruptionType.PrivilegedSoftwareException, 'INT1'),
  into: overflow,
  ud0: () => undefinedOpcode('UD0'),
  ud1: () => undefinedOpcode('UD1'),
  ud2: () => undefinedOpcode('UD2'),
};

/** Whether the instruction exits, all that comes before having passed. Throws GuestFault for what it raises instead. */
export function answerFor(asked: Asked): Answer {
  const { op } = asked.instruction;
  const rule = RULES[op];
  if (rule) return rule(asked);
  const [exit] = exitsOfInstruction(op);
  if (exit) return plain(asked, exit);
  return no({ text: 'no control is about this instruction', section: 'SDM 3C 26.1' });
}
