/** The facts of events as conditions see them: their types, and the names their values go by. */
import { EXIT_REASONS } from '../../emulator/vmx/exit-reasons.ts';
import { SYSCALLS } from '../../emulator/linux/syscalls/table.ts';
import { SIGNAL_NAMES } from '../../emulator/linux/signal-numbers.ts';
import { VECTOR_NAMES } from '../../emulator/cpu/system/fault.ts';
import type { MachineEvent } from '../../emulator/machine/events.ts';
import type { FactDescription, FactValue } from '../expressions/condition.ts';

const names = (pairs: Iterable<readonly [string, number]>): ReadonlyMap<string, bigint> =>
  new Map([...pairs].map(([name, value]) => [name, BigInt(value)]));

const reasons = names(EXIT_REASONS.map(({ name, number }) => [name, number]));
const syscalls = names([...SYSCALLS.values()].map(({ name, number }) => [name, number]));
const signals = names(SIGNAL_NAMES.flatMap((name, number) => (name ? [[name, number] as const] : [])));
/** `#PF` cannot be written in a condition; `PF` can. */
const vectors = names(Object.entries(VECTOR_NAMES).map(([number, name]) => [name.replace(/^#/, ''), Number(number)]));

const number = (name: string, meaning: string, constants?: ReadonlyMap<string, bigint>): FactDescription => ({
  name,
  type: 'number',
  meaning,
  constants,
});
const text = (name: string, meaning: string): FactDescription => ({ name, type: 'text', meaning });
const truth = (name: string, meaning: string): FactDescription => ({ name, type: 'truth', meaning });

const FACTS: readonly FactDescription[] = [
  number('reason', 'basic exit reason, by name or number', reasons),
  number('number', 'number of the exit reason, system call or signal'),
  number('qualification', 'exit qualification'),
  number('gva', 'guest-virtual (linear) address'),
  number('gpa', 'guest-physical address'),
  number('hva', "address in the process's own Linux address space"),
  number('vector', 'exception or interrupt vector', vectors),
  number('vectoring', 'vector that was being delivered'),
  number('errorCode', 'error code of the exception'),
  number('instructionLength', 'bytes of the instruction'),
  number('error', 'VM-instruction error'),
  number('checks', 'VM-entry checks that are violated'),
  text('first', 'the first of them'),
  number('syscall', 'system call, by name or number', syscalls),
  ...[0, 1, 2, 3, 4, 5].map((index) => number(`a${index}`, `argument ${index} of the system call`)),
  number('result', 'result of the system call'),
  number('old', 'value or ring before'),
  number('new', 'value or ring after'),
  text('by', 'instruction or event that did it'),
  number('cr', 'number of the control register'),
  number('msr', 'number of the MSR'),
  text('name', 'name of the MSR'),
  number('signal', 'signal, by name or number', signals),
  text('action', 'what the signal does'),
  text('access', 'read, write or execute'),
  text('difference', 'what the tables refuse or say otherwise: page, read, write or execute'),
  text('changed', 'which translation is another one now: guest or ept'),
  text('missing', 'the invalidation that is missing'),
  number('hpa', 'host-physical address by the TLB entry'),
  number('now', 'host-physical address by the tables'),
  number('changedBy', 'instruction that changed the tables, if it is known'),
  number('vpid', 'virtual-processor identifier'),
  number('pcid', 'process-context identifier'),
  truth('resolved', 'Dune filled the EPT and the access goes on'),
  text('window', 'identity, map, stack or none'),
  truth('launch', 'VMLAUNCH rather than VMRESUME'),
  number('abnormal', '1 when Dune mode or a bare machine ends because of it'),
  number('cpl', 'ring'),
  text('mode', 'linux or dune'),
  number('rip', 'instruction pointer'),
  number('thread', 'Linux thread'),
  number('instructions', 'instructions executed so far'),
  number('cycles', 'modelled cycles so far'),
];
const BY_NAME = new Map(FACTS.map((fact) => [fact.name, fact]));

/** Descriptions of the facts a filter names. */
export function describeFacts(wanted: readonly string[]): FactDescription[] {
  return wanted.flatMap((name) => BY_NAME.get(name) ?? []);
}

/** A fact of an event, names of constants turned into their numbers. */
export function factOf(event: MachineEvent, name: string): FactValue {
  const value = rawFact(event, name);
  if (typeof value !== 'string') return value;
  const { constants, type } = BY_NAME.get(name) ?? {};
  return constants && type === 'number' ? constants.get(value) : value;
}

function rawFact(event: MachineEvent, name: string): FactValue {
  const { facts } = event;
  switch (name) {
    case 'cpl':
    case 'mode':
    case 'rip':
    case 'thread':
    case 'instructions':
    case 'cycles':
      return facts[name] ?? event[name];
    case 'syscall':
      return facts.number;
    default:
      // A trapped system call has its arguments as registers gave them.
      return facts[name] ?? (/^a[0-5]$/.test(name) ? facts[`arg${name[1]}`] : undefined);
  }
}
