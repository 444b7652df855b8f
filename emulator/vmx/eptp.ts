/** EPT pointers (SDM 3C 25.6.11). */
import type { CpuContext } from '../cpu/context.ts';
import * as L from '../cpu/layout.ts';

const WALK_OF_4 = 3n;
/** Bits 11:7. */
const RESERVED = 0xf80n;

/** Whether a VM entry would accept it (SDM 3C 27.2.1.1): memory type UC or WB, 4 levels, no reserved bits. */
export function isEptp(context: CpuContext, eptp: bigint): boolean {
  const type = eptp & 7n;
  const width = BigInt(context.mem.get32(L.PHYS_BITS));
  return (
    (type === 0n || type === 6n) &&
    ((eptp >> 3n) & 7n) === WALK_OF_4 &&
    (eptp & RESERVED) === 0n &&
    eptp >> width === 0n
  );
}
