/**
 * For specs: a whole processor in flat 64-bit mode, with a GDT, an IDT whose handlers report and halt, and a TSS.
 * Memory is identity mapped with 2 MB user pages; UNMAPPED and above is not present.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { assemble } from '../../../test/support/assemble.ts';
import { EventBus } from '../../machine/events.ts';
import { createVmx } from '../../vmx/vmx.ts';
import type { CpuContext } from '../context.ts';
import { RunStop } from '../engine-api.ts';
import * as L from '../layout.ts';
import { createProcessor } from '../processor.ts';
import { Segment } from '../state.ts';
import { DEFAULT_MODEL } from './models.ts';
import type { CpuModel } from './models.ts';
import { resetFlat64 } from './reset.ts';

const DIST = join(import.meta.dirname, '../../../dist');
const RAM = 16 << 20;
const PML4 = 0xf00000;

export const GDT = 0x1000;
export const IDT = 0x2000;
export const TSS = 0x3000;
/** Where the handlers store what they got. */
const REPORT = 0x5000;
export const CODE = 0x10000;
export const STACK = 0x60000;
export const RSP0 = 0x68008;
export const IST1 = 0x70008;
export const USER_STACK = 0x78000;
export const UNMAPPED = 0x800000;

/** By selector / 8. */
const DESCRIPTORS: Readonly<Record<number, bigint>> = {
  2: 0x00af_9a00_0000_ffffn,
  3: 0x00cf_9200_0000_ffffn,
  4: 0x00cf_fb00_0000_ffffn,
  5: 0x00cf_f300_0000_ffffn,
  6: 0x00af_fb00_0000_ffffn,
  7: 0x0000_8900_3000_0067n,
  // Data that is not present; a call gate of DPL 3 to label `gate`, patched by the spec.
  9: 0x00cf_1300_0000_ffffn,
};

/** Stubs for every vector: 16 bytes each. Vectors with an error code leave it on the stack; the others push 0. */
const HANDLERS = `
  .att_syntax prefix
  .balign 16
handlers:
  .set vector, 0
  .rept 256
    .balign 16
    .if !(vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21)
      push $0
    .endif
    push $vector
    jmp report
    .set vector, vector + 1
  .endr
report:
  mov %rax, ${REPORT + 8}
  .set slot, ${REPORT + 16}
  .rept 7
    pop %rax
    mov %rax, slot
    .set slot, slot + 8
  .endr
  mov %rsp, ${REPORT + 80}
  movq $1, ${REPORT}
  hlt
`;

export interface Report {
  readonly vector: number;
  readonly errorCode: number;
  readonly rip: number;
  readonly cs: number;
  readonly rflags: number;
  readonly rsp: bigint;
  readonly ss: number;
  /** RSP of the handler after it popped the frame. */
  readonly handlerRsp: number;
}

export interface TestMachine {
  readonly context: CpuContext;
  readonly symbols: ReadonlyMap<string, number>;
  /** Until HLT or shutdown; fails after a million instructions. */
  run(): void;
  /** What the last exception handler saw; undefined if none ran. */
  report(): Report | undefined;
  gate(
    vector: number,
    low: Partial<{ dpl: number; ist: number; type: number; selector: number; present: boolean }>,
  ): void;
}

const processors = new Map<CpuModel, CpuContext>();

/** One a model for all specs of a file; every test finds its memory zeroed and its state reset. */
export function sharedProcessor(model: CpuModel): CpuContext {
  const compile = (name: string): WebAssembly.Module => new WebAssembly.Module(readFileSync(join(DIST, name)));
  const processor =
    processors.get(model) ??
    withPositions(
      createProcessor(
        {
          core: compile('core.wasm'),
          interpreter: compile('interpreter.wasm'),
          forms: JSON.parse(readFileSync(join(DIST, 'forms.json'), 'utf8')) as unknown,
        },
        {
          ramBytes: RAM,
          physBits: 36,
          cpus: 1,
          model,
          events: new EventBus(),
          createVmx,
          pendingInterrupt: ({ vmx }) => {
            vmx.deliverVirtualInterrupt();
            return undefined;
          },
        },
      ),
    );
  processors.set(model, processor);
  processor.physical.fill(0, RAM);
  processor.engine.reset();
  processor.mmu.flushAll();
  processor.faultChain = [];
  processor.onPortAccess = () => {};
  return processor;
}

/** Events say where they happen: what a spec held must not be taken for what the next one does. */
function withPositions(context: CpuContext): CpuContext {
  const { cpu, engine, events } = context;
  const position = { thread: 0, cycles: 0, mode: 'root' } as const;
  events.context = () => ({ ...position, instructions: engine.retired, rip: cpu.rip, cpl: cpu.cpl });
  return context;
}

/** Starts at the first instruction of `source` in ring 0. */
export function createTestMachine(source: string, model: CpuModel = DEFAULT_MODEL): TestMachine {
  const context = sharedProcessor(model);
  const { mem, cpu, physical, engine } = context;
  mapIdentity(context);
  const program = assemble(`${source}\n${HANDLERS}`, CODE);
  physical.write(CODE, program.bytes);
  for (const [index, low] of Object.entries(DESCRIPTORS)) physical.write64(GDT + Number(index) * 8, low);
  const handlers = program.symbols.get('handlers')!;
  const gate: TestMachine['gate'] = (vector, { dpl = 0, ist = 0, type = 14, selector = 0x10, present = true }) => {
    const offset = BigInt(handlers + vector * 16);
    const rights = BigInt(type | (dpl << 5) | (present ? 0x80 : 0));
    const low =
      (offset & 0xffffn) |
      (BigInt(selector) << 16n) |
      (BigInt(ist) << 32n) |
      (rights << 40n) |
      ((offset >> 16n) << 48n);
    physical.write64(IDT + vector * 16, low);
    physical.write64(IDT + vector * 16 + 8, offset >> 32n);
  };
  for (let vector = 0; vector < 256; vector++) gate(vector, {});
  write64Unaligned(context, TSS + 4, BigInt(RSP0));
  write64Unaligned(context, TSS + 36, BigInt(IST1));

  resetFlat64(context, BigInt(PML4));
  mem.set64(L.GDTR_BASE, BigInt(GDT));
  mem.set32(L.GDTR_LIMIT, 0x7f);
  mem.set64(L.IDTR_BASE, BigInt(IDT));
  mem.set32(L.IDTR_LIMIT, 0xfff);
  cpu.setSegment(Segment.TR, { selector: 0x38, base: BigInt(TSS), limit: 0x67, rights: 0x8b });
  cpu.rip = BigInt(CODE);
  cpu.rsp = BigInt(STACK);
  engine.contextChanged();

  return {
    context,
    symbols: program.symbols,
    gate,
    run() {
      if (engine.run(1_000_000) !== RunStop.Halted) throw new Error(`still running at ${cpu.rip.toString(16)}`);
    },
    report: () => readReport(context),
  };
}

function mapIdentity(context: CpuContext): void {
  const { physical } = context;
  const PRESENT_WRITABLE_USER = 7n;
  physical.write64(PML4, BigInt(PML4 + 0x1000) | PRESENT_WRITABLE_USER);
  physical.write64(PML4 + 0x1000, BigInt(PML4 + 0x2000) | PRESENT_WRITABLE_USER);
  for (let page = 0; page < 8; page++) {
    if (page * 0x200000 < UNMAPPED) {
      physical.write64(PML4 + 0x2000 + page * 8, BigInt(page * 0x200000) | 0x80n | PRESENT_WRITABLE_USER);
    }
  }
}

function write64Unaligned(context: CpuContext, hpa: number, value: bigint): void {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, value, true);
  context.physical.write(hpa, bytes);
}

function readReport({ physical }: CpuContext): Report | undefined {
  if (physical.read64(REPORT) === 0n) return undefined;
  const slot = (index: number): bigint => physical.read64(REPORT + 16 + index * 8);
  const [vector, errorCode, rip, cs, rflags] = [0, 1, 2, 3, 4].map((index) => Number(slot(index)));
  return {
    vector: vector!,
    errorCode: errorCode!,
    rip: rip!,
    cs: cs!,
    rflags: rflags!,
    rsp: slot(5),
    ss: Number(slot(6)),
    handlerRsp: Number(physical.read64(REPORT + 80)),
  };
}
