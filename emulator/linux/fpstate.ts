/**
 * The floating-point part of a signal frame (arch/x86/kernel/fpu/signal.c, asm/sigcontext.h): an XSAVE area in the standard format with the kernel's
 * own words in the unused end of the legacy region and behind the area; without XSAVE, FXSAVE's image alone.
 */
import type { CpuContext } from '../cpu/context.ts';
import type { CpuModel } from '../cpu/system/models.ts';
import { linuxXcr0 } from '../cpu/system/reset.ts';
import { area, inUse, packComponents, restoreComponents } from '../cpu/system/xstate-image.ts';
import { restoreArea } from '../cpu/system/xsave.ts';
import { AREA_ALIGNMENT, EXTENDED, LEGACY_BYTES, SSE_STATE, standardBytes, X87_STATE } from '../cpu/xstate.ts';
import type { Linux, Process } from './state.ts';
import { copyInto, copyOut } from './usermem.ts';

/** struct _fpx_sw_bytes at 464: magic1, extended_size, xfeatures, xstate_size. */
const SOFTWARE = 464;
/** Bytes of the legacy region that FXSAVE writes. */
const LEGACY_WRITTEN = 416;
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

/** The kernel's words and the header, as the area in work has them. */
const view = new DataView(area.buffer);

/** False if the stack cannot take it. */
export function storeFpState(linux: Linux, process: Process, address: number): boolean {
  const { context } = linux;
  const { model } = context;
  const all = linuxXcr0(model);
  packComponents(context, { components: all, compacted: undefined, wide: true, registers: REGISTERS });
  const write = (from: number, to: number): boolean => copyOut(linux, process, address + from, area.subarray(from, to));
  if (!write(0, LEGACY_WRITTEN)) return false;
  if (!hasExtendedState(model)) return true;
  const bytes = areaBytes(model);
  area.fill(0, SOFTWARE, EXTENDED);
  // Always with x87 and SSE, as FXSAVE's image has them.
  view.setUint32(XSTATE_BV, (inUse(context) & all) | LEGACY_STATE, true);
  view.setUint32(SOFTWARE, MAGIC1, true);
  view.setUint32(SOFTWARE + 4, bytes + MAGIC2_BYTES, true);
  view.setUint32(SOFTWARE + 8, all, true);
  view.setUint32(SOFTWARE + 16, bytes, true);
  view.setUint32(bytes, MAGIC2, true);
  return write(SOFTWARE, bytes + MAGIC2_BYTES);
}

/** What rt_sigreturn restores; 0 is the initial state. False if the processor refuses what is there: the process gets SIGSEGV. */
export function loadFpState(linux: Linux, process: Process, address: number): boolean {
  const { context } = linux;
  const { model } = context;
  const all = linuxXcr0(model) | LEGACY_STATE;
  if (address === 0) return initialise(context, all);
  const read = (from: number, to: number): boolean => copyInto(linux, process, address + from, area, from, to - from);
  if (!read(0, LEGACY_BYTES)) return false;
  const bytes = hasExtendedState(model) ? namedBytes(model) : 0;
  if (bytes > 0 && !read(XSTATE_BV, bytes + MAGIC2_BYTES)) return false;
  if (bytes === 0 || view.getUint32(bytes, true) !== MAGIC2)
    return address % FXRSTOR_ALIGNMENT === 0 && loadLegacy(context, all);
  if (address % AREA_ALIGNMENT !== 0) return false;
  const extended = view.getUint32(SOFTWARE + 8, true) & linuxXcr0(model);
  if (restoreArea(context, { requested: all & extended, ...LOADED }, 'xrstor') !== undefined) return false;
  return (all & ~extended) === 0 || initialise(context, all & ~extended);
}

/** Bytes of the area as the kernel's words name them; 0 if they are not there, so that only FXSAVE's image counts. */
function namedBytes(model: CpuModel): number {
  const [extended, bytes] = [view.getUint32(SOFTWARE + 4, true), view.getUint32(SOFTWARE + 16, true)];
  if (view.getUint32(SOFTWARE, true) !== MAGIC1) return 0;
  return bytes < EXTENDED || bytes > areaBytes(model) || bytes > extended ? 0 : bytes;
}

/** The whole area has been brought before. */
const alreadyRead = (): void => {};

const LOADED = { compacted: undefined, wide: true, registers: REGISTERS, read: alreadyRead };

/** FXRSTOR, and the initial configuration of everything else. */
function loadLegacy(context: CpuContext, all: number): boolean {
  return restoreComponents(context, { requested: all, present: LEGACY_STATE, ...LOADED }) === undefined;
}

function initialise(context: CpuContext, requested: number): boolean {
  restoreComponents(context, { requested, present: 0, ...LOADED, compacted: requested });
  return true;
}
