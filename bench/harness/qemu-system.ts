/**
 * The peer with a software MMU: QEMU's system emulator, TCG, one thread, with a Debian kernel and a RAM disk of busybox and the programs
 * (`npm run bench:prepare`). One machine serves a round of programs; its shell waits for a command on the serial port.
 */
import { spawn, spawnSync, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { cpuSeconds } from './cpu-time.ts';
import { newcArchive } from './initramfs.ts';
import { build } from './programs.ts';
import { Lines, timedRegion, type Region } from './session.ts';

export const QEMU = 'qemu-system-x86_64';
/** What bench:prepare puts here. */
export const prepared = join(build, 'peer');
export const kernelImage = join(prepared, 'vmlinuz');
export const busybox = join(prepared, 'busybox');
const initramfs = join(prepared, 'initramfs.cpio');

const DIRECTORY = 0o040755;
const PROGRAM = 0o100755;
const CHARACTER_DEVICE = 0o020600;

const INIT = `#!/busybox sh
/busybox mount -t devtmpfs dev /dev
exec </dev/ttyS0 >/dev/ttyS0 2>&1
/busybox stty -echo
echo READY
while read -r line; do
  $line
  echo "DONE $?"
done
`;

export function isPrepared(): boolean {
  return existsSync(kernelImage) && existsSync(busybox) && spawnSync(QEMU, ['--version']).status === 0;
}

/** Packs busybox and the programs. */
export function buildInitramfs(programs: readonly string[]): void {
  const nothing = new Uint8Array();
  const files = programs.map((path) => ({ path: basename(path), mode: PROGRAM, data: readFileSync(path) }));
  writeFileSync(
    initramfs,
    newcArchive([
      { path: 'dev', mode: DIRECTORY, data: nothing },
      { path: 'dev/console', mode: CHARACTER_DEVICE, data: nothing, device: [5, 1] },
      { path: 'busybox', mode: PROGRAM, data: readFileSync(busybox) },
      { path: 'init', mode: PROGRAM, data: Buffer.from(INIT) },
      ...files,
    ]),
  );
}

export class QemuSystem {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #lines: Lines;
  readonly #ended: Promise<never>;
  /** Processor and wall seconds from start to the shell. */
  boot = { cpu: 0, wall: 0 };

  private constructor() {
    const machine = '-accel tcg,thread=single -smp 1 -m 512 -nodefaults -display none -serial stdio -no-reboot';
    const append = 'console=ttyS0 quiet mitigations=off panic=-1';
    const args = [...machine.split(' '), '-kernel', kernelImage, '-initrd', initramfs, '-append', append];
    this.#child = spawn(QEMU, args, { stdio: 'pipe' });
    let errors = '';
    this.#child.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()));
    this.#lines = new Lines(this.#child.stdout);
    this.#ended = new Promise((_, reject) =>
      this.#child.on('close', (status) =>
        reject(new Error(`${QEMU} ended, status ${status}\n${errors}\n${this.#lines.rest}`)),
      ),
    );
    this.#ended.catch(() => {});
  }
  static async start(): Promise<QemuSystem> {
    const begin = performance.now();
    const machine = new QemuSystem();
    await Promise.race([machine.#lines.next(/READY/), machine.#ended]);
    machine.boot = { cpu: cpuSeconds(machine.#child.pid!), wall: (performance.now() - begin) / 1000 };
    return machine;
  }
  async measure(program: string, work: string): Promise<Region> {
    this.#child.stdin.write(`/${basename(program)} ${work} sync\n`);
    const region = timedRegion(this.#lines, this.#child.stdin, this.#child.pid!);
    const failed = async (): Promise<never> => {
      await this.#ended;
      throw new Error();
    };
    const result = await Promise.race([region, failed()]);
    await this.#done();
    return { ...result, stats: undefined };
  }
  /** Processor and wall seconds of a program from the command to the next. */
  async measureWhole(program: string): Promise<{ cpu: number; wall: number }> {
    const cpu = cpuSeconds(this.#child.pid!);
    const wall = performance.now();
    this.#child.stdin.write(`/${basename(program)}\n`);
    await this.#done();
    return { cpu: cpuSeconds(this.#child.pid!) - cpu, wall: (performance.now() - wall) / 1000 };
  }
  async #done(): Promise<void> {
    const [, status] = await Promise.race([this.#lines.next(/DONE (\d+)\r?\n/), this.#ended]);
    if (status !== '0') throw new Error(`a program in ${QEMU} ended with status ${status}`);
  }
  stop(): void {
    this.#child.kill('SIGKILL');
  }
}
