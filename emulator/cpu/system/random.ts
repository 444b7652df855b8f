/** RDRAND, RDSEED and RDPID (SDM 2B; SDM 3C 26.1.3 and 26.3). */
import type { CpuContext, SystemOutcome } from '../context.ts';
import type { Instruction } from '../instruction.ts';
import * as L from '../layout.ts';
import { ExitReason, exit, Secondary, secondary } from './exits.ts';
import { undefinedOpcode } from './fault.ts';
import { writeOperand } from './memory.ts';
import type { Bytes } from './memory.ts';
import { Flag, setArithmeticFlags } from './rflags.ts';

const CONTROL = { rdrand: Secondary.RdrandExiting, rdseed: Secondary.RdseedExiting };
const REASON = { rdrand: ExitReason.Rdrand, rdseed: ExitReason.Rdseed };

/** There is always a number to be had: CF is 1, the other flags 0. */
export const random =
  (op: 'rdrand' | 'rdseed') =>
  (context: CpuContext, instruction: Instruction): SystemOutcome => {
    const destination = instruction.operands[0]!;
    if (secondary(context, CONTROL[op])) {
      // Destination in 6:3, operand size in 12:11 (SDM 3C table 28-14).
      const register = destination.kind === 'gpr' ? destination.register : 0;
      const instructionInformation = (register << 3) | ((instruction.size >> 2) << 11);
      return exit(context, instruction, REASON[op], { instructionInformation });
    }
    writeOperand(context, destination, instruction.size as Bytes, context.random64());
    setArithmeticFlags(context, Flag.CF);
    return 'next';
  };

export function rdpid(context: CpuContext, instruction: Instruction): SystemOutcome {
  if (context.cpu.nonRoot && !secondary(context, Secondary.Rdtscp)) undefinedOpcode('the VMCS does not enable RDPID');
  const value = context.mem.get64(L.MSR_TSC_AUX) & 0xffff_ffffn;
  writeOperand(context, instruction.operands[0]!, instruction.size as Bytes, value);
  return 'next';
}
