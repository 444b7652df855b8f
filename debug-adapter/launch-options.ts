/** The attributes of a launch configuration, once: checking, defaults, the JSON schema in package.json and the docs come from here. */
import * as v from 'valibot';
import { CPU_MODEL_NAMES, CpuModelError, cpuModelOf } from '../emulator/cpu/system/models.ts';
import { EVENT_KINDS } from '../emulator/machine/events.ts';
import { RequestError } from './request.ts';

const DEFAULT_TRACE = [
  ...(['vm-exit', 'vm-entry', 'page-fault', 'ept-violation', 'exception'] as const),
  ...(['trapped-syscall', 'vmcall-syscall', 'host-syscall', 'signal', 'process', 'diagnostic'] as const),
];

const Grant = v.union([
  v.string(),
  v.object({
    path: v.pipe(v.string(), v.description('File or folder of the host.')),
    write: v.optional(v.pipe(v.boolean(), v.description('Let the program write there too.')), false),
  }),
]);

const GuestSymbols = v.union([
  v.string(),
  v.object({
    path: v.pipe(v.string(), v.description('ELF file of the guest.')),
    offset: v.pipe(
      v.string(),
      v.regex(/^-?(0x[0-9a-fA-F]+|\d+)$/, 'it is not a number such as "0x100000"'),
      v.description('What is added to the addresses it was linked at.'),
    ),
  }),
]);

function checkCpu({ dataset, addIssue }: v.RawCheckContext<string>): void {
  try {
    if (dataset.typed) cpuModelOf(dataset.value);
  } catch (error) {
    if (!(error instanceof CpuModelError)) throw error;
    addIssue({ message: error.message.replace(/\.$/, '') });
  }
}

/** Every attribute has a description, and a default unless it is required. */
export const LAUNCH_ATTRIBUTES = {
  program: v.pipe(
    v.string(),
    v.nonEmpty(),
    v.description(
      'Path of the static x86-64 ELF program to debug, or of an assembly source (.s, .S, .asm), which is assembled and linked in memory; of a Multiboot kernel for a bare machine.',
    ),
  ),
  machine: v.optional(
    v.pipe(
      v.picklist(['dune', 'bare']),
      v.description(
        'What the program runs on: Linux with the Dune module (`dune`), or a board without an operating system that boots a Multiboot 1 kernel (`bare`).',
      ),
    ),
    'dune',
  ),
  append: v.optional(v.pipe(v.string(), v.description("Command line of a bare machine's kernel.")), ''),
  guestSymbols: v.optional(
    v.pipe(
      v.array(GuestSymbols),
      v.description(
        "ELF files with the symbols of a bare machine's guest (VMX non-root operation), with an offset if it does not run where it was linked. Without them the program's own symbols hold on both levels.",
      ),
    ),
    [],
  ),
  libraries: v.optional(
    v.pipe(
      v.array(v.string()),
      v.description(
        'Objects and archives that an assembly source is linked with. "libdune" is the libdune that comes with the debugger, for programs without a C library.',
      ),
    ),
    [],
  ),
  includePath: v.optional(
    v.pipe(
      v.array(v.string()),
      v.description('Folders where an assembly source finds what it includes, after the folder of what includes.'),
    ),
    [],
  ),
  args: v.optional(v.pipe(v.array(v.string()), v.description('Arguments of the program.')), []),
  env: v.optional(
    v.pipe(
      v.record(v.string(), v.nullable(v.string())),
      v.description('Environment of the program, which is otherwise empty.'),
    ),
    {},
  ),
  cwd: v.optional(v.pipe(v.string(), v.description('Working directory of the program.')), ''),
  stopOnEntry: v.optional(v.pipe(v.boolean(), v.description('Stop at the first instruction of the program.')), false),
  cpus: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(64), v.description('Model CPUs.')), 1),
  physBits: v.optional(
    v.pipe(
      v.number(),
      v.integer(),
      v.minValue(37),
      v.maxValue(52),
      v.description(
        'Physical-address width of the processor (MAXPHYADDR) in bits: up to 48 for Linux and Dune programs, up to 52 on a bare machine.',
      ),
    ),
    46,
  ),
  cpu: v.optional(
    v.pipe(
      v.union([v.picklist(CPU_MODEL_NAMES), v.string()]),
      v.rawCheck(checkCpu),
      v.description(
        'Processor that CPUID presents: everything the emulator implements (`max`), x86-64 without extensions (`baseline`), or an Intel server of its day (`ivybridge`, `haswell`); with features added or taken out after it: `haswell,-avx2,+sha`.',
      ),
    ),
    'max',
  ),
  memory: v.optional(
    v.pipe(v.number(), v.integer(), v.minValue(64), v.maxValue(3072), v.description('Physical memory in MB.')),
    1024,
  ),
  syscalls: v.optional(
    v.pipe(
      v.picklist(['modern', 'strict']),
      v.description(
        'System calls from Dune mode: all of them (modern), or only the 312 of the kernels Dune ran on (strict).',
      ),
    ),
    'modern',
  ),
  grants: v.optional(
    v.pipe(
      v.array(Grant),
      v.description(
        'Files and folders of the host that the program sees, read-only unless "write" is set. The program itself and its folder are always seen.',
      ),
    ),
    [],
  ),
  seed: v.optional(
    v.pipe(
      v.number(),
      v.integer(),
      v.minValue(0),
      v.maxValue(0xffffffff),
      v.description('Seed of everything random; the same seed gives the same run.'),
    ),
    1,
  ),
  aslr: v.optional(
    v.pipe(v.boolean(), v.description('Randomise the layout of the address space, from the seed.')),
    false,
  ),
  stdin: v.optional(
    v.pipe(
      v.string(),
      v.description('File that is the standard input; without it, what is typed in the debug console.'),
    ),
    '',
  ),
  sourceMap: v.optional(
    v.pipe(
      v.record(v.string(), v.string()),
      v.description('Folders the program was compiled in, and where they are here.'),
    ),
    {},
  ),
  trace: v.optional(
    v.pipe(v.array(v.picklist(EVENT_KINDS)), v.description('Kinds of events kept for the log views.')),
    DEFAULT_TRACE,
  ),
};

const LaunchSchema = v.object(LAUNCH_ATTRIBUTES);
export type LaunchOptions = v.InferOutput<typeof LaunchSchema>;

/** Checks a launch request's arguments. Throws RequestError with one sentence. */
export function parseLaunch(args: unknown): LaunchOptions {
  const result = v.safeParse(LaunchSchema, args, { abortEarly: true });
  if (result.success) return result.output;
  const [issue] = result.issues;
  const path = v.getDotPath(issue) ?? '';
  if (path === 'program' && (args as { program?: unknown }).program === undefined)
    throw new RequestError('The launch configuration has no "program": give the path of a static ELF program.');
  throw new RequestError(`The launch attribute "${path}" is not usable: ${issue.message}.`);
}
