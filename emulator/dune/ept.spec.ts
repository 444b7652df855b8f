import assert from 'node:assert/strict';
import * as L from '../cpu/layout.ts';
import { LinearMemory } from '../cpu/state.ts';
import { PhysicalMemory } from '../mmu/physical.ts';
import { Ept, type Backing } from './ept.ts';

const MEGABYTE = 1 << 20;
const LARGE = 2 * MEGABYTE;

describe('dune EPT', () => {
  const bytes = 16 * MEGABYTE;
  const physical = new PhysicalMemory(
    new LinearMemory(new WebAssembly.Memory({ initial: (L.RAM_BASE + bytes) / 65536 })),
    bytes,
  );
  let next = 0x1000;
  let used = 0;
  const frames = {
    allocateFrame(): number {
      used++;
      next += 0x1000;
      physical.fill(next, 0x1000);
      return next;
    },
    freeFrame(): void {
      used--;
    },
  };
  const ept = new Ept(physical, frames, true);
  const page = (hpa: number): Backing => ({ hpa, pageSize: 4096, special: false });

  it('points to its root: write-back, four levels, accessed and dirty flags', () => {
    const tables = ept.create()!;
    assert.equal(ept.pointer(tables), BigInt(tables.root) | 0x5en);
    assert.equal(new Ept(physical, frames, false).pointer(tables), BigInt(tables.root) | 0x1en);
  });

  it('makes the leaves of the module, bit for bit', () => {
    const tables = ept.create()!;
    ept.map(tables, 0x40_1000, page(0x5000), false);
    assert.equal(ept.lookup(tables, 0x40_1000)?.entry, 0x5175n);
    ept.map(tables, 0x40_1000, page(0x5000), true);
    assert.equal(ept.lookup(tables, 0x40_1000)?.entry, 0x5377n);
    ept.map(tables, 0x60_0000, { hpa: 0x20_0000, pageSize: LARGE, special: false }, true);
    assert.equal(ept.lookup(tables, 0x60_1000)?.entry, 0x20_03f7n);
    ept.map(tables, 0x40_2000, { hpa: 0x6000, pageSize: 4096, special: true }, false);
    assert.equal(ept.lookup(tables, 0x40_2000)!.entry & 7n, 1n, 'no execution of raw frames');
    assert.equal((ept.lookup(tables, 0x40_2000)!.entry >> 10n) & 1n, 1n);
    const walked = physical.read64(tables.root);
    assert.equal(walked & 0xfffn, 7n, 'tables give every right');
  });

  it('translates through pages of every size', () => {
    const tables = ept.create()!;
    ept.map(tables, 0x12_3456_7000, page(0x5000), false);
    ept.map(tables, 0x60_0000, { hpa: 0x20_0000, pageSize: LARGE, special: false }, true);
    assert.equal(ept.translate(tables, 0x12_3456_7abc), 0x5abc);
    assert.equal(ept.translate(tables, 0x60_1234), 0x20_1234);
    assert.equal(ept.translate(tables, 0x12_3456_8000), -1);
    assert.equal(ept.translate(tables, 0), -1);
  });

  it('says when a cached translation may be wrong', () => {
    const tables = ept.create()!;
    assert.equal(ept.map(tables, 0x1000, page(0x5000), false), 'mapped');
    assert.equal(ept.map(tables, 0x1000, page(0x5000), true), 'mapped');
    assert.equal(ept.map(tables, 0x1000, page(0x7000), true), 'replaced');
  });

  it('gives the table under a new large page back, and splits a large page for a small one', () => {
    const tables = ept.create()!;
    ept.map(tables, 0x20_1000, page(0x5000), true);
    const before = used;
    assert.equal(ept.map(tables, 0x20_0000, { hpa: 0x40_0000, pageSize: LARGE, special: false }, true), 'replaced');
    assert.equal(used, before - 1);
    ept.map(tables, 0x20_3000, page(0x9000), true);
    assert.equal(ept.lookup(tables, 0x20_3000)?.entry, 0x9377n);
    assert.equal(ept.lookup(tables, 0x20_4000)?.entry, 0x40_4377n);
  });

  it('clears ranges, whole large pages included, and finds nothing the second time', () => {
    const tables = ept.create()!;
    for (let gpa = 0; gpa < 8; gpa++) ept.map(tables, gpa * 0x1000, page(0x5000 + gpa * 0x1000), true);
    assert.equal(ept.clear(tables, 0x2000, 0x4000), true);
    assert.equal(ept.lookup(tables, 0x1000) !== undefined, true);
    assert.equal(ept.lookup(tables, 0x2000), undefined);
    assert.equal(ept.lookup(tables, 0x4000) !== undefined, true);
    assert.equal(ept.clear(tables, 0x2000, 0x4000), false);
    assert.equal(ept.clear(tables, 0, 2 ** 46), true);
    assert.equal(ept.lookup(tables, 0x1000), undefined);
  });

  it('frees every frame it took', () => {
    const before = used;
    const tables = ept.create()!;
    ept.map(tables, 2 ** 45, page(0x5000), true);
    ept.map(tables, 0x1000, page(0x5000), true);
    ept.destroy(tables);
    assert.equal(used, before);
  });
});
