/** What stands under the guest: the Linux personality with its Dune module, or a bare board. The machine and the inspector know no more of it. */
import type { Kernel } from '../linux/api.ts';

export type Personality = Pick<
  Kernel,
  | 'start'
  | 'schedule'
  | 'quantum'
  | 'halted'
  | 'current'
  | 'threads'
  | 'thread'
  | 'exitStatus'
  | 'input'
  | 'memoryMap'
  | 'images'
  | 'peek'
  | 'poke'
  | 'layout'
  | 'explanations'
  | 'save'
  | 'restore'
> & {
  /** `run` is about to come back: output that waits goes out. */
  paused?(): void;
  /** Other arguments for what is loaded and has not run. */
  setArguments?(args: readonly string[]): void;
};
