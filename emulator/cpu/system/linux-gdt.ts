/**
 * Linux's GDT (arch/x86/include/asm/segment.h), by selector / 8. In root operation under a supervisor there is no kernel memory to
 * hold a GDT; the same descriptors are read from here, so that MOV to a segment register, IRET and far branches work in Linux mode.
 */
const LINUX_GDT: Readonly<Record<number, bigint>> = {
  1: 0x00cf_9b00_0000_ffffn,
  2: 0x00af_9b00_0000_ffffn,
  3: 0x00cf_9300_0000_ffffn,
  4: 0x00cf_fb00_0000_ffffn,
  5: 0x00cf_f300_0000_ffffn,
  6: 0x00af_fb00_0000_ffffn,
};
export const LINUX_GDT_LIMIT = 0x7f;

/** 0, a descriptor that is not present, where Linux has none. */
export function linuxDescriptor(selector: number): bigint {
  return LINUX_GDT[selector >> 3] ?? 0n;
}
