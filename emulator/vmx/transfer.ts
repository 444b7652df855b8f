/** Moves of processor state between the CPU and the VMCS (SDM 3C 27.3.2, 28.3, 28.5), field by field as 32-bit words. */
import type { CpuContext } from '../cpu/context.ts';
import * as L from '../cpu/layout.ts';
import { type LinearMemory, Segment } from '../cpu/state.ts';
import { commitPdptes, inPae, readPdptes } from '../cpu/system/pdptes.ts';
import { Flag, readRflags, writeRflags } from '../cpu/system/rflags.ts';
import { Entry, Exit } from './controls.ts';
import { WATCHED } from './checks/index.ts';
import { Field } from './fields.ts';
import { type CurrentVmcs, REMEMBERED, slotOf } from './vmcs.ts';
import { CR0_KEPT, DR7_ENABLES, DR7_LOADED, DR7_ONE, EFER_LMA, EFER_LME } from '../cpu/control-bits.ts';
import {
  HOST_CODE_RIGHTS_32,
  HOST_CODE_RIGHTS_64,
  HOST_DATA_RIGHTS,
  HOST_LIMIT,
  HOST_TSS_LIMIT,
  HOST_TSS_RIGHTS,
  RIGHTS_UNUSABLE as UNUSABLE,
} from '../cpu/segment-rights.ts';

const RSP = L.GPR + 4 * 8;
const GUEST_SEGMENTS = ['Es', 'Cs', 'Ss', 'Ds', 'Fs', 'Gs', 'Ldtr', 'Tr'] as const;

type Move = readonly [field: number, state: number, bytes: 2 | 4 | 8];

/** Moves as the core reads them (core/moves.ts), and where they stand in linear memory. */
interface Plan {
  readonly words: Int32Array;
  readonly start: number;
  readonly end: number;
}

function plan(start: number, moves: readonly Move[]): Plan {
  const words = Int32Array.from(
    moves.flatMap(([field, state, bytes]) => [slotOf(field), state, bytes === 2 ? 0xffff : -1, bytes === 8 ? 2 : 1]),
  );
  return { words, start, end: start + words.byteLength };
}

const segmentMoves: Move[] = GUEST_SEGMENTS.flatMap((name, index): Move[] => {
  const at = L.SEG + index * L.SEG_STRIDE;
  return [
    [Field[`guest${name}Selector`], at + L.SEG_SELECTOR, 2],
    [Field[`guest${name}Base`], at + L.SEG_BASE, 8],
    [Field[`guest${name}Limit`], at + L.SEG_LIMIT, 4],
    [Field[`guest${name}AccessRights`], at + L.SEG_RIGHTS, 4],
  ];
});

/** What every entry loads and every exit saves; CR0, RFLAGS and what depends on controls apart. */
const HEADER_BYTES = 32;
const GUEST = plan(L.VMCS_MOVES + HEADER_BYTES, [
  [Field.guestCr3, L.CR3, 8],
  [Field.guestCr4, L.CR4, 8],
  ...segmentMoves,
  [Field.guestGdtrBase, L.GDTR_BASE, 8],
  [Field.guestGdtrLimit, L.GDTR_LIMIT, 4],
  [Field.guestIdtrBase, L.IDTR_BASE, 8],
  [Field.guestIdtrLimit, L.IDTR_LIMIT, 4],
  [Field.guestRsp, RSP, 8],
  [Field.guestRip, L.RIP, 8],
  [Field.guestSysenterCs, L.MSR_SYSENTER_CS, 4],
  [Field.guestSysenterEsp, L.MSR_SYSENTER_ESP, 8],
  [Field.guestSysenterEip, L.MSR_SYSENTER_EIP, 8],
  [Field.guestInterruptibility, L.INTERRUPTIBILITY, 4],
  [Field.guestActivity, L.ACTIVITY, 4],
]);

const HOST = plan(GUEST.end, [
  [Field.hostCr3, L.CR3, 8],
  [Field.hostCr4, L.CR4, 8],
  [Field.hostGdtrBase, L.GDTR_BASE, 8],
  [Field.hostIdtrBase, L.IDTR_BASE, 8],
  [Field.hostRsp, RSP, 8],
  [Field.hostRip, L.RIP, 8],
  [Field.hostSysenterCs, L.MSR_SYSENTER_CS, 4],
  [Field.hostSysenterEsp, L.MSR_SYSENTER_ESP, 8],
  [Field.hostSysenterEip, L.MSR_SYSENTER_EIP, 8],
]);

const RF = Flag.RF;

/** To be called once for a machine. */
export function installMoves({ u32 }: LinearMemory): void {
  for (const { words, start } of [GUEST, HOST]) u32.set(words, start >>> 2);
  // The core has byte offsets where WATCHED has those of words.
  const watched = WATCHED.map((value, index) => (index % 2 === 0 ? value << 2 : value));
  u32.set(watched, HOST.end >>> 2);
  const header = [GUEST.start, GUEST.end, HOST.start, HOST.end, HOST.end, HOST.end + watched.byteLength, REMEMBERED];
  u32.set(header, L.VMCS_MOVES >>> 2);
}

function load({ core }: CpuContext, vmcs: CurrentVmcs, { start, end }: Plan): void {
  core.loadFields(start, end, vmcs.region());
}

function save({ core }: CpuContext, vmcs: CurrentVmcs, { start, end }: Plan): void {
  core.saveFields(start, end, vmcs.region());
  vmcs.touched();
}

/** @param resume RFLAGS.RF as it is saved */
export function saveGuest(context: CpuContext, vmcs: CurrentVmcs, resume: number): void {
  const { mem } = context;
  const controls = vmcs.read32(Field.exitControls);
  save(context, vmcs, GUEST);
  vmcs.save64(Field.guestCr0, L.CR0);
  vmcs.write32(Field.guestRflags, (readRflags(context) & ~RF) | resume);
  savePendingDebug(mem, vmcs);
  if (controls & Exit.SaveDebugControls) {
    vmcs.save64(Field.guestDr7, L.DR7);
    vmcs.save64(Field.guestDebugctl, L.MSR_DEBUGCTL);
  }
  if (controls & Exit.SavePat) vmcs.save64(Field.guestPat, L.MSR_PAT);
  if (controls & Exit.SaveEfer) vmcs.save64(Field.guestEfer, L.MSR_EFER);
  // VMX_MISC bit 5: the mode at the exit is what the next entry uses.
  const entry = vmcs.read32(Field.entryControls);
  const long = mem.get32(L.MSR_EFER) & EFER_LMA;
  if (!long && mem.get32(L.EPTP) !== 0) for (const [field, at] of PDPTES) vmcs.save64(field, at);
  vmcs.write32(Field.entryControls, long ? entry | Entry.Ia32eGuest : entry & ~Entry.Ia32eGuest);
}

export function loadGuest(context: CpuContext, vmcs: CurrentVmcs): void {
  const { mem } = context;
  const controls = vmcs.read32(Field.entryControls);
  load(context, vmcs, GUEST);
  loadCr0(mem, vmcs.read32(Field.guestCr0));
  if (controls & Entry.LoadDebugControls) {
    setLow(mem, L.DR7, (vmcs.read32(Field.guestDr7) & DR7_LOADED) | DR7_ONE);
    vmcs.load64(Field.guestDebugctl, L.MSR_DEBUGCTL);
  }
  // Without instruction breakpoints nothing shows RF but the instruction it would be cleared by.
  writeRflags(context, vmcs.read32(Field.guestRflags) & (mem.get32(L.DR7) & DR7_ENABLES ? -1 : ~RF));
  loadPendingDebug(mem, vmcs);
  if (controls & Entry.LoadPat) vmcs.load64(Field.guestPat, L.MSR_PAT);
  if (controls & Entry.LoadEfer) vmcs.load64(Field.guestEfer, L.MSR_EFER);
  else setLongMode(mem, (controls & Entry.Ia32eGuest) !== 0);
}

const PDPTES = [Field.guestPdpte0, Field.guestPdpte1, Field.guestPdpte2, Field.guestPdpte3].map(
  (field, index) => [field, L.PDPTE + index * 8] as const,
);

/** Of a guest with PAE paging: from the VMCS with EPT, else from memory (SDM 3C 27.3.2.4). The checks have found them good. */
export function loadGuestPdptes(context: CpuContext, vmcs: CurrentVmcs): void {
  if (!inPae(context.mem)) return;
  const { cr3 } = context.cpu;
  if (context.mem.get32(L.EPTP) !== 0) for (const [field, at] of PDPTES) vmcs.load64(field, at);
  else if (readPdptes(context, cr3) === undefined) commitPdptes(context);
}

/** Of a host with PAE paging, from memory. False if they cannot be loaded. */
export function loadHostPdptes(context: CpuContext): boolean {
  if (!inPae(context.mem)) return true;
  if (readPdptes(context, context.cpu.cr3) !== undefined) return false;
  commitPdptes(context);
  return true;
}

const ENABLED_BREAKPOINT = 0x1000;
const BREAKPOINTS = 0xf;

function savePendingDebug(mem: LinearMemory, vmcs: CurrentVmcs): void {
  const events = mem.get32(L.PENDING_EVENTS);
  const pending = events & L.PENDING_DEBUG;
  vmcs.write32(Field.guestPendingDebugExceptions, pending & BREAKPOINTS ? pending | ENABLED_BREAKPOINT : pending);
  if (pending) mem.set32(L.PENDING_EVENTS, events & ~pending);
}

function loadPendingDebug(mem: LinearMemory, vmcs: CurrentVmcs): void {
  const field = vmcs.read32(Field.guestPendingDebugExceptions);
  if (field === 0) return;
  const pending = field & ENABLED_BREAKPOINT ? field & L.PENDING_DEBUG : field & L.PENDING_DEBUG & ~BREAKPOINTS;
  mem.set32(L.PENDING_EVENTS, mem.get32(L.PENDING_EVENTS) | pending);
}

export function loadHost(context: CpuContext, vmcs: CurrentVmcs): void {
  const { mem } = context;
  const controls = vmcs.read32(Field.exitControls);
  const host64 = (controls & Exit.Host64) !== 0;
  load(context, vmcs, HOST);
  loadCr0(mem, vmcs.read32(Field.hostCr0));
  if (controls & Exit.LoadEfer) vmcs.load64(Field.hostEfer, L.MSR_EFER);
  else setLongMode(mem, host64);
  if (controls & Exit.LoadPat) vmcs.load64(Field.hostPat, L.MSR_PAT);
  setLow(mem, L.DR7, DR7_ONE);
  setLow(mem, L.MSR_DEBUGCTL, 0);
  writeRflags(context, 2);
  mem.set32(L.ACTIVITY, 0);
  mem.set32(L.GDTR_LIMIT, 0xffff);
  mem.set32(L.IDTR_LIMIT, 0xffff);
  loadHostSegments(mem, vmcs, host64);
}

const HOST_DATA_SEGMENTS = [
  [Segment.ES, Field.hostEsSelector, 0],
  [Segment.SS, Field.hostSsSelector, 0],
  [Segment.DS, Field.hostDsSelector, 0],
  [Segment.FS, Field.hostFsSelector, Field.hostFsBase],
  [Segment.GS, Field.hostGsSelector, Field.hostGsBase],
] as const;

/** Hidden parts are fixed, they are not read from descriptors (SDM 3C 28.5.2). */
function loadHostSegments(mem: LinearMemory, vmcs: CurrentVmcs, host64: boolean): void {
  setHidden(
    mem,
    Segment.CS,
    vmcs.read32(Field.hostCsSelector),
    HOST_LIMIT,
    host64 ? HOST_CODE_RIGHTS_64 : HOST_CODE_RIGHTS_32,
  );
  for (const [segment, field, base] of HOST_DATA_SEGMENTS) {
    const selector = vmcs.read32(field);
    setHidden(mem, segment, selector, HOST_LIMIT, selector === 0 ? HOST_DATA_RIGHTS | UNUSABLE : HOST_DATA_RIGHTS);
    if (base !== 0) vmcs.load64(base, L.SEG + segment * L.SEG_STRIDE + L.SEG_BASE);
  }
  setHidden(mem, Segment.TR, vmcs.read32(Field.hostTrSelector), HOST_TSS_LIMIT, HOST_TSS_RIGHTS);
  vmcs.load64(Field.hostTrBase, L.SEG + Segment.TR * L.SEG_STRIDE + L.SEG_BASE);
  setHidden(mem, Segment.LDTR, 0, 0, UNUSABLE);
}

/** A segment register with base 0. */
function setHidden(mem: LinearMemory, segment: Segment, selector: number, limit: number, rights: number): void {
  const at = L.SEG + segment * L.SEG_STRIDE;
  mem.set32(at + L.SEG_SELECTOR, selector);
  setLow(mem, at + L.SEG_BASE, 0);
  mem.set32(at + L.SEG_LIMIT, limit);
  mem.set32(at + L.SEG_RIGHTS, rights);
}

/** A 64-bit quantity whose high half is 0. */
function setLow(mem: LinearMemory, at: number, low: number): void {
  mem.set32(at, low);
  mem.set32(at + 4, 0);
}

function loadCr0(mem: LinearMemory, value: number): void {
  setLow(mem, L.CR0, (value & ~CR0_KEPT) | (mem.get32(L.CR0) & CR0_KEPT));
}

/** Without a load of EFER, LMA and LME follow the control. */
function setLongMode(mem: LinearMemory, long: boolean): void {
  const efer = mem.get32(L.MSR_EFER);
  mem.set32(L.MSR_EFER, long ? efer | EFER_LMA | EFER_LME : efer & ~(EFER_LMA | EFER_LME));
}
