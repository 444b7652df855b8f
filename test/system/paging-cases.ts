/** Drives the walker of the core with one case of the paging tables, and compares with the oracle. */
import assert from 'node:assert/strict';
import * as C from '../../emulator/cpu/codes.ts';
import * as L from '../../emulator/cpu/layout.ts';
import { type TestMachine, createTestMachine } from '../../emulator/mmu/test-support.ts';
import { type Access, type Mode, type Registers, TOP, coverage, oracle } from './paging-oracle.ts';

export const P = 1n;
export const W = 2n;
export const U = 4n;
export const ACCESSED = 0x20n;
export const DIRTY = 0x40n;
export const LARGE = 0x80n;
export const NX = 1n << 63n;
/** Where pages of every size may lie: a page of memory there exists or not, the translation is the same. */
export const PAGE = 0x4000_0000n;
export const PHYS_BITS = 39;

/** Every kind of access that paging tells apart. */
export const ACCESSES: readonly Access[] = [
  { kind: 'read', implicit: false },
  { kind: 'write', implicit: false },
  { kind: 'fetch', implicit: false },
  { kind: 'read', implicit: true },
  { kind: 'write', implicit: true },
];

const KIND = { read: C.ACCESS_READ, write: C.ACCESS_WRITE, fetch: C.ACCESS_EXEC } as const;

/** Linear addresses: indexes of every level differ, so that a mistaken one is seen. */
const LINEAR: Readonly<Record<Mode, bigint>> = {
  '32-bit': 0x8a7b_6c5dn,
  PAE: 0x8a7b_6c5dn,
  '4-level': 0x0000_7123_8a7b_6c5dn,
  '5-level': 0x0056_7123_8a7b_6c5dn,
};

export interface PagingCase {
  readonly registers: Registers;
  readonly access: Access;
  /** Top level first; the last one maps the page or ends the walk. Addresses of tables are filled in. */
  readonly entries: readonly bigint[];
}

/** Levels of the entries of a case, and where each lies. */
export class PagingBench {
  readonly machine: TestMachine = createTestMachine();
  readonly #slots = new Map<Mode, number[]>();
  readonly #tables = new Map<Mode, number[]>();
  cases = 0;

  constructor() {
    const { mem, frame } = this.machine;
    mem.set32(L.PHYS_BITS, PHYS_BITS);
    for (const mode of ['32-bit', 'PAE', '4-level', '5-level'] as const) {
      const tables = Array.from({ length: TOP[mode] }, () => frame());
      const linear = LINEAR[mode];
      this.#tables.set(mode, tables);
      this.#slots.set(
        mode,
        tables.map((table, index) => {
          const level = TOP[mode] - index;
          const shift = BigInt(coverage(mode, level));
          return mode === '32-bit'
            ? table + Number((linear >> shift) & 1023n) * 4
            : table + Number((linear >> shift) & 511n) * 8;
        }),
      );
    }
  }

  /** The next table's address for entries that name one. */
  tableAddress(mode: Mode, index: number): bigint {
    return BigInt(this.#tables.get(mode)![index + 1] ?? 0);
  }

  #write(mode: Mode, index: number, entry: bigint): void {
    const at = L.RAM_BASE + this.#slots.get(mode)![index]!;
    const { mem } = this.machine;
    if (mode === '32-bit') mem.set32(at, Number(entry & 0xffff_ffffn));
    else mem.set64(at, entry);
  }
  #read(mode: Mode, index: number): bigint {
    const at = L.RAM_BASE + this.#slots.get(mode)![index]!;
    const { mem } = this.machine;
    return mode === '32-bit' ? BigInt(mem.get32(at)) : mem.get64(at);
  }

  #load(r: Registers): void {
    const { mem } = this.machine;
    const { mode } = r;
    mem.set32(L.CR0, (0x8000_0033 | (r.wp ? 1 << 16 : 0)) >>> 0);
    const paging = mode === '32-bit' ? 0 : 0x20 | (mode === '5-level' ? 0x1000 : 0);
    const rights = (r.smep ? 1 << 20 : 0) | (r.smap ? 1 << 21 : 0) | (r.pke ? 1 << 22 : 0);
    mem.set32(L.CR4, paging | rights | (r.pse ? 0x10 : 0));
    const long = mode === '4-level' || mode === '5-level';
    mem.set32(L.MSR_EFER, (long ? 0x500 : 0) | (r.nxe ? 0x800 : 0));
    const [root] = this.#tables.get(mode)!;
    if (mode === 'PAE') {
      for (let index = 0; index < 4; index++) mem.set64(L.PDPTE + index * 8, index === 2 ? BigInt(root!) | P : 0n);
    } else mem.set64(L.CR3, BigInt(root!));
    mem.set32(L.CPL, r.cpl);
    mem.set32(L.SYSTEM_FLAGS, r.ac ? 1 << 18 : 0);
    mem.set32(L.PKRU, r.pkru);
    mem.set32(L.CODE_MODE, long ? 2 : 1);
    // Nothing may be answered from the TLB: every case is a walk. Fetches are cached all the same.
    mem.set32(L.TLB_UNCACHED, 1);
    this.machine.mmu.flushAll();
  }

  check(one: PagingCase): void {
    const { mem, core } = this.machine;
    const { registers, access, entries } = one;
    const { mode } = registers;
    const linear = LINEAR[mode];
    this.#load(registers);
    for (let index = 0; index < entries.length; index++) this.#write(mode, index, entries[index]!);
    const expected = oracle(registers, access, linear, entries);
    mem.set32(L.FAULT_KIND, 0);
    const host = core.translate(linear, KIND[access.kind] | (access.implicit ? C.ACCESS_IMPLICIT : 0));
    this.cases++;
    const faulted = host === -1;
    const code = faulted ? mem.get32(L.FAULT_ERROR) : undefined;
    let wrong = code !== expected.fault;
    if (faulted)
      wrong ||=
        mem.get32(L.FAULT_KIND) !== C.FAULT_EXCEPTION ||
        mem.get32(L.FAULT_VECTOR) !== 14 ||
        mem.get64(L.FAULT_GVA) !== linear;
    // PAGE is beyond the memory that exists, so the address is asked of a walk for the debugger.
    else wrong ||= BigInt(this.machine.mmu.walk(linear, 'read', false).hpa ?? -1) !== expected.address;
    for (let index = 0; index < entries.length; index++) wrong ||= this.#read(mode, index) !== expected.entries[index];
    if (wrong) this.#explain(one, linear, code, expected);
  }

  #explain(one: PagingCase, linear: bigint, code: number | undefined, expected: ReturnType<typeof oracle>): never {
    const { mode } = one.registers;
    const hex = (values: readonly bigint[]): string => values.map((value) => value.toString(16)).join(' ');
    const after = one.entries.map((_entry, index) => this.#read(mode, index));
    assert.fail(
      `${JSON.stringify(one.registers)} ${JSON.stringify(one.access)} of ${linear.toString(16)}\n` +
        `  entries  ${hex(one.entries)}\n  expected ${hex(expected.entries)}, error code ${expected.fault}, ${expected.address.toString(16)}\n` +
        `  found    ${hex(after)}, error code ${code}`,
    );
  }
}
