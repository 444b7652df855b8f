/** The guest's page tables as the module reads them: through the vCPU's EPT, without rights, without side effects. */
import type { Dune, Vcpu } from './state.ts';

const PRESENT = 1;
const LARGE = 0x80;
const LOW_ADDRESS = ~0xfff;
const HIGH_ADDRESS = 0xf_ffff;
const ENTRY_BYTES = 8;

/** Bytes that an entry of the level covers; level 4 is the PML4. */
const COVERS = [0, 12, 21, 30, 39].map((shift) => 2 ** shift);

/** GPA behind a canonical GVA below 2^47; -1 if the tables do not map it or cannot be read. */
export function guestTranslate(dune: Dune, vcpu: Vcpu, root: number, gva: number): number {
  const { physical } = dune.context;
  let table = root;
  for (let level = 4; level >= 1; level--) {
    const covers = COVERS[level]!;
    const at = dune.ept.translate(vcpu.ept, table + (Math.floor(gva / covers) % 512) * ENTRY_BYTES);
    if (at < 0) return -1;
    const low = physical.read32(at);
    if (!(low & PRESENT)) return -1;
    const address = ((low & LOW_ADDRESS) >>> 0) + (physical.read32(at + 4) & HIGH_ADDRESS) * 2 ** 32;
    if (level === 1 || (level < 4 && (low & LARGE) !== 0)) return address - (address % covers) + (gva % covers);
    table = address;
  }
  return -1;
}
