/** Builds the kernels of faults.c. */
import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, '../..');
const built = join(root, 'dist/test-faults');

const CASES = ['missing-invlpg', 'broken-idt', 'bad-stack', 'reserved-bit', 'smap-access'] as const;
export type FaultCase = (typeof CASES)[number];

export const FAULTS_SOURCE = join(here, 'faults.c');

const FLAGS =
  '-g -O1 -Wall -Wextra -ffreestanding -fno-pie -fno-stack-protector -mno-red-zone -mgeneral-regs-only -nostdlib -static -no-pie ' +
  '-Wl,-Ttext=0x100000,--build-id=none,-z,max-page-size=0x1000,-z,norelro';

/** Path of the kernel of one case. */
export function faultKernel(name: FaultCase): string {
  mkdirSync(built, { recursive: true });
  const output = join(built, name);
  const sources = [join(root, 'examples/bare-timer/boot.S'), FAULTS_SOURCE];
  const number = CASES.indexOf(name) + 1;
  execFileSync('gcc', [...FLAGS.split(' '), `-DCASE=${number}`, '-o', output, ...sources], { stdio: 'pipe' });
  return output;
}
