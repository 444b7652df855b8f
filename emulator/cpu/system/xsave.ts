/** The XSAVE feature set (SDM 1 chapter 13): XSAVE, XSAVEOPT, XSAVEC, XSAVES, XRSTOR, XRSTORS, XGETBV and XSETBV. */
import type { CpuContext, SystemOutcome } from '../context.ts';
import { CPU_COSTS } from '../costs.ts';
import type { Instruction, MemoryOperand } from '../instruction.ts';
import * as L from '../layout.ts';
import { AREA_ALIGNMENT, AVX_STATE, HEADER_BYTES, LEGACY_BYTES, refuseXcr0, SSE_STATE } from '../xstate.ts';
import { Field } from '../../vmx/fields.ts';
import { ExitReason, Secondary, displacement, exit, memoryInformation, secondary } from './exits.ts';
import { generalProtection, raise, requireCpl0, undefinedOpcode, Vector } from './fault.ts';
import { hex, linearAddress, readBlock, writeBlocks } from './memory.ts';
import { setEdxEax } from './tsc.ts';
import * as image from './xstate-image.ts';
import { BITS_64 } from '../control-bits-64.ts';

const { CR0_TS, CR4_OSXSAVE } = BITS_64;

const LOW32 = 0xffff_ffffn;
const XCOMP_COMPACTED = 1n << 63n;
/** REX.W. */
const WIDE = 8;

/** The header of the area that is being read. */
const HEADER = new BigUint64Array(image.area.buffer, LEGACY_BYTES, HEADER_BYTES / 8);
const HEADER_WORDS = new Uint32Array(HEADER.buffer, HEADER.byteOffset, HEADER_BYTES / 4);

type Restore = 'xrstor' | 'xrstors';
type Save = 'xsave' | 'xsaveopt' | 'xsavec' | 'xsaves';

export function requireOsxsave({ cpu }: CpuContext): void {
  if (!(cpu.cr4 & CR4_OSXSAVE)) undefinedOpcode('CR4.OSXSAVE = 0');
}

/** What all of the instructions with an area check first. `supervisor`: XSAVES and XRSTORS, which a VMCS would have to enable. */
export function requireXsave(context: CpuContext, supervisor: boolean): void {
  requireOsxsave(context);
  if (supervisor && context.cpu.nonRoot && !secondary(context, Secondary.Xsaves))
    undefinedOpcode('the VMCS does not enable XSAVES and XRSTORS');
  if (supervisor) requireCpl0(context, 'XSAVES or XRSTORS');
  if (context.cpu.cr0 & CR0_TS) raise(Vector.NM, undefined, 'an XSAVE instruction while CR0.TS is 1');
}

/** Components for which XSAVES and XRSTORS exit now. */
export function exitingComponents(context: CpuContext): bigint {
  if (!context.cpu.nonRoot) return 0n;
  return edxEax(context) & context.mem.get64(L.MSR_XSS) & context.vmx.field(Field.xssExitingBitmap);
}

/** XSAVES and XRSTORS of a component that IA32_XSS enables and the XSS-exiting bitmap names (SDM 3C 26.1.3). */
function exitForXss(context: CpuContext, instruction: Instruction, reason: number): SystemOutcome | undefined {
  if (exitingComponents(context) === 0n) return undefined;
  const operand = instruction.operands[0] as MemoryOperand;
  return exit(context, instruction, reason, {
    qualification: displacement(operand),
    instructionInformation: memoryInformation(operand) >>> 0,
  });
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
    const exited = kind === 'xsaves' ? exitForXss(context, instruction, ExitReason.Xsaves) : undefined;
    if (exited) return exited;
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
    const parts = image.presentParts(context, {
      components: saved,
      mxcsr: mxcsr !== 0,
      compacted: compacted ? requested : undefined,
      wide: instruction.size === WIDE,
      registers: vectorRegisters(context),
    });
    parts.push({ offset: LEGACY_BYTES, data: new Uint8Array(BigUint64Array.from(header).buffer) });
    writeBlocks(
      context,
      parts.map(({ offset, data }) => ({ gva: area(offset, data.length), data })),
    );
    context.addCycles(CPU_COSTS.xsave);
    return 'next';
  };

/** Bits of XSTATE_BV in memory that the instruction leaves. */
function keptBits(context: CpuContext, area: ReturnType<typeof areaOf>, requested: number): bigint {
  const header = readBlock(context, area(LEGACY_BYTES, 8), 8);
  return new DataView(header.buffer).getBigUint64(0, true) & ~BigInt(requested);
}

export const restore =
  (kind: Restore) =>
  (context: CpuContext, instruction: Instruction): SystemOutcome => {
    requireXsave(context, kind === 'xrstors');
    const exited = kind === 'xrstors' ? exitForXss(context, instruction, ExitReason.Xrstors) : undefined;
    if (exited) return exited;
    const area = areaOf(context, instruction);
    const refused = restoreArea(
      context,
      {
        requested: requestedComponents(context),
        wide: instruction.size === WIDE,
        registers: vectorRegisters(context),
        read: (offset, bytes) => image.area.set(readBlock(context, area(offset, bytes), bytes), offset),
      },
      kind,
    );
    if (refused !== undefined) generalProtection(`${kind.toUpperCase()}: ${refused}`);
    context.addCycles(CPU_COSTS.xsave);
    return 'next';
  };

/** Loads the requested components of an area. Says what is wrong with it, and changes nothing, if anything is. */
export function restoreArea(
  context: CpuContext,
  restoration: Omit<image.Restoration, 'present' | 'compacted'>,
  kind: Restore,
): string | undefined {
  restoration.read(LEGACY_BYTES, HEADER_BYTES);
  const refused = refuseHeader(context, kind);
  if (refused !== undefined) return refused;
  const { requested, wide, registers, read } = restoration;
  const compacted = HEADER_WORDS[3]! >>> 31 ? HEADER_WORDS[2]! : undefined;
  return image.restoreComponents(context, { requested, present: HEADER_WORDS[0]!, compacted, wide, registers, read });
}

/** Whether all words of the header from this one on are 0. */
function zeroFrom(word: number): boolean {
  for (let at = word; at < HEADER_WORDS.length; at++) if (HEADER_WORDS[at] !== 0) return false;
  return true;
}

/** What is wrong with a header; undefined if nothing (SDM 1, 13.8 and 13.12). */
function refuseHeader(context: CpuContext, kind: Restore): string | undefined {
  const { model } = context;
  const xcr0 = context.mem.get64(L.XCR0);
  const [stateBv, compBv] = [HEADER[0]!, HEADER[1]!];
  if (!(compBv & XCOMP_COMPACTED)) {
    if (kind === 'xrstors') return 'the area is not in the compacted format';
    if (stateBv & ~xcr0) return `XSTATE_BV ${hex(stateBv)} has components that XCR0 has not`;
    return compBv === 0n && HEADER[2] === 0n ? undefined : 'reserved bytes of the header are not 0';
  }
  if (!model.features.has('xsavec')) return 'the area is in the compacted format, which this CPU does not have';
  const components = compBv & ~XCOMP_COMPACTED;
  if (components & ~xcr0) return `XCOMP_BV ${hex(compBv)} has components that XCR0 has not`;
  if (stateBv & ~components) return `XSTATE_BV ${hex(stateBv)} has components that XCOMP_BV has not`;
  return zeroFrom(4) ? undefined : 'reserved bytes of the header are not 0';
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
