/** What a tool may see of translation; a program cannot. Regions with an observer count what they do, and are slower. */
import type { RegionGraph } from './graph.ts';
import type { Structure } from './structure.ts';

/** Where in a region's body the code of a guest instruction begins. */
export interface CodeMark {
  readonly offset: number;
  /** Linear address of the instruction. */
  readonly gva: bigint;
}

export interface TranslatedRegion {
  readonly id: number;
  readonly graph: RegionGraph;
  readonly structure: Structure;
  readonly body: Uint8Array;
  readonly marks: readonly CodeMark[];
  readonly functionName: (index: number) => string;
  /** Bytes of each instruction, by its linear address. */
  readonly bytes: ReadonlyMap<bigint, Uint8Array>;
}

export interface RegionObserver {
  made(region: TranslatedRegion): void;
  /** A region was left after so many instructions: to a record, or with one of the EXIT_* of codes.ts. */
  left(id: number, outcome: number, instructions: number): void;
}
