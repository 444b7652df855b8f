/** Prefix bytes of instructions (SDM 2A 2.1.1, 2.2.1). */

/** Prefix classes of the first bytes of an instruction. */
export const enum Prefix {
  None,
  Rex,
  OperandSize,
  AddressSize,
  Lock,
  Repeat,
  Segment,
}
/** By code mode. */
export const PREFIXES: readonly Uint8Array[] = [0, 1, 2].map((mode) => {
  const classes = new Uint8Array(256);
  if (mode === 2) classes.fill(Prefix.Rex, 0x40, 0x50);
  classes[0x66] = Prefix.OperandSize;
  classes[0x67] = Prefix.AddressSize;
  classes[0xf0] = Prefix.Lock;
  classes[0xf2] = classes[0xf3] = Prefix.Repeat;
  for (const byte of [0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65]) classes[byte] = Prefix.Segment;
  return classes;
});
