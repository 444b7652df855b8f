/** Puts a processor together: engine, memory management, system instructions, VT-x. */
import type { MachineAssets } from '../machine/api.ts';
import type { EventBus } from '../machine/events.ts';
import type { MmuCore } from '../mmu/core.ts';
import { createMmu } from '../mmu/mmu.ts';
import { PhysicalMemory } from '../mmu/physical.ts';
import type { Vmx } from '../vmx/api.ts';
import type { CpuContext, PendingInterrupt } from './context.ts';
import { ExecutionEngine } from './engine.ts';
import type { HandlerTable } from './interpreter/keys.ts';
import * as L from './layout.ts';
import { TRANSLATOR_DEFAULTS } from './region/translator.ts';
import type { TranslatorOptions } from './region/translator.ts';
import { deliver } from './system/exceptions.ts';
import { explainAlignment } from './system/alignment.ts';
import { takeCoreFault } from './system/fault.ts';
import { executeSystem } from './system/index.ts';
import { DEFAULT_MODEL } from './system/models.ts';
import type { CpuModel } from './system/models.ts';

export interface ProcessorOptions {
  /** Bytes of RAM, a multiple of 64 KB. */
  readonly ramBytes: number;
  /** MAXPHYADDR, in bits. */
  readonly physBits: number;
  /** Logical CPUs. */
  readonly cpus: number;
  /** Translate hot code (default false). */
  readonly translate?: boolean | Partial<TranslatorOptions>;
  /** Absent: all that is implemented. */
  readonly model?: CpuModel;
  readonly events: EventBus;
  readonly createVmx: (context: CpuContext) => Vmx;
  readonly pendingInterrupt: PendingInterrupt;
}

/** State is all zero afterwards: the caller resets it (cpu/system/reset.ts) and calls `engine.contextChanged()`. */
export function createProcessor(assets: Omit<MachineAssets, 'disassembler'>, options: ProcessorOptions): CpuContext {
  const { events, cpus, translate, model = DEFAULT_MODEL } = options;
  const engine = new ExecutionEngine(
    { core: assets.core, interpreter: assets.interpreter, forms: assets.forms as HandlerTable },
    {
      ramBytes: options.ramBytes,
      physBits: options.physBits,
      model,
      device: {
        read: (hpa, into) => context.board?.readMemory(hpa, into),
        write: (hpa, data) => context.board?.writeMemory(hpa, data),
      },
      ...(translate ? { translate: { ...TRANSLATOR_DEFAULTS, ...(translate === true ? {} : translate) } } : {}),
    },
  );
  const { mem, cpu, core } = engine;
  const physical = new PhysicalMemory(mem, options.ramBytes, (pfn) => engine.invalidateCode(pfn));
  const mmu = createMmu({ mem, core: core as unknown as MmuCore, events });
  const { watch } = mmu;
  engine.onTableFound = (hpa, ept) => watch.tableFound(hpa, ept);
  engine.onStaleUse = (gva, access) => watch.used(gva, access);
  engine.onObservedWrite = (hpa, bytes) => watch.written(hpa, bytes, true);
  physical.onWatchedWrite = (hpa, bytes) => watch.written(hpa, bytes, false);
  const addCycles = (cycles: number): void => mem.add64(L.CYCLES, cycles);
  const context: CpuContext = {
    mem,
    cpu,
    core,
    physical,
    engine,
    mmu,
    get vmx() {
      return vmx;
    },
    events,
    model,
    cpuIndex: 0,
    cpus,
    vectoring: undefined,
    faultChain: [],
    addCycles,
    cycles: () => mem.get64(L.CYCLES),
    describeSyscall: (number) => ({ name: `syscall_${number}`, text: `syscall_${number}` }),
    random64: () => mem.get64(L.RETIRED),
    endOfInterrupt: () => {},
    onVmExit: () => {},
    onPortAccess: () => {},
    onTimePassed: () => {},
    board: undefined,
    onGuestException: () => {},
  };
  const vmx = options.createVmx(context);
  engine.hooks = {
    system: (insn) => executeSystem(context, insn),
    deliver: (fault) => deliver(context, fault),
    takeFault: () => explainAlignment(context, takeCoreFault(context)),
    exitByViolation: () => vmx.exitByViolation(),
    supplied: (served) => vmx.supplied(served),
    settleLease: () => vmx.settleLease(),
    pendingInterrupt: () => options.pendingInterrupt(context),
    boundary: (nmi) => vmx.boundary(nmi),
    idle: () => context.board ?? vmx.expireTimer(),
    timePassed: (cycles) => {
      addCycles(cycles);
      context.onTimePassed(cycles);
    },
    selectBank: () => mmu.banks.contextChanged(),
    selectCpu: (index) => {
      context.cpuIndex = index;
      mmu.banks.cpu = index;
    },
    forgetPage: (gva) => mmu.forgetPage(gva),
    protectFrame: (pfn) => mmu.protectFrame(pfn),
    peek: (gva) => mmu.peek(gva),
    undecodable: (gva, bytes) => {
      const text = [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(' ');
      events.emit('diagnostic', () => ({
        summary: `no such instruction at 0x${gva.toString(16)}: ${text}`,
        facts: { rip: gva, bytes: text },
      }));
    },
  };
  return context;
}
