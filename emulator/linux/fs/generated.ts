/** Files the kernel makes up: /proc, /sys and /dev. Content is made when they are opened. */
import { PAGE } from '../frames.ts';
import { featureNames } from '../hardware.ts';
import { createInode } from './inode.ts';
import type { DeviceName, Inode, Linux, Process } from '../state.ts';
import { now } from '../time.ts';
import { memoryMapText } from './maps.ts';
import { copyIn, readString } from '../usermem.ts';

export const DEVICES: Readonly<Record<string, DeviceName>> = {
  '/dev/null': 'null',
  '/dev/zero': 'zero',
  '/dev/full': 'full',
  '/dev/random': 'random',
  '/dev/urandom': 'random',
  '/dev/tty': 'tty',
  '/dev/dune': 'dune',
};
const LINKS: Readonly<Record<string, string>> = {
  '/dev/stdin': '/proc/self/fd/0',
  '/dev/stdout': '/proc/self/fd/1',
  '/dev/stderr': '/proc/self/fd/2',
  '/dev/fd': '/proc/self/fd',
};

const GLOBAL: Readonly<Record<string, (linux: Linux) => string>> = {
  '/proc/cpuinfo': cpuInfo,
  '/proc/meminfo': memoryInfo,
  '/proc/version': () => 'Linux version 6.1.0-dune (dune@debug) #1 SMP\n',
  '/proc/uptime': (linux) => `${(now(linux) / 1e9).toFixed(2)} 0.00\n`,
  '/proc/loadavg': (linux) => `0.00 0.00 0.00 1/${linux.state.tasks.size} ${linux.state.nextPid - 1}\n`,
  '/proc/filesystems': () => 'nodev\tproc\nnodev\tsysfs\nnodev\ttmpfs\n',
  '/proc/sys/vm/overcommit_memory': () => '0\n',
  '/proc/sys/vm/max_map_count': () => '65530\n',
  '/proc/sys/kernel/osrelease': () => '6.1.0-dune\n',
  '/proc/sys/kernel/pid_max': () => '4194304\n',
  '/sys/devices/system/cpu/possible': cpuRange,
  '/sys/devices/system/cpu/online': cpuRange,
  '/sys/devices/system/cpu/present': cpuRange,
  '/sys/kernel/mm/transparent_hugepage/enabled': () => 'always madvise [never]\n',
  '/sys/kernel/mm/transparent_hugepage/hpage_pmd_size': () => '2097152\n',
};

/** The arguments as they stand in memory; a program that has written over their end goes on into its environment (get_mm_cmdline). */
function commandLine(linux: Linux, process: Process): Uint8Array {
  const { argStart, argEnd, envStart, envEnd } = process.mm;
  if (process.zombie) return new Uint8Array(0);
  const bytes = copyIn(linux, process, argStart, argEnd - argStart) ?? new Uint8Array(0);
  if (bytes.length === 0 || bytes.at(-1) === 0 || envStart !== argEnd) return bytes;
  const all = copyIn(linux, process, argStart, envEnd - argStart) ?? bytes;
  const end = all.indexOf(0);
  return end < 0 ? all : all.subarray(0, end + 1);
}

const PER_PROCESS: Readonly<Record<string, (linux: Linux, process: Process) => string | Uint8Array>> = {
  maps: (_linux, process) => memoryMapText(process),
  status: statusText,
  stat: statText,
  statm: (_linux, process) => `${totalPages(process)} ${process.mm.resident} 0 0 0 0 0\n`,
  cmdline: commandLine,
  comm: (_linux, process) => `${process.name}\n`,
  auxv: (_linux, process) => process.mm.auxv,
  environ: environment,
  limits: () => 'Limit                     Soft Limit           Hard Limit           Units     \n',
  cgroup: () => '0::/\n',
};

/** The generated inode at a path, made anew at each look; undefined if the path is not generated. */
export function generate(linux: Linux, process: Process, path: string): Inode | undefined {
  if (LINKS[path]) return symlink(linux, path, LINKS[path]);
  if (GLOBAL[path]) return text(linux, path, GLOBAL[path](linux));
  if (isGeneratedDirectory(linux, path)) return createInode(linux, 'directory', path, 0o555);
  const match = /^\/proc\/(self|thread-self|\d+)(?:\/(.*))?$/.exec(path);
  if (!match) return undefined;
  const subject =
    match[1] === 'self' || match[1] === 'thread-self' ? process : linux.state.processes.get(Number(match[1]));
  if (!subject) return undefined;
  return generateOfProcess(linux, subject, path, match[2] ?? '');
}

function generateOfProcess(linux: Linux, process: Process, path: string, rest: string): Inode | undefined {
  if (rest === '' || rest === 'fd' || rest === 'task') return createInode(linux, 'directory', path, 0o555);
  if (rest === 'exe') return symlink(linux, path, process.mm.executable);
  if (rest === 'cwd') return symlink(linux, path, process.fs.cwd);
  if (rest === 'root') return symlink(linux, path, '/');
  const task = /^task\/(\d+)(?:\/(.+))?$/.exec(rest);
  if (task)
    return process.tasks.some((one) => one.tid === Number(task[1]))
      ? generateOfProcess(linux, process, path, task[2] ?? '')
      : undefined;
  const fd = /^fd\/(\d+)$/.exec(rest);
  if (fd) {
    const entry = process.fds.entries[Number(fd[1])];
    return entry && symlink(linux, path, entry.file.path);
  }
  const make = PER_PROCESS[rest];
  return make && text(linux, path, make(linux, process));
}

/** Names below a generated directory. */
export function generatedNames(linux: Linux, process: Process, path: string): string[] {
  const names = [...Object.keys(GLOBAL), ...Object.keys(LINKS)]
    .filter((name) => name.startsWith(path === '/' ? '/' : `${path}/`))
    .map((name) => name.slice(path === '/' ? 1 : path.length + 1).split('/')[0]!);
  if (path === '/proc') names.push('self', ...[...linux.state.processes.keys()].map(String));
  if (path === '/sys/devices/system/cpu') for (let cpu = 0; cpu < linux.options.cpus; cpu++) names.push(`cpu${cpu}`);
  if (/^\/proc\/(self|\d+)$/.test(path)) names.push(...Object.keys(PER_PROCESS), 'exe', 'cwd', 'root', 'fd', 'task');
  if (/^\/proc\/(self|\d+)\/fd$/.test(path))
    process.fds.entries.forEach((entry, fd) => {
      if (entry) names.push(String(fd));
    });
  if (/^\/proc\/(self|\d+)\/task$/.test(path)) names.push(...process.tasks.map((task) => String(task.tid)));
  return names;
}

function isGeneratedDirectory(linux: Linux, path: string): boolean {
  if (path === '/proc' || path === '/sys') return true;
  const cpu = /^\/sys\/devices\/system\/cpu\/cpu(\d+)$/.exec(path);
  if (cpu) return Number(cpu[1]) < linux.options.cpus;
  return Object.keys(GLOBAL).some((name) => name.startsWith(`${path}/`) && path.length > 1);
}

function text(linux: Linux, path: string, content: string | Uint8Array): Inode {
  const bytes = typeof content === 'string' ? new TextEncoder().encode(content) : content;
  const inode = createInode(linux, 'file', path, 0o444);
  inode.data = bytes.slice();
  inode.size = bytes.length;
  return inode;
}
function symlink(linux: Linux, path: string, target: string): Inode {
  const inode = createInode(linux, 'symlink', path, 0o777);
  inode.target = target;
  return inode;
}

function cpuRange(linux: Linux): string {
  return linux.options.cpus === 1 ? '0\n' : `0-${linux.options.cpus - 1}\n`;
}

function cpuInfo(linux: Linux): string {
  const one = (cpu: number): string =>
    [
      ['processor', cpu],
      ['vendor_id', 'GenuineIntel'],
      ['cpu family', 6],
      ['model', 85],
      ['model name', linux.context.model.brand],
      ['stepping', 0],
      ['cpu MHz', '3000.000'],
      ['physical id', 0],
      ['siblings', linux.options.cpus],
      ['core id', cpu],
      ['cpu cores', linux.options.cpus],
      ['apicid', cpu],
      ['fpu', 'yes'],
      ['flags', featureNames(linux.context.model)],
      ['address sizes', `${linux.options.physBits} bits physical, 48 bits virtual`],
    ]
      .map(([name, value]) => `${String(name).padEnd(16, '\t').slice(0, 16)}: ${value}\n`)
      .join('') + '\n';
  return Array.from({ length: linux.options.cpus }, (_, cpu) => one(cpu)).join('');
}

function memoryInfo(linux: Linux): string {
  const { frames } = linux.state;
  const total = (frames.references.length * PAGE) / 1024;
  const free = (frames.free * PAGE) / 1024;
  const line = (name: string, kilobytes: number): string =>
    `${`${name}:`.padEnd(15)} ${String(kilobytes).padStart(8)} kB\n`;
  return (
    line('MemTotal', total) +
    line('MemFree', free) +
    line('MemAvailable', free) +
    line('Buffers', 0) +
    line('Cached', 0) +
    line('SwapTotal', 0) +
    line('SwapFree', 0) +
    line('Hugepagesize', 2048)
  );
}

function totalPages(process: Process): number {
  return process.mm.vmas.reduce((sum, vma) => sum + (vma.end - vma.start) / PAGE, 0);
}
function environment(linux: Linux, process: Process): Uint8Array {
  const { envStart, envEnd } = process.mm;
  const words: string[] = [];
  for (let at = envStart; at < envEnd;) {
    const word = readString(linux, process, at);
    if (word === undefined || word === null) break;
    words.push(word);
    at += new TextEncoder().encode(word).length + 1;
  }
  return new TextEncoder().encode(words.map((word) => `${word}\0`).join(''));
}

function statusText(_linux: Linux, process: Process): string {
  const hex = (mask: bigint): string => mask.toString(16).padStart(16, '0');
  const main = process.tasks[0];
  const kilobytes = (pages: number): string => `${String(pages * 4).padStart(8)} kB`;
  return (
    `Name:\t${process.name}\nUmask:\t${process.fs.umask.toString(8).padStart(4, '0')}\nState:\tR (running)\nTgid:\t${process.pid}\n` +
    `Ngid:\t0\nPid:\t${process.pid}\nPPid:\t${process.parent?.pid ?? 0}\nTracerPid:\t0\nUid:\t1000\t1000\t1000\t1000\n` +
    `Gid:\t1000\t1000\t1000\t1000\nFDSize:\t64\nVmPeak:\t${kilobytes(totalPages(process))}\nVmSize:\t${kilobytes(totalPages(process))}\n` +
    `VmRSS:\t${kilobytes(process.mm.resident)}\nThreads:\t${process.tasks.length}\nSigPnd:\t${hex(main?.pendingSignals ?? 0n)}\n` +
    `ShdPnd:\t${hex(process.pendingMask)}\nSigBlk:\t${hex(main?.blockedSignals ?? 0n)}\n`
  );
}

/** The 52 fields of proc_pid_stat(5); those without a model are 0. */
function statText(_linux: Linux, process: Process): string {
  const fields: (number | string)[] = new Array<number>(52).fill(0);
  const set = (index: number, value: number | string): void => void (fields[index - 1] = value);
  set(1, process.pid);
  set(2, `(${process.name})`);
  set(3, 'R');
  set(4, process.parent?.pid ?? 0);
  set(5, process.pgid);
  set(6, process.sid);
  set(14, Math.floor(process.cycles / 30_000_000));
  set(18, 20);
  set(20, process.tasks.length);
  set(23, totalPages(process) * PAGE);
  set(24, process.mm.resident);
  set(25, '18446744073709551615');
  set(28, process.mm.startStack);
  set(47, process.mm.brkStart);
  return `${fields.join(' ')}\n`;
}
