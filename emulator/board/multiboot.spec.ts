/** What a kernel is told (Multiboot Specification 0.6.96, 3.2 and 3.3), and which files are kernels. */
import assert from 'node:assert/strict';
import { boot, finish } from '../../test/machine/support.ts';
import { bootSource, results, startSource } from './board-test-support.ts';

/** At `main` EBX still is the information's address. */
const field = (offset: number): string => `note dword ptr [ebx + ${offset}]\n`;
const string = (words: readonly number[]): string =>
  Buffer.from(Uint32Array.from(words).buffer).toString('latin1').replace(/\0.*$/s, '');

describe('Multiboot', () => {
  it('starts in flat protected mode with paging and interrupts off, the magic number and the information', () => {
    const source = `main: mov ecx, eax\n note ecx\n note ebx\n mov eax, cr0\n note eax\n pushfd\n pop eax\n note eax\n finish 0`;
    const [magic, information, cr0, eflags] = bootSource(source).notes;
    assert.equal(magic, 0x2badb002);
    assert.ok(information! >= 0x1000 && information! < 0xa0000);
    assert.equal(cr0! & 0x80000001, 1);
    assert.equal(eflags! & 0x202, 2);
  });

  it('tells memory, its map and the command line', () => {
    const { notes } = bootSource(
      `main: ${[0, 4, 8, 44].map(field).join('')}
      mov esi, [ebx + 48]
      mov ecx, 12
      1: lodsd
      note eax
      loop 1b
      mov esi, [ebx + 16]
      mov ecx, 8
      2: lodsd
      note eax
      loop 2b
      finish 0`,
      { memory: 48 << 20, args: ['one "two three"'] },
    );
    const [flags, lower, upper, bytes, ...rest] = notes;
    assert.equal(flags! & 0x4d, 0x45, 'memory, command line and map; no modules');
    assert.deepEqual([upper, bytes], [47 * 1024, 48]);
    assert.deepEqual(rest.slice(0, 12), [20, 0, 0, lower! * 1024, 0, 1, 20, 0x100000, 0, 47 << 20, 0, 1]);
    assert.equal(string(rest.slice(12)), 'kernel one "two three"');
  });

  it('gives the environment as a module of lines', () => {
    const { notes } = bootSource(
      `main: ${[0, 20].map(field).join('')}
      mov edi, [ebx + 24]
      mov esi, [edi]
      mov ecx, [edi + 4]
      sub ecx, esi
      note ecx
      mov ecx, 4
      1: lodsd
      note eax
      loop 1b
      finish 0`,
      { env: ['A=1', 'LONG=two'] },
    );
    const [flags, count, bytes, ...words] = notes;
    assert.deepEqual([flags! & 8, count, bytes], [8, 1, 13]);
    assert.equal(string(words), 'A=1\nLONG=two\n');
  });

  it('loads ELF files by physical address, also those linked in the upper half', () => {
    // MOV EAX, 42; OUT F4h, EAX at 0xffffffff80100101, which a double cannot hold.
    const code = [0xb8, 42, 0, 0, 0, 0xe7, 0xf4, 0xf4];
    const image = new Uint8Array(0x1200);
    const view = new DataView(image.buffer);
    view.setUint32(0, 0x464c457f, true);
    image.set([2, 1, 1], 4);
    view.setUint16(18, 62, true);
    view.setBigUint64(24, 0xffffffff80100101n, true);
    view.setBigUint64(32, 64n, true);
    view.setUint16(54, 56, true);
    view.setUint16(56, 1, true);
    view.setUint32(64, 1, true);
    view.setBigUint64(64 + 8, 0x1000n, true);
    view.setBigUint64(64 + 16, 0xffffffff80100000n, true);
    view.setBigUint64(64 + 24, 0x400000n, true);
    view.setBigUint64(64 + 32, 0x200n, true);
    view.setBigUint64(64 + 40, 0x1000n, true);
    view.setUint32(0x1000, 0x1badb002, true);
    view.setUint32(0x1008, -0x1badb002 >>> 0, true);
    image.set(code, 0x1101);
    const { machine } = boot('kernel', { program: { path: '/kernel', image } });
    assert.deepEqual(machine.run(1000), { kind: 'exited', status: 42 });
  });

  const broken: readonly (readonly [string, (image: Uint8Array) => Uint8Array, RegExp])[] = [
    ['no header', (image) => image.fill(0), /no Multiboot header in its first 8 KB/],
    ['a file cut off', (image) => image.subarray(0, 0x1100), /beyond the end of the file/],
  ];
  for (const [what, spoil, message] of broken)
    it(`refuses ${what}`, () => {
      const image = new Uint8Array(0x1200);
      const view = new DataView(image.buffer);
      view.setUint32(0, 0x1badb002, true);
      view.setUint32(4, 0x10000, true);
      view.setUint32(8, -(0x1badb002 + 0x10000) >>> 0, true);
      [0x100000, 0x100000, 0x101200, 0x102000, 0x100020].forEach((word, at) => view.setUint32(12 + at * 4, word, true));
      const program = { path: '/kernel', image: spoil(image) };
      assert.throws(() => boot('kernel', { program }), message);
    });
});

describe('booting time and again', () => {
  /** Adds up its command line, and ends with the sum; the sum of the words it leaves in memory is added, too. */
  const KERNEL = `main:
    mov esi, [ebx + 16]
    xor ecx, ecx
    xor eax, eax
    1: lodsb
    add ecx, eax
    test al, al
    jnz 1b
    note ecx
    mov edi, 0x400000
    mov edx, 3000
    2: add dword ptr [edi], ecx
    add ecx, dword ptr [edi]
    add edi, 4
    dec edx
    jnz 2b
    note ecx
    finish ecx`;
  const lines = ['', 'one', 'another line that is longer', 'two three'];

  it('from a snapshot of the start leaves what a fresh machine leaves', () => {
    const again = startSource(KERNEL, { env: ['A=1'] });
    const start = again.machine.snapshot();
    for (const line of [...lines, ...lines]) {
      const fresh = startSource(KERNEL, { env: ['A=1'], args: line === '' ? [] : [line] });
      again.machine.restore(start);
      again.machine.setArguments(line === '' ? [] : [line]);
      assert.deepEqual(finish(again.machine), finish(fresh.machine));
      assert.deepEqual(results(again).notes, results(fresh).notes);
      assert.equal(again.machine.digest(), fresh.machine.digest());
      assert.deepEqual(again.machine.stats(), fresh.machine.stats());
    }
  });

  it('takes no other command line once the kernel has run', () => {
    const { machine } = startSource(KERNEL);
    machine.run(10);
    assert.throws(() => machine.setArguments(['late']), /has run: restore the snapshot/);
  });
});
