import assert from 'node:assert/strict';
import * as L from '../cpu/layout.ts';
import { LinearMemory } from '../cpu/state.ts';
import { PhysicalMemory } from '../mmu/physical.ts';
import {
  allocateFrame,
  allocateHuge,
  createFrames,
  reference,
  release,
  releaseHuge,
  restoreFrames,
  saveFrames,
  type FrameState,
} from './frames.ts';

const RAM = 64 << 20;

describe('frames', () => {
  const memory = new PhysicalMemory(
    new LinearMemory(new WebAssembly.Memory({ initial: (L.RAM_BASE + RAM) / 65536 })),
    RAM,
  );
  const facts = ({ references, dirtied, used, lowest, free }: FrameState): unknown => ({
    references: references.slice(),
    dirtied: dirtied.slice(),
    used: used.slice(),
    lowest,
    free,
  });

  it('are saved as they are, and restored so, however the saves share what has not changed', () => {
    const frames = createFrames(RAM);
    let seed = 1;
    const below = (n: number): number => {
      seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
      return Math.floor((seed / 2 ** 32) * n);
    };
    const held: number[] = [];
    const huge: number[] = [];
    const kept: { images: ReturnType<typeof saveFrames>; facts: unknown }[] = [];
    for (let step = 0; step < 3000; step++) {
      const what = below(100);
      if (what < 60) held.push(allocateFrame(frames, memory));
      else if (what < 80 && held.length > 0) release(frames, held.splice(below(held.length), 1)[0]!);
      else if (what < 90 && held.length > 0) {
        const frame = held[below(held.length)]!;
        reference(frames, frame);
        held.push(frame);
      } else if (what < 93) {
        const page = allocateHuge(frames, memory);
        if (page >= 0) huge.push(page);
      } else if (what < 96 && huge.length > 0) releaseHuge(frames, huge.pop()!);
      else kept.push({ images: saveFrames(frames), facts: facts(frames) });
    }
    assert.ok(kept.length > 50);
    for (const { images, facts: then } of kept) {
      const restored = restoreFrames(images, RAM);
      assert.deepEqual(facts(restored), then);
      assert.deepEqual(saveFrames(restored), images);
    }
    const [first, second] = [saveFrames(frames), saveFrames(frames)];
    assert.ok(first.references.every((chunk, index) => chunk === second.references[index]));
  });
});
