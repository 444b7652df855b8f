/** The conformance kernel: hypervisor.s with rows of scripts, assembled once, booted on the bare board, its findings read from memory. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Machine, MachineOptions } from '../../emulator/machine/api.ts';
import { Entry, Exit, Pin, Primary, Secondary, Tertiary } from '../../emulator/vmx/controls.ts';
import { VmxError } from '../../emulator/vmx/errors.ts';
import { ExitReason } from '../../emulator/vmx/exit-reasons.ts';
import { VMCS_FIELDS, fieldName } from '../../emulator/vmx/fields.ts';
import { boot } from '../machine/support.ts';
import { type Assembled, assemble } from '../support/assemble.ts';

/** Above the pages that generated instructions name (test/isa/fuzz/layout.ts). */
const ORIGIN = 0x210000;
export const MEMORY = 16 << 20;
/** Leaves the narrow addresses that violations of checks take for too wide. */
const PHYSICAL_BITS = 39;
const BUDGET = 50_000_000;

/** Operations of scripts, as the hypervisor numbers them. */
export const OPERATIONS = [
  'END', 'CHANGE', 'POKE', 'LAUNCH', 'RESUME', 'WANT', 'PEEK', 'EXIT', 'OUTCOME', 'CALL', 'CALL_USER', 'RAISED', 'REGISTER', 'SKIP',
] as const; // prettier-ignore

/** Addresses, selectors and registers' bits. Regions and pages stand where violations of checks (emulator/vmx/checks/violations.ts) point. */
export const PLACES = {
  VMXON_REGION: 0x100000,
  VMCS: 0x101000,
  STATE: 0x102000,
  STATE_BYTES: 0x26000,
  MSR_BITMAP: 0x102000,
  VIRTUAL_APIC: 0x103000,
  DESCRIPTOR: 0x104000,
  MSR_AREA: 0x105000,
  PAGE: 0x106000,
  OTHER_PAGE: 0x107000,
  IO_BITMAP_A: 0x108000,
  IO_BITMAP_B: 0x109000,
  SHADOW_VMCS: 0x10a000,
  EPT: 0x110000,
  GUEST_TABLES: 0x118000,
  OTHER_EPT: 0x120000,
  HOST_TABLES: 0x130000,
  PRISTINE: 0x400000,
  WINDOW: 0x800000,
  WINDOW_BYTES: 0x8000,
  LOCAL_APIC: 0xfee00000,
  TRAMPOLINE: 0x8000,
  CODE_SELECTOR: 0x10,
  DATA_SELECTOR: 0x18,
  USER_DATA: 0x28,
  USER_CODE: 0x30,
  TSS_SELECTOR: 0x38,
  FREE_TSS_SELECTOR: 0x48,
  CODE32_SELECTOR: 0x50,
  MOST_FAILURES: 1000,
  CR0_PE: 1,
  CR0_MP: 2,
  CR0_TS: 8,
  CR0_ET: 0x10,
  CR0_NE: 0x20,
  CR0_WP: 0x10000,
  CR0_PG: 0x80000000,
  CR4_DE: 8,
  CR4_PAE: 0x20,
  CR4_PGE: 0x80,
  CR4_OSFXSR: 0x200,
  CR4_VMXE: 0x2000,
  CR4_PCIDE: 0x20000,
  CR4_OSXSAVE: 0x40000,
  EFER_SCE: 1,
  EFER_LME: 0x100,
  EFER_LMA: 0x400,
  EFER_NXE: 0x800,
  MSR_FEATURE_CONTROL: 0x3a,
  MSR_VMX_BASIC: 0x480,
  MSR_EFER: 0xc0000080,
} as const;

/** `.set` for everything that a row may name: VMCS fields as the table has them, Pin_HltExiting and such, X_Cpuid, E_VmclearAddress. */
function constants(): string {
  const groups = { Pin, Primary, Secondary, Tertiary, Exit, Entry, X: ExitReason, E: VmxError };
  const named = Object.entries(groups).flatMap(([group, members]) =>
    Object.entries(members).map(([name, value]) => [`${group}_${name}`, value >>> 0] as const),
  );
  const fields = VMCS_FIELDS.map(({ name, encoding }) => [name, encoding] as const);
  const operations = OPERATIONS.map((name, number) => [`OP_${name}`, number] as const);
  return [...named, ...fields, ...operations, ...Object.entries(PLACES)]
    .map(([name, value]) => `.set ${name}, ${value}`)
    .join('\n');
}

/** A source beside this file. */
export const read = (name: string): string => readFileSync(join(import.meta.dirname, name), 'utf8');

export interface Row {
  readonly name: string;
  /** In words; empty if all was as it must be. */
  readonly failures: readonly string[];
}

export interface Findings {
  readonly rows: readonly Row[];
  /** Basic exit reasons that rows have asked for and got. */
  readonly provoked: ReadonlySet<number>;
  readonly errors: ReadonlySet<number>;
  readonly instructions: number;
}

export interface BootOptions {
  readonly translate?: MachineOptions['translate'];
  readonly cpuModel?: string;
  /** MAXPHYADDR. */
  readonly physBits?: number;
}

/** The hypervisor with rows. */
export function assembleKernel(...rows: readonly string[]): Assembled {
  const source = [
    constants(),
    read('hypervisor.s'),
    read('rows.macros'),
    '.text 1\n.balign 8\nrows:\n.text 2\n.balign 8\n',
    ...rows,
    'op OP_END\n.text 1\nrows_end:\n.text 5\n.balign 4096\nimage_end:\n',
  ].join('\n');
  return assemble(source, ORIGIN);
}

export function bootKernel(
  image: Assembled,
  { translate = true, cpuModel, physBits = PHYSICAL_BITS }: BootOptions = {},
): Machine {
  const { machine } = boot('conformance', {
    program: { path: 'conformance', image: image.bytes },
    physBits,
    cpus: 2,
    memory: MEMORY,
    translate,
    ...(cpuModel === undefined ? {} : { cpuModel }),
  });
  return machine;
}

/** The kernel with its rows (assembly), to be booted as often as wanted. */
export class ConformanceKernel {
  readonly #image: Assembled;
  constructor(...rows: readonly string[]) {
    this.#image = assembleKernel(...rows);
  }

  /** Runs all rows. Throws if the kernel does not come to its end. */
  run(options: BootOptions = {}): Findings {
    const machine = bootKernel(this.#image, options);
    const stop = machine.run(BUDGET);
    const memory = new GuestMemory(machine);
    if (stop.kind === 'exited' && memory.number(this.#at('done')) === 1) return this.#findings(machine, memory);
    const why = machine.explanation(1)?.headline ?? JSON.stringify(stop);
    throw new Error(`the kernel ended in ${this.#rowAt(memory)}: ${why}`);
  }

  /** Of a kernel whose last row ends in a VMX abort: the indicator in the VMCS region (SDM 3C 28.7). */
  abortIndicator(): number {
    const machine = bootKernel(this.#image);
    machine.run(BUDGET);
    return new GuestMemory(machine).number(PLACES.VMCS + 4);
  }

  #at(symbol: string): number {
    const found = this.#image.symbols.get(symbol);
    if (found === undefined) throw new Error(`no symbol ${symbol}`);
    return found;
  }
  #rowAt(memory: GuestMemory): string {
    const row = memory.number(this.#at('row'));
    return row === 0
      ? 'its start'
      : `row "${memory.text(memory.number(row))}", operation ${memory.number(this.#at('cursor')).toString(16)}`;
  }

  #findings(machine: Machine, memory: GuestMemory): Findings {
    const failures = new Map<number, string[]>();
    const count = memory.number(this.#at('failures'));
    for (let index = 0; index < count; index++) {
      const [row, operation, found] = [0, 8, 16].map((offset) =>
        memory.word(this.#at('failure_list') + index * 24 + offset),
      );
      const list = failures.get(Number(row)) ?? [];
      failures.set(Number(row), list);
      list.push(this.#describe(memory, Number(operation), found!));
    }
    const rows: Row[] = [];
    const provoked = new Set<number>();
    const errors = new Set<number>();
    for (let at = this.#at('rows'); at < this.#at('rows_end'); at += 16) {
      rows.push({ name: memory.text(memory.number(at)), failures: failures.get(at) ?? [] });
      for (let op = memory.number(at + 8); memory.number(op) !== 0; op += 32) {
        const name = OPERATIONS[memory.number(op)];
        if (name === 'EXIT') provoked.add(memory.number(op + 8) & 0xffff);
        if (name === 'OUTCOME') errors.add(memory.number(op + 16));
      }
    }
    return { rows, provoked, errors, instructions: machine.stats().instructions };
  }

  #describe(memory: GuestMemory, operation: number, found: bigint): string {
    const name = OPERATIONS[memory.number(operation)] ?? '?';
    const [a, b, c] = [8, 16, 24].map((offset) => memory.word(operation + offset));
    const first = memory.number(this.#rowOf(memory, operation) + 8);
    const place = `operation ${(operation - first) / 32}`;
    const what = name === 'WANT' || name === 'CHANGE' ? fieldName(Number(a)) : `0x${a!.toString(16)}`;
    return `${place}, ${name} ${what} 0x${b!.toString(16)} 0x${c!.toString(16)}: found 0x${found.toString(16)}${this.#symbol(found)}`;
  }
  #rowOf(memory: GuestMemory, operation: number): number {
    let best = this.#at('rows');
    for (let at = best; at < this.#at('rows_end'); at += 16) if (memory.number(at + 8) <= operation) best = at;
    return best;
  }
  #symbol(value: bigint): string {
    const found = [...this.#image.symbols].find(([, address]) => BigInt(address) === value && value >= ORIGIN);
    return found ? ` (${found[0]})` : '';
  }
}

export class GuestMemory {
  readonly #bytes: Uint8Array;
  constructor(machine: Machine) {
    this.#bytes = machine.readMemory(1, 'hpa', 0n, MEMORY);
  }
  word(at: number): bigint {
    return new DataView(this.#bytes.buffer, this.#bytes.byteOffset).getBigUint64(at, true);
  }
  /** Low half. */
  number(at: number): number {
    return Number(this.word(at) & 0xffff_ffffn);
  }
  text(at: number): string {
    return Buffer.from(this.#bytes.subarray(at, this.#bytes.indexOf(0, at))).toString('latin1');
  }
}
