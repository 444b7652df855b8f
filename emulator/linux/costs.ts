/** Modelled cycles of kernel work, beside the instructions of the program. Predicted; a 3 GHz processor of the Haswell class. */
export const COSTS = {
  /** SYSCALL, entry, dispatch, SYSRET: about 70 ns. */
  syscall: 200,
  /** Exception entry, lookup of the area, filling a PTE, IRET: about 0.3 µs. */
  pageFault: 1000,
  /** Other exceptions turned into signals, with the frame. */
  signal: 2000,
} as const;
