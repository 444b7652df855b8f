/** Why a processor of the board has shut down: the chain of faults that ended in the triple fault. */
import type { CpuContext, FaultRecord } from '../cpu/context.ts';
import { vectorName } from '../cpu/system/fault.ts';
import { firstAttempt } from '../describe/fault-report.ts';
import { effectiveRights, rightsSentence } from '../mmu/rights.ts';
import { walkText } from '../mmu/walk-text.ts';
import type { Explanation } from '../machine/api.ts';

const hex = (value: bigint | number): string => `0x${value.toString(16)}`;

export function explainShutdown(context: CpuContext, index: number): Explanation {
  const { faultChain, cpu } = context;
  const attempt = firstAttempt(faultChain);
  const walk = attempt && context.mmu.walk(attempt.gva, attempt.access, attempt.user);
  const rights = walk ? rightsSentence(effectiveRights(context.mem, walk)) : '';
  return {
    headline: `CPU ${index} has shut down: a triple fault at ${hex(faultChain[0]?.rip ?? cpu.rip)}, ring ${faultChain[0]?.cpl ?? cpu.cpl}`,
    details: [
      ...faultChain.map(line),
      `CR0 ${hex(cpu.cr0)}, CR3 ${hex(cpu.cr3)}, CR4 ${hex(cpu.cr4)}, EFER ${hex(cpu.efer)}`,
      ...(walk ? walkText(walk) : []),
      ...(rights ? [rights] : []),
    ],
    ...(walk ? { walk } : {}),
  };
}

function line({ fault, rip, failed }: FaultRecord): string {
  if (fault.kind !== 'exception') return `${fault.kind} at ${hex(rip)}`;
  const code = fault.errorCode === undefined ? '' : `(${hex(fault.errorCode)})`;
  const where = fault.gva === undefined ? '' : `, address ${hex(fault.gva)}`;
  const because = fault.because ? `: ${fault.because}` : '';
  return `${vectorName(fault.vector)}${code} at ${hex(rip)}${where}${because}${failed ? `; not delivered: ${failed}` : ''}`;
}
