/**
 * The floating-point part of a signal frame (arch/x86/kernel/fpu/signal.c, asm/sigcontext.h): an XSAVE area in the standard format with the kernel's
 * own words in the unused end of the legacy region and behind the area; without XSAVE, FXSAVE's image alone.
 */
import type { CpuContext } from '../cpu/context.ts';
import type { CpuModel } from '../cpu/system/models.ts';
import { linuxXcr0 } from '../cpu/system/reset.ts';
import { inUse, presentParts, restoreComponents } from '../cpu/system/xstate-image.ts';
import { restoreArea } from '../cpu/system/xsave.ts';
import { AREA_ALIGNMENT, EXTENDED, LEGACY_BYTES, SSE_STATE, standardBytes, X87_STATE } from '../cpu/xstate.ts';
import type { Linux, Process } from './state.ts';
import { copyIn, copyOut } from './usermem.ts';

/** struct _fpx_sw_bytes at 464: magic1, extended_size, xfeatures, xstate_size. */
const SOFTWARE = 464;
const MAGIC1 = 0x4650_5853;
const MAGIC2 = 0x4650_5845;
const MAGIC2_BYTES = 4;
const REGISTERS = 16;
const LEGACY_STATE = X87_STATE | SSE_STATE;
const XSTATE_BV = 512;
const FXRSTOR_ALIGNMENT = 16;

/** siginfo and context of the largest frame there is (sigframe_ia32), FSAVE header, padding of the frame and of the area: get_sigframe_size(). */
const OTHER_BYTES = 736 + 112 + 15 + 63;

/** Whether ucontext says UC_FP_XSTATE. */
export const hasExtendedState = ({ features }: CpuModel): boolean => features.has('xsave');

/** Bytes of the XSAVE area, or of FXSAVE's image. */
const areaBytes = (model: CpuModel): number =>
  hasExtendedState(model) ? standardBytes(linuxXcr0(model)) : LEGACY_BYTES;

/** Bytes of the whole floating-point part. */
export function fpStateBytes(model: CpuModel): number {
  return areaBytes(model) + (hasExtendedState(model) ? MAGIC2_BYTES : 0);
}
/** AT_MINSIGSTKSZ: the largest signal frame. */
export function leastSignalStack(model: CpuModel): number {
  const bytes = OTHER_BYTES + fpStateBytes(model);
  return bytes + ((16 - (bytes % 16)) % 16);
}

/** Where the floating-point part goes on a stack. */
export function fpStateAddress(model: CpuModel, top: number): number {
  const at = top - fpStateBytes(model);
  return at - (at % AREA_ALIGNMENT);
}

/** False if the stack cannot take it. */
export function storeFpState(linux: Linux, process: Process, address: number): boolean {
  const { context } = linux;
  const { model } = context;
  const all = linuxXcr0(model);
  const parts = presentParts(context, {
    components: all | LEGACY_STATE,
    mxcsr: true,
    compacted: undefined,
    wide: true,
    registers: REGISTERS,
  });
  const write = (offset: number, data: Uint8Array): boolean => copyOut(linux, process, address + offset, data);
  if (!parts.every(({ offset, data }) => write(offset, data))) return false;
  if (!hasExtendedState(model)) return true;
  const header = new Uint8Array(EXTENDED - XSTATE_BV);
  // Always with x87 and SSE, as FXSAVE's image has them.
  new DataView(header.buffer).setUint32(0, (inUse(context) & all) | LEGACY_STATE, true);
  const software = new Uint8Array(LEGACY_BYTES - SOFTWARE);
  const view = new DataView(software.buffer);
  view.setUint32(0, MAGIC1, true);
  view.setUint32(4, fpStateBytes(model), true);
  view.setBigUint64(8, BigInt(all), true);
  view.setUint32(16, areaBytes(model), true);
  const magic2 = new Uint8Array(Uint32Array.of(MAGIC2).buffer);
  return write(XSTATE_BV, header) && write(SOFTWARE, software) && write(areaBytes(model), magic2);
}

/** Thrown where a frame cannot be read. */
class BadFrame extends Error {}

/** What rt_sigreturn restores; 0 is the initial state. False if the processor refuses what is there: the process gets SIGSEGV. */
export function loadFpState(linux: Linux, process: Process, address: number): boolean {
  const { context } = linux;
  const read = (offset: number, bytes: number): Uint8Array => {
    const data = copyIn(linux, process, address + offset, bytes);
    if (!data) throw new BadFrame();
    return data;
  };
  const { model } = context;
  const all = linuxXcr0(model) | LEGACY_STATE;
  if (address === 0) return initialise(context, all);
  try {
    const extended = hasExtendedState(model) ? extendedComponents(model, read) : undefined;
    if (extended === undefined) return address % FXRSTOR_ALIGNMENT === 0 && loadLegacy(context, all, read);
    if (address % AREA_ALIGNMENT !== 0) return false;
    const area = { requested: all & extended, wide: true, registers: REGISTERS, read };
    return restoreArea(context, area, 'xrstor') === undefined && initialise(context, all & ~extended);
  } catch (error) {
    if (error instanceof BadFrame) return false;
    throw error;
  }
}

/** The components that the kernel's words name; undefined if they are not there, so that only FXSAVE's image counts. */
function extendedComponents(model: CpuModel, read: (offset: number, bytes: number) => Uint8Array): number | undefined {
  const view = new DataView(read(SOFTWARE, LEGACY_BYTES - SOFTWARE).buffer);
  const [extended, bytes] = [view.getUint32(4, true), view.getUint32(16, true)];
  if (view.getUint32(0, true) !== MAGIC1) return undefined;
  if (bytes < EXTENDED || bytes > areaBytes(model) || bytes > extended) return undefined;
  if (new DataView(read(bytes, MAGIC2_BYTES).buffer).getUint32(0, true) !== MAGIC2) return undefined;
  return Number(view.getBigUint64(8, true) & BigInt(linuxXcr0(model)));
}

/** FXRSTOR, and the initial configuration of everything else. */
function loadLegacy(context: CpuContext, all: number, read: (offset: number, bytes: number) => Uint8Array): boolean {
  const area = { requested: all, present: LEGACY_STATE, compacted: undefined, wide: true, registers: REGISTERS, read };
  return restoreComponents(context, area) === undefined;
}

function initialise(context: CpuContext, requested: number): boolean {
  const read = (): Uint8Array => new Uint8Array();
  restoreComponents(context, { requested, present: 0, compacted: requested, wide: true, registers: REGISTERS, read });
  return true;
}
