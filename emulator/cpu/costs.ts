import { REPEAT_PART } from './codes.ts';

/**
 * Modelled cycles of what the processor does beside retiring instructions (each of which costs one). All predicted, none
 * calibrated: the order of magnitude of a 3 GHz processor of the Haswell class.
 */
export const CPU_COSTS = {
  /** Exception or interrupt through the IDT: gate, descriptors, stack switch, frame. */
  delivery: 200,
  iret: 150,
  syscall: 45,
  sysret: 45,
  /** MOV to CR3 and other serialising writes. */
  controlWrite: 100,
  cpuid: 100,
  /** XSAVE, XRSTOR and their kin. */
  xsave: 60,
  wrmsr: 80,
  vmExit: 400,
  vmEntry: 350,
} as const;

/** Bytes a cycle of REP MOVS and REP STOS; the other repeated string instructions look at an element a cycle. */
const FAST_STRING = 32;

/** Modelled cycles of each part of a repeated string instruction but the last; `bytes` of an element. */
export function partCycles(op: string, bytes: number): number {
  return op === 'movs' || op === 'stos' ? (REPEAT_PART * bytes) / FAST_STRING : REPEAT_PART;
}
