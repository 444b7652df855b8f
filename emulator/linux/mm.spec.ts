import assert from 'node:assert/strict';
import { HUGE_PAGE, PAGE, references } from './frames.ts';
import { createBlobInode, readInode } from './fs/inode.ts';
import { map, protect, remap, setBreak, unmap } from './mapping.ts';
import { copyMemoryMap, fault, releaseMemoryMap } from './mm.ts';
import { PTE_P, PTE_W, lookup } from './pagetables.ts';
import { createBench } from './test-support.ts';
import { copyIn, copyOut, readString } from './usermem.ts';
import type { Process } from './state.ts';

const BASE = 0x200000000;
const anonymous = { prot: 3, shared: false, fixed: true };

describe('Address spaces', () => {
  it('fill anonymous memory on demand: the zero page for reads, an own frame for writes', () => {
    const { linux, process } = createBench();
    map(linux, process, { ...anonymous, address: BASE, length: 2 * PAGE });
    const before = linux.state.frames.free;
    assert.equal(lookup(linux.memory, process.mm.root, BASE), undefined);
    assert.equal(fault(linux, process, BASE, 'read'), undefined);
    let leaf = lookup(linux.memory, process.mm.root, BASE)!;
    assert.equal(leaf.hpa, linux.state.zeroFrame);
    assert.equal(leaf.low & PTE_W, 0);
    assert.equal(leaf.nx, true);
    assert.equal(fault(linux, process, BASE, 'write'), undefined);
    leaf = lookup(linux.memory, process.mm.root, BASE)!;
    assert.notEqual(leaf.hpa, linux.state.zeroFrame);
    assert.equal(leaf.low & PTE_W, PTE_W);
    assert.ok(linux.state.frames.free < before);
  });

  it('refuse as Linux does', () => {
    const { linux, process } = createBench();
    map(linux, process, { ...anonymous, address: BASE, length: PAGE, prot: 1 });
    assert.deepEqual(fault(linux, process, BASE, 'write')?.code, 2);
    assert.deepEqual(fault(linux, process, BASE, 'execute')?.code, 2);
    assert.deepEqual(fault(linux, process, BASE + PAGE, 'read')?.code, 1);
    assert.equal(copyOut(linux, process, BASE, new Uint8Array(1)), false);
    assert.equal(copyIn(linux, process, BASE + PAGE - 1, 2), undefined);
  });

  it('keep a page through PROT_NONE', () => {
    const { linux, process } = createBench();
    map(linux, process, { ...anonymous, address: BASE, length: PAGE });
    copyOut(linux, process, BASE, new Uint8Array([7]));
    protect(linux, process, BASE, PAGE, 0);
    assert.equal(lookup(linux.memory, process.mm.root, BASE)!.low & PTE_P, 0);
    assert.equal(copyIn(linux, process, BASE, 1), undefined);
    protect(linux, process, BASE, PAGE, 3);
    assert.deepEqual(copyIn(linux, process, BASE, 1), new Uint8Array([7]));
  });

  it('share frames after fork until someone writes', () => {
    const { linux, process } = createBench();
    map(linux, process, { ...anonymous, address: BASE, length: PAGE });
    copyOut(linux, process, BASE, new Uint8Array([1]));
    const hpa = lookup(linux.memory, process.mm.root, BASE)!.hpa;
    const child: Process = { ...process, pid: 1001, mm: copyMemoryMap(linux, process.mm)! };
    linux.state.processes.set(1001, child);
    assert.equal(references(linux.state.frames, hpa), 2);
    assert.equal(lookup(linux.memory, child.mm.root, BASE)!.hpa, hpa);
    copyOut(linux, child, BASE, new Uint8Array([2]));
    assert.equal(references(linux.state.frames, hpa), 1);
    copyOut(linux, process, BASE, new Uint8Array([3]));
    assert.equal(lookup(linux.memory, process.mm.root, BASE)!.hpa, hpa, 'the last owner keeps the frame');
    assert.deepEqual(copyIn(linux, child, BASE, 1), new Uint8Array([2]));
    assert.deepEqual(copyIn(linux, process, BASE, 1), new Uint8Array([3]));
  });

  it('map files privately and shared', () => {
    const { linux, process } = createBench();
    const inode = createBlobInode(linux, '/f', 0o644, new TextEncoder().encode('file content'));
    map(linux, process, { ...anonymous, address: BASE, length: PAGE, inode });
    map(linux, process, { ...anonymous, address: BASE + PAGE, length: 2 * PAGE, inode, shared: true });
    copyOut(linux, process, BASE, new TextEncoder().encode('PRIV'));
    copyOut(linux, process, BASE + PAGE, new TextEncoder().encode('SHAR'));
    assert.equal(readString(linux, process, BASE), 'PRIV content');
    assert.equal(new TextDecoder().decode(readInode(linux, inode, 0, 100)), 'SHAR content');
    assert.equal(fault(linux, process, BASE + 2 * PAGE, 'read')?.signal, 'SIGBUS');
  });

  it('use 2 MB pages for MAP_HUGETLB', () => {
    const { linux, process } = createBench();
    const at = map(linux, process, { ...anonymous, address: BASE, length: HUGE_PAGE, huge: true });
    assert.equal(at, BigInt(BASE));
    copyOut(linux, process, BASE + 0x123456, new Uint8Array([9]));
    const leaf = lookup(linux.memory, process.mm.root, BASE + 0x100000)!;
    assert.equal(leaf.size, HUGE_PAGE);
    assert.equal(leaf.hpa % HUGE_PAGE, 0);
    assert.equal(unmap(linux, process, BASE + PAGE, PAGE), -22n);
    assert.equal(unmap(linux, process, BASE, HUGE_PAGE), 0n);
    assert.equal(map(linux, process, { ...anonymous, address: BASE, length: 1 << 30, huge: true }), -12n);
  });

  it('grow the stack within its limit', () => {
    const { linux, process } = createBench();
    const top = 0x7ffffffff000;
    map(linux, process, { ...anonymous, address: top - PAGE, length: PAGE, growsDown: true });
    assert.equal(fault(linux, process, top - 100 * PAGE, 'write'), undefined);
    assert.equal(process.mm.vmas.length, 1);
    assert.equal(fault(linux, process, top - (9 << 20), 'write')?.code, 1);
  });

  it('move and grow mappings and the break', () => {
    const { linux, process } = createBench();
    process.mm.mmapBase = 0x7ffff7fff000;
    map(linux, process, { ...anonymous, address: BASE, length: 2 * PAGE });
    map(linux, process, { ...anonymous, address: BASE + 2 * PAGE, length: PAGE, prot: 1 });
    copyOut(linux, process, BASE + PAGE, new Uint8Array([5]));
    assert.equal(remap(linux, process, BASE, 2 * PAGE, 8 * PAGE, 0, 0), -12n);
    const moved = Number(remap(linux, process, BASE, 2 * PAGE, 8 * PAGE, 1, 0));
    assert.deepEqual(copyIn(linux, process, moved + PAGE, 1), new Uint8Array([5]));
    assert.equal(fault(linux, process, BASE, 'read')?.code, 1);
    process.mm.brkStart = process.mm.brk = 0x500000;
    assert.equal(setBreak(linux, process, 0x512345), 0x512345n);
    assert.equal(copyOut(linux, process, 0x512000, new Uint8Array(1)), true);
    assert.equal(setBreak(linux, process, 0x500000), 0x500000n);
    assert.equal(copyOut(linux, process, 0x512000, new Uint8Array(1)), false);
  });

  it('give every frame back', () => {
    const { linux, process } = createBench();
    const before = linux.state.frames.free;
    for (let index = 0; index < 20; index++)
      map(linux, process, { ...anonymous, address: BASE + index * 0x40000000, length: 3 * PAGE, populate: true });
    map(linux, process, { ...anonymous, address: 0x100000000, length: HUGE_PAGE, huge: true, populate: true });
    const child = copyMemoryMap(linux, process.mm)!;
    releaseMemoryMap(linux, child);
    releaseMemoryMap(linux, process.mm);
    // The root of the first process is what was allocated before `before`.
    assert.equal(linux.state.frames.free, before + 1);
  });

  it('survive the end of RAM', () => {
    const { linux, process } = createBench(1 << 20);
    map(linux, process, { ...anonymous, address: BASE, length: 16 << 20 });
    let refused = 0;
    for (let at = BASE; at < BASE + (2 << 20); at += PAGE) if (fault(linux, process, at, 'write')) refused++;
    assert.ok(refused > 200);
    assert.equal(copyMemoryMap(linux, process.mm), undefined);
  });
});
