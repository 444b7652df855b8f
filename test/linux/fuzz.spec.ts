/** Damaged ELF files: a LaunchError or a started program, never another exception or a hang. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { LaunchError } from '../../emulator/linux/api.ts';
import { loadProgram } from '../../emulator/linux/exec.ts';
import { createBlobInode, dropPages } from '../../emulator/linux/fs/inode.ts';
import { createMemoryMap, releaseMemoryMap } from '../../emulator/linux/mm.ts';
import { createBench } from '../../emulator/linux/test-support.ts';
import { compile, runEmulated, start } from './support.ts';

const IMAGES = 2000;
const STARTED = 40;

/** A small generator, so that a seed names a failure. */
function generator(seed: number): (limit: number) => number {
  let state = seed >>> 0 || 1;
  return (limit) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % limit;
  };
}

function mutate(original: Uint8Array, random: (limit: number) => number): Uint8Array {
  const bytes = original.slice(0, random(8) === 0 ? random(original.length) : original.length);
  for (let changes = 1 + random(6); changes > 0 && bytes.length > 0; changes--) {
    // The headers are where damage matters.
    const at = random(Math.min(bytes.length, random(4) === 0 ? bytes.length : 0x300));
    const interesting = [0, 1, 0x7f, 0x80, 0xff, random(256)];
    bytes[at] = interesting[random(interesting.length)]!;
    if (random(6) === 0) bytes.fill(0xff, at, at + 8);
  }
  return bytes;
}

describe('Mutated ELF files', function () {
  this.timeout(120_000);
  const seed = Number(process.env['SEED'] ?? Date.now() & 0xffffff);

  it(`load or are refused (seed ${seed})`, () => {
    const original = new Uint8Array(readFileSync(compile('hello', 'gcc', ['-O2', '-static'])));
    const random = generator(seed);
    const { linux, process: task } = createBench();
    let loaded = 0;
    releaseMemoryMap(linux, task.mm);
    const before = linux.state.frames.free;
    for (let index = 0; index < IMAGES; index++) {
      const image = mutate(original, random);
      task.mm = createMemoryMap(linux)!;
      const inode = createBlobInode(linux, '/bin/x', 0o755, image);
      try {
        loadProgram(linux, task, {
          path: '/bin/x',
          inode,
          image,
          argv: ['/bin/x'],
          envp: [],
          hardware: { capabilities: 0, capabilities2: 0, leastSignalStack: 1776 },
        });
        loaded++;
      } catch (error) {
        assert.ok(error instanceof LaunchError, `image ${index}: ${String(error)}`);
        assert.match(error.message, /^\/bin\/x: [^\n]+\.$/, `image ${index}`);
      }
      releaseMemoryMap(linux, task.mm);
      dropPages(linux, inode);
      linux.blobs.clear();
    }
    assert.equal(linux.state.frames.free, before);
    assert.ok(loaded > 100 && loaded < IMAGES - 100, `${loaded} loaded`);
  });

  it(`start and end or run on (seed ${seed})`, () => {
    const path = compile('hello', 'gcc', ['-O2', '-static']);
    const original = new Uint8Array(readFileSync(path));
    const random = generator(seed);
    for (let index = 0; index < STARTED; index++) {
      const image = mutate(original, random);
      try {
        const machine = start(path, [], { program: { path, image }, memory: 64 << 20 }, { out: '', err: '' });
        const stop = machine.run(30_000);
        assert.ok(['exited', 'budget', 'deadlock', 'input'].includes(stop.kind), `image ${index}: ${stop.kind}`);
      } catch (error) {
        assert.ok(error instanceof LaunchError, `image ${index}: ${(error as Error).stack}`);
      }
    }
  });
});

describe('System calls with senseless arguments', function () {
  this.timeout(120_000);
  const seed = Number(process.env['SEED'] ?? Date.now() & 0xffffff) + 1;
  it(`leave the kernel standing (seed ${seed})`, () => {
    const { out, stop } = runEmulated(compile('chaos', 'gcc', ['-O2', '-static']), [String(seed)], '', {
      memory: 128 << 20,
    });
    // The program may have closed its output or hurt itself; the emulator may not have.
    assert.ok(stop.kind === 'exited' || stop.kind === 'deadlock', stop.kind);
    if (stop.kind === 'exited' && stop.status === 0) assert.ok(out === '' || out.includes('survived'));
  });
});
