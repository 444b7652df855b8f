/** The bits of control-bits.ts for values of 64 bits. */
import * as bits from './control-bits.ts';

export const BITS_64 = Object.fromEntries(
  Object.entries(bits).map(([name, value]) => [name, BigInt(value)]),
) as Readonly<Record<keyof typeof bits, bigint>>;
