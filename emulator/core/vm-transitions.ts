/**
 * The common VM exits and entries of 64-bit hosts with 64-bit guests (AssemblyScript; SDM 3C chapters 27, 28): state moves between the VMCS in force and the
 * state page as vmx/transfer.ts, in-force.ts and exit.ts have it. What is not common (MSR areas, a timer, windows, logs, PAE tables, no VPID,
 * events to inject, checks to be looked at) is left to them; an answer of 0 means that nothing has changed. fast-paths.spec.ts holds both to the same.
 */
import {
  ACTIVITY, CC_A, CC_B, CC_OP, CODE_MODE, CPL, CR0, CS, DR7, DS, EPTP, ES, FAULT_ERROR, FAULT_GPA, FAULT_GVA, FAULT_KIND, FAULT_QUALIFICATION,
  FRAME_DIRTY, FRAME_FLAGS, FS, GDTR_LIMIT, GS, IDTR_LIMIT, INTERRUPTIBILITY, LDTR, MSR_DEBUGCTL, MSR_EFER, MSR_PAT, NON_ROOT, OF_GUEST,
  PENDING_DEBUG, PENDING_EVENTS, RAM_BASE, RAM_SIZE, SEG_BASE, SEG_LIMIT, SEG_RIGHTS, SEG_SELECTOR, SS, SYSTEM_FLAGS, TR, TSC_MULTIPLIER,
  TSC_OFFSET, VMCS_MOVES, VMX_MODE, VMX_NMI_EXITING, VMX_PML, VMX_VIRTUAL_NMIS, VPID, WATCH_HITS,
} from '../cpu/layout';
import { BLOCKED_BY_MOV_SS, BLOCKED_BY_NMI, CC_FLAGS, FAULT_NONE } from '../cpu/codes';
import {
  REGION_CHECKED, REGION_LAUNCHED, SLOT_ENTRY, SLOT_ENTRY_INTERRUPTION, SLOT_ENTRY_LOAD_COUNT, SLOT_EPTP, SLOT_EXIT, SLOT_EXIT_ERROR,
  SLOT_EXIT_INTERRUPTION, SLOT_EXIT_LOAD_COUNT, SLOT_EXIT_REASON, SLOT_EXIT_STORE_COUNT, SLOT_GUEST_CR0, SLOT_GUEST_CS_RIGHTS,
  SLOT_GUEST_DEBUGCTL, SLOT_GUEST_DR7, SLOT_GUEST_EFER, SLOT_GUEST_INTERRUPT_STATUS, SLOT_GUEST_LINEAR, SLOT_GUEST_PAT,
  SLOT_GUEST_PENDING_DEBUG, SLOT_GUEST_PHYSICAL, SLOT_GUEST_RFLAGS, SLOT_GUEST_RIP, SLOT_HOST_CR0, SLOT_HOST_EFER, SLOT_HOST_FS_BASE,
  SLOT_HOST_GS_BASE, SLOT_HOST_PAT, SLOT_HOST_SELECTORS, SLOT_HOST_TR, SLOT_HOST_TR_BASE, SLOT_INSTRUCTION_INFORMATION,
  SLOT_INSTRUCTION_LENGTH, SLOT_LINK_POINTER, SLOT_PIN, SLOT_POSTED_DESCRIPTOR, SLOT_PRIMARY, SLOT_QUALIFICATION, SLOT_SECONDARY,
  SLOT_TSC_MULTIPLIER, SLOT_TSC_OFFSET, SLOT_VECTORING, SLOT_VECTORING_ERROR, SLOT_VIRTUAL_APIC, SLOT_VPID,
} from '../cpu/vmcs-region';
import { arithmeticFlags } from './flags';
import { loadFields, saveFields } from './moves';
import {
  CR0_KEPT, DR7_ENABLES, DR7_LOADED, DR7_ONE, EFER_LMA, EFER_LME, RFLAGS_ARITHMETIC as ARITHMETIC, RFLAGS_RF as RF, RFLAGS_SYSTEM as SYSTEM,
} from '../cpu/control-bits';
import {
  HOST_CODE_RIGHTS_64, HOST_DATA_RIGHTS, HOST_LIMIT, HOST_TSS_LIMIT, HOST_TSS_RIGHTS, RIGHTS_L as L, RIGHTS_UNUSABLE as UNUSABLE,
} from '../cpu/segment-rights';
import {
  ENTRY_IA32E, ENTRY_LOAD_DEBUG, ENTRY_LOAD_EFER, ENTRY_LOAD_PAT, EXIT_HOST_64, EXIT_LOAD_EFER, EXIT_LOAD_PAT, EXIT_SAVE_DEBUG, EXIT_SAVE_EFER,
  EXIT_SAVE_PAT, PIN_NMI_EXITING, PIN_POSTED, PIN_TIMER, PIN_VIRTUAL_NMIS, PRIMARY_INTERRUPT_WINDOW, PRIMARY_MONITOR_TRAP, PRIMARY_NMI_WINDOW,
  PRIMARY_SECONDARY_CONTROLS, PRIMARY_TPR_SHADOW, PRIMARY_TSC_OFFSETTING, SECONDARY_APIC_ACCESSES, SECONDARY_EPT, SECONDARY_LOG,
  SECONDARY_MODE_BASED_EXECUTE, SECONDARY_SUB_PAGES, SECONDARY_TSC_SCALING, SECONDARY_VIOLATION_EXCEPTION, SECONDARY_VIRTUAL_INTERRUPTS,
  SECONDARY_VPID,
} from '../cpu/vm-controls';

/** Each asks for an exit soon. */
const ASKING: u32 = PRIMARY_INTERRUPT_WINDOW | PRIMARY_NMI_WINDOW | PRIMARY_MONITOR_TRAP;
/** With modes of their own in the core. */
const CORE_CONTROLS: u32 = SECONDARY_APIC_ACCESSES | SECONDARY_LOG | SECONDARY_MODE_BASED_EXECUTE | SECONDARY_SUB_PAGES;

const VALID: u32 = 0x8000_0000;
/** Valid, type and vector of an interruption information, and what they are of an NMI. */
const EVENT: u32 = 0x8000_07ff;
const NMI_EVENT: u32 = 0x8000_0202;
const EXCEPTION_OR_NMI: u32 = 0;
const EPT_VIOLATION: u32 = 48;
const SHADOW_INDICATOR: u32 = 0x8000_0000;


/** Offsets in the virtual-APIC page, and of the outstanding notification in a posted-interrupt descriptor. */
const TPR: usize = 0x80;
const PPR: usize = 0xa0;
const OUTSTANDING: usize = 32;

@inline function secondaryOf(region: usize): u32 {
  return load<u32>(region, SLOT_PRIMARY) & PRIMARY_SECONDARY_CONTROLS ? load<u32>(region, SLOT_SECONDARY) : 0;
}

/** The low half of a slot, whose high half becomes 0. */
@inline function put(region: usize, slot: usize, value: u32): void {
  store<u64>(region + slot, <u64>value);
}

@inline function setSegment(segment: usize, selector: u32, base: u64, limit: u32, rights: u32): void {
  store<u32>(segment, selector, SEG_SELECTOR);
  store<u64>(segment, base, SEG_BASE);
  store<u32>(segment, limit, SEG_LIMIT);
  store<u32>(segment, rights, SEG_RIGHTS);
}

@inline function setRflags(value: u32): void {
  store<u32>(CC_OP, CC_FLAGS << 2);
  store<u64>(CC_A, <u64>(value & ARITHMETIC));
  store<u64>(CC_B, 0);
  store<u32>(SYSTEM_FLAGS, value & SYSTEM);
}

@inline function touch(hpa: u32): void {
  const flags = <usize>FRAME_FLAGS + <usize>(hpa >> 12);
  store<u8>(flags, <u8>(<u32>load<u8>(flags) | FRAME_DIRTY));
}

// ---------------------------------------------------------------- exits

/** Whether an exit has only the common things to do. */
function leavesPlainly(region: usize): bool {
  if (!(load<u32>(region, SLOT_EXIT) & EXIT_HOST_64) || !(secondaryOf(region) & SECONDARY_VPID)) return false;
  if (load<u32>(VMX_MODE) & VMX_PML || load<u32>(PENDING_EVENTS) & (OF_GUEST | PENDING_DEBUG)) return false;
  if (!(load<u32>(MSR_EFER) & EFER_LMA)) return false;
  if (load<u32>(region, SLOT_EXIT) & EXIT_LOAD_EFER && !(load<u32>(region, SLOT_HOST_EFER) & EFER_LMA)) return false;
  return (load<u32>(region, SLOT_EXIT_STORE_COUNT) | load<u32>(region, SLOT_EXIT_LOAD_COUNT)) == 0;
}

function saveGuest(region: usize, resume: u32): void {
  const controls = load<u32>(region, SLOT_EXIT);
  saveFields(<usize>load<u32>(VMCS_MOVES), <usize>load<u32>(VMCS_MOVES + 4), region);
  store<u64>(region, load<u64>(CR0), SLOT_GUEST_CR0);
  const flags = (<u32>arithmeticFlags() & ARITHMETIC) | (load<u32>(SYSTEM_FLAGS) & SYSTEM) | 2;
  put(region, SLOT_GUEST_RFLAGS, (flags & ~RF) | resume);
  put(region, SLOT_GUEST_PENDING_DEBUG, 0);
  if (controls & EXIT_SAVE_DEBUG) {
    store<u64>(region, load<u64>(DR7), SLOT_GUEST_DR7);
    store<u64>(region, load<u64>(MSR_DEBUGCTL), SLOT_GUEST_DEBUGCTL);
  }
  if (controls & EXIT_SAVE_PAT) store<u64>(region, load<u64>(MSR_PAT), SLOT_GUEST_PAT);
  if (controls & EXIT_SAVE_EFER) store<u64>(region, load<u64>(MSR_EFER), SLOT_GUEST_EFER);
  put(region, SLOT_ENTRY, load<u32>(region, SLOT_ENTRY) | ENTRY_IA32E);
  put(region, SLOT_ENTRY_INTERRUPTION, load<u32>(region, SLOT_ENTRY_INTERRUPTION) & ~VALID);
}

function loadHost(region: usize): void {
  const controls = load<u32>(region, SLOT_EXIT);
  loadFields(<usize>load<u32>(VMCS_MOVES + 8), <usize>load<u32>(VMCS_MOVES + 12), region);
  store<u64>(CR0, <u64>((load<u32>(region, SLOT_HOST_CR0) & ~CR0_KEPT) | (load<u32>(CR0) & CR0_KEPT)));
  if (controls & EXIT_LOAD_EFER) store<u64>(MSR_EFER, load<u64>(region, SLOT_HOST_EFER));
  else store<u32>(MSR_EFER, load<u32>(MSR_EFER) | EFER_LMA | EFER_LME);
  if (controls & EXIT_LOAD_PAT) store<u64>(MSR_PAT, load<u64>(region, SLOT_HOST_PAT));
  store<u64>(DR7, DR7_ONE);
  store<u64>(MSR_DEBUGCTL, 0);
  setRflags(2);
  store<u32>(ACTIVITY, 0);
  store<u32>(GDTR_LIMIT, 0xffff);
  store<u32>(IDTR_LIMIT, 0xffff);
  loadHostSegments(region);
}

@inline function setData(segment: usize, selector: u32, base: u64): void {
  setSegment(segment, selector, base, HOST_LIMIT, selector == 0 ? HOST_DATA_RIGHTS | UNUSABLE : HOST_DATA_RIGHTS);
}

function loadHostSegments(region: usize): void {
  const selectors = region + SLOT_HOST_SELECTORS;
  setSegment(CS, load<u32>(selectors, 8), 0, HOST_LIMIT, HOST_CODE_RIGHTS_64);
  setData(ES, load<u32>(selectors), 0);
  setData(SS, load<u32>(selectors, 16), 0);
  setData(DS, load<u32>(selectors, 24), 0);
  setData(FS, load<u32>(selectors, 32), load<u64>(region, SLOT_HOST_FS_BASE));
  setData(GS, load<u32>(selectors, 40), load<u64>(region, SLOT_HOST_GS_BASE));
  setSegment(TR, load<u32>(region, SLOT_HOST_TR), load<u64>(region, SLOT_HOST_TR_BASE), HOST_TSS_LIMIT, HOST_TSS_RIGHTS);
  setSegment(LDTR, 0, 0, 0, UNUSABLE);
}

/** Of the host (SDM 3C 28.5.5): an NMI that exits blocks others; else blocking stays, that of virtual NMIs apart. */
function nmiBlocking(region: usize): u32 {
  const event = load<u32>(region, SLOT_EXIT_REASON) == EXCEPTION_OR_NMI;
  if (event && (load<u32>(region, SLOT_EXIT_INTERRUPTION) & EVENT) == NMI_EVENT) return BLOCKED_BY_NMI;
  return load<u32>(VMX_MODE) & VMX_VIRTUAL_NMIS ? 0 : load<u32>(INTERRUPTIBILITY) & BLOCKED_BY_NMI;
}

/** From the guest to the host, with the information fields written already. The TLB bank is to be selected afterwards. */
function leave(region: usize, resume: u32): void {
  saveGuest(region, resume);
  touch(<u32>region - <u32>RAM_BASE);
  const nmi = nmiBlocking(region);
  store<u32>(NON_ROOT, 0);
  store<u64>(EPTP, 0);
  store<u32>(VPID, 0);
  store<u64>(TSC_OFFSET, 0);
  store<u64>(TSC_MULTIPLIER, 0);
  store<u32>(VMX_MODE, 0);
  loadHost(region);
  store<u32>(INTERRUPTIBILITY, nmi);
  store<u32>(WATCH_HITS, 0);
  store<u32>(CPL, 0);
  store<u32>(CODE_MODE, 2);
}

/**
 * A VM exit whose information fields are written.
 * @param resume RFLAGS.RF as it is saved
 */
export function exitGuest(region: usize, resume: u32): i32 {
  if (!leavesPlainly(region)) return 0;
  leave(region, resume);
  return 1;
}

/** The VM exit of the EPT violation in FAULT_*, which no event delivery met. */
export function exitByViolation(region: usize): i32 {
  if (!leavesPlainly(region)) return 0;
  if (load<u32>(FAULT_ERROR) == 1 && secondaryOf(region) & SECONDARY_VIOLATION_EXCEPTION) return 0;
  put(region, SLOT_EXIT_REASON, EPT_VIOLATION);
  store<u64>(region, load<u64>(FAULT_QUALIFICATION), SLOT_QUALIFICATION);
  store<u64>(region, load<u64>(FAULT_GVA), SLOT_GUEST_LINEAR);
  store<u64>(region, load<u64>(FAULT_GPA), SLOT_GUEST_PHYSICAL);
  put(region, SLOT_EXIT_INTERRUPTION, 0);
  put(region, SLOT_EXIT_ERROR, 0);
  put(region, SLOT_VECTORING, 0);
  put(region, SLOT_VECTORING_ERROR, 0);
  put(region, SLOT_INSTRUCTION_LENGTH, 0);
  put(region, SLOT_INSTRUCTION_INFORMATION, 0);
  store<u32>(FAULT_KIND, FAULT_NONE);
  leave(region, RF);
  return 1;
}

// ---------------------------------------------------------------- entries

/** The words that checks/index.ts watches are what they were at the last entry. */
function steady(region: usize): bool {
  const end = <usize>load<u32>(VMCS_MOVES + 20);
  let kept = region + <usize>load<u32>(VMCS_MOVES + 24);
  for (let at = <usize>load<u32>(VMCS_MOVES + 16); at < end; at += 8, kept += 4) {
    if ((load<u32>(region + <usize>load<u32>(at)) ^ load<u32>(kept)) & load<u32>(at, 4)) return false;
  }
  return true;
}

/** Of a page or a part of it. */
@inline function inRam(hpa: u64): bool {
  return hpa < <u64>load<u32>(RAM_SIZE);
}

/** Host offset of the virtual-APIC page; 0 if it is not in RAM. */
@inline function virtualApic(region: usize): usize {
  const page = load<u64>(region, SLOT_VIRTUAL_APIC);
  return inRam(page) ? <usize>RAM_BASE + <usize>page : 0;
}

/** Processor priority: the higher of the TPR and the class in service (SDM 3C 30.1.3). */
@inline function priority(page: usize, status: u32): u32 {
  const tpr = load<u32>(page + TPR) & 0xff;
  const inService = (status >> 8) & 0xff;
  return tpr >> 4 >= inService >> 4 ? tpr : inService & 0xf0;
}

/** Whether all checks hold for sure, and an entry has only the common things to do. */
function entersPlainly(region: usize): bool {
  if (load<u32>(region) & SHADOW_INDICATOR || load<u32>(region, REGION_LAUNCHED) != 1 || load<u32>(region, REGION_CHECKED) != 1)
    return false;
  if (load<u32>(INTERRUPTIBILITY) & BLOCKED_BY_MOV_SS || !(load<u32>(MSR_EFER) & EFER_LMA)) return false;
  const primary = load<u32>(region, SLOT_PRIMARY);
  const secondary = secondaryOf(region);
  if (primary & ASKING || load<u32>(region, SLOT_PIN) & PIN_TIMER) return false;
  if (!(secondary & SECONDARY_VPID) || secondary & CORE_CONTROLS) return false;
  if (primary & PRIMARY_TPR_SHADOW && !(secondary & SECONDARY_VIRTUAL_INTERRUPTS)) return false;
  if (secondary & SECONDARY_VIRTUAL_INTERRUPTS && !virtualApic(region)) return false;
  if (!(load<u32>(region, SLOT_EXIT) & EXIT_HOST_64) || !(load<u32>(region, SLOT_ENTRY) & ENTRY_IA32E)) return false;
  if (load<u32>(region, SLOT_ENTRY_INTERRUPTION) & VALID || load<u32>(region, SLOT_ENTRY_LOAD_COUNT)) return false;
  if (load<u32>(region, SLOT_GUEST_PENDING_DEBUG) || load<u64>(region, SLOT_LINK_POINTER) != ~(<u64>0)) return false;
  const rip = load<i64>(region, SLOT_GUEST_RIP);
  if (!(load<u32>(region, SLOT_GUEST_CS_RIGHTS) & L) || (rip << 16) >> 16 != rip) return false;
  return steady(region);
}

function loadGuest(region: usize): void {
  const controls = load<u32>(region, SLOT_ENTRY);
  loadFields(<usize>load<u32>(VMCS_MOVES), <usize>load<u32>(VMCS_MOVES + 4), region);
  store<u64>(CR0, <u64>((load<u32>(region, SLOT_GUEST_CR0) & ~CR0_KEPT) | (load<u32>(CR0) & CR0_KEPT)));
  if (controls & ENTRY_LOAD_DEBUG) {
    store<u64>(DR7, <u64>((load<u32>(region, SLOT_GUEST_DR7) & DR7_LOADED) | DR7_ONE));
    store<u64>(MSR_DEBUGCTL, load<u64>(region, SLOT_GUEST_DEBUGCTL));
  }
  // Without instruction breakpoints nothing shows RF but the instruction it would be cleared by.
  const flags = load<u32>(region, SLOT_GUEST_RFLAGS);
  setRflags(load<u32>(DR7) & DR7_ENABLES ? flags : flags & ~RF);
  if (controls & ENTRY_LOAD_PAT) store<u64>(MSR_PAT, load<u64>(region, SLOT_GUEST_PAT));
  if (controls & ENTRY_LOAD_EFER) store<u64>(MSR_EFER, load<u64>(region, SLOT_GUEST_EFER));
  else store<u32>(MSR_EFER, load<u32>(MSR_EFER) | EFER_LMA | EFER_LME);
}

function putInForce(region: usize): void {
  const primary = load<u32>(region, SLOT_PRIMARY);
  const secondary = secondaryOf(region);
  const pin = load<u32>(region, SLOT_PIN);
  store<u64>(EPTP, secondary & SECONDARY_EPT ? load<u64>(region, SLOT_EPTP) : 0);
  store<u32>(VPID, load<u32>(region, SLOT_VPID));
  const offsets = (primary & PRIMARY_TSC_OFFSETTING) != 0;
  store<u64>(TSC_OFFSET, offsets ? load<u64>(region, SLOT_TSC_OFFSET) : 0);
  store<u64>(TSC_MULTIPLIER, offsets && secondary & SECONDARY_TSC_SCALING ? load<u64>(region, SLOT_TSC_MULTIPLIER) : 0);
  store<u32>(VMX_MODE, (pin & PIN_NMI_EXITING ? VMX_NMI_EXITING : 0) | (pin & PIN_VIRTUAL_NMIS ? VMX_VIRTUAL_NMIS : 0));
}

function updatePriority(region: usize): void {
  const page = virtualApic(region);
  const value = priority(page, load<u32>(region, SLOT_GUEST_INTERRUPT_STATUS));
  if (load<u32>(page + PPR) == value) return;
  store<u32>(page + PPR, value);
  touch(<u32>page - <u32>RAM_BASE);
}

/** VMRESUME: a VM entry. The TLB bank is to be selected afterwards. */
export function enterGuest(region: usize): i32 {
  if (!entersPlainly(region)) return 0;
  loadGuest(region);
  store<u32>(NON_ROOT, 1);
  putInForce(region);
  store<u32>(CPL, (load<u32>(SS, SEG_RIGHTS) >> 5) & 3);
  store<u32>(CODE_MODE, 2);
  if (secondaryOf(region) & SECONDARY_VIRTUAL_INTERRUPTS) updatePriority(region);
  return 1;
}

/** In non-root operation: whether virtual interrupts are delivered and one may be due, in the virtual-APIC page or posted. */
export function mayInterrupt(region: usize): i32 {
  if (!(secondaryOf(region) & SECONDARY_VIRTUAL_INTERRUPTS)) return 0;
  const page = virtualApic(region);
  if (!page) return 1;
  if (load<u32>(region, SLOT_PIN) & PIN_POSTED) {
    const descriptor = load<u64>(region, SLOT_POSTED_DESCRIPTOR);
    if (!inRam(descriptor)) return 1;
    if (load<u32>(<usize>RAM_BASE + <usize>descriptor + OUTSTANDING) & 1) return 1;
  }
  const status = load<u32>(region, SLOT_GUEST_INTERRUPT_STATUS);
  return <i32>((status & 0xff) >> 4 > priority(page, status) >> 4);
}
