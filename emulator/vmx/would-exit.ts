/** "Would this exit?": asked of the live controls of the current VMCS, and answered with what decides and which fault comes first (SDM 3C 26.1.1). */
import type { CpuContext } from '../cpu/context.ts';
import { decodeTableOf } from '../cpu/decode-table.ts';
import { decode, decodeFailure, MAX_INSTRUCTION_LENGTH } from '../cpu/decode.ts';
import type { CodeMode } from '../cpu/decode-table.ts';
import type { Exception } from '../cpu/context.ts';
import type { Instruction } from '../cpu/instruction.ts';
import * as L from '../cpu/layout.ts';
import { Segment } from '../cpu/state.ts';
import { controlMove, keepHostOwned, refuseCr0, refuseCr3, refuseCr4 } from '../cpu/system/control-registers.ts';
import { secondary } from '../cpu/system/exits.ts';
import {
  generalProtection,
  GuestFault,
  hasErrorCode,
  requireCpl0,
  undefinedOpcode,
  vectorName,
} from '../cpu/system/fault.ts';
import { linearAddress } from '../cpu/system/memory.ts';
import { requireProtectedMode } from '../cpu/system/modes.ts';
import { readMsr, refuseMsr } from '../cpu/system/msrs.ts';
import { inPae } from '../cpu/system/pdptes.ts';
import { Flag, systemFlags } from '../cpu/system/rflags.ts';
import { refuseMode } from '../cpu/system/vmx-instructions.ts';
import { requireOsxsave, requireXsave } from '../cpu/system/xsave.ts';
import { ringRule } from '../cpu/table/rings.ts';
import { walkResult } from '../mmu/walk-text.ts';
import { asGuest } from './as-guest.ts';
import { Pin, Primary, Secondary } from './controls.ts';
import { type Answer, answerFor, type Asked, type Deciding } from './exit-rules.ts';
import { ExitReason, exitReason, exitReasonName } from './exit-reasons.ts';
import { Field } from './fields.ts';
import { bitmapNames } from './intercepts.ts';
import { CurrentVmcs } from './vmcs.ts';
import { BITS_64 } from '../cpu/control-bits-64.ts';

const { CR4_UMIP, CR4_TSD, CR4_PCE, CR4_VMXE } = BITS_64;

export type ExitQuestion =
  /** An instruction, as if it stood at RIP; without bytes, the one that does. `at`: it stands there (linear address). */
  | { readonly kind: 'instruction'; readonly bytes?: Uint8Array; readonly at?: bigint }
  | { readonly kind: 'msr'; readonly msr: number; readonly write: boolean; readonly value?: bigint }
  | { readonly kind: 'port'; readonly port: number; readonly bytes: 1 | 2 | 4; readonly write: boolean }
  | { readonly kind: 'control-register'; readonly register: number; readonly value?: bigint }
  | { readonly kind: 'exception'; readonly vector: number; readonly errorCode?: number };

export interface ExitPrediction {
  readonly exits: boolean;
  /** One sentence. */
  readonly headline: string;
  readonly reason?: { readonly number: number; readonly name: string; readonly description: string };
  readonly qualification?: bigint;
  /** What it raises before it could exit, or instead; it may exit itself. */
  readonly fault?: {
    readonly vector: number;
    readonly name: string;
    readonly errorCode?: number;
    readonly because: string;
  };
  /** Most important last. */
  readonly decides: readonly Deciding[];
  /** What else is to be known. */
  readonly notes: readonly string[];
}

const hex = (value: bigint | number): string => `0x${value.toString(16)}`;

// ---- what comes before an exit

type Check = (context: CpuContext, instruction: Instruction) => void;

const enabledBy =
  (mask: number): Check =>
  (context, { op }) => {
    if (!secondary(context, mask)) undefinedOpcode(`the VMCS does not enable ${op.toUpperCase()}`);
  };
const inProtectedMode: Check = (context, { op }) => requireProtectedMode(context, op);
const debugRegister: Check = (_context, { operands }) => {
  const register = operands.find((operand) => operand.kind === 'debug')?.register ?? 8;
  if (register > 7) undefinedOpcode('there is no such debug register');
};

/** Of an instruction's own, before its ring; the ring is in cpu/table/rings.ts. */
const FIRST: Readonly<Record<string, readonly Check[]>> = {
  mov_from_debug: [debugRegister],
  mov_to_debug: [debugRegister],
  mov_from_control: [controlMove],
  mov_to_control: [controlMove],
  rdtscp: [enabledBy(Secondary.Rdtscp)],
  rdpid: [enabledBy(Secondary.Rdtscp)],
  invpcid: [enabledBy(Secondary.Invpcid)],
  xsaves: [(context) => requireXsave(context, true)],
  xrstors: [(context) => requireXsave(context, true)],
  xsave: [(context) => requireXsave(context, false)],
  xsaveopt: [(context) => requireXsave(context, false)],
  xsavec: [(context) => requireXsave(context, false)],
  xrstor: [(context) => requireXsave(context, false)],
  xgetbv: [requireOsxsave],
  xsetbv: [requireOsxsave],
  sldt: [inProtectedMode],
  str: [inProtectedMode],
  lldt: [inProtectedMode],
  ltr: [inProtectedMode],
  vmxon: [
    ({ cpu }) => {
      if (!(cpu.cr4 & CR4_VMXE)) undefinedOpcode('VMXON with CR4.VMXE = 0');
    },
    refuseMode,
  ],
  ...Object.fromEntries(
    ['vmxoff', 'vmclear', 'vmptrld', 'vmptrst', 'vmread', 'vmwrite', 'vmlaunch', 'vmresume', 'invept', 'invvpid'].map(
      (op) => [op, [refuseMode]],
    ),
  ),
};

/** Those whose exit comes before the check of the ring (SDM 3C 26.1.1, 26.1.3). */
const BEFORE_RING: ReadonlySet<string> = new Set([
  ...['mov_from_debug', 'mov_to_debug', 'vmlaunch', 'vmresume', 'vmxon', 'vmxoff', 'vmptrld', 'vmptrst', 'vmclear'],
  ...['vmread', 'vmwrite', 'invept', 'invvpid'],
]);

/** When a rule of the ring holds. `IOPL` is left to the ports' own rule. */
const RING_HOLDS: Readonly<Record<string, (context: CpuContext) => boolean>> = {
  'ring 0': () => true,
  'ring 0 if CR4.UMIP': ({ cpu }) => (cpu.cr4 & CR4_UMIP) !== 0n,
  'ring 0 if CR4.TSD': ({ cpu }) => (cpu.cr4 & CR4_TSD) !== 0n,
  'ring 0 if not CR4.PCE': ({ cpu }) => (cpu.cr4 & CR4_PCE) === 0n,
};

function checkRing(context: CpuContext, { op }: Instruction): void {
  const rule = ringRule({ op });
  if (!rule || !RING_HOLDS[rule.needs]?.(context)) return;
  if (rule.fault === '#UD' && context.cpu.cpl !== 0) undefinedOpcode(`${op.toUpperCase()} is for ring 0`);
  requireCpl0(context, op.toUpperCase());
}

// ---- what comes after one that does not happen

const LOW32 = 0xffff_ffffn;

/** What the instruction raises when it does not exit, as far as it depends on registers alone. */
function checkAfterwards({ context, instruction }: Asked): void {
  const { cpu, vmx } = context;
  const msr = Number(cpu.gpr(1) & LOW32);
  // Reads of some x2APIC registers are virtualised and writes are not, and of others the reverse.
  if (instruction.op === 'rdmsr' && vmx.readVirtualApic(msr) === undefined && readMsr(context, msr) === undefined)
    generalProtection(`there is no MSR ${hex(msr)}`);
  if (instruction.op === 'wrmsr' && vmx.foreseeVirtualApic(msr, 0n) === undefined) {
    const refused = refuseMsr(context, msr, (cpu.gpr(0) & LOW32) | ((cpu.gpr(2) & LOW32) << 32n));
    if (refused !== undefined) generalProtection(refused);
  }
  if ((instruction.op === 'monitor' || instruction.op === 'mwait') && cpu.gpr(1) & LOW32)
    generalProtection(`${instruction.op.toUpperCase()} with extensions in ECX`);
  if (instruction.op === 'rdpmc') generalProtection('there is no such performance counter');
  if (instruction.op === 'mov_to_control') checkControlValue(context, instruction);
}

function checkControlValue(context: CpuContext, instruction: Instruction): void {
  const { control, gpr, bytes } = controlMove(context, instruction);
  // A new value may load PDPTEs from memory, which is not to be touched.
  if (inPae(context.mem) || (control !== 0 && control !== 3 && control !== 4)) return;
  const value = keepHostOwned(context, control, BigInt.asUintN(bytes * 8, context.cpu.gpr(gpr)));
  const refused = { 0: refuseCr0, 3: refuseCr3, 4: refuseCr4 }[control](context, value);
  if (refused !== undefined) generalProtection(`CR${control}: ${refused}`);
}

// ---- questions

/** Of the guest of the current VMCS, which there is. */
export function wouldExit(context: CpuContext, question: ExitQuestion): ExitPrediction {
  const vmcs = new CurrentVmcs(context.mem);
  const inRoot = !context.cpu.nonRoot;
  return asGuest(context, vmcs, () => {
    const prediction = predict(context, vmcs, question);
    const notes = [...(inRoot ? [IN_ROOT] : []), ...pendingNotes(vmcs), ...prediction.notes];
    return { ...prediction, notes };
  });
}

const IN_ROOT =
  'The processor is in root operation: this is about the guest-state area; general registers are taken as they are now.';

function pendingNotes(vmcs: CurrentVmcs): string[] {
  const primary = vmcs.read32(Field.primaryControls);
  const notes: string[] = [];
  if (primary & Primary.MonitorTrapFlag)
    notes.push('The monitor trap flag is set: each instruction is followed by an exit.');
  if (vmcs.read32(Field.pinBasedControls) & Pin.PreemptionTimer)
    notes.push('The VMX-preemption timer runs, and may exit first.');
  return notes;
}

function predict(context: CpuContext, vmcs: CurrentVmcs, question: ExitQuestion): ExitPrediction {
  if (question.kind === 'exception') {
    const { vector, errorCode = hasErrorCode(vector) ? 0 : undefined } = question;
    return raised(vmcs, { vector, errorCode, because: 'as asked' }, [], false);
  }
  const bytes = prepare(context, question) ?? codeAt(context, context.cpu.codeAddress);
  if (bytes.length === 0) throw new Error(`The instruction at ${hex(context.cpu.codeAddress)} cannot be read.`);
  const instruction = decodeBytes(context, bytes);
  if (instruction) return ofInstruction({ context, vmcs, instruction });
  const tooLong = decodeFailure() === 'too-long';
  const because = tooLong ? 'it is longer than 15 bytes' : 'this processor has no such instruction in this mode';
  return raised(vmcs, { vector: tooLong ? 13 : 6, ...(tooLong ? { errorCode: 0 } : {}), because }, []);
}

/** RDMSR, WRMSR. */
const MSR_BYTES = [Uint8Array.of(0x0f, 0x32), Uint8Array.of(0x0f, 0x30)] as const;
/** IN and OUT by DX: of a byte, and of a word or doubleword. */
const PORT_BYTES = [0xec, 0xee] as const;
const OPERAND_SIZE = 0x66;
/** MOV of RAX to CR0, of which the register's number makes the others; REX.R for CR8. */
const MOV_TO_CONTROL = [0x0f, 0x22, 0xc0] as const;
const MOV_FROM_CONTROL = [0x0f, 0x20, 0xc0] as const;
const REX_R = 0x44;

/** The instruction that a question is about, with its operands in the registers; undefined for the one at RIP. */
function prepare(
  { cpu, mem }: CpuContext,
  question: Exclude<ExitQuestion, { kind: 'exception' }>,
): Uint8Array | undefined {
  switch (question.kind) {
    case 'instruction':
      if (question.at !== undefined) cpu.rip += question.at - cpu.codeAddress;
      return question.bytes;
    case 'msr':
      cpu.setGpr(1, BigInt(question.msr));
      if (question.value !== undefined) {
        cpu.setGpr(0, question.value & LOW32);
        cpu.setGpr(2, question.value >> 32n);
      }
      return MSR_BYTES[question.write ? 1 : 0];
    case 'port': {
      cpu.setGpr(2, BigInt(question.port));
      const opcode = PORT_BYTES[question.write ? 1 : 0] + (question.bytes === 1 ? 0 : 1);
      const prefixed = question.bytes !== 1 && (question.bytes === 2) !== (mem.get32(L.CODE_MODE) === 0);
      return Uint8Array.from(prefixed ? [OPERAND_SIZE, opcode] : [opcode]);
    }
    case 'control-register': {
      const { register, value } = question;
      if (value !== undefined) cpu.setGpr(0, value);
      const [escape, opcode, modrm] = value === undefined ? MOV_FROM_CONTROL : MOV_TO_CONTROL;
      const move = [escape, opcode, modrm | ((register & 7) << 3)];
      return Uint8Array.from(register > 7 ? [REX_R, ...move] : move);
    }
  }
}

/** As many bytes of code as an instruction can have, and are there. */
function codeAt({ mmu, physical }: CpuContext, gva: bigint): Uint8Array {
  const code: number[] = [];
  for (
    let hpa = mmu.peek(gva);
    hpa >= 0 && code.length < MAX_INSTRUCTION_LENGTH;
    hpa = mmu.peek(gva + BigInt(code.length))
  )
    code.push(physical.slice(hpa, 1)[0]!);
  return Uint8Array.from(code);
}

function decodeBytes(context: CpuContext, bytes: Uint8Array): Instruction | undefined {
  const { mem, cpu, model } = context;
  const mode = mem.get32(L.CODE_MODE) as CodeMode;
  const base = mode === 2 ? 0 : Number(cpu.segment(Segment.CS).base);
  return decode(bytes, 0, cpu.codeAddress, mode, decodeTableOf(model), base);
}

function ofInstruction(asked: Asked): ExitPrediction {
  const { context, vmcs, instruction } = asked;
  const notes = notesOn(asked);
  let answer: Answer | undefined;
  try {
    for (const check of FIRST[instruction.op] ?? []) check(context, instruction);
    if (!BEFORE_RING.has(instruction.op)) checkRing(context, instruction);
    answer = answerFor(asked);
    if (answer.reason !== undefined) return exiting(answer, notes);
    if (BEFORE_RING.has(instruction.op)) checkRing(context, instruction);
    checkAfterwards(asked);
  } catch (error) {
    if (!(error instanceof GuestFault)) throw error;
    const { fault } = error;
    if (fault.kind !== 'exception')
      throw new Error(`An operand of the instruction meets: ${fault.kind}.`, { cause: error });
    return raised(vmcs, fault, notes, answer === undefined, answer?.decides);
  }
  const because = answer.decides.map(({ text }) => text).join('; ');
  return { exits: false, headline: `It does not exit: ${because}`, decides: answer.decides, notes };
}

function exiting({ reason, qualification, decides, after }: Answer, notes: readonly string[]): ExitPrediction {
  const last = decides.at(-1)!;
  return {
    exits: true,
    headline: `It exits${after ? ' after it is executed' : ''}: ${exitReasonName(reason!)} (reason ${reason}), because ${last.text}`,
    reason: reasonOf(reason!),
    ...(qualification === undefined ? {} : { qualification }),
    decides,
    notes,
  };
}

function reasonOf(number: number): ExitPrediction['reason'] {
  return { number, name: exitReasonName(number), description: exitReason(number)?.description ?? '' };
}

type Raised = Pick<Exception, 'vector' | 'errorCode' | 'because' | 'type'>;

/** An exception, which the exception bitmap may make exit. @param first it comes before any exit of the instruction's own */
function raised(
  vmcs: CurrentVmcs,
  { vector, errorCode, because = '' }: Raised,
  notes: readonly string[],
  first = true,
  before: readonly Deciding[] = [],
): ExitPrediction {
  const exits = bitmapNames(vmcs, errorCode === undefined ? { vector } : { vector, errorCode });
  const name = `${vectorName(vector)}${errorCode === undefined ? '' : `(${hex(errorCode)})`}`;
  const decides = [...before, ...exceptionDeciding(vmcs, vector, errorCode)];
  const why = `${name}${because && because !== 'as asked' ? ` (${because})` : ''}`;
  const text = decides.at(-1)!.text;
  const asked = because === 'as asked';
  const headline = exits
    ? `${asked ? 'It exits' : `It raises ${why}${first ? ' before it could exit' : ''}, which exits`}: EXCEPTION_NMI (reason 0), because ${text}`
    : `It does not exit: ${asked ? text : `it raises ${why}${first ? ' first' : ''}, and ${text}`}`;
  return {
    exits,
    headline,
    ...(exits ? { reason: reasonOf(ExitReason.ExceptionOrNmi)! } : {}),
    fault: { vector, name, ...(errorCode === undefined ? {} : { errorCode }), because },
    decides,
    notes,
  };
}

const PAGE_FAULT = 14;

function exceptionDeciding(vmcs: CurrentVmcs, vector: number, errorCode = 0): Deciding[] {
  const bit = (vmcs.read32(Field.exceptionBitmap) >>> vector) & 1;
  const own: Deciding = {
    text: `bit ${vector} of the exception bitmap is ${bit}`,
    field: Field.exceptionBitmap,
    bit: vector,
    section: 'SDM 3C 25.6.3',
  };
  if (vector !== PAGE_FAULT) return [own];
  const mask = vmcs.read32(Field.pageFaultErrorCodeMask);
  const match = vmcs.read32(Field.pageFaultErrorCodeMatch);
  const matches = (errorCode & mask) >>> 0 === match;
  const text = `bit 14 of the exception bitmap is ${bit}, and error code ${hex(errorCode)} under mask ${hex(mask)} ${matches ? 'is' : 'is not'} ${hex(match)}, which ${matches ? 'keeps' : 'inverts'} it`;
  return [{ text, field: Field.pageFaultErrorCodeMask, section: 'SDM 3C 26.2' }];
}

/** A far transfer to a TSS or task gate is a task switch. */
const FAR: ReadonlySet<string> = new Set(['jmp_far', 'call_far', 'iret', 'int']);
const WITHOUT_ACCESS: ReadonlySet<string> = new Set(['lea', 'nop', 'invlpg', 'prefetch', 'prefetchw']);

function notesOn({ context, instruction }: Asked): string[] {
  const notes: string[] = [];
  if (FAR.has(instruction.op) && !(systemFlags(context) & Flag.VM))
    notes.push('If it leads to a TSS or a task gate it is a task switch, which always exits (SDM 3C 26.2).');
  const memory = instruction.operands.find((operand) => operand.kind === 'memory');
  if (!memory || WITHOUT_ACCESS.has(instruction.op)) return notes;
  try {
    const gva = linearAddress(context, memory, 1);
    notes.push(`A read of its operand, gva:${hex(gva)}: ${walkResult(context.mmu.walk(gva, 'read'))}.`);
  } catch (error) {
    if (!(error instanceof GuestFault)) throw error;
  }
  return notes;
}
