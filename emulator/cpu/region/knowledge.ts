/** What the translator knows while it emits: of flags and checked memory at a point, of a block's end, of a region's locals. */
import type { FlagKind, Size } from '../emitter.ts';
import type { Expression } from '../interpreter/values.ts';
import type { CheckedRange, Place } from './accesses.ts';

/** What is known at a point of the code. */
export interface Knowledge {
  readonly known: FlagState | undefined;
  readonly places: readonly (Place | undefined)[];
  readonly checked: readonly CheckedRange[];
}
export const NOTHING_KNOWN: Knowledge = { known: undefined, places: [], checked: [] };

/** How a block ends; the translator goes on from there. */
export type Ending =
  | { readonly kind: 'jump' }
  | { readonly kind: 'branch'; readonly condition: Expression }
  | { readonly kind: 'indirect'; readonly target: Expression }
  /** The instruction has left for good. */
  | { readonly kind: 'left' };

export interface FlagState {
  readonly kind: FlagKind;
  readonly size: Size;
}

/** Locals that every region has, after its parameters. */
export interface FixedLocals {
  readonly budget: number;
  /** Exit code, or record to go on at. */
  readonly outcome: number;
  /** Record that an exit code is about. */
  readonly at: number;
  readonly tlbBase: number;
}
