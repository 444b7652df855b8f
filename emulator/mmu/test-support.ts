/** For specs: the core without the engine, a small RAM, and tables built entry by entry. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as L from '../cpu/layout.ts';
import { CpuState, LinearMemory } from '../cpu/state.ts';
import { EventBus } from '../machine/events.ts';
import type { MmuCore } from './core.ts';
import { type MemoryManagement, createMmu } from './mmu.ts';
import { eptLevels } from './modes.ts';
import { PhysicalMemory } from './physical.ts';

const CORE = join(import.meta.dirname, '../../dist/core.wasm');
const RAM_BYTES = 16 << 20;

/** The slow paths the interpreter calls. i64 parameters are bigint. */
export interface SlowPaths extends MmuCore {
  slowLoad(gva: bigint, size: number, site: number): number;
  slowLoadForWrite(gva: bigint, size: number, site: number): number;
  slowStore(gva: bigint, size: number, site: number, value: bigint): number;
  slowStore128(gva: bigint, site: number): number;
  probeWrite(gva: bigint, bytes: number): number;
  translate(gva: bigint, access: number): number;
  setCareful(on: number): void;
}

export interface TestMachine {
  readonly mem: LinearMemory;
  readonly cpu: CpuState;
  readonly core: SlowPaths;
  readonly physical: PhysicalMemory;
  readonly mmu: MemoryManagement;
  readonly events: EventBus;
  /** Stores told by `observedWrite`. */
  readonly observed: { hpa: number; bytes: number }[];
  /** A zeroed frame that nothing else uses. */
  frame(): number;
  /**
   * Makes a guest mapping in the tables of CR3, in guest-physical addresses equal to host-physical ones.
   * @param leaf bits of the leaf entry: rights, and the target address
   * @param level of the leaf: 1 4 KB, 2 2 MB, 3 1 GB
   * @returns HPA of the leaf entry
   */
  map(gva: bigint, leaf: bigint, level?: number, tableBits?: bigint): number;
  /** The same in the EPT of EPTP. */
  mapEpt(gpa: number, leaf: bigint, level?: number, tableBits?: bigint): number;
}

let compiled: WebAssembly.Module | undefined;

/** What the core calls. Set once memory management is there. */
interface Hooks {
  watch?: MemoryManagement['watch'];
}

function instantiate(memory: WebAssembly.Memory, observed: TestMachine['observed'], hooks: Hooks): SlowPaths {
  const calls: Record<string, (...args: never[]) => unknown> = {
    observedWrite: (hpa: number, bytes: number) => {
      observed.push({ hpa, bytes });
      hooks.watch?.written(hpa, bytes, true);
    },
    tableFound: (hpa: number, ept: number) => hooks.watch?.tableFound(hpa, ept === 1),
    staleUse: (gva: bigint, access: number) => (hooks.watch?.used(BigInt.asUintN(64, gva), access) ? 1 : 0),
  };
  compiled ??= new WebAssembly.Module(readFileSync(CORE));
  const imports: Record<string, Record<string, WebAssembly.ImportValue>> = {};
  for (const { module, name, kind } of WebAssembly.Module.imports(compiled)) {
    const values = (imports[module] ??= {});
    if (kind === 'memory') values[name] = memory;
    else if (calls[name]) values[name] = calls[name];
    else values[name] = () => assertNever(`${module}.${name}`);
  }
  return new WebAssembly.Instance(compiled, imports).exports as unknown as SlowPaths;
}

function assertNever(name: string): never {
  throw new Error(`the core called ${name}`);
}

/** Paging on with CR0.WP, CR4.PAE and PGE, EFER.NXE; CPL 0; EPT off; 39 physical-address bits. */
export function createTestMachine(): TestMachine {
  const memory = new WebAssembly.Memory({ initial: (L.RAM_BASE + RAM_BYTES) >> 16 });
  const observed: TestMachine['observed'] = [];
  const mem = new LinearMemory(memory);
  const hooks: Hooks = {};
  const core = instantiate(memory, observed, hooks);
  const physical = new PhysicalMemory(mem, RAM_BYTES);
  mem.set32(L.RAM_SIZE, RAM_BYTES);
  mem.set32(L.PHYS_BITS, 39);
  let next = 0x10_0000;
  const frame = (): number => (next += 4096) - 4096;
  mem.set64(L.CR0, 0x8001_0033n);
  mem.set64(L.CR3, BigInt(frame()));
  mem.set64(L.CR4, 0xa0n);
  mem.set64(L.MSR_EFER, 0xd01n);
  const events = new EventBus();
  const mmu = createMmu({ mem, core, events });
  hooks.watch = mmu.watch;
  physical.onWatchedWrite = (hpa, bytes) => mmu.watch.written(hpa, bytes, false);

  const build = (
    root: number,
    address: bigint,
    leaf: bigint,
    level: number,
    tableBits: bigint,
    rights: bigint,
    top = 4,
  ): number => {
    let table = root;
    for (let at = top; at > level; at--) {
      const slot = table + Number((address >> BigInt(9 * at + 3)) & 511n) * 8;
      if ((physical.read64(slot) & rights) === 0n) physical.write64(slot, BigInt(frame()) | tableBits);
      table = Number(physical.read64(slot) & 0x000f_ffff_ffff_f000n);
    }
    const slot = table + Number((address >> BigInt(9 * level + 3)) & 511n) * 8;
    physical.write64(slot, leaf);
    return slot;
  };
  return {
    mem,
    cpu: new CpuState(mem),
    core,
    physical,
    mmu,
    events,
    observed,
    frame,
    map: (gva, leaf, level = 1, tableBits = 7n) =>
      build(Number(mem.get64(L.CR3) & 0x000f_ffff_ffff_f000n), gva, leaf, level, tableBits, 1n),
    mapEpt: (gpa, leaf, level = 1, tableBits = 7n) =>
      build(
        Number(mem.get64(L.EPTP) & 0x000f_ffff_ffff_f000n),
        BigInt(gpa),
        leaf,
        level,
        tableBits,
        7n,
        eptLevels(mem) || 4,
      ),
  };
}
