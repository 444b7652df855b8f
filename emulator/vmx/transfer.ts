/** Moves of processor state between the CPU and the VMCS (SDM 3C 27.3.2, 28.3, 28.5), field by field as 32-bit words. */
import type { CpuContext } from '../cpu/context.ts';
import * as L from '../cpu/layout.ts';
import { Segment } from '../cpu/state.ts';
import { readRflags, writeRflags } from '../cpu/system/rflags.ts';
import { Entry, Exit } from './controls.ts';
import { Field } from './fields.ts';
import { type CurrentVmcs, slotOf } from './vmcs.ts';

const RSP = L.GPR + 4 * 8;
const GUEST_SEGMENTS = ['Es', 'Cs', 'Ss', 'Ds', 'Fs', 'Gs', 'Ldtr', 'Tr'] as const;

type Move = readonly [field: number, state: number, bytes: 2 | 4 | 8];

/** Moves in words: offset in the VMCS region, index in linear memory, mask of the low word, number of words. */
type Plan = Int32Array;
const STEP = 4;

function plan(moves: readonly Move[]): Plan {
  return Int32Array.from(
    moves.flatMap(([field, state, bytes]) => [
      slotOf(field) >>> 2,
      state >>> 2,
      bytes === 2 ? 0xffff : -1,
      bytes === 8 ? 2 : 1,
    ]),
  );
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
const GUEST = plan([
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

const HOST = plan([
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

/** CR0 bits that entries and exits leave alone: ET, CD, NW and the reserved ones. */
const CR0_KEPT = 0x7ffa_ffd0n;
const EFER_LME = 0x100n;
const EFER_LMA = 0x400n;

function load(context: CpuContext, vmcs: CurrentVmcs, moves: Plan): void {
  const { u32 } = context.mem;
  const region = vmcs.region() >>> 2;
  for (let at = 0; at < moves.length; at += STEP) {
    const slot = region + moves[at]!;
    const state = moves[at + 1]!;
    u32[state] = u32[slot]!;
    if (moves[at + 3] === 2) u32[state + 1] = u32[slot + 1]!;
  }
}

function save(context: CpuContext, vmcs: CurrentVmcs, moves: Plan): void {
  const { u32 } = context.mem;
  const region = vmcs.region() >>> 2;
  for (let at = 0; at < moves.length; at += STEP) {
    const slot = region + moves[at]!;
    const state = moves[at + 1]!;
    u32[slot] = u32[state]! & moves[at + 2]!;
    u32[slot + 1] = moves[at + 3] === 2 ? u32[state + 1]! : 0;
  }
  vmcs.touched();
}

export function saveGuest(context: CpuContext, vmcs: CurrentVmcs): void {
  const { mem } = context;
  const controls = vmcs.read32(Field.exitControls);
  save(context, vmcs, GUEST);
  vmcs.write(Field.guestCr0, context.cpu.cr0);
  vmcs.write32(Field.guestRflags, readRflags(context));
  if (controls & Exit.SaveDebugControls) {
    vmcs.write(Field.guestDr7, mem.get64(L.DR7));
    vmcs.write(Field.guestDebugctl, mem.get64(L.MSR_DEBUGCTL));
  }
  if (controls & Exit.SavePat) vmcs.write(Field.guestPat, mem.get64(L.MSR_PAT));
  if (controls & Exit.SaveEfer) vmcs.write(Field.guestEfer, mem.get64(L.MSR_EFER));
  // VMX_MISC bit 5: the mode at the exit is what the next entry uses.
  const entry = vmcs.read32(Field.entryControls);
  vmcs.write32(Field.entryControls, context.cpu.efer & EFER_LMA ? entry | Entry.Ia32eGuest : entry & ~Entry.Ia32eGuest);
}

export function loadGuest(context: CpuContext, vmcs: CurrentVmcs): void {
  const { mem } = context;
  const controls = vmcs.read32(Field.entryControls);
  load(context, vmcs, GUEST);
  mem.set64(L.CR0, mergeCr0(context, vmcs.read(Field.guestCr0)));
  writeRflags(context, vmcs.read32(Field.guestRflags));
  if (controls & Entry.LoadDebugControls) {
    mem.set64(L.DR7, (vmcs.read(Field.guestDr7) & 0xffff_2fffn) | 0x400n);
    mem.set64(L.MSR_DEBUGCTL, vmcs.read(Field.guestDebugctl));
  }
  if (controls & Entry.LoadPat) mem.set64(L.MSR_PAT, vmcs.read(Field.guestPat));
  if (controls & Entry.LoadEfer) mem.set64(L.MSR_EFER, vmcs.read(Field.guestEfer));
  else setLongMode(context, (controls & Entry.Ia32eGuest) !== 0);
}

export function loadHost(context: CpuContext, vmcs: CurrentVmcs): void {
  const { mem } = context;
  const controls = vmcs.read32(Field.exitControls);
  const host64 = (controls & Exit.Host64) !== 0;
  load(context, vmcs, HOST);
  mem.set64(L.CR0, mergeCr0(context, vmcs.read(Field.hostCr0)));
  if (controls & Exit.LoadEfer) mem.set64(L.MSR_EFER, vmcs.read(Field.hostEfer));
  else setLongMode(context, host64);
  if (controls & Exit.LoadPat) mem.set64(L.MSR_PAT, vmcs.read(Field.hostPat));
  mem.set64(L.DR7, 0x400n);
  mem.set64(L.MSR_DEBUGCTL, 0n);
  writeRflags(context, 2);
  mem.set32(L.INTERRUPTIBILITY, 0);
  mem.set32(L.ACTIVITY, 0);
  mem.set32(L.GDTR_LIMIT, 0xffff);
  mem.set32(L.IDTR_LIMIT, 0xffff);
  loadHostSegments(context, vmcs, host64);
}

/** Hidden parts are fixed, they are not read from descriptors (SDM 3C 28.5.2). */
function loadHostSegments(context: CpuContext, vmcs: CurrentVmcs, host64: boolean): void {
  const code = host64 ? 0xa09b : 0xc09b;
  const flat = (segment: Segment, selector: number, rights: number, base = 0n): void =>
    context.cpu.setSegment(segment, { selector, base, limit: 0xffff_ffff, rights });
  const data = (selector: number): number => (selector === 0 ? 0x1_c093 : 0xc093);
  flat(Segment.CS, vmcs.read32(Field.hostCsSelector), code);
  for (const [segment, field, base] of [
    [Segment.ES, Field.hostEsSelector, undefined],
    [Segment.SS, Field.hostSsSelector, undefined],
    [Segment.DS, Field.hostDsSelector, undefined],
    [Segment.FS, Field.hostFsSelector, Field.hostFsBase],
    [Segment.GS, Field.hostGsSelector, Field.hostGsBase],
  ] as const) {
    const selector = vmcs.read32(field);
    flat(segment, selector, data(selector), base === undefined ? 0n : vmcs.read(base));
  }
  context.cpu.setSegment(Segment.TR, {
    selector: vmcs.read32(Field.hostTrSelector),
    base: vmcs.read(Field.hostTrBase),
    limit: 0x67,
    rights: 0x8b,
  });
  context.cpu.setSegment(Segment.LDTR, { selector: 0, base: 0n, limit: 0, rights: 0x1_0000 });
}

function mergeCr0(context: CpuContext, value: bigint): bigint {
  return (value & ~CR0_KEPT & 0xffff_ffffn) | (context.cpu.cr0 & CR0_KEPT);
}

/** Without a load of EFER, LMA and LME follow the control. */
function setLongMode(context: CpuContext, long: boolean): void {
  const efer = context.cpu.efer;
  context.mem.set64(L.MSR_EFER, long ? efer | EFER_LMA | EFER_LME : efer & ~(EFER_LMA | EFER_LME));
}
