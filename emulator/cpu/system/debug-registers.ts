/** MOV to and from debug registers (SDM 3B 18.2; SDM 3C 26.1.3). */
import type { CpuContext, SystemOutcome } from '../context.ts';
import { Dr6 } from '../debug.ts';
import type { Instruction } from '../instruction.ts';
import * as L from '../layout.ts';
import { ExitReason, Primary, exit, primary } from './exits.ts';
import { GuestFault, Vector, generalProtection, requireCpl0, undefinedOpcode } from './fault.ts';
import { hex, readOperand, writeGpr } from './memory.ts';
import type { Bytes } from './memory.ts';
import { BITS_64 } from '../control-bits-64.ts';

const { CR4_DE } = BITS_64;

const DR7_GD = 1n << 13n;
const DR6_WRITABLE = 0xe00fn;
const DR6_ONES = 0xffff_0ff0n;
const DR7_WRITABLE = 0xffff_23ffn;
const DR7_ONES = 0x400n;

interface DebugMove {
  /** Address in the state page. */
  readonly at: number;
  readonly gpr: number;
  readonly bytes: Bytes;
}

/** MOV-DR exiting comes before every other check, unlike all other instructions (SDM 3C 26.1.3). */
function debugMove(context: CpuContext, instruction: Instruction, from: boolean): DebugMove | SystemOutcome {
  const { cpu, mem } = context;
  const debug = instruction.operands.find((operand) => operand.kind === 'debug');
  const general = instruction.operands.find((operand) => operand.kind === 'gpr');
  if (!debug || !general || debug.register > 7) undefinedOpcode('there is no such debug register');
  const number = debug.register;
  if (primary(context, Primary.MovDrExiting)) {
    return exit(context, instruction, ExitReason.MovDr, {
      qualification: BigInt(number | (from ? 0x10 : 0) | (general.register << 8)),
    });
  }
  if ((number === 4 || number === 5) && cpu.cr4 & CR4_DE) undefinedOpcode(`DR${number} with CR4.DE = 1`);
  requireCpl0(context, `MOV to or from DR${number}`);
  if (mem.get64(L.DR7) & DR7_GD) {
    throw new GuestFault({
      kind: 'exception',
      vector: Vector.DB,
      debug: Dr6.BD,
      resumes: true,
      because: 'DR7.GD protects the debug registers',
    });
  }
  const at = number < 4 ? L.DR0 + number * 8 : number & 1 ? L.DR7 : L.DR6;
  return { at, gpr: general.register, bytes: instruction.size as Bytes };
}

export function movFromDebug(context: CpuContext, instruction: Instruction): SystemOutcome {
  const move = debugMove(context, instruction, true);
  if (typeof move === 'string' || 'kind' in move) return move;
  writeGpr(context, move.gpr, move.bytes, context.mem.get64(move.at));
  return 'next';
}

export function movToDebug(context: CpuContext, instruction: Instruction): SystemOutcome {
  const move = debugMove(context, instruction, false);
  if (typeof move === 'string' || 'kind' in move) return move;
  const value = readOperand(context, { kind: 'gpr', register: move.gpr }, move.bytes);
  if (move.at >= L.DR6 && value >> 32n)
    generalProtection(`${hex(value)} has bits 63:32 set, which DR6 and DR7 reserve`);
  context.mem.set64(move.at, debugRegisterValue(move.at, value));
  context.engine.contextChanged();
  return 'next';
}

/** The value with reserved bits as the CPU holds them. */
export function debugRegisterValue(at: number, value: bigint): bigint {
  if (at === L.DR6) return (value & DR6_WRITABLE) | DR6_ONES;
  if (at === L.DR7) return (value & DR7_WRITABLE) | DR7_ONES;
  return value;
}

const DEBUGCTL_BTF = 2n;

/** DR6 and DEBUGCTL as a debug exception leaves them: old breakpoint conditions go, the other bits stay (SDM 3B 18.2.3); BTF is used up (18.4.3). */
export function recordDebugException({ mem }: CpuContext, conditions: number): void {
  mem.set64(L.DR6, (mem.get64(L.DR6) & ~BigInt(Dr6.BREAKPOINTS)) | BigInt(conditions));
  mem.set64(L.MSR_DEBUGCTL, mem.get64(L.MSR_DEBUGCTL) & ~DEBUGCTL_BTF);
}
