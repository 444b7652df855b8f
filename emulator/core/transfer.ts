/**
 * The common ways between rings of 64-bit code, whole (AssemblyScript): entry to a handler through the IDT (SDM 3A 6.14) and IRETQ (SDM 2A). What is
 * not common (a check that refuses, a page that is absent, tables that lie on two pages, other modes, debug traps) is left to cpu/system, which
 * describes every case; an answer of 0 means that nothing has changed but what looking at tables changes. fast-paths.spec.ts holds both to the same.
 */
import {
  ACTIVITY, CC_A, CC_B, CC_OP, CODE_BITMAP, CODE_MODE, CPL, CR4, CS, DR7, DS, ES, FAULT_KIND, FRAME_DIRTY, FRAME_FLAGS, FS, GDTR_BASE,
  GDTR_LIMIT, GPR, GS, IDTR_BASE, IDTR_LIMIT, INTERRUPTIBILITY, MSR_EFER, RAM_BASE, RIP, SEG_BASE, SEG_LIMIT, SEG_RIGHTS, SEG_SELECTOR, SS,
  SYSTEM_FLAGS, TR, WATCHES,
} from '../cpu/layout';
import {
  ACCESS_IMPLICIT, ACCESS_READ, ACCESS_WRITE, BLOCKED_BY_MOV_SS, BLOCKED_BY_NMI, BLOCKED_BY_STI, CC_FLAGS, FAULT_NONE,
} from '../cpu/codes';
import { arithmeticFlags } from './flags';
import { FAULTED, misaligned, NOWHERE, locate } from './mmu';
import { forgetStale, staleMet } from './mmu-stale';
import {
  CR4_LA57, DR7_ENABLES, EFER_LMA, RFLAGS_AC as AC, RFLAGS_ARITHMETIC as ARITHMETIC, RFLAGS_DF as DF, RFLAGS_ID as ID, RFLAGS_IF as IF, RFLAGS_IOPL as IOPL,
  RFLAGS_NT as NT, RFLAGS_RF as RF, RFLAGS_SYSTEM as SYSTEM, RFLAGS_TF as TF, RFLAGS_VIF as VIF, RFLAGS_VIP as VIP, RFLAGS_VM as VM,
} from '../cpu/control-bits';
import {
  RIGHTS_ACCESSED as ACCESSED, RIGHTS_CODE as CODE, RIGHTS_CONFORMING as CONFORMING, RIGHTS_DB as DB, RIGHTS_G as G, RIGHTS_L as L,
  RIGHTS_PRESENT as PRESENT, RIGHTS_S as S, RIGHTS_UNUSABLE as UNUSABLE, RIGHTS_WRITABLE as WRITABLE,
} from '../cpu/segment-rights';

/** Answers: done; and what the TLB bank depends on has changed. */
const DONE: i32 = 1;
const CONTEXT: i32 = 2;

const RSP: usize = GPR + 32;

/** What POPF may change at any CPL, with 64-bit operands: CF PF AF ZF SF TF DF OF NT AC ID. */
const ANY_CPL: u32 = ARITHMETIC | TF | DF | NT | AC | ID;
const VIF_VIP: u32 = VIF | VIP;

// InterruptionType (SDM 3C table 25-15).
const NMI: i32 = 2;
const HARDWARE_EXCEPTION: i32 = 3;
const SOFTWARE_INTERRUPT: i32 = 4;
const SOFTWARE_EXCEPTION: i32 = 6;

const INTERRUPT_GATE: u32 = 14;
const TRAP_GATE: u32 = 15;

const SHADOW: u32 = BLOCKED_BY_STI | BLOCKED_BY_MOV_SS;

@inline function canonical(gva: u64): bool {
  return <u64>(<i64>(gva << 16) >> 16) == gva;
}

/** Host offset of bytes that lie on one page, or 0. */
function place(gva: u64, bytes: i32, access: i32): usize {
  if (<i32>(gva & 0xfff) + bytes > 4096) return 0;
  const host = locate(gva, access);
  if (staleMet) forgetStale();
  else if (host != FAULTED && host != NOWHERE) return <usize>host;
  store<u32>(FAULT_KIND, FAULT_NONE);
  return 0;
}

/** Rights of accesses to tables and to the stack of a handler: the supervisor's. */
@inline function implicit(): i32 {
  return load<u32>(CPL) == 3 ? ACCESS_IMPLICIT : 0;
}

/** Host offset of a descriptor in the GDT, or 0. */
@inline function descriptorAt(selector: u32): usize {
  if ((selector & 0xfffc) == 0 || (selector & 4) != 0) return 0;
  const offset = selector & 0xfff8;
  if (offset + 7 > load<u32>(GDTR_LIMIT)) return 0;
  return place(load<u64>(GDTR_BASE) + offset, 8, ACCESS_READ | implicit());
}

@inline function rightsOf(descriptor: u64): u32 {
  return <u32>(descriptor >> 40) & 0xf0ff;
}

function loadSegment(segment: usize, selector: u32, descriptor: u64): void {
  const rights = rightsOf(descriptor);
  const limit = (<u32>descriptor & 0xffff) | (<u32>(descriptor >> 32) & 0xf_0000);
  store<u64>(segment, ((descriptor >> 16) & 0xff_ffff) | ((descriptor >> 32) & 0xff00_0000), SEG_BASE);
  store<u32>(segment, rights & G ? (limit << 12) | 0xfff : limit, SEG_LIMIT);
  store<u32>(segment, rights, SEG_RIGHTS);
  store<u16>(segment, <u16>selector, SEG_SELECTOR);
}

function loadNull(segment: usize, selector: u32, dpl: u32): void {
  store<u64>(segment, 0, SEG_BASE);
  store<u32>(segment, 0, SEG_LIMIT);
  store<u32>(segment, UNUSABLE | (dpl << 5), SEG_RIGHTS);
  store<u16>(segment, <u16>selector, SEG_SELECTOR);
}

/** Present, accessed, 64-bit code. */
@inline function isCode64(rights: u32): bool {
  return (rights & (S | CODE | ACCESSED | PRESENT | L | DB)) == (S | CODE | ACCESSED | PRESENT | L);
}

@inline function in64BitMode(): bool {
  if (!(load<u32>(MSR_EFER) & EFER_LMA) || load<u32>(CODE_MODE) != 2) return false;
  return !(load<u32>(SYSTEM_FLAGS) & VM) && !(load<u32>(CR4) & CR4_LA57);
}

@inline function pushesErrorCode(vector: i32): bool {
  return vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21;
}

/**
 * Enters the handler of an event.
 * @param type InterruptionType
 * @param length bytes of the instruction behind which the return address lies, 0 where it stands on RIP
 */
export function enterHandler(vector: i32, type: i32, errorCode: u32, length: i32): i32 {
  if (!in64BitMode() || vector == 1 || type == NMI) return 0;
  const cpl = load<u32>(CPL);
  const rights = implicit();
  if (vector * 16 + 15 > <i32>load<u32>(IDTR_LIMIT)) return 0;
  const gate = place(load<u64>(IDTR_BASE) + vector * 16, 16, ACCESS_READ | rights);
  if (!gate) return 0;
  const low = load<u64>(gate);
  const kind = <u32>(low >> 40) & 0x1f;
  if ((kind != INTERRUPT_GATE && kind != TRAP_GATE) || !((low >> 47) & 1)) return 0;
  if ((type == SOFTWARE_INTERRUPT || type == SOFTWARE_EXCEPTION) && (<u32>(low >> 45) & 3) < cpl) return 0;
  const target = (low & 0xffff) | ((low >> 32) & 0xffff_0000) | (load<u64>(gate, 8) << 32);
  const selector = <u32>(low >> 16) & 0xffff;
  const ist = <u32>(low >> 32) & 7;

  const at = descriptorAt(selector);
  if (!at || !canonical(target)) return 0;
  const code = load<u64>(at);
  const codeRights = rightsOf(code);
  const dpl = (codeRights >> 5) & 3;
  if (!isCode64(codeRights) || dpl > cpl) return 0;
  const newCpl = codeRights & CONFORMING ? cpl : dpl;

  let stack = load<u64>(RSP);
  if (ist != 0 || newCpl < cpl) {
    const offset: u32 = ist != 0 ? 28 + ist * 8 : 4 + newCpl * 8;
    if (offset + 7 > load<u32>(TR, SEG_LIMIT)) return 0;
    const pointer = place(load<u64>(TR, SEG_BASE) + offset, 8, ACCESS_READ | rights);
    if (!pointer) return 0;
    stack = load<u64>(pointer);
  }
  if (!canonical(stack)) return 0;
  const withError = type == HARDWARE_EXCEPTION && pushesErrorCode(vector);
  const bytes = withError ? 48 : 40;
  const rsp = (stack & ~15) - bytes;
  const frame = place(rsp, bytes, ACCESS_WRITE | rights);
  if (!frame) return 0;
  const pfn = (<u32>frame - <u32>RAM_BASE) >> 12;
  if (load<u64>(<usize>CODE_BITMAP + (<usize>pfn << 3)) != 0) return 0;

  // Nothing refuses from here on.
  const flags = load<u32>(SYSTEM_FLAGS);
  const fault = type == HARDWARE_EXCEPTION && vector != 8 && vector != 18;
  const pushed = (<u32>arithmeticFlags() & ARITHMETIC) | (flags & SYSTEM) | 2 | (fault ? RF : 0);
  const software = type >= SOFTWARE_INTERRUPT;
  let slot = frame;
  if (withError) {
    store<u64>(slot, <u64>errorCode);
    slot += 8;
  }
  store<u64>(slot, load<u64>(RIP) + (software ? length : 0));
  store<u64>(slot, <u64>load<u16>(CS, SEG_SELECTOR), 8);
  store<u64>(slot, <u64>pushed, 16);
  store<u64>(slot, load<u64>(RSP), 24);
  store<u64>(slot, <u64>load<u16>(SS, SEG_SELECTOR), 32);
  store<u8>(<usize>FRAME_FLAGS + pfn, <u8>(<u32>load<u8>(<usize>FRAME_FLAGS + pfn) | FRAME_DIRTY));

  loadSegment(CS, (selector & 0xfffc) | newCpl, code);
  if (newCpl != cpl) loadNull(SS, newCpl, newCpl);
  store<u64>(RSP, rsp);
  store<u64>(RIP, target);
  store<u32>(SYSTEM_FLAGS, flags & ~(TF | VM | RF | NT | (kind == INTERRUPT_GATE ? IF : 0)));
  store<u32>(INTERRUPTIBILITY, load<u32>(INTERRUPTIBILITY) & ~SHADOW);
  store<u32>(ACTIVITY, 0);
  store<u32>(CPL, newCpl);
  return newCpl != cpl ? DONE | CONTEXT : DONE;
}

/** After a return to an outer ring, segments that ring may not use become null (SDM 3A 5.8.6). */
@inline function dropInner(segment: usize, cpl: u32): void {
  const rights = load<u32>(segment, SEG_RIGHTS);
  if (rights & UNUSABLE || (rights & (CODE | CONFORMING)) == (CODE | CONFORMING)) return;
  if (((rights >> 5) & 3) >= cpl) return;
  const base = load<u64>(segment, SEG_BASE);
  loadNull(segment, 0, 0);
  store<u64>(segment, base, SEG_BASE);
}

/** IRETQ to 64-bit code. The caller knows that descriptors come from the GDT. */
export function returnFromHandler(): i32 {
  const old = load<u32>(SYSTEM_FLAGS);
  if (!in64BitMode() || (old & NT) != 0 || (load<u32>(DR7) & DR7_ENABLES) != 0 || load<u32>(WATCHES) != 0) return 0;
  if (load<u32>(INTERRUPTIBILITY) & BLOCKED_BY_NMI) return 0;
  if (misaligned(load<u64>(RSP), 8)) return 0;
  const cpl = load<u32>(CPL);
  const frame = place(load<u64>(RSP), 40, ACCESS_READ);
  if (!frame) return 0;
  const rip = load<u64>(frame);
  const selector = load<u32>(frame, 8) & 0xffff;
  const flags = load<u32>(frame, 16);
  const rsp = load<u64>(frame, 24);
  const ssSelector = load<u32>(frame, 32) & 0xffff;
  const newCpl = selector & 3;
  if (newCpl < cpl || !canonical(rip) || (flags & (TF | NT | VM)) != 0) return 0;

  const codeAt = descriptorAt(selector);
  if (!codeAt) return 0;
  const code = load<u64>(codeAt);
  const codeRights = rightsOf(code);
  if (!isCode64(codeRights) || (codeRights & CONFORMING) != 0 || ((codeRights >> 5) & 3) != newCpl) return 0;
  const nullStack = (ssSelector & 0xfffc) == 0;
  let stack: u64 = 0;
  if ((ssSelector & 3) != newCpl) return 0;
  if (nullStack) {
    if (newCpl == 3) return 0;
  } else {
    const stackAt = descriptorAt(ssSelector);
    if (!stackAt) return 0;
    stack = load<u64>(stackAt);
    const rights = rightsOf(stack);
    if ((rights & (S | CODE | WRITABLE | ACCESSED | PRESENT)) != (S | WRITABLE | ACCESSED | PRESENT)) return 0;
    if (((rights >> 5) & 3) != newCpl) return 0;
  }

  // Nothing refuses from here on.
  let changes = ANY_CPL;
  if (cpl == 0) changes |= IOPL | VIF_VIP;
  if (cpl <= (old & IOPL) >> 12) changes |= IF;
  const rflags = (((<u32>arithmeticFlags() & ARITHMETIC) | (old & SYSTEM)) & ~changes & ~RF) | (flags & changes);
  store<u32>(CC_OP, CC_FLAGS << 2);
  store<u64>(CC_A, <u64>(rflags & ARITHMETIC));
  store<u64>(CC_B, 0);
  store<u32>(SYSTEM_FLAGS, rflags & SYSTEM);
  store<u64>(RSP, rsp);
  store<u64>(RIP, rip);
  loadSegment(CS, selector, code);
  if (nullStack) loadNull(SS, ssSelector, newCpl);
  else loadSegment(SS, ssSelector, stack);
  store<u32>(CPL, newCpl);
  if (newCpl != cpl) {
    dropInner(ES, newCpl);
    dropInner(DS, newCpl);
    dropInner(FS, newCpl);
    dropInner(GS, newCpl);
  }
  return newCpl != cpl || ((old ^ rflags) & AC) != 0 ? DONE | CONTEXT : DONE;
}
