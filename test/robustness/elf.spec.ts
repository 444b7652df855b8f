/**
 * Damaged ELF files: launching one says in one sentence what is wrong, or the program starts and runs; never an exception, a hang or memory without
 * bound. Most of them go through one machine, put back by a snapshot from before it loaded a program; some through `createMachine` itself.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { loadAssets } from '../../debug-adapter/hosting/node/assets.ts';
import { nodeHostFiles } from '../../debug-adapter/hosting/node/host-files.ts';
import { RunStop } from '../../emulator/cpu/engine-api.ts';
import { LaunchError } from '../../emulator/linux/api.ts';
import type { MachineOptions } from '../../emulator/machine/api.ts';
import { assemble } from '../../emulator/machine/assemble.ts';
import { createMachine } from '../../emulator/machine/machine.ts';
import { Snapshots } from '../../emulator/machine/snapshots.ts';
import { compile, has } from '../linux/support.ts';
import { buildExamples, example, root } from '../dune/support.ts';

const IMAGES = 2000;
/** Of these, the ones launched through `createMachine`. */
const WHOLE = 40;
const INSTRUCTIONS = 200_000;
const MEMORY = 64 << 20;
/** Growth of the JavaScript heap over all images that is taken for a leak. */
const MOST_GROWTH = 100 << 20;

type Random = (limit: number) => number;
/** xorshift32, so that a seed names a failure. */
function generator(seed: number): Random {
  let state = seed >>> 0 || 1;
  return (limit) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % limit;
  };
}

const ELF_HEADER = 64;
const PROGRAM_HEADER = 56;
/** Offset and width of the fields of the ELF header and of a program header, in bytes. */
const HEADER_FIELDS = [
  [4, 1], [5, 1], [6, 1], [7, 1], [16, 2], [18, 2], [20, 4], [24, 8], [32, 8], [40, 8], [48, 4], [52, 2], [54, 2], [56, 2], [58, 2],
] as const; // prettier-ignore
const PROGRAM_FIELDS = [[0, 4], [4, 4], [8, 8], [16, 8], [24, 8], [32, 8], [40, 8], [48, 8]] as const; // prettier-ignore
const VALUES = [0n, 1n, 2n, 3n, 7n, 8n, 0x38n, 0xfffn, 0x1000n, 0x1001n, 0x400000n, 0x7fffffffn, 0x80000000n, 0xffffffffn].concat(
  [0x100000000n, 0x7ffffffff000n, 0x7fffffffffffn, 0x800000000000n, 0xffff800000000000n, 0x7fffffffffffffffn, 0xffffffffffffffffn],
); // prettier-ignore

function fuzzHeader(bytes: Uint8Array, random: Random): void {
  const inHeader = random(4) === 0;
  const fields = inHeader ? HEADER_FIELDS : PROGRAM_FIELDS;
  const [offset, width] = fields[random(fields.length)]!;
  const at = inHeader ? offset : ELF_HEADER + random(bytes[56] || 1) * PROGRAM_HEADER + offset;
  if (at + width > bytes.length) return;
  const view = new DataView(bytes.buffer, bytes.byteOffset + at, width);
  let value = 0n;
  for (let i = 0; i < width; i++) value |= BigInt(view.getUint8(i)) << BigInt(i * 8);
  if (random(3) === 0) value += BigInt(random(0x2001) - 0x1000);
  else value = VALUES[random(VALUES.length)]!;
  for (let i = 0; i < width; i++) view.setUint8(i, Number((value >> BigInt(i * 8)) & 255n));
}

function flipBits(bytes: Uint8Array, random: Random): void {
  const limit = random(3) === 0 ? Math.min(0x300, bytes.length) : bytes.length;
  for (let flips = 1 + random(32); flips > 0 && limit > 0; flips--) bytes[random(limit)]! ^= 1 << random(8);
}

function mutate(original: Uint8Array, random: Random): Uint8Array {
  const kind = random(8);
  const bytes = original.slice(0, kind === 0 ? random(original.length) : original.length);
  if (kind >= 1 && kind <= 4) flipBits(bytes, random);
  if (kind >= 4) for (let fields = 1 + random(3); fields > 0; fields--) fuzzHeader(bytes, random);
  return bytes;
}

const options = (image: () => Uint8Array): MachineOptions => ({
  program: {
    path: '/home/user/program',
    get image() {
      return image();
    },
  },
  args: [],
  env: [],
  cwd: '/',
  grants: [],
  files: nodeHostFiles,
  syscalls: 'modern',
  physBits: 46,
  cpus: 1,
  memory: MEMORY,
  seed: 1,
  aslr: false,
  output: () => {},
});
/** Bytes in use after a collection. */
function heapUsed(): number {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
  return process.memoryUsage().heapUsed;
}

const assets = () => loadAssets(join(root, 'dist'));
const ONE_SENTENCE = /^\/home\/user\/program: [^\n]+[^\n.]\.$/;

describe('Damaged ELF files', function () {
  this.timeout(120_000);
  const seed = Number(process.env['SEED'] ?? Date.now() & 0xffffff);
  let originals: Uint8Array[] = [];

  before(function () {
    if (!has('gcc')) return this.skip();
    buildExamples();
    const paths = [compile('hello', 'gcc', ['-O2', '-static']), example('hello')];
    originals = paths.map((path) => new Uint8Array(readFileSync(path)));
  });

  it(`${IMAGES - WHOLE} in one machine (seed ${seed})`, () => {
    const random = generator(seed);
    let image = originals[0]!;
    const { context, kernel } = assemble(
      assets(),
      options(() => image),
    );
    const snapshots = new Snapshots(context, kernel);
    const empty = snapshots.save({ exits: {}, lastThread: 0, standing: undefined });
    const run = (): void => {
      const end = context.engine.retired + INSTRUCTIONS;
      while (context.engine.retired < end && kernel.schedule() === 'run')
        if (context.engine.run(Math.min(end - context.engine.retired, kernel.quantum())) === RunStop.Halted)
          kernel.halted();
    };
    const heapBefore = heapUsed();
    const slowest = { milliseconds: 0, index: 0 };
    let started = 0;
    for (let index = 0; index < IMAGES - WHOLE; index++) {
      image = mutate(originals[index % originals.length]!, random);
      const start = performance.now();
      snapshots.load(empty);
      try {
        kernel.start();
        started++;
        run();
      } catch (error) {
        assert.ok(error instanceof LaunchError, `image ${index}: ${(error as Error).stack}`);
        assert.match(error.message, ONE_SENTENCE, `image ${index}`);
      }
      const milliseconds = performance.now() - start;
      if (milliseconds > slowest.milliseconds) Object.assign(slowest, { milliseconds, index });
    }
    const growth = heapUsed() - heapBefore;
    console.log(
      `    ${started} started; slowest ${slowest.milliseconds.toFixed(0)} ms (image ${slowest.index}); heap +${(growth / 1e6).toFixed(0)} MB`,
    );
    assert.ok(started > IMAGES / 5 && started < IMAGES, `${started} started`);
    assert.ok(growth < MOST_GROWTH, `the heap grew by ${growth} bytes`);
  });

  it(`${WHOLE} in machines of their own (seed ${seed})`, () => {
    const random = generator(seed + 1);
    const loaded = assets();
    for (let index = 0; index < WHOLE; index++) {
      const image = mutate(originals[index % originals.length]!, random);
      try {
        createMachine(
          loaded,
          options(() => image),
        ).run(INSTRUCTIONS);
      } catch (error) {
        assert.ok(error instanceof LaunchError, `image ${index}: ${(error as Error).stack}`);
        assert.match(error.message, ONE_SENTENCE, `image ${index}`);
      }
    }
  });

  describe('say what is wrong', () => {
    const folder = join(root, 'dist/test-robustness');
    const build = (...flags: string[]): Uint8Array => {
      mkdirSync(folder, { recursive: true });
      writeFileSync(join(folder, 'main.c'), 'int main(void) { return 0; }\n');
      execFileSync('gcc', [...flags, '-o', join(folder, 'out'), join(folder, 'main.c')], { stdio: 'pipe' });
      return new Uint8Array(readFileSync(join(folder, 'out')));
    };
    const patched = (offset: number, ...bytes: number[]): Uint8Array => {
      const image = originals[0]!.slice();
      image.set(bytes, offset);
      return image;
    };
    const cases: [string, () => Uint8Array, string][] = [
      ['empty', () => new Uint8Array(0), 'the file is empty; build the program again.'],
      ['a script', () => Buffer.from('#!/bin/sh\n'), 'this is a script, not a program; name the ELF executable itself.'],
      ['text', () => Buffer.from('hello'), 'this is not an ELF file; name a static x86-64 Linux executable.'],
      ['cut in the header', () => originals[0]!.slice(0, 40), 'the file ends inside the ELF header; build or copy the program again.'],
      ['cut in the program headers', () => originals[0]!.slice(0, 100), 'the program headers lie beyond the end of the file; build or copy the program again.'],
      ['cut in a segment', () => originals[0]!.slice(0, 0x2000), 'segment 1 lies beyond the end of the file; the file is damaged or was linked wrongly.'],
      ['32-bit', () => patched(4, 1), 'this is a 32-bit program; build it for x86-64 (without -m32 or -mx32).'],
      ['big-endian', () => patched(5, 2), 'this is a big-endian program; build it for x86-64.'],
      ['of another machine', () => patched(18, 183, 0), 'this program is for AArch64; build it for x86-64.'],
      ['of an unknown machine', () => patched(18, 0x34, 0x12), 'this program is for ELF machine 4660; build it for x86-64.'],
      ['an object file', () => build('-c'), 'this is an object file, not a program; link it (gcc -static).'],
      ['a core dump', () => patched(16, 4, 0), 'this is a core dump, not a program.'],
      ['dynamic, PIE', () => build('-pie', '-fPIE'), 'this program is dynamically linked (it asks for a program interpreter); link it with -static.'],
      ['dynamic, not PIE', () => build('-no-pie'), 'this program is dynamically linked (it asks for a program interpreter); link it with -static.'],
    ]; // prettier-ignore
    for (const [what, image, sentence] of cases)
      it(what, () => {
        const bytes = image();
        assert.throws(
          () =>
            createMachine(
              assets(),
              options(() => bytes),
            ),
          (error: unknown) => {
            assert.ok(error instanceof LaunchError, (error as Error).stack);
            assert.equal(error.message, `/home/user/program: ${sentence}`);
            return true;
          },
        );
      });
  });
});
