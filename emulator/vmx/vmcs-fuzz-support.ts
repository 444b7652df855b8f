/**
 * Random VMCS states through VM entry: the verdict of all rows of the checks, one by one, against that of VMRESUME, which looks only at the rows that can have
 * changed since the last entry (checks/index.ts). Whatever the state, nothing but the guest may fail. Used by the spec and by `npm run fuzz:vmcs`.
 */
import * as L from '../cpu/layout.ts';
import { REGION_BYTES } from './capabilities.ts';
import type { CheckFailure, VmxStatus } from './api.ts';
import { ExitReason } from './exit-reasons.ts';
import { Field, VMCS_FIELDS, type VmcsField } from './fields.ts';
import { MSR_AREA, VMCS, type VmxMachine, createVmxMachine } from './vmx-test-support.ts';

const FIELDS = VMCS_FIELDS.filter(({ implemented, writable }) => implemented && writable);
/** Fields that hypervisors write before entries: every other change is of one of them. */
const OFTEN: readonly VmcsField[] = FIELDS.filter(({ encoding }) =>
  [
    Field.guestRip,
    Field.guestRsp,
    Field.guestRflags,
    Field.guestInterruptibility,
    Field.guestActivity,
    Field.guestPendingDebugExceptions,
    Field.entryInterruptionInformation,
    Field.entryExceptionErrorCode,
    Field.entryInstructionLength,
  ].includes(encoding as never),
);
const CONTROLS: readonly VmcsField[] = FIELDS.filter(({ encoding }) =>
  [
    Field.pinBasedControls,
    Field.primaryControls,
    Field.secondaryControls,
    Field.exitControls,
    Field.entryControls,
  ].includes(encoding as never),
);
/** MSR areas hold random entries and must end. */
const COUNTS: ReadonlySet<number> = new Set([Field.entryMsrLoadCount, Field.exitMsrLoadCount, Field.exitMsrStoreCount]);
const INTERESTING = [0n, 1n, 2n, 0xffn, 0xfffn, 0x1000n, 0xffff_ffffn, 1n << 32n, 1n << 47n, 1n << 63n, ~0n];

/** Entries that follow from one good one. */
const EPISODE = 12;
/** What an episode may have written to: the regions, pages and tables of the machine. */
const TABLES = 0x100000;
const TABLE_BYTES = 0x20000;
const GUEST_INSTRUCTIONS = 4;

export interface FuzzResult {
  readonly cases: number;
  readonly entered: number;
  /** Of the first difference; undefined if there is none. */
  readonly problem?: string;
}

/** xorshift128+ on 32-bit words would do; the multiplier of splitmix64 is short and good. */
class Chance {
  #state: bigint;
  constructor(seed: number) {
    this.#state = BigInt(seed);
  }
  word(): bigint {
    this.#state = BigInt.asUintN(64, this.#state + 0x9e37_79b9_7f4a_7c15n);
    let z = this.#state;
    z = BigInt.asUintN(64, (z ^ (z >> 30n)) * 0xbf58_476d_1ce4_e5b9n);
    z = BigInt.asUintN(64, (z ^ (z >> 27n)) * 0x94d0_49bb_1331_11ebn);
    return z ^ (z >> 31n);
  }
  below(limit: number): number {
    return Number(this.word() % BigInt(limit));
  }
  of<T>(list: readonly T[]): T {
    return list[this.below(list.length)]!;
  }
}

export function fuzzVmcs(cases: number, seed: number): FuzzResult {
  const m = createVmxMachine('guest: nop\n nop\n jmp guest\n host: hlt\n');
  const chance = new Chance(seed);
  const host = m.context.cpu.save();
  m.launch();
  m.context.vmx.exit(ExitReason.Hlt);
  // What VMRESUME starts from: launched, all checks passed.
  const tables = m.context.physical.slice(TABLES, TABLE_BYTES).slice();
  const good = new Map<number, bigint>();
  let entered = 0;
  for (let done = 0; done < cases; done++) {
    if (done % EPISODE === 0) {
      m.context.physical.write(TABLES, tables);
      good.clear();
    }
    if (chance.below(2) === 0) mend(m, good);
    const changed = change(m, chance, good);
    const outcome = tryEntry(m, host);
    if (typeof outcome === 'string')
      return { cases: done + 1, entered, problem: `case ${done} of seed ${seed}, after ${changed}: ${outcome}` };
    if (outcome) entered++;
  }
  return { cases, entered };
}

/** VMWRITEs what the fields held at the good entry. */
function mend({ context }: VmxMachine, good: Map<number, bigint>): void {
  for (const [encoding, value] of good) context.vmx.vmwrite(encoding, value);
  good.clear();
}

/** VMWRITEs of a few fields, in words. @param good what they held before */
function change({ context }: VmxMachine, chance: Chance, good: Map<number, bigint>): string {
  const { vmx, physical } = context;
  const words: string[] = [];
  for (let count = chance.below(4); count > 0; count--) {
    const field = chance.of(chance.of([FIELDS, FIELDS, OFTEN, CONTROLS]));
    const value = newValue(field, vmx.field(field.encoding), chance);
    if (!good.has(field.encoding)) good.set(field.encoding, vmx.field(field.encoding));
    vmx.vmwrite(field.encoding, value);
    words.push(`${field.name} = 0x${vmx.field(field.encoding).toString(16)}`);
  }
  for (let at = MSR_AREA; at < MSR_AREA + 64; at += 16) {
    physical.write64(at, BigInt(chance.of([0x174, 0x277, 0xc000_0080, 0xc000_0082, 0xc000_0100, 0x10, 0x808])));
    physical.write64(at + 8, chance.of([0n, 0x500n, 0xd01n, chance.word()]));
  }
  return words.join(', ') || 'nothing';
}

function newValue({ encoding, bits }: VmcsField, old: bigint, chance: Chance): bigint {
  if (COUNTS.has(encoding)) return BigInt(chance.below(5));
  switch (chance.below(4)) {
    case 0:
      return chance.of(INTERESTING) & ((1n << BigInt(bits)) - 1n);
    case 1:
      return chance.word() >> BigInt(chance.below(64));
    default:
      return old ^ (1n << BigInt(chance.below(bits)));
  }
}

/** Whether the guest was entered, or what is wrong. The processor is back in its host state afterwards. */
function tryEntry(m: VmxMachine, host: Uint8Array): boolean | string {
  const { context } = m;
  const { vmx, cpu, mem } = context;
  cpu.load(host);
  context.engine.contextChanged();
  let result: boolean | string;
  try {
    const expected = verdict(vmx.violatedChecks());
    const status = vmx.vmresume();
    const found = outcome(status, vmx.field(Field.exitReason), vmx.field(Field.exitQualification), cpu.nonRoot);
    const agrees = expected === found || (expected === 'entered' && ENTERED.has(found));
    result = agrees ? found === 'entered' : `the rows say ${expected}, VMRESUME ${found}`;
    if (cpu.nonRoot) {
      context.engine.run(GUEST_INSTRUCTIONS);
      if (cpu.nonRoot) vmx.exit(ExitReason.Hlt);
    }
  } catch (error) {
    result = error instanceof Error ? (error.stack ?? error.message) : String(error);
  }
  if (mem.get32(L.VMX_MODE) !== 0 && !cpu.nonRoot) result = 'controls of the guest are in force in root operation';
  return result;
}

function verdict(failures: readonly CheckFailure[]): string {
  const has = (group: CheckFailure['group']): CheckFailure | undefined => failures.find((one) => one.group === group);
  if (has('controls')) return 'error 7';
  if (has('host')) return 'error 8';
  if (has('guest')) return 'failed entry';
  const load = has('msr-load');
  return load ? `failed at MSR ${load.entry}` : 'entered';
}

function outcome(status: VmxStatus, reason: bigint, qualification: bigint, nonRoot: boolean): string {
  if (status.kind === 'fail-valid') return `error ${status.error}`;
  if (status.kind === 'fail-invalid') return 'VMfailInvalid';
  if (nonRoot) return 'entered';
  if (reason === FAILED_ENTRY) return 'failed entry';
  if (reason === FAILED_MSRS) return `failed at MSR ${qualification}`;
  return 'exited at once';
}
const FAILED_ENTRY = 0x8000_0021n;
const FAILED_MSRS = 0x8000_0022n;
/** What can follow when all rows hold. */
const ENTERED: ReadonlySet<string> = new Set(['entered', 'exited at once']);

/** The VMCS of the machine stands in what an episode restores. */
if (VMCS < TABLES || VMCS + REGION_BYTES > TABLES + TABLE_BYTES) throw new Error('the VMCS is not among the tables');
