/** Snapshots of the whole machine: CPU state, TLBs, frames, kernel objects. */
import type { CpuContext } from '../cpu/context.ts';
import * as L from '../cpu/layout.ts';
import type { Snapshot, StopReason } from './api.ts';
import { Digest } from './digest.ts';
import type { EventBusState } from './events.ts';
import { type FrameImages, FrameStore } from './frame-store.ts';
import type { Personality } from './personality.ts';

/** What the machine itself remembers. */
export interface MachineExtra {
  readonly exits: Record<string, number>;
  readonly lastThread: number;
  readonly standing: { thread: number; gva: bigint } | undefined;
  readonly lastStop?: StopReason;
}

export interface MachineSnapshot extends Snapshot {
  readonly state: Uint8Array;
  readonly tlb: unknown;
  readonly frames: FrameImages;
  readonly kernel: unknown;
  readonly events: EventBusState;
  readonly extra: MachineExtra;
}

export class Snapshots {
  readonly #frames: FrameStore;

  constructor(
    readonly context: CpuContext,
    readonly kernel: Pick<Personality, 'save' | 'restore'>,
  ) {
    this.#frames = new FrameStore(context.physical, context.core);
  }

  save(extra: MachineExtra): MachineSnapshot {
    const { cpu, engine, events, mmu } = this.context;
    const frames = this.#frames.save();
    mmu.protectAllFrames();
    return {
      instructions: engine.retired,
      state: cpu.save(),
      tlb: mmu.save(),
      frames,
      kernel: this.kernel.save(),
      events: events.save(),
      extra: structuredClone(extra),
    };
  }

  load(snapshot: MachineSnapshot): MachineExtra {
    const { cpu, engine, events, mmu, mem } = this.context;
    this.#frames.load(snapshot.frames, (pfn) => {
      if (mem.get64(L.CODE_BITMAP + pfn * 8) !== 0n) engine.invalidateCode(pfn);
    });
    cpu.load(snapshot.state);
    this.kernel.restore(snapshot.kernel);
    mmu.restore(snapshot.tlb);
    engine.retired = snapshot.instructions;
    events.restore(snapshot.events);
    events.speak();
    engine.contextChanged();
    return structuredClone(snapshot.extra);
  }

  /** Of everything the future depends on. */
  digest(): string {
    const { cpu, engine } = this.context;
    const digest = new Digest();
    digest.bytes(cpu.save());
    digest.value(engine.retired);
    for (const { pfn, bytes } of this.#frames.contents()) {
      digest.word(pfn);
      digest.bytes(bytes);
    }
    digest.value(this.kernel.save());
    return digest.toString();
  }
}
