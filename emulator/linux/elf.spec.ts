import assert from 'node:assert/strict';
import { LaunchError } from './api.ts';
import { readExecutable } from './elf.ts';
import { loadProgram } from './exec.ts';
import { createBlobInode } from './fs/inode.ts';
import { createBench } from './test-support.ts';
import { copyIn, readString } from './usermem.ts';

/** A minimal executable: one R+X segment at 400000h with the headers, one R+W with .bss at 402000h. */
function image(): Uint8Array {
  const bytes = new Uint8Array(0x2000);
  const view = new DataView(bytes.buffer);
  bytes.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  view.setUint16(16, 2, true);
  view.setUint16(18, 62, true);
  view.setBigUint64(24, 0x401000n, true);
  view.setBigUint64(32, 64n, true);
  view.setUint16(54, 56, true);
  view.setUint16(56, 3, true);
  const header = (index: number, words: readonly (number | bigint)[], type: number, flags: number): void => {
    view.setUint32(64 + index * 56, type, true);
    view.setUint32(68 + index * 56, flags, true);
    words.forEach((word, at) => view.setBigUint64(72 + index * 56 + at * 8, BigInt(word), true));
  };
  header(0, [0, 0x400000, 0x400000, 0x1800, 0x1800, 0x1000], 1, 5);
  header(1, [0x1800, 0x402800, 0x402800, 0x100, 0x3000, 0x1000], 1, 6);
  header(2, [0, 0, 0, 0, 0, 16], 0x6474e551, 6);
  bytes.fill(0xee, 0x1800, 0x2000);
  return bytes;
}
const refused = (change: (bytes: Uint8Array, view: DataView) => Uint8Array | void): string => {
  const bytes = image();
  const changed = change(bytes, new DataView(bytes.buffer)) ?? bytes;
  try {
    readExecutable(changed, '/bin/x');
  } catch (error) {
    assert.ok(error instanceof LaunchError);
    return error.message;
  }
  throw new Error('accepted');
};

describe('ELF loader', () => {
  it('says what is wrong in one sentence', () => {
    assert.match(
      refused((bytes) => bytes.fill(0, 0, 4)),
      /not an ELF file/,
    );
    assert.match(
      refused(() => new Uint8Array(0)),
      /empty/,
    );
    assert.match(
      refused(() => new TextEncoder().encode('#!/bin/sh\n')),
      /script/,
    );
    assert.match(
      refused((bytes) => bytes.subarray(0, 40)),
      /ends inside the ELF header/,
    );
    assert.match(
      refused((bytes) => bytes.subarray(0, 100)),
      /beyond the end/,
    );
    assert.match(
      refused((bytes) => void (bytes[4] = 1)),
      /32-bit/,
    );
    assert.match(
      refused((_, view) => view.setUint16(18, 183, true)),
      /AArch64/,
    );
    assert.match(
      refused((_, view) => view.setUint16(16, 1, true)),
      /object file/,
    );
    assert.match(
      refused((_, view) => view.setUint32(64 + 112, 3, true)),
      /dynamically linked.*-static/,
    );
    assert.match(
      refused((_, view) => view.setBigUint64(64 + 56 + 32, 0x100000n, true)),
      /larger in the file/,
    );
    assert.match(
      refused((_, view) => view.setBigUint64(64 + 40, 1n << 47n, true)),
      /outside the user address space/,
    );
  });

  it('builds the stack and the auxiliary vector as Linux does', () => {
    const { linux, process } = createBench();
    const bytes = image();
    const inode = createBlobInode(linux, '/bin/x', 0o755, bytes);
    const argv = ['/bin/x', 'one', 'zwölf'];
    const envp = ['A=1', 'HOME=/'];
    const start = loadProgram(linux, process, {
      path: '/bin/x',
      inode,
      image: bytes,
      argv,
      envp,
      hardware: { capabilities: 1, capabilities2: 2, leastSignalStack: 1776 },
    });
    assert.equal(start.entry, 0x401000);
    assert.equal(start.stack % 16, 0);
    const word = (at: number): number =>
      Number(new DataView(copyIn(linux, process, at, 8)!.buffer).getBigUint64(0, true));
    let at = start.stack;
    assert.equal(word(at), 3);
    assert.deepEqual(
      argv.map((_, index) => readString(linux, process, word(at + 8 + index * 8))),
      argv,
    );
    at += 8 + 3 * 8;
    assert.equal(word(at), 0);
    assert.deepEqual(
      envp.map((_, index) => readString(linux, process, word(at + 8 + index * 8))),
      envp,
    );
    at += 8 + 2 * 8;
    assert.equal(word(at), 0);
    const vector = new Map<number, number>();
    for (at += 8; word(at) !== 0; at += 16) vector.set(word(at), word(at + 8));
    assert.equal(vector.get(3), 0x400040, 'AT_PHDR');
    assert.equal(vector.get(4), 56, 'AT_PHENT');
    assert.equal(vector.get(5), 3, 'AT_PHNUM');
    assert.equal(vector.get(6), 4096, 'AT_PAGESZ');
    assert.equal(vector.get(9), 0x401000, 'AT_ENTRY');
    assert.equal(vector.get(23), 0, 'AT_SECURE');
    assert.equal(readString(linux, process, vector.get(15)!), 'x86_64', 'AT_PLATFORM');
    assert.equal(readString(linux, process, vector.get(31)!), '/bin/x', 'AT_EXECFN');
    assert.equal(copyIn(linux, process, vector.get(25)!, 16)!.length, 16, 'AT_RANDOM');
    assert.equal(vector.has(33), false, 'no vDSO');
    assert.equal(process.mm.startStack, start.stack);
    assert.equal(process.mm.mmapBase, 0x7ffff7fff000, 'mmap_base');
    assert.deepEqual(copyIn(linux, process, 0x4028ff, 2), new Uint8Array([0xee, 0]), '.bss begins with zeros');
    assert.equal(process.mm.brkStart, 0x406000);
  });
});
