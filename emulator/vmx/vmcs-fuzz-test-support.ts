/**
 * Random VMCS states through VM entry: the verdict of all rows of the checks, one by one, against that of VMLAUNCH and VMRESUME, of which the latter looks only at the
 * rows that can have changed since the last entry (checks/index.ts). Whatever the state, nothing but the guest may fail. Used by the spec and by `npm run fuzz:vmcs`.
 */
import { Random } from '../../test/isa/support/random.ts';
import * as L from '../cpu/layout.ts';
import { type CpuModel, DEFAULT_MODEL, cpuModelOf } from '../cpu/system/models.ts';
import type { VmxStatus } from './api.ts';
import { MSR_AREA_ENTRIES, REGION_BYTES, VMX_FEATURES, WRITES_INFORMATION } from './capabilities.ts';
import { ENTRY_CHECKS, violatedRows } from './checks/index.ts';
import { violatedLoads } from './checks/msr-load.ts';
import { CheckState } from './checks/row.ts';
import { type Changes, GOOD_STATES, VIOLATIONS } from './checks/violations.ts';
import { ExitReason } from './exit-reasons.ts';
import { Field, VMCS_FIELDS, type VmcsField, fieldName, vmcsField } from './fields.ts';
import { CurrentVmcs } from './vmcs.ts';
import { MSR_AREA, VMCS, type VmxMachine, createVmxMachine } from './vmx-test-support.ts';

const FIELDS = VMCS_FIELDS.filter(({ implemented, writable }) => implemented && writable);
const among = (...encodings: readonly number[]): readonly VmcsField[] =>
  FIELDS.filter(({ encoding }) => encodings.includes(encoding));
/** Fields that hypervisors write before entries. */
const OFTEN = among(
  Field.guestRip,
  Field.guestRsp,
  Field.guestRflags,
  Field.guestInterruptStatus,
  Field.guestInterruptibility,
  Field.guestActivity,
  Field.guestPendingDebugExceptions,
  Field.entryInterruptionInformation,
  Field.entryExceptionErrorCode,
  Field.entryInstructionLength,
);
const CONTROLS = among(
  Field.pinBasedControls,
  Field.primaryControls,
  Field.secondaryControls,
  Field.tertiaryControls,
  Field.exitControls,
  Field.entryControls,
);
/** MSR areas hold random entries and must end. */
const COUNTS: ReadonlySet<number> = new Set([Field.entryMsrLoadCount, Field.exitMsrLoadCount, Field.exitMsrStoreCount]);
/** Of an MSR area, at the end of memory. */
const LAST_ENTRY = (16n << 20n) - 16n;
const INTERESTING = [
  0n,
  1n,
  2n,
  0xffn,
  0xfffn,
  0x1000n,
  LAST_ENTRY,
  0xffff_ffffn,
  1n << 32n,
  1n << 47n,
  1n << 63n,
  ~0n,
];
const MSRS = [0x174, 0x277, 0xc000_0080, 0xc000_0082, 0xc000_0100, 0x10, 0x808];

/** Entries that follow from one good one. */
const EPISODE = 12;
/** What an episode may have written to: the regions, pages and tables of the machine. */
const TABLES = 0x100000;
const TABLE_BYTES = 0x20000;
const GUEST_INSTRUCTIONS = 4;

export interface FuzzResult {
  readonly cases: number;
  readonly entered: number;
  /** Failed entries whose guest state is good: an MSR could not be loaded. */
  readonly refusedMsrs: number;
  /** How often each row of the checks was violated, by its id. */
  readonly violated: ReadonlyMap<string, number>;
  /** Of the first difference; undefined if there is none. */
  readonly problem?: string;
}

/** Without these nothing is ever entered. */
const NEEDED: ReadonlySet<string> = new Set(['vmx-host-address-space-size', 'vmx-ia-32e-mode-guest']);

/** A processor that lacks some of VT-x. */
export function lesserModel(seed: number): CpuModel {
  const random = new Random(seed);
  const lacks = VMX_FEATURES.filter((name) => !NEEDED.has(name) && random.oneIn(6));
  return cpuModelOf(['max', ...lacks.map((name) => `-${name}`)].join(','));
}

/** `cases` states, all from one seed. */
export function fuzzVmcs(cases: number, seed: number, model: CpuModel = DEFAULT_MODEL): FuzzResult {
  return new VmcsFuzzer(seed, model).run(cases);
}

class VmcsFuzzer {
  readonly #m: VmxMachine;
  readonly #random: Random;
  readonly #checks: CheckState;
  readonly #host: Uint8Array;
  readonly #tables: Uint8Array;
  /** What fields held at the good entry. */
  readonly #good = new Map<number, bigint>();
  readonly #violated = new Map<string, number>();
  readonly #changed: number[] = [];
  #entered = 0;
  #refusedMsrs = 0;

  constructor(
    readonly seed: number,
    model: CpuModel,
  ) {
    this.#m = createVmxMachine('guest: nop\n nop\n jmp guest\n host: hlt\n', model);
    const { context } = this.#m;
    this.#random = new Random(seed);
    this.#checks = new CheckState(context, new CurrentVmcs(context.mem));
    this.#host = context.cpu.save();
    const { kind } = this.#m.launch();
    if (kind !== 'succeed' || !context.cpu.nonRoot)
      throw new Error(`${model.name}: the VMCS to start from is not entered`);
    context.vmx.exit(ExitReason.Hlt);
    // What VMRESUME starts from: launched, all checks passed.
    this.#tables = context.physical.slice(TABLES, TABLE_BYTES).slice();
  }

  run(cases: number): FuzzResult {
    let problem: string | undefined;
    let done = 0;
    while (done < cases && problem === undefined) {
      if (done % EPISODE === 0) this.#begin();
      problem = this.#case(done++);
    }
    const { entered, refusedMsrs, violated } = {
      entered: this.#entered,
      refusedMsrs: this.#refusedMsrs,
      violated: this.#violated,
    };
    return { cases: done, entered, refusedMsrs, violated, ...(problem === undefined ? {} : { problem }) };
  }

  #begin(): void {
    const { physical } = this.#m.context;
    physical.write(TABLES, this.#tables);
    this.#good.clear();
    this.#apply(this.#random.pick(GOOD_STATES));
    this.#good.clear();
  }

  #case(number: number): string | undefined {
    const random = this.#random;
    this.#changed.length = 0;
    if (random.oneIn(2)) this.#mend();
    this.#change();
    const wrong = this.#access();
    const found = wrong ?? this.#tryEntry(random.oneIn(8));
    if (found === undefined) return undefined;
    const { vmx } = this.#m.context;
    const words = this.#changed.map((encoding) => `${fieldName(encoding)} = 0x${vmx.field(encoding).toString(16)}`);
    return `case ${number} of seed ${this.seed}, after ${words.join(', ') || 'nothing'}: ${found}`;
  }

  /** VMWRITEs what the fields held at the good entry. */
  #mend(): void {
    for (const [encoding, value] of this.#good) this.#m.context.vmx.vmwrite(encoding, value);
    this.#good.clear();
  }

  #write(encoding: number, value: bigint): void {
    const { vmx } = this.#m.context;
    if (!this.#good.has(encoding)) this.#good.set(encoding, vmx.field(encoding));
    vmx.vmwrite(encoding, value);
    this.#changed.push(encoding);
  }

  #apply(changes: Changes): void {
    for (const [name, change] of Object.entries(changes)) {
      const encoding = Field[name as keyof typeof Field];
      this.#write(encoding, typeof change === 'bigint' ? change : change(this.#m.context.vmx.field(encoding)));
    }
  }

  /** A few fields; now and then what is known to violate a check, or to be good. */
  #change(): void {
    const random = this.#random;
    const { physical } = this.#m.context;
    if (random.oneIn(6)) this.#apply(random.pick(VIOLATIONS)[1]);
    if (random.oneIn(8)) this.#apply(random.pick(GOOD_STATES));
    for (let count = random.below(4); count > 0; count--) {
      const field = random.pick(random.pick([FIELDS, FIELDS, OFTEN, CONTROLS]));
      this.#write(field.encoding, this.#newValue(field));
    }
    for (let at = MSR_AREA; at < MSR_AREA + 64; at += 16) {
      physical.write64(at, BigInt(random.pick(MSRS)));
      physical.write64(at + 8, random.pick([0n, 0x500n, 0xd01n, random.bits64()]));
    }
  }

  #newValue({ encoding, bits }: VmcsField): bigint {
    const random = this.#random;
    if (COUNTS.has(encoding)) return BigInt(random.oneIn(20) ? MSR_AREA_ENTRIES + random.below(2) : random.below(5));
    const old = this.#m.context.vmx.field(encoding);
    switch (random.below(8)) {
      case 0:
        return random.pick(INTERESTING) & ((1n << BigInt(bits)) - 1n);
      case 1:
        return random.bits64() >> BigInt(random.below(64));
      case 2:
        return old + BigInt(random.below(5)) - 2n;
      case 3:
        // What another field of its kind holds: a limit from another segment, a control from another word.
        return this.#m.context.vmx.field(random.pick(FIELDS).encoding);
      default:
        return old ^ (1n << BigInt(random.below(bits)));
    }
  }

  /** A VMWRITE and a VMREAD of any encoding at all, as the table of fields has it. Undefined if they do what it says. */
  #access(): string | undefined {
    const random = this.#random;
    const { vmx, model } = this.#m.context;
    const known = random.pick(VMCS_FIELDS).encoding;
    const encoding = random.pick([known, known | 1, random.below(0x8000), random.below(0x20000)]);
    const field = encoding < 0x8000 ? vmcsField(encoding) : undefined;
    const before = vmx.vmread(encoding);
    if (!field?.implemented) {
      const refused = [before, vmx.vmwrite(encoding, 0n)].every((status) => isFailure(status, 12));
      return refused ? undefined : `there is a field ${encoding.toString(16)}h`;
    }
    if (typeof before !== 'bigint') return `VMREAD of ${encoding.toString(16)}h fails`;
    const value = random.bits64();
    const status = vmx.vmwrite(encoding, value);
    const after = vmx.vmread(encoding);
    const bits = encoding & 1 ? 32 : field.bits;
    const writable = field.writable || !model.vmxLacks?.has(WRITES_INFORMATION);
    const wanted = writable ? BigInt.asUintN(bits, value) : before;
    const error = encoding === Field.instructionError && !writable ? 13n : wanted;
    if (after !== error) return `VMWRITE of ${value} to ${encoding.toString(16)}h, VMREAD gives ${String(after)}`;
    if (writable ? status.kind !== 'succeed' : !isFailure(status, 13))
      return `VMWRITE to ${encoding.toString(16)}h: ${JSON.stringify(status)}`;
    if (writable) vmx.vmwrite(encoding, before);
    return undefined;
  }

  /** What is wrong, if anything. The processor is back in its host state afterwards. */
  #tryEntry(launch: boolean): string | undefined {
    const { context } = this.#m;
    const { vmx, cpu, mem, engine } = context;
    cpu.load(this.#host);
    engine.contextChanged();
    let problem: string | undefined;
    try {
      if (launch) {
        vmx.vmclear(VMCS);
        vmx.vmptrld(VMCS);
      }
      const expected = this.#verdict();
      const found = this.#outcome(launch ? vmx.vmlaunch() : vmx.vmresume());
      const agrees = expected === found || (expected === 'entered' && ENTERED.has(found));
      if (!agrees) problem = `the rows say ${expected}, the entry ${found}`;
      if (found === 'entered') this.#entered++;
      else if (found.startsWith('failed at MSR')) this.#refusedMsrs++;
      if (cpu.nonRoot) {
        engine.run(GUEST_INSTRUCTIONS);
        if (cpu.nonRoot) vmx.exit(ExitReason.Hlt);
      }
    } catch (error) {
      problem = error instanceof Error ? (error.stack ?? error.message) : String(error);
    }
    if (mem.get32(L.VMX_MODE) !== 0 && !cpu.nonRoot)
      return problem ?? 'controls of the guest are in force in root operation';
    if (launch && problem === undefined) this.#launched();
    return problem;
  }

  /** After a VMLAUNCH that was refused or failed the next VMRESUME finds the VMCS launched all the same. */
  #launched(): void {
    this.#checks.vmcs.launched = true;
  }

  #verdict(): string {
    const failing = (group: keyof typeof ENTRY_CHECKS): string | undefined => {
      const rows = violatedRows(this.#checks, ENTRY_CHECKS[group]);
      for (const { id } of rows) this.#count(id);
      return rows.length === 0 ? undefined : `${rows[0]!.qualification ?? 0}`;
    };
    const [controls, host, guest] = [failing('controls'), failing('host'), failing('guest')];
    if (controls !== undefined) return 'error 7';
    if (host !== undefined) return 'error 8';
    if (guest !== undefined) return `failed entry, qualification ${guest}`;
    const loads = violatedLoads(this.#m.context, this.#checks.vmcs);
    for (const { id } of loads) this.#count(id);
    return loads.length === 0 ? 'entered' : `failed at MSR ${loads[0]!.entry}`;
  }

  #count(id: string): void {
    this.#violated.set(id, (this.#violated.get(id) ?? 0) + 1);
  }

  #outcome(status: VmxStatus): string {
    const { vmx, cpu } = this.#m.context;
    if (status.kind === 'fail-valid') return `error ${status.error}`;
    if (status.kind === 'fail-invalid') return 'VMfailInvalid';
    if (cpu.nonRoot) return 'entered';
    const reason = vmx.field(Field.exitReason);
    const qualification = vmx.field(Field.exitQualification);
    if (reason === FAILED_ENTRY) return `failed entry, qualification ${qualification}`;
    if (reason === FAILED_MSRS) return `failed at MSR ${qualification}`;
    return 'exited at once';
  }
}

const isFailure = (status: bigint | VmxStatus, error: number): boolean =>
  typeof status === 'object' && status.kind === 'fail-valid' && status.error === error;

const FAILED_ENTRY = 0x8000_0021n;
const FAILED_MSRS = 0x8000_0022n;
/** What can follow when all rows hold. */
const ENTERED: ReadonlySet<string> = new Set(['entered', 'exited at once']);

/** The VMCS of the machine stands in what an episode restores. */
if (VMCS < TABLES || VMCS + REGION_BYTES > TABLES + TABLE_BYTES) throw new Error('the VMCS is not among the tables');
