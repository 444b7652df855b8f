/** EPT pointers (SDM 3C 25.6.11). */
import type { CpuContext } from '../cpu/context.ts';
import * as L from '../cpu/layout.ts';
import { EPT_5_LEVELS, EPT_CAPABILITIES } from './capabilities.ts';

/** Page-walk length less 1, bits 5:3. */
const WALK_OF_4 = 3n;
const WALK_OF_5 = 4n;
/** Bits 11:7. */
const RESERVED = 0xf80n;

/** Whether a VM entry would accept it (SDM 3C 27.2.1.1): memory type UC or WB, as many levels as the processor walks, no reserved bits. */
export function isEptp(context: CpuContext, eptp: bigint): boolean {
  const type = eptp & 7n;
  const width = BigInt(context.mem.get32(L.PHYS_BITS));
  return (
    (type === 0n || type === 6n) &&
    isWalk(context, (eptp >> 3n) & 7n) &&
    (eptp & RESERVED) === 0n &&
    eptp >> width === 0n
  );
}

function isWalk({ vmx }: CpuContext, length: bigint): boolean {
  if (length === WALK_OF_4) return true;
  return length === WALK_OF_5 && ((vmx.capability(EPT_CAPABILITIES) ?? 0n) & EPT_5_LEVELS) !== 0n;
}
