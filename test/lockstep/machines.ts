/**
 * One scenario on three machines: interpreted; translated, at the same slices; translated by other thresholds, with every slice cut again, snapshots taken, and parts
 * of slices done twice from a snapshot. Registers, counts, cycles and memory are compared after every slice.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { InterruptionType, RunStop } from '../../emulator/cpu/engine-api.ts';
import type { Fault } from '../../emulator/cpu/engine-api.ts';
import type { CpuContext } from '../../emulator/cpu/context.ts';
import type { ExecutionEngine } from '../../emulator/cpu/engine.ts';
import * as L from '../../emulator/cpu/layout.ts';
import { createProcessor } from '../../emulator/cpu/processor.ts';
import type { TranslatorOptions } from '../../emulator/cpu/region/translator.ts';
import { EventBus } from '../../emulator/machine/events.ts';
import { Snapshots } from '../../emulator/machine/snapshots.ts';
import type { MachineSnapshot } from '../../emulator/machine/snapshots.ts';
import { createVmx } from '../../emulator/vmx/vmx.ts';
import { MODEL } from '../isa/fuzz/forms.ts';
import type { Random } from '../isa/support/random.ts';
import { install, RAM_BYTES } from './guest.ts';
import type { Guest } from './guest.ts';

const dist = process.env['DUNE_DIST'] ?? join(import.meta.dirname, '../../dist');
const FLAG_IF = 0x200;
/** Blocking by STI or MOV SS. */
const SHADOW = 3;

let assets: { core: WebAssembly.Module; interpreter: WebAssembly.Module; forms: unknown } | undefined;
function loadAssets(): NonNullable<typeof assets> {
  const wasm = (name: string): WebAssembly.Module => new WebAssembly.Module(readFileSync(join(dist, name)));
  const forms = JSON.parse(readFileSync(join(dist, 'forms.json'), 'utf8')) as unknown;
  return (assets ??= { core: wasm('core.wasm'), interpreter: wasm('interpreter.wasm'), forms });
}

interface Saved {
  readonly machine: MachineSnapshot;
  readonly interrupts: readonly number[];
}

export class LockStepMachine {
  readonly context: CpuContext;
  readonly #snapshots: Snapshots;
  /** External interrupts that wait for RFLAGS.IF. */
  #interrupts: number[] = [];

  constructor(
    readonly name: string,
    translate?: TranslatorOptions,
  ) {
    this.context = createProcessor(loadAssets(), {
      ramBytes: RAM_BYTES,
      physBits: 39,
      cpus: 1,
      events: new EventBus(),
      createVmx,
      pendingInterrupt: ({ mem }) => this.#take(mem),
      model: MODEL,
      ...(translate ? { translate } : {}),
    });
    const { context } = this;
    const position = { thread: 0, cycles: 0, mode: 'root' } as const;
    context.events.context = () => ({
      ...position,
      instructions: context.engine.retired,
      rip: context.cpu.rip,
      cpl: context.cpu.cpl,
    });
    const nothing = { save: () => undefined, restore: () => {} };
    this.#snapshots = new Snapshots(context, nothing);
  }

  #take(mem: CpuContext['mem']): Fault | undefined {
    if (this.#interrupts.length === 0) return undefined;
    if (!(mem.get32(L.SYSTEM_FLAGS) & FLAG_IF) || mem.get32(L.INTERRUPTIBILITY) & SHADOW) return undefined;
    mem.set32(L.ACTIVITY, 0);
    return { kind: 'exception', vector: this.#interrupts.shift()!, type: InterruptionType.External };
  }

  start(guest: Guest): void {
    const { engine, mmu, physical, mem } = this.context;
    this.#interrupts = [];
    physical.fill(0, RAM_BYTES);
    mem.set32(L.FAULT_KIND, 0);
    mem.bytes.fill(0, L.STATE, L.STATE + L.STATE_SIZE);
    engine.reset();
    mmu.flushAll();
    this.context.faultChain = [];
    engine.retired = 0;
    install(this.context, guest);
  }
  raise(vector: number): void {
    this.#interrupts.push(vector);
  }
  raiseNmi(): void {
    const { mem } = this.context;
    mem.set32(L.PENDING_EVENTS, mem.get32(L.PENDING_EVENTS) | L.PENDING_NMI);
  }

  run(instructions: number): RunStop {
    return this.context.engine.run(instructions);
  }
  /** As `run`, in pieces, with snapshots between them of which some are gone back to. */
  runCut(instructions: number, random: Random): RunStop {
    const { engine } = this.context;
    const end = engine.retired + instructions;
    for (;;) {
      const left = end - engine.retired;
      const length = random.oneIn(3) ? left : 1 + random.below(left);
      const saved = random.oneIn(3) ? this.#save() : undefined;
      if (saved && random.oneIn(2)) {
        this.run(1 + random.below(2 * length));
        this.#load(saved);
      }
      const stop = this.run(length);
      if (stop !== RunStop.Budget || engine.retired >= end) return stop;
    }
  }
  #save(): Saved {
    return {
      machine: this.#snapshots.save({ exits: {}, lastThread: 0, standing: undefined }),
      interrupts: [...this.#interrupts],
    };
  }
  #load({ machine, interrupts }: Saved): void {
    this.#snapshots.load(machine);
    this.#interrupts = [...interrupts];
  }

  get ram(): Uint8Array {
    return this.context.mem.bytes.subarray(L.RAM_BASE, L.RAM_BASE + RAM_BYTES);
  }
  get state(): Uint8Array {
    this.context.cpu.forgetDeadFlags();
    return this.context.mem.bytes.subarray(L.STATE, L.STATE + L.STATE_SIZE);
  }
  get regions(): number {
    return (this.context.engine as ExecutionEngine).translator?.translated ?? 0;
  }
}

export type Machines = readonly [LockStepMachine, LockStepMachine, LockStepMachine];

export function createMachines(): Machines {
  return [
    new LockStepMachine('interpreted'),
    new LockStepMachine('translated', { threshold: 2, batch: 2, modules: 40, mostSteps: 2 }),
    new LockStepMachine('translated, in pieces', { threshold: 3, batch: 1, modules: 1000, mostSteps: 1 }),
  ];
}

const REGISTERS = 'rax rcx rdx rbx rsp rbp rsi rdi r8 r9 r10 r11 r12 r13 r14 r15'.split(' ');
const hex = (value: number): string => `0x${value.toString(16)}`;

/** What differs between a machine and the interpreted one, in words. */
export function difference(one: LockStepMachine, other: LockStepMachine): string | undefined {
  if (one.context.engine.retired !== other.context.engine.retired)
    return `${other.context.engine.retired} instructions, ${one.name} ${one.context.engine.retired}`;
  const states = Buffer.compare(one.state, other.state) !== 0;
  const memory = Buffer.compare(one.ram, other.ram) !== 0;
  if (!states && !memory) return undefined;
  const found: string[] = [];
  for (let at = 0; at < L.STATE_SIZE && found.length < 8; at += 8) {
    const [a, b] = [one, other].map(({ context }) => context.mem.get64(L.STATE + at));
    const register = REGISTERS[at >> 3];
    if (a !== b)
      found.push(`${register ?? `state ${hex(L.STATE + at)}`} ${b!.toString(16)}, ${one.name} ${a!.toString(16)}`);
  }
  for (let at = 0; memory && at < RAM_BYTES && found.length < 12; at++)
    if (one.ram[at] !== other.ram[at])
      found.push(`memory ${hex(at)} ${hex(other.ram[at]!)}, ${one.name} ${hex(one.ram[at]!)}`);
  return found.join('; ');
}
