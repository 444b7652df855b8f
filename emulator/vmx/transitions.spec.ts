/** The core's common VM exits and entries (core/vm-transitions.ts) against vmx/, from random states: same registers, VMCS, memory, TLB bank. */
import assert from 'node:assert/strict';
import * as C from '../cpu/codes.ts';
import type { CoreExports } from '../cpu/context.ts';
import * as L from '../cpu/layout.ts';
import { takeCoreFault } from '../cpu/system/fault.ts';
import { enterPlainly } from './entry.ts';
import { exitByViolation, takeExit } from './exit.ts';
import { ExitReason } from './exit-reasons.ts';
import { Field, type FieldName, vmcsField } from './fields.ts';
import { CurrentVmcs } from './vmcs.ts';
import { DESCRIPTOR, MSR_AREA, VIRTUAL_APIC, VMCS, type VmxMachine, createVmxMachine } from './vmx-test-support.ts';

const SEED = Number(process.env['SEED'] ?? Date.now() % 1_000_000);
const CASES = 4000;
/** Least share of cases that must have gone the short way: else the test compares the slow path with itself. */
const LEAST = 0.2;
/** VMXON region to the last table of the EPT. */
const TABLES = 0x100000;
const TABLE_BYTES = 0x20000;

let seed = SEED;
/** 0 to n - 1. */
function below(n: number): number {
  seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
  return Math.floor((seed / 2 ** 32) * n);
}
const oneOf = <T>(values: readonly T[]): T => values[below(values.length)]!;
const word = (): bigint => (BigInt(below(2 ** 32)) << 32n) | BigInt(below(2 ** 32));

/** Control bits that are turned over: of the core's conditions, and others. */
const CONTROL_BITS: readonly (readonly [FieldName, number])[] = [
  ['pinBasedControls', 1 << 3],
  ['pinBasedControls', 1 << 5],
  ['pinBasedControls', 1 << 6],
  ['pinBasedControls', 1 << 7],
  ['primaryControls', 1 << 2],
  ['primaryControls', 1 << 3],
  ['primaryControls', 1 << 21],
  ['primaryControls', 1 << 27],
  ['secondaryControls', 1],
  ['secondaryControls', 1 << 5],
  ['secondaryControls', 1 << 9],
  ['secondaryControls', 1 << 17],
  ['secondaryControls', 1 << 18],
  ['secondaryControls', 1 << 22],
  ['secondaryControls', 1 << 25],
  ['exitControls', 1 << 2],
  ['exitControls', 1 << 18],
  ['exitControls', 1 << 19],
  ['exitControls', 1 << 20],
  ['exitControls', 1 << 21],
  ['entryControls', 1 << 2],
  ['entryControls', 1 << 14],
  ['entryControls', 1 << 15],
];
const VALUES: readonly (readonly [FieldName, readonly bigint[]])[] = [
  ['guestRflags', [2n, 0x202n, 0x1_0002n, 0x8d7n, 0x4_0002n, 0x3002n]],
  ['guestRip', [0x1234n, 0x7fff_ffff_ffffn, 0x8000_0000_0000n, 0xffff_8000_0000_0000n, 1n << 60n]],
  ['guestInterruptibility', [0n, 1n, 2n, 8n]],
  ['guestActivity', [0n, 1n]],
  ['guestPendingDebugExceptions', [0n, 0x4000n, 0x1001n]],
  ['guestInterruptStatus', [0n, 0x30n, 0x4030n, 0x3040n]],
  ['guestCsAccessRights', [0xa09bn, 0xc09bn, 0xa0fbn]],
  ['guestSsAccessRights', [0xc093n, 0xc0f3n, 0x1_0000n]],
  ['guestFsBase', [0n, 0x7fff_0000_1000n]],
  ['guestDr7', [0x400n, 0x401n]],
  ['guestPat', [0x0007_0406_0007_0406n, 0x0606_0606_0606_0606n]],
  ['guestEfer', [0x500n, 0xd01n]],
  ['hostEfer', [0x500n, 0xd01n]],
  ['hostPat', [0x0007_0406_0007_0406n, 0x0606_0606_0606_0606n]],
  ['hostFsSelector', [0n, 0x18n]],
  ['hostGsBase', [0n, 0xffff_8000_0000_0000n]],
  ['tscOffset', [0n, 0xffff_ffff_ffff_0000n]],
  ['tscMultiplier', [1n << 48n, 3n << 47n]],
  ['vpid', [1n, 2n, 0xffffn]],
  ['entryInterruptionInformation', [0n, 0x30n, 0x8000_0b0dn, 0x8000_0030n]],
  ['exitMsrStoreCount', [0n, 1n]],
  ['exitMsrLoadCount', [0n, 1n]],
  ['entryMsrLoadCount', [0n, 1n]],
  ['vmcsLinkPointer', [0xffff_ffff_ffff_ffffn, 0n]],
  ['pmlIndex', [511n]],
  ['tprThreshold', [0n, 3n]],
];
/** What is fit once a control needs it. */
const ALWAYS: readonly (readonly [FieldName, number])[] = [
  ['virtualApicAddress', VIRTUAL_APIC],
  ['postedInterruptDescriptorAddress', DESCRIPTOR],
  ['pmlAddress', 0x106000],
  ['apicAccessAddress', 0x107000],
  ['virtualizationExceptionAddress', 0x108000],
  ['exitMsrStoreAddress', MSR_AREA],
  ['exitMsrLoadAddress', MSR_AREA],
  ['entryMsrLoadAddress', MSR_AREA],
];
const REASONS = [
  [ExitReason.Vmcall, 0],
  [ExitReason.Cpuid, 0],
  [ExitReason.ExternalInterrupt, 0x8000_0030],
  [ExitReason.ExceptionOrNmi, 0x8000_0202],
  [ExitReason.ExceptionOrNmi, 0x8000_0b0e],
  [ExitReason.ExceptionOrNmi, 0x8000_0301],
] as const;

function change({ set, context }: VmxMachine): void {
  const { vmx, physical } = context;
  for (let count = below(4); count > 0; count--) {
    const [name, bit] = oneOf(CONTROL_BITS);
    set(Field[name], vmx.field(Field[name]) ^ BigInt(bit >>> 0));
  }
  for (let count = below(4); count > 0; count--) {
    const [name, values] = oneOf(VALUES);
    set(Field[name], oneOf(values));
  }
  physical.write32(VIRTUAL_APIC + 0x80, below(256));
  physical.write32(DESCRIPTOR + 32, below(2));
}

/** What a guest leaves behind. */
function disturb({ mem, cpu }: VmxMachine['context']): void {
  for (let register = 0; register < 16; register++) cpu.setGpr(register, word());
  cpu.rip = word();
  mem.set32(L.CC_OP, (below(9) << 2) | below(4));
  mem.set64(L.CC_A, word());
  mem.set64(L.CC_B, word());
  mem.set32(L.SYSTEM_FLAGS, oneOf([0x200, 0, 0x3200, 0x1_0200, 0x20_0000]));
  mem.set32(L.INTERRUPTIBILITY, oneOf([0, 0, 1, 8]));
  mem.set64(L.MSR_SYSENTER_EIP, word());
  mem.set32(L.CR0, (mem.get32(L.CR0) ^ oneOf([0, 0, 8, 0x4000_0000])) >>> 0);
  if (below(8) === 0) mem.set32(L.PENDING_EVENTS, mem.get32(L.PENDING_EVENTS) | oneOf([0x4000, 1, L.PENDING_NMI]));
}

interface Outcome {
  readonly state: Uint8Array;
  readonly memory: Uint8Array;
  readonly bank: number;
}

function outcome({ context }: VmxMachine): Outcome {
  const { cpu, physical, mem } = context;
  return { state: cpu.save(), memory: physical.slice(TABLES, TABLE_BYTES).slice(), bank: mem.get32(L.TLB_BASE) };
}
function reset({ context }: VmxMachine, before: Outcome): void {
  context.physical.write(TABLES, before.memory);
  context.cpu.load(before.state);
  context.engine.contextChanged();
}

function differences(quick: Outcome, slow: Outcome): string[] {
  const found: string[] = [];
  const bytes = (what: string, a: Uint8Array, b: Uint8Array): void =>
    a.forEach((value, at) => {
      if (value !== b[at]) found.push(`${what} 0x${at.toString(16)}: ${value}, slow ${b[at]}`);
    });
  if (Buffer.compare(quick.state, slow.state) !== 0) bytes('state', quick.state, slow.state);
  if (Buffer.compare(quick.memory, slow.memory) !== 0) bytes('memory', quick.memory, slow.memory);
  if (quick.bank !== slow.bank) found.push(`TLB bank ${quick.bank}, slow ${slow.bank}`);
  return found;
}

describe('fast VM exits and entries', () => {
  const m = createVmxMachine('guest: nop\n jmp guest\n host: hlt\n');
  const { context } = m;
  const vmcs = new CurrentVmcs(context.mem);
  const { core } = context;
  /** Every entry and exit goes the long way. */
  function slowly(action: () => unknown): void {
    (context as { core: CoreExports }).core = { ...core, enterGuest: () => 0, exitGuest: () => 0 };
    try {
      action();
    } finally {
      (context as { core: CoreExports }).core = core;
    }
  }
  for (const [name, value] of ALWAYS) m.set(Field[name], value);
  for (let at = MSR_AREA; at < MSR_AREA + 16; at += 8) context.physical.write64(at, 0x174n);
  slowly(() => {
    m.launch();
    takeExit(context, vmcs, ExitReason.Hlt, {});
  });
  const start = outcome(m);

  /** A VMCS that was entered once, so that its checks are remembered; false if it cannot be. */
  function prepare(): boolean {
    reset(m, start);
    change(m);
    slowly(() => context.vmx.vmresume());
    if (!context.cpu.nonRoot) return false;
    slowly(() => takeExit(context, vmcs, ExitReason.Hlt, {}));
    if (context.cpu.nonRoot || context.mem.get32(L.ACTIVITY) !== 0) return false;
    if (below(4) === 0) {
      const [name, values] = oneOf(VALUES);
      m.set(Field[name], oneOf(values));
    }
    return true;
  }

  /** Both ways from here; whether the short one was taken. */
  function compare(number: number, slow: () => unknown, quick: () => boolean): boolean {
    const before = outcome(m);
    slow();
    const expected = outcome(m);
    reset(m, before);
    if (quick()) {
      assert.deepEqual(differences(outcome(m), expected), [], `case ${number} of seed ${SEED}`);
      return true;
    }
    const untouched = outcome(m);
    assert.deepEqual(
      differences(untouched, before),
      [],
      `a fast path that declines leaves the state alone (${number})`,
    );
    slow();
    return false;
  }

  it(`are what the slow ones are (seed ${SEED})`, function () {
    this.timeout(120_000);
    let [entries, exits, violations] = [0, 0, 0];
    for (let number = 0; number < CASES; number++) {
      if (!prepare()) continue;
      const entered = compare(
        number,
        () => slowly(() => context.vmx.vmresume()),
        () => enterPlainly(context, vmcs),
      );
      if (entered) entries++;
      if (!context.cpu.nonRoot) continue;
      disturb(context);
      const [reason, interruptionInformation] = oneOf(REASONS);
      const inside = outcome(m);
      slowly(() => takeExit(context, vmcs, reason, { interruptionInformation }));
      const slow = outcome(m);
      reset(m, inside);
      takeExit(context, vmcs, reason, { interruptionInformation });
      assert.deepEqual(differences(outcome(m), slow), [], `exit ${reason}, case ${number} of seed ${SEED}`);
      exits++;
      reset(m, inside);
      if (violates(number)) violations++;
    }
    for (const [what, count] of Object.entries({ entries, exits, violations }))
      assert.ok(count > CASES * LEAST, `${count} ${what} of ${CASES}`);
  });

  function violates(number: number): boolean {
    const { mem } = context;
    const fault = [word(), word() & 0x3fff_ffff_ffffn, BigInt(below(0x1000))] as const;
    const convertible = below(4) === 0 ? 1 : 0;
    const leave = (): void => {
      mem.set32(L.FAULT_KIND, C.FAULT_EPT_VIOLATION);
      mem.set32(L.FAULT_ERROR, convertible);
      [L.FAULT_GVA, L.FAULT_GPA, L.FAULT_QUALIFICATION].forEach((at, index) => mem.set64(at, fault[index]!));
    };
    leave();
    const slow = (): void =>
      slowly(() => {
        leave();
        const met = takeCoreFault(context);
        assert.ok(met.kind !== 'exception');
        if (!context.vmx.convertViolation(met)) context.vmx.interceptEvent(met);
      });
    return compare(number, slow, () => exitByViolation(context, vmcs));
  }

  it('decline while somebody listens', () => {
    const stop = context.events.subscribe(['vm-exit'], () => {});
    reset(m, start);
    context.vmx.vmresume();
    context.mem.set32(L.FAULT_KIND, C.FAULT_EPT_VIOLATION);
    assert.equal(exitByViolation(context, vmcs), false);
    stop();
    assert.equal(exitByViolation(context, vmcs), true);
    assert.equal(context.mem.get32(L.FAULT_KIND), C.FAULT_NONE);
    assert.equal(vmcs.read32(Field.exitReason), ExitReason.EptViolation);
  });

  it('know the slots of fields of every width', () => {
    for (const name of ['vpid', 'eptPointer', 'exitReason', 'guestRip', 'hostTrBase'] as const) {
      const { bits, encoding } = vmcsField(Field[name])!;
      context.vmx.setField(encoding, 0xfedc_ba98_7654_3210n);
      assert.equal(context.vmx.field(encoding), BigInt.asUintN(bits, 0xfedc_ba98_7654_3210n), name);
    }
    assert.ok(VMCS >= TABLES);
  });
});
