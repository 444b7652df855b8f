/** Which invalidations drop a TLB entry (SDM 3A 5.10.4.1, 3C 29.4.3.1), seen from a processor's present context. */
import type { TlbBank, TlbEntry } from './api.ts';

const hex = (value: bigint | number): string => `0x${value.toString(16)}`;

/** The context that would have to invalidate: the one in force. */
export interface Invalidator {
  readonly cpu: number;
  readonly vpid: number;
  readonly pcid: number;
}

/**
 * The narrowest first.
 * @param changed which translation no longer is what was cached
 */
export function missingInvalidations(
  { gva, global }: Pick<TlbEntry, 'gva' | 'global'>,
  bank: Pick<TlbBank, 'cpu' | 'vpid' | 'pcid' | 'eptp'>,
  changed: 'guest' | 'ept',
  current: Invalidator,
): string[] {
  const there = bank.cpu === current.cpu ? '' : ` on CPU ${bank.cpu} (a shootdown by an interrupt)`;
  if (changed === 'ept') return [`INVEPT type 1 with EPTP ${hex(bank.eptp)}${there}`, `INVEPT type 2${there}`];
  if (bank.vpid !== current.vpid) return ofOtherVpid(gva, bank, there);
  if (bank.pcid !== current.pcid && !global)
    return [
      `INVPCID type 0 with PCID ${bank.pcid}, address ${hex(gva)}${there}`,
      `MOV to CR3 with PCID ${bank.pcid} and bit 63 clear${there}`,
    ];
  const page = `INVLPG ${hex(gva)}${there}`;
  if (global) return [page, `INVPCID type 2${there}`, `a change of CR4.PGE${there}`];
  return [page, `MOV to CR3 with bit 63 clear${there}`];
}

/** In root operation: of a guest's linear addresses. The guest itself would use INVLPG. */
function ofOtherVpid(gva: bigint, { vpid }: Pick<TlbBank, 'vpid'>, there: string): string[] {
  if (vpid === 0) return [`INVLPG ${hex(gva)} in VMX root operation${there}`];
  return [
    `INVLPG ${hex(gva)} by the guest${there}`,
    `INVVPID type 0 with VPID ${vpid}, address ${hex(gva)}${there}`,
    `INVVPID type 1 with VPID ${vpid}${there}`,
  ];
}
