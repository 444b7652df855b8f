/** Checks for people. */
import type { CheckFailure } from '../api.ts';

/** A violated check in one line. */
export function checkInWords({ wants, found, because, section }: CheckFailure): string {
  return `wants ${wants}; found ${found}${because ? `: ${because}` : ''} (${section})`;
}
