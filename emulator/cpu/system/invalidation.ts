/** INVLPG, INVPCID, INVD, WBINVD (SDM 2). */
import type { CpuContext, SystemOutcome } from '../context.ts';
import type { Instruction } from '../instruction.ts';
import { ExitReason, Primary, Secondary, displacement, exit, memoryInformation, primary, secondary } from './exits.ts';
import { generalProtection, requireCpl0, undefinedOpcode } from './fault.ts';
import { effectiveAddress, hex, isCanonicalBase, linearAddress, readLinear, readOperand } from './memory.ts';
import type { Bytes } from './memory.ts';
import { Segment } from '../state.ts';
import { BITS_64 } from '../control-bits-64.ts';

const { CR4_PCIDE } = BITS_64;

/** Does nothing for an address that is not canonical. */
export function invlpg(context: CpuContext, instruction: Instruction): SystemOutcome {
  const [operand] = instruction.operands;
  if (operand?.kind !== 'memory') undefinedOpcode('INVLPG needs a memory operand');
  requireCpl0(context, 'INVLPG');
  const offset = effectiveAddress(context, operand);
  const based = operand.segment === Segment.FS || operand.segment === Segment.GS;
  const gva = BigInt.asUintN(64, offset + (based ? context.cpu.segment(operand.segment as Segment).base : 0n));
  if (primary(context, Primary.InvlpgExiting))
    return exit(context, instruction, ExitReason.Invlpg, { qualification: gva });
  if (isCanonicalBase(context, gva)) context.mmu.invalidatePage(gva);
  return 'next';
}

export function invpcid(context: CpuContext, instruction: Instruction): SystemOutcome {
  const [typeOperand, operand] = instruction.operands;
  if (operand?.kind !== 'memory' || typeOperand?.kind !== 'gpr') undefinedOpcode('INVPCID needs a memory operand');
  if (context.cpu.nonRoot && !secondary(context, Secondary.Invpcid))
    undefinedOpcode('the VMCS does not enable INVPCID');
  requireCpl0(context, 'INVPCID');
  if (primary(context, Primary.InvlpgExiting)) {
    return exit(context, instruction, ExitReason.Invpcid, {
      qualification: displacement(operand),
      instructionInformation: (memoryInformation(operand) | (typeOperand.register << 28)) >>> 0,
    });
  }
  const type = readOperand(context, typeOperand, instruction.size as Bytes);
  const gva = linearAddress(context, operand, 16);
  const pcid = readLinear(context, gva, 8, 'cpl');
  const target = readLinear(context, BigInt.asUintN(64, gva + 8n), 8, 'cpl');
  if (type > 3n) generalProtection(`INVPCID type ${type}`);
  if (pcid >> 12n) generalProtection(`INVPCID descriptor ${hex(pcid)} has reserved bits`);
  if (type < 2n && pcid !== 0n && !(context.cpu.cr4 & CR4_PCIDE))
    generalProtection(`INVPCID for PCID ${pcid} while CR4.PCIDE = 0`);
  if (type === 0n && !isCanonicalBase(context, target))
    generalProtection(`INVPCID address ${hex(target)} is not canonical`);
  context.mmu.invalidatePcid(Number(type), Number(pcid), target);
  return 'next';
}

export function invd(context: CpuContext, instruction: Instruction): SystemOutcome {
  requireCpl0(context, 'INVD');
  return context.cpu.nonRoot ? exit(context, instruction, ExitReason.Invd) : 'next';
}

export function wbinvd(context: CpuContext, instruction: Instruction): SystemOutcome {
  requireCpl0(context, 'WBINVD');
  return secondary(context, Secondary.WbinvdExiting) ? exit(context, instruction, ExitReason.Wbinvd) : 'next';
}
