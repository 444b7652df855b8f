/** Command-line options of `dune-debug run`, one table: parsing, help text and defaults come from it. */
import { EVENT_KINDS, type EventKind } from '../emulator/machine/events.ts';
import { CPU_MODEL_NAMES, CpuModelError, cpuModelOf } from '../emulator/cpu/system/models.ts';

export interface RunOptions {
  program: string;
  args: string[];
  machine: 'dune' | 'bare';
  strict: boolean;
  physBits: number;
  cpus: number;
  /** A description that cpuModelOf takes. */
  cpu: string;
  /** Bytes. */
  memory: number;
  seed: number;
  grants: { path: string; write: boolean }[];
  env: string[];
  append: string[];
  stats: boolean;
  translate: boolean;
  trace: Trace | undefined;
  maxInstructions: number;
  help: boolean;
}

export interface Trace {
  readonly kinds: readonly EventKind[];
  /** Absent: standard error. */
  readonly file: string | undefined;
}

/** Bad use of the command line: one sentence. */
export class UsageError extends Error {}

export interface OptionRow {
  readonly name: string;
  /** Name of its value in the help; absent for a switch. */
  readonly value?: string;
  readonly help: string;
  readonly set: (options: RunOptions, value: string) => void;
}

export function integer(name: string, low: number, high: number, value: string): number {
  const number = value.trim() === '' ? NaN : Number(value);
  if (!Number.isInteger(number) || number < low || number > high)
    throw new UsageError(`${name} takes a whole number from ${low} to ${high}, not "${value}".`);
  return number;
}

/** KINDS[=FILE], where KINDS is a comma list or "all". */
function traceOf(value: string): Trace {
  const equals = value.indexOf('=');
  const names = (equals < 0 ? value : value.slice(0, equals)).split(',');
  const unknown = names.find((name) => name !== 'all' && !EVENT_KINDS.includes(name as EventKind));
  if (unknown !== undefined)
    throw new UsageError(`--trace knows no kind "${unknown}"; there are: all, ${EVENT_KINDS.join(', ')}.`);
  const file = equals < 0 ? undefined : value.slice(equals + 1);
  if (file === '') throw new UsageError('--trace KINDS=FILE needs the name of a file after the "=".');
  return { kinds: names.includes('all') ? EVENT_KINDS : (names as EventKind[]), file };
}

function checkCpu(description: string): string {
  try {
    cpuModelOf(description);
  } catch (error) {
    throw error instanceof CpuModelError ? new UsageError(`--cpu: ${error.message}`) : error;
  }
  return description;
}

function machineOf(value: string): RunOptions['machine'] {
  if (value !== 'dune' && value !== 'bare') throw new UsageError(`--machine takes dune or bare, not "${value}".`);
  return value;
}

export const OPTION_ROWS: readonly OptionRow[] = [
  {
    name: '--machine',
    value: 'KIND',
    help: 'dune (default): a Linux program; bare: a Multiboot kernel on a board without Linux, with the arguments as its command line',
    set: (o, v) => (o.machine = machineOf(v)),
  },
  {
    name: '--append',
    value: 'TEXT',
    help: "command line of a bare machine's kernel, before the arguments",
    set: (o, v) => o.append.push(v),
  },
  {
    name: '--strict',
    help: 'imitate the 312-entry system-call table of the kernels Dune ran on',
    set: (o) => (o.strict = true),
  },
  {
    name: '--phys-bits',
    value: 'N',
    help: 'physical-address width of the processor, 37 to 48, on a bare machine to 52 (default 46)',
    set: (o, v) => (o.physBits = integer('--phys-bits', 37, 52, v)),
  },
  {
    name: '--cpus',
    value: 'N',
    help: 'model CPUs, 1 to 64 (default 1)',
    set: (o, v) => (o.cpus = integer('--cpus', 1, 64, v)),
  },
  {
    name: '--cpu',
    value: 'MODEL',
    help: `what CPUID presents: ${CPU_MODEL_NAMES.join(', ')} (default max: all that is implemented), then +FEATURE or -FEATURE, separated by commas`,
    set: (o, v) => (o.cpu = checkCpu(v)),
  },
  {
    name: '--memory',
    value: 'MB',
    help: 'physical memory (default 1024)',
    set: (o, v) => (o.memory = integer('--memory', 64, 3072, v) * 1024 * 1024),
  },
  {
    name: '--seed',
    value: 'N',
    help: 'seed of everything random (default 1)',
    set: (o, v) => (o.seed = integer('--seed', 0, 0xffffffff, v)),
  },
  {
    name: '--grant',
    value: 'PATH[:rw]',
    help: 'let the program see a file or folder; read-only unless :rw',
    set: (o, v) => o.grants.push(v.endsWith(':rw') ? { path: v.slice(0, -3), write: true } : { path: v, write: false }),
  },
  {
    name: '--env',
    value: 'NAME=VALUE',
    help: "add to the environment, which is otherwise empty; a bare machine's kernel gets it as a module of lines",
    set: (o, v) => {
      if (!v.includes('=')) throw new UsageError(`--env takes NAME=VALUE, not "${v}".`);
      o.env.push(v);
    },
  },
  {
    name: '--trace',
    value: 'KINDS[=FILE]',
    help: 'write events as JSON lines to FILE, else to standard error; KINDS is a comma list or "all"',
    set: (o, v) => (o.trace = traceOf(v)),
  },
  {
    name: '--stats',
    help: 'print instructions, modelled cycles, exits by reason and wall time as JSON on standard error',
    set: (o) => (o.stats = true),
  },
  {
    name: '--no-translate',
    help: 'interpret everything; makes no difference but in speed',
    set: (o) => (o.translate = false),
  },
  {
    name: '--max-instructions',
    value: 'N',
    help: 'stop after so many instructions, with exit status 124',
    set: (o, v) => (o.maxInstructions = integer('--max-instructions', 1, Number.MAX_SAFE_INTEGER, v)),
  },
  { name: '--help', help: 'this text', set: (o) => (o.help = true) },
];

/** @param more options of another command that runs programs */
export function parseRunOptions(argv: readonly string[], command = 'run', more: readonly OptionRow[] = []): RunOptions {
  const options: RunOptions = {
    program: '',
    args: [],
    machine: 'dune',
    append: [],
    strict: false,
    physBits: 46,
    cpus: 1,
    cpu: 'max',
    memory: 1024 * 1024 * 1024,
    seed: 1,
    grants: [],
    env: [],
    stats: false,
    translate: true,
    trace: undefined,
    maxInstructions: Infinity,
    help: false,
  };
  let at = 0;
  for (; at < argv.length && argv[at]!.startsWith('-'); at++) {
    if (argv[at] === '--') {
      at++;
      break;
    }
    const word = argv[at]!;
    const row = [...more, ...OPTION_ROWS].find(
      ({ name, value }) => word === name || (value && word.startsWith(`${name}=`)),
    );
    if (!row) throw new UsageError(`Unknown option ${word}: see "dune-debug ${command} --help".`);
    if (!row.value) row.set(options, '');
    else if (word.length > row.name.length) row.set(options, word.slice(row.name.length + 1));
    else if (at + 1 < argv.length) row.set(options, argv[++at]!);
    else throw new UsageError(`${row.name} needs a value: ${row.value}.`);
  }
  options.program = argv[at] ?? '';
  options.args = [...options.append, ...argv.slice(at + 1)];
  if (!options.program && !options.help)
    throw new UsageError('Which program? Use: dune-debug ' + command + ' [options] PROGRAM [ARGS]');
  return options;
}

export function runHelp(
  command = 'run',
  does = 'Runs a static x86-64 Linux program, Dune or not, in the emulator. Its output and exit code pass through.',
  more: readonly OptionRow[] = [],
): string {
  const rows = [...more, ...OPTION_ROWS];
  const left = rows.map(({ name, value }) => (value ? `${name} ${value}` : name));
  const width = Math.max(...left.map((text) => text.length));
  return [
    `dune-debug ${command} [options] PROGRAM [ARGS]`,
    '',
    does,
    '',
    ...rows.map(({ help }, row) => `  ${left[row]!.padEnd(width)}  ${help}`),
    '',
  ].join('\n');
}
