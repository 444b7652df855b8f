/**
 * Moves of VMCS fields to and from the state page (AssemblyScript), by lists that vmx/transfer.ts writes: 16 bytes a move: offset in the VMCS region,
 * address in linear memory, mask of the low word, number of 32-bit words.
 */

export function loadFields(moves: usize, end: usize, region: usize): void {
  for (; moves < end; moves += 16) {
    const slot = region + <usize>load<u32>(moves);
    const state = <usize>load<u32>(moves, 4);
    store<u32>(state, load<u32>(slot));
    if (load<u32>(moves, 12) == 2) store<u32>(state, load<u32>(slot, 4), 4);
  }
}

/** A field of one word gets a high half of 0. */
export function saveFields(moves: usize, end: usize, region: usize): void {
  for (; moves < end; moves += 16) {
    const slot = region + <usize>load<u32>(moves);
    const state = <usize>load<u32>(moves, 4);
    store<u32>(slot, load<u32>(state) & load<u32>(moves, 8));
    store<u32>(slot, load<u32>(moves, 12) == 2 ? load<u32>(state, 4) : 0, 4);
  }
}
