/** The hypervisor with one row, whose script is written at run time, and the fragments of random code. */
import type { Assembled } from '../../support/assemble.ts';
import { assembleKernel, read } from '../kernel.ts';

/** One a line. */
export const FRAGMENTS: readonly string[] = read('fuzz/fragments.s')
  .split('\n')
  .filter((line) => line !== '' && !line.startsWith('#'));

/** @param script address of the row's script */
export function fuzzImage(script: number): Assembled {
  const fragments = FRAGMENTS.map((text, number) => `fragment_${number}: ${text}`).join('\n');
  return assembleKernel(
    `.text 3\nrandom_name: .asciz "random"\n.text 1\n.quad random_name, ${script}\n.text 4\n${fragments}\nfragment_${FRAGMENTS.length}:\n`,
  );
}

export function fragmentBytes({ bytes, symbols }: Assembled, number: number): Uint8Array {
  const origin = symbols.get('multiboot')!;
  const [from, to] = [number, number + 1].map((n) => symbols.get(`fragment_${n}`)! - origin);
  return bytes.subarray(from, to);
}
