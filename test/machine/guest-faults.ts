/** Builds a hypervisor and its guest that faults: guest-faults-hypervisor.c and guest-faults.c around examples/tiny-hypervisor. */
import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, '../..');
const tiny = join(root, 'examples/tiny-hypervisor');
const built = join(root, 'dist/test-faults');

/** In the order of the enumeration in guest-faults.h. */
const CASES = [
  'handled-page-fault',
  'ept-violation',
  'table-violation',
  'misconfigured-page',
  'misconfigured-table',
  'triple-fault',
  'intercepted-page-fault',
  'shadow-vmcs',
  'halted',
] as const;
export type GuestFaultCase = (typeof CASES)[number];

export const GUEST_SOURCE = join(here, 'guest-faults.c');
export const HYPERVISOR_SOURCE = join(tiny, 'hypervisor.c');

const FLAGS =
  `-g -O1 -Wall -Wextra -ffreestanding -fno-pie -fno-stack-protector -mno-red-zone -mgeneral-regs-only -nostdlib -static -no-pie -I${here} -I${tiny} ` +
  '-Wl,--build-id=none,-z,max-page-size=0x1000,-z,norelro';

/** Paths of the kernel of one case, and of its guest with symbols. */
export function guestFaultKernel(name: GuestFaultCase): { kernel: string; guest: string } {
  mkdirSync(built, { recursive: true });
  const kernel = join(built, `guest-${name}`);
  const guest = `${kernel}.guest`;
  const image = `${kernel}.image`;
  const gcc = (...args: string[]): void => {
    const flags = [...FLAGS.split(' '), `-DCASE=${CASES.indexOf(name) + 1}`];
    execFileSync('gcc', [...flags, ...args], { stdio: 'pipe' });
  };
  gcc('-mcmodel=kernel', '-T', join(tiny, 'guest.ld'), '-o', guest, join(tiny, 'guest.S'), GUEST_SOURCE);
  execFileSync('objcopy', ['-O', 'binary', guest, image], { stdio: 'pipe' });
  const sources = [join(tiny, 'boot.S'), join(here, 'guest-faults-hypervisor.c')];
  gcc('-Wl,-Ttext=0x100000', `-DGUEST_IMAGE="${image}"`, '-o', kernel, ...sources);
  return { kernel, guest };
}
