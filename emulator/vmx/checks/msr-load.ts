/** What each entry of a VM-entry MSR-load area must satisfy (SDM 3C 27.4); the loads of VM exits obey the same rows (28.6). */
import type { CpuContext } from '../../cpu/context.ts';
import { type ModeRegisters, msrName, refuseMsr } from '../../cpu/system/msrs.ts';
import { MSR_AREA_ENTRIES } from '../capabilities.ts';
import { Entry } from '../controls.ts';
import { Field } from '../fields.ts';
import type { CurrentVmcs } from '../vmcs.ts';
import type { Violation } from './index.ts';
import { BITS_64 } from '../../cpu/control-bits-64.ts';

const { EFER_LME, EFER_LMA, CR0_PG } = BITS_64;

/** The check of the area's address and size: where it is violated, there are no entries to look at. */
export const AREA_CHECK = 'controls.entry.msr-load';

/** Bytes of an entry: index u32, reserved u32, data u64. */
export const MSR_ENTRY_BYTES = 16;

export interface MsrLoadRow {
  /** Stable, e.g. 'msr-load.value'. */
  readonly id: string;
  readonly wants: string;
  /** @param at physical address of the entry, which is in memory */
  readonly holds: (context: CpuContext, at: number) => boolean;
}

const FS_BASE = 0xc000_0100;
const GS_BASE = 0xc000_0101;

export function isX2apicMsr(msr: number): boolean {
  return msr >= 0x800 && msr <= 0x8ff;
}

/** About the entry itself, whatever its MSR takes. */
const NAMING: readonly MsrLoadRow[] = [
  {
    id: 'msr-load.base',
    wants: 'neither FS_BASE nor GS_BASE, which are fields of the VMCS',
    holds: ({ physical }, at) => {
      const msr = physical.read32(at);
      return msr !== FS_BASE && msr !== GS_BASE;
    },
  },
  {
    id: 'msr-load.x2apic',
    wants: 'no register of the x2APIC (800h to 8FFh)',
    holds: ({ physical }, at) => !isX2apicMsr(physical.read32(at)),
  },
  {
    id: 'msr-load.reserved',
    wants: 'bits 63:32 clear',
    holds: ({ physical }, at) => physical.read32(at + 4) === 0,
  },
];

const COUNT = { id: 'msr-load.count', wants: `at most ${MSR_AREA_ENTRIES} entries, as IA32_VMX_MISC recommends` };
const MEMORY = { id: 'msr-load.memory', wants: 'an entry in memory' };
const VALUE = { id: 'msr-load.value', wants: 'an MSR and a value that WRMSR would take at CPL 0' };

/** Ids and wants of all rows, for documents and tests. */
export const MSR_LOAD_CHECKS: readonly { readonly id: string; readonly wants: string }[] = [
  COUNT,
  MEMORY,
  ...NAMING.map(({ id, wants }) => ({ id, wants })),
  VALUE,
];

/** Whether an entry may be loaded as far as its index says; the value is WRMSR's business. */
export function namesLoadableMsr(context: CpuContext, at: number): boolean {
  for (const row of NAMING) if (!row.holds(context, at)) return false;
  return true;
}

/** Every entry of the area that an entry with this VMCS could not load, in order. */
export function violatedLoads(context: CpuContext, vmcs: CurrentVmcs): Violation[] {
  const count = vmcs.read32(Field.entryMsrLoadCount);
  if (count === 0) return [];
  const area = vmcs.address(Field.entryMsrLoadAddress);
  const registers = guestRegisters(context, vmcs);
  const found: Violation[] = [];
  for (let entry = 1; entry <= Math.min(count, MSR_AREA_ENTRIES); entry++) {
    const at = area + (entry - 1) * MSR_ENTRY_BYTES;
    if (!context.physical.has(at, MSR_ENTRY_BYTES)) {
      found.push(violation(MEMORY, entry, `entry ${entry} at ${hex(at)}, where no memory is`));
      // So it is with all that follow.
      break;
    }
    found.push(...violatedEntry(context, at, entry, registers));
  }
  if (count > MSR_AREA_ENTRIES) found.push(violation(COUNT, MSR_AREA_ENTRIES + 1, `${count} entries`));
  return found;
}

function violatedEntry(context: CpuContext, at: number, entry: number, registers: ModeRegisters): Violation[] {
  const { physical } = context;
  const msr = physical.read32(at);
  const value = physical.read64(at + 8);
  const name = msrName(msr);
  const stands = `entry ${entry} at ${hex(at)}: MSR ${hex(msr)}${name ? ` (${name})` : ''} = ${hex(value)}`;
  const naming = NAMING.filter((row) => !row.holds(context, at)).map((row) => violation(row, entry, stands));
  if (naming.length > 0) return naming;
  const refused = refuseMsr(context, msr, value, registers);
  return refused === undefined ? [] : [{ ...violation(VALUE, entry, stands), because: refused }];
}

function violation(row: { readonly id: string; readonly wants: string }, entry: number, found: string): Violation {
  return {
    id: row.id,
    group: 'msr-load',
    section: 'SDM 3C 27.4',
    wants: row.wants,
    found,
    fields: [Field.entryMsrLoadAddress, Field.entryMsrLoadCount],
    entry,
    qualification: entry,
  };
}

/** CR0 and EFER as the entry has loaded them before it comes to the area (SDM 3C 27.3.2.1). */
function guestRegisters({ cpu }: CpuContext, vmcs: CurrentVmcs): ModeRegisters {
  const controls = vmcs.read32(Field.entryControls);
  const cr0 = vmcs.read(Field.guestCr0);
  if (controls & Entry.LoadEfer) return { cr0, efer: vmcs.read(Field.guestEfer) };
  const long = (controls & Entry.Ia32eGuest) !== 0;
  const kept = cr0 & CR0_PG ? 0n : cpu.efer & EFER_LME;
  return { cr0, efer: (cpu.efer & ~(EFER_LME | EFER_LMA)) | (long ? EFER_LME | EFER_LMA : kept) };
}

const hex = (value: bigint | number): string => `0x${value.toString(16)}`;
