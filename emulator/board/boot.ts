/** The state in which a Multiboot kernel starts (Multiboot Specification 0.6.96, 3.2): 32-bit protected mode, flat segments, paging off, interrupts off. */
import type { CpuContext } from '../cpu/context.ts';
import * as L from '../cpu/layout.ts';
import { updateDerived } from '../cpu/system/reset.ts';
import { Segment } from '../cpu/state.ts';
import { BOOTLOADER_MAGIC } from './multiboot.ts';
import type { LoadedKernel } from './multiboot.ts';

const RAX = 0;
const RBX = 3;
/** ET, PE. */
const CR0 = 0x11n;
const FLAT = 0xffff_ffff;
const CODE_32 = 0xc09b;
const DATA_32 = 0xc093;

/** From the power-up state. */
export function resetForKernel(context: CpuContext, { entry, information }: LoadedKernel): void {
  const { mem, cpu } = context;
  mem.set64(L.CR0, CR0);
  cpu.setSegment(Segment.CS, { selector: 0x08, base: 0n, limit: FLAT, rights: CODE_32 });
  for (const data of [Segment.ES, Segment.SS, Segment.DS, Segment.FS, Segment.GS])
    cpu.setSegment(data, { selector: 0x10, base: 0n, limit: FLAT, rights: DATA_32 });
  cpu.setGpr(RAX, BigInt(BOOTLOADER_MAGIC));
  cpu.setGpr(RBX, BigInt(information));
  cpu.rip = BigInt(entry);
  updateDerived(context);
}
