/** A kernel over RAM alone, without an engine: enough for memory, files and loading. */
import type { CpuContext } from '../cpu/context.ts';
import * as L from '../cpu/layout.ts';
import { CpuState, LinearMemory } from '../cpu/state.ts';
import type { HostFiles, MachineOptions } from '../machine/api.ts';
import { EventBus } from '../machine/events.ts';
import { PhysicalMemory } from '../mmu/physical.ts';
import { allocateFrame } from './frames.ts';
import { emptyState, firstProcess } from './kernel.ts';
import { createMemoryMap } from './mm.ts';
import type { Linux, Process } from './state.ts';

export interface Bench {
  readonly linux: Linux;
  readonly process: Process;
  /** How often the TLB was told of a change. */
  invalidations: number;
}

const NO_FILES: HostFiles = { stat: () => undefined, readFile: () => undefined, readDirectory: () => undefined };

export function createBench(bytesOfRam = 16 << 20, options: Partial<MachineOptions> = {}): Bench {
  const memory = new WebAssembly.Memory({ initial: (L.RAM_BASE + bytesOfRam) / 65536 });
  const mem = new LinearMemory(memory);
  const physical = new PhysicalMemory(mem, bytesOfRam);
  const whole: MachineOptions = {
    program: { path: '/bin/test', image: new Uint8Array(0) },
    args: [],
    env: [],
    cwd: '/',
    grants: [],
    files: NO_FILES,
    syscalls: 'modern',
    physBits: 46,
    cpus: 1,
    memory: bytesOfRam,
    seed: 1,
    aslr: false,
    output: () => {},
    ...options,
  };
  const bench = { invalidations: 0 };
  const mmu = { flushAll: () => void bench.invalidations++, invalidatePage: () => void bench.invalidations++ };
  const linux = {
    context: {} as CpuContext,
    mem,
    cpu: new CpuState(mem),
    engine: {},
    mmu,
    events: new EventBus(),
    memory: physical,
    options: whole,
    dune: undefined,
    state: emptyState(whole, bytesOfRam),
    blobs: new Map(),
    entering: false,
  } as unknown as Linux;
  linux.state.zeroFrame = allocateFrame(linux.state.frames, physical);
  const process = firstProcess(linux, 1000, createMemoryMap(linux)!);
  linux.state.processes.set(1000, process);
  return Object.assign(bench, { linux, process });
}
