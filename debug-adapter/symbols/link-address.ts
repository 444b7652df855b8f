/**
 * Link-time addresses as numbers: the low 48 bits. Programs of the upper half of the address space (kernels) fit, too, for the bits above repeat bit 47 (SDM 1 3.3.7.1).
 */
const HALF = 2 ** 47;
const UPPER = 0xffff_8000_0000_0000n;
const LOW_48 = 0xffff_ffff_ffffn;

/** NaN where no image can be. */
export function linkAddressOf(gva: bigint, bias: bigint): number {
  const address = BigInt.asUintN(64, gva - bias);
  if (address < BigInt(HALF)) return Number(address);
  return address >= UPPER ? Number(address & LOW_48) : NaN;
}

export function runAddressOf(address: number, bias: bigint): bigint {
  const wide = address >= HALF ? BigInt(address) | UPPER : BigInt(address);
  return BigInt.asUintN(64, wide + bias);
}
