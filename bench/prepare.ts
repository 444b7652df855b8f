/**
 * `npm run bench:prepare`: fetches by apt what `npm run bench` needs to compare with QEMU's system emulator: the emulator itself (installed, if it is
 * missing), a Debian kernel and a static busybox (only unpacked, under build/bench/peer), and packs the RAM disk.
 */
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { HELLO, benchProgram, programNames } from './harness/programs.ts';
import { QEMU, buildInitramfs, busybox, kernelImage, prepared } from './harness/qemu-system.ts';

const KERNELS = ['linux-image-cloud-amd64', 'linux-image-amd64'];

function must(command: string, args: readonly string[], cwd?: string): string {
  const child = spawnSync(command, args, { cwd, encoding: 'utf8', env: { ...process.env, LC_ALL: 'C' } });
  if (child.status === 0) return child.stdout;
  throw new Error(`${command} ${args.join(' ')} failed:\n${child.error?.message ?? child.stderr}`);
}

/** Downloads a package and unpacks it, without installing it; answers the folder. */
function unpack(name: string): string {
  const folder = join(prepared, name);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  must('apt-get', ['download', name], folder);
  const [archive] = readdirSync(folder).filter((file) => file.endsWith('.deb'));
  must('dpkg', ['-x', join(folder, archive!), join(folder, 'root')]);
  return join(folder, 'root');
}

/** The package that a kernel's metapackage stands for. */
function kernelPackage(): string {
  for (const meta of KERNELS) {
    const found = /Depends: (linux-image-\S+)/.exec(must('apt-cache', ['depends', meta]))?.[1];
    if (found) return found;
  }
  throw new Error(`apt knows none of ${KERNELS.join(', ')}; run "apt-get update" first.`);
}

function prepare(): void {
  mkdirSync(prepared, { recursive: true });
  if (spawnSync(QEMU, ['--version']).status !== 0)
    must('apt-get', ['install', '-y', '-qq', '--no-install-recommends', 'qemu-system-x86']);
  const boot = join(unpack(kernelPackage()), 'boot');
  const [image] = readdirSync(boot).filter((file) => file.startsWith('vmlinuz'));
  copyFileSync(join(boot, image!), kernelImage);
  copyFileSync(join(unpack('busybox-static'), 'bin/busybox'), busybox);
  buildInitramfs([...programNames(), HELLO].map(benchProgram));
  console.log(`Prepared ${prepared}: ${image}, ${must(QEMU, ['--version']).split('\n')[0]}.`);
}

prepare();
