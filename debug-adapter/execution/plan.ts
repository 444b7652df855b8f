/** How the machine is run on behalf of a request: a plan is asked for one slice after another until it says why it stopped. */
import type { MachineEvent } from '../../emulator/machine/events.ts';

export type Outcome =
  | { readonly kind: 'step'; readonly thread: number }
  | { readonly kind: 'entry'; readonly thread: number }
  | { readonly kind: 'pause'; readonly thread: number }
  | {
      readonly kind: 'breakpoint';
      readonly thread: number;
      readonly ids: readonly number[];
      readonly what: BreakpointKind;
      readonly note?: string;
    }
  | {
      readonly kind: 'event';
      readonly thread: number;
      readonly event: MachineEvent;
      readonly filter: string;
      readonly label: string;
    }
  | { readonly kind: 'deadlock'; readonly thread: number }
  /** Stopped by itself with something to explain: the thread's explanation says what. */
  | { readonly kind: 'exited'; readonly status: number; readonly signal?: number };

export type BreakpointKind = 'source' | 'function' | 'instruction';

/** More to do; or nothing can run until input comes. */
export type Progress = Outcome | 'more' | 'input';

export interface Plan {
  /** Runs for about `milliseconds`. */
  slice(milliseconds: number): Progress;
  /** The plan is over, also when it was cut short: put back what it set. */
  end?(): void;
}
