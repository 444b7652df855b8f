/** The XSAVE feature set (SDM 1 chapter 13): XSAVE, XSAVEOPT, XSAVEC, XSAVES, XRSTOR, XRSTORS, XGETBV and XSETBV. */
import type { CpuContext, SystemOutcome } from '../context.ts';
import { CPU_COSTS } from '../costs.ts';
import type { Instruction, MemoryOperand } from '../instruction.ts';
import * as L from '../layout.ts';
import { AREA_ALIGNMENT, AVX_STATE, compactedOffsets, EXTENDED_COMPONENTS, LEGACY_BYTES } from '../xstate.ts';
import { refuseXcr0, SSE_STATE, X87_STATE } from '../xstate.ts';
import { ExitReason, exit } from './exits.ts';
import { generalProtection, raise, requireCpl0, undefinedOpcode, Vector } from './fault.ts';
import { hex, linearAddress, readBlock, writeBlocks } from './memory.ts';
import type { MemoryBlock } from './memory.ts';
import { setEdxEax } from './tsc.ts';
import * as image from './xstate-image.ts';

const CR0_TS = 8n;
const CR4_OSXSAVE = 0x4_0000n;
const LOW32 = 0xffff_ffffn;
const XCOMP_COMPACTED = 1n << 63n;
const HEADER_BYTES = 64;
/** REX.W. */
const WIDE = 8;

type Save = 'xsave' | 'xsaveopt' | 'xsavec' | 'xsaves';

function requireOsxsave({ cpu }: CpuContext): void {
  if (!(cpu.cr4 & CR4_OSXSAVE)) undefinedOpcode('CR4.OSXSAVE = 0');
}

/** What all of the instructions with an area check first. `supervisor`: XSAVES and XRSTORS, which a VMCS would have to enable. */
function requireXsave(context: CpuContext, supervisor: boolean): void {
  requireOsxsave(context);
  if (supervisor && context.cpu.nonRoot) undefinedOpcode('the VMCS does not enable XSAVES and XRSTORS');
  if (supervisor) requireCpl0(context, 'XSAVES or XRSTORS');
  if (context.cpu.cr0 & CR0_TS) raise(Vector.NM, undefined, 'an XSAVE instruction while CR0.TS is 1');
}

function edxEax({ cpu }: CpuContext): bigint {
  return (cpu.gpr(0) & LOW32) | ((cpu.gpr(2) & LOW32) << 32n);
}
/** The requested-feature bitmap (RFBM). */
function requestedComponents(context: CpuContext): number {
  return Number(edxEax(context) & context.mem.get64(L.XCR0));
}
/** Vector registers that the mode has. */
function vectorRegisters({ mem }: CpuContext): number {
  return mem.get32(L.CODE_MODE) === 2 ? 16 : 8;
}

/** The area of an instruction: linear addresses of its parts. */
function areaOf(context: CpuContext, instruction: Instruction): (offset: number, bytes: number) => bigint {
  const operand = instruction.operands[0] as MemoryOperand;
  const at = (offset: number, bytes: number): bigint =>
    linearAddress(context, { ...operand, displacement: operand.displacement + BigInt(offset) }, bytes);
  const base = at(0, 1);
  if (base % BigInt(AREA_ALIGNMENT)) generalProtection(`the XSAVE area at ${hex(base)} is not aligned on 64 bytes`);
  return at;
}

/** Components not in their initial configuration, as XSAVEC, XSAVES and XGETBV see them: MXCSR counts as SSE state (SDM 1, 13.10). */
function inUseWithMxcsr(context: CpuContext): number {
  return image.inUse(context) | (context.mem.get32(L.MXCSR) === image.INITIAL_MXCSR ? 0 : SSE_STATE);
}

export const save =
  (kind: Save) =>
  (context: CpuContext, instruction: Instruction): SystemOutcome => {
    requireXsave(context, kind === 'xsaves');
    const area = areaOf(context, instruction);
    const requested = requestedComponents(context);
    const compacted = kind === 'xsavec' || kind === 'xsaves';
    const used = compacted ? inUseWithMxcsr(context) : image.inUse(context);
    // The init optimisation; nothing is left out because it was not modified since it was restored.
    const saved = kind === 'xsave' ? requested : requested & used;
    const mxcsr = compacted ? saved & SSE_STATE : requested & (SSE_STATE | AVX_STATE);
    const header = compacted
      ? [BigInt(saved), XCOMP_COMPACTED | BigInt(requested)]
      : [keptBits(context, area, requested) | BigInt(requested & used)];
    const blocks = [
      ...legacyBlocks(context, area, saved, mxcsr !== 0, instruction.size === WIDE),
      { gva: area(LEGACY_BYTES, header.length * 8), data: new Uint8Array(BigUint64Array.from(header).buffer) },
      ...extendedBlocks(context, area, saved, compacted ? requested : undefined),
    ];
    writeBlocks(context, blocks);
    context.addCycles(CPU_COSTS.xsave);
    return 'next';
  };

/** Bits of XSTATE_BV in memory that the instruction leaves. */
function keptBits(context: CpuContext, area: ReturnType<typeof areaOf>, requested: number): bigint {
  const header = readBlock(context, area(LEGACY_BYTES, 8), 8);
  return new DataView(header.buffer).getBigUint64(0, true) & ~BigInt(requested);
}

function legacyBlocks(
  context: CpuContext,
  area: ReturnType<typeof areaOf>,
  saved: number,
  mxcsr: boolean,
  wide: boolean,
): MemoryBlock[] {
  const legacy = image.legacyImage(context, wide);
  const parts: (readonly [from: number, to: number])[] = [];
  if (saved & X87_STATE) parts.push(...image.X87_PARTS);
  if (mxcsr) parts.push(image.MXCSR_PART);
  if (saved & SSE_STATE) parts.push([image.XMM_AT, image.XMM_AT + vectorRegisters(context) * 16]);
  return parts.map(([from, to]) => ({ gva: area(from, to - from), data: legacy.slice(from, to) }));
}

/** `compacted`: the components that take room in the area; absent for the standard format. */
function extendedBlocks(
  context: CpuContext,
  area: ReturnType<typeof areaOf>,
  saved: number,
  compacted: number | undefined,
): MemoryBlock[] {
  const offsets = compacted === undefined ? undefined : compactedOffsets(compacted);
  return EXTENDED_COMPONENTS.filter(({ index }) => saved & (1 << index)).map((component) => {
    const data = image.readExtended(context, component, vectorRegisters(context));
    return { gva: area(offsets?.get(component) ?? component.offset, data.length), data };
  });
}

export const restore =
  (kind: 'xrstor' | 'xrstors') =>
  (context: CpuContext, instruction: Instruction): SystemOutcome => {
    requireXsave(context, kind === 'xrstors');
    const area = areaOf(context, instruction);
    const requested = requestedComponents(context);
    const bytes = readBlock(context, area(LEGACY_BYTES, HEADER_BYTES), HEADER_BYTES);
    const header = new BigUint64Array(bytes.buffer);
    const compacted = (header[1]! & XCOMP_COMPACTED) !== 0n;
    const refused = refuseHeader(context, header, kind);
    if (refused !== undefined) generalProtection(`${kind.toUpperCase()}: ${refused}`);
    const present = Number(header[0]);
    restoreComponents(context, area, {
      requested,
      present,
      compacted: compacted ? Number(header[1]! & ~XCOMP_COMPACTED) : undefined,
      wide: instruction.size === WIDE,
    });
    context.addCycles(CPU_COSTS.xsave);
    return 'next';
  };

/** What is wrong with a header; undefined if nothing (SDM 1, 13.8 and 13.12). */
function refuseHeader(context: CpuContext, header: BigUint64Array, kind: 'xrstor' | 'xrstors'): string | undefined {
  const { model } = context;
  const xcr0 = context.mem.get64(L.XCR0);
  const [stateBv, compBv] = [header[0]!, header[1]!];
  const zero = (from: number): boolean => header.subarray(from).every((word) => word === 0n);
  if (!(compBv & XCOMP_COMPACTED)) {
    if (kind === 'xrstors') return 'the area is not in the compacted format';
    if (stateBv & ~xcr0) return `XSTATE_BV ${hex(stateBv)} has components that XCR0 has not`;
    return compBv === 0n && header[2] === 0n ? undefined : 'reserved bytes of the header are not 0';
  }
  if (!model.features.has('xsavec')) return 'the area is in the compacted format, which this CPU does not have';
  const components = compBv & ~XCOMP_COMPACTED;
  if (components & ~xcr0) return `XCOMP_BV ${hex(compBv)} has components that XCR0 has not`;
  if (stateBv & ~components) return `XSTATE_BV ${hex(stateBv)} has components that XCOMP_BV has not`;
  return zero(2) ? undefined : 'reserved bytes of the header are not 0';
}

interface Restoration {
  readonly requested: number;
  /** XSTATE_BV: the others are set to their initial configuration. */
  readonly present: number;
  /** XCOMP_BV's components; undefined in the standard format. */
  readonly compacted: number | undefined;
  readonly wide: boolean;
}

/** Reads all that is needed, then changes the state. */
function restoreComponents(
  context: CpuContext,
  area: ReturnType<typeof areaOf>,
  { requested, present, compacted, wide }: Restoration,
): void {
  const registers = vectorRegisters(context);
  const loaded = requested & present;
  const initial = image.initialLegacyImage();
  const legacy = image.legacyImage(context, true).slice();
  const copy = (component: number, [from, to]: readonly [number, number]): void =>
    legacy.set(
      loaded & component ? readBlock(context, area(from, to - from), to - from) : initial.subarray(from, to),
      from,
    );
  if (requested & X87_STATE) image.X87_PARTS.forEach((part) => copy(X87_STATE, part));
  if (requested & SSE_STATE) copy(SSE_STATE, [image.XMM_AT, image.XMM_AT + registers * 16]);
  // In the standard format MXCSR comes from memory whatever XSTATE_BV says; in the compacted format it is part of SSE state.
  if (compacted !== undefined) {
    if (requested & SSE_STATE) copy(SSE_STATE, image.MXCSR_PART);
  } else if (requested & (SSE_STATE | AVX_STATE))
    legacy.set(readBlock(context, area(image.MXCSR_PART[0], 4), 4), image.MXCSR_PART[0]);
  if (image.hasReservedMxcsr(legacy)) generalProtection(`MXCSR ${hex(image.mxcsrOf(legacy))} has reserved bits`);

  const offsets = compacted === undefined ? undefined : compactedOffsets(compacted);
  const extended = EXTENDED_COMPONENTS.filter(({ index }) => requested & (1 << index)).map((component) => {
    const bytes = 1 << component.index === AVX_STATE ? registers * 16 : component.bytes;
    const at = offsets?.get(component) ?? component.offset;
    return {
      component,
      data: loaded & (1 << component.index) ? readBlock(context, area(at, bytes), bytes) : undefined,
    };
  });
  image.loadLegacyImage(context, legacy, wide || !(loaded & X87_STATE));
  for (const { component, data } of extended) image.writeExtended(context, component, data, registers);
}

export function xgetbv(context: CpuContext): SystemOutcome {
  requireOsxsave(context);
  const register = context.cpu.gpr(1) & LOW32;
  const xcr0 = context.mem.get64(L.XCR0);
  const hasInUse = context.model.features.has('xgetbv1');
  if (register > (hasInUse ? 1n : 0n)) generalProtection(`XGETBV: there is no XCR${register}`);
  setEdxEax(context, register === 0n ? xcr0 : xcr0 & BigInt(inUseWithMxcsr(context)));
  return 'next';
}

export function xsetbv(context: CpuContext, instruction: Instruction): SystemOutcome {
  requireOsxsave(context);
  requireCpl0(context, 'XSETBV');
  if (context.cpu.nonRoot) return exit(context, instruction, ExitReason.Xsetbv);
  const register = context.cpu.gpr(1) & LOW32;
  if (register !== 0n) generalProtection(`XSETBV: there is no XCR${register}`);
  const value = edxEax(context);
  const refused = refuseXcr0(context.model, value);
  if (refused !== undefined) generalProtection(`XSETBV: ${refused}`);
  context.mem.set64(L.XCR0, value);
  context.engine.contextChanged();
  context.addCycles(CPU_COSTS.controlWrite);
  return 'next';
}
