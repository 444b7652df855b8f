/** Which kernels are booted with what: from the command line, or from the configuration of kvm-unit-tests. */
import { readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { FEATURES } from '../../emulator/cpu/system/features.ts';

export interface Case {
  readonly name: string;
  readonly kernel: string;
  readonly append: string;
  /** MB. */
  readonly memory: number;
  readonly cpus: number;
  readonly cpu: string | undefined;
  /** NAME=VALUE each. */
  readonly env: readonly string[];
}

/** Equal for boots that differ in nothing but their command line. */
export function machineKey({ kernel, memory, cpus, cpu, env }: Case): string {
  return JSON.stringify([kernel, memory, cpus, cpu, env]);
}

export interface Wanted {
  /** Files; names of sections with a configuration. */
  readonly kernels: readonly string[];
  readonly appends: readonly string[];
  readonly config: string | undefined;
  readonly memory: number;
  readonly cpus: number;
  readonly cpu: string | undefined;
  readonly env: readonly string[];
}

export function casesOf(wanted: Wanted): Case[] {
  return wanted.config === undefined ? named(wanted) : configured(wanted, wanted.config);
}

function named({ kernels, appends, memory, cpus, cpu, env }: Wanted): Case[] {
  return kernels.flatMap((kernel) =>
    appends.map((append) => {
      const file = basename(kernel).replace(/\.(flat|elf)$/, '');
      return { name: append ? `${file} ${append}` : file, kernel, append, memory, cpus, cpu, env };
    }),
  );
}

/** What a section takes from QEMU's processor `max` that is a feature here, too: "max,-pku" of "-cpu max,+vmx,-pku". */
function without(parameters: string): string | undefined {
  const words = /-cpu max,(\S+)/.exec(parameters)?.[1]?.split(',') ?? [];
  const taken = words.filter((word) => FEATURES.some(({ name }) => word === `-${name}`));
  return taken.length === 0 ? undefined : ['max', ...taken].join(',');
}

function megabytes(parameters: string): number | undefined {
  const [, count, unit] = /-m (\d+)(g?)/i.exec(parameters) ?? [];
  return count === undefined ? undefined : Number(count) * (unit ? 1024 : 1);
}

/** Sections of `[name]` and `key = value` lines; what else asks for another processor or machine of QEMU is taken as it is. */
function configured({ kernels, memory, cpu, env }: Wanted, config: string): Case[] {
  const cases: Case[] = [];
  for (const section of readFileSync(config, 'utf8').split(/^\[/m).slice(1)) {
    const name = section.slice(0, section.indexOf(']'));
    const fields = new Map(
      [...section.matchAll(/^(\w+)\s*=\s*(.*)$/gm)].map(([, key, value]) => [key!, value!.trim()] as const),
    );
    const file = fields.get('file');
    if (file === undefined || fields.get('arch') === 'i386') continue;
    if (kernels.length > 0 && !kernels.includes(name)) continue;
    const parameters = fields.get('qemu_params') ?? fields.get('extra_params') ?? '';
    const quoted = fields.get('test_args') ?? /-append\s+("[^"]*"|'[^']*'|\S+)/.exec(parameters)?.[1] ?? '';
    cases.push({
      name,
      kernel: join(dirname(config), file),
      append: quoted.replace(/^(['"])(.*)\1$/, '$2'),
      memory: megabytes(parameters) ?? memory,
      cpus: Number(/^\d+/.exec(fields.get('smp') ?? '1')?.[0] ?? 1),
      cpu: cpu ?? without(parameters),
      env,
    });
  }
  return cases;
}
