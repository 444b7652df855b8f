/** Where the symbols of a Multiboot kernel are: in itself, or in the `.elf` that a `.flat` or `.bin` beside it was made from. */
import type { HostFiles } from '../emulator/machine/api.ts';
import { isElf32, widenElf32 } from './symbols/elf32.ts';

/** An ELF64 image with the symbols, or the kernel as it is. */
export function symbolsOfKernel(files: HostFiles, path: string, kernel: Uint8Array): Uint8Array {
  const beside = path.replace(/\.(flat|bin|img)$/, '.elf');
  const image = (beside === path ? undefined : files.readFile(beside)) ?? kernel;
  return isElf32(image) ? widenElf32(image) : image;
}
