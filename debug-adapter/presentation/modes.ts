/** Modes of execution in words. */
import type { ThreadInfo } from '../../emulator/machine/api.ts';

type Mode = ThreadInfo['mode'];

/** Behind a thread's name. */
export const MODE_NAMES: Readonly<Record<Mode, string>> = {
  linux: 'Linux',
  dune: 'Dune',
  root: 'root',
  guest: 'guest',
};
export const MODE_DESCRIPTIONS: Readonly<Record<Mode, string>> = {
  linux: 'Linux (VMX root)',
  dune: 'Dune (VMX non-root)',
  root: 'bare metal (VMX root, or no VMX)',
  guest: 'guest (VMX non-root)',
};

/** In VMX non-root operation. */
export function isNonRoot(mode: Mode | undefined): boolean {
  return mode === 'dune' || mode === 'guest';
}
/** There is no kernel inside the machine between it and the program's own handlers. */
export function hasOwnKernel(mode: Mode): boolean {
  return mode !== 'linux';
}

/** The level of VMX operation on a board; undefined elsewhere, where both belong to one program. */
export function levelOf(mode: Mode | undefined): 'root' | 'guest' | undefined {
  return mode === 'root' || mode === 'guest' ? mode : undefined;
}
