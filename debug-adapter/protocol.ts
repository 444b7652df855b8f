/**
 * Custom DAP requests and events between the adapter and its views. Standard requests are not repeated here.
 * Types only: the extension may import this file. Addresses and 64-bit values travel as '0x...' strings.
 */

export type Hex = string;

/** `dune/pageTable`: children of one table, or of the root in force. */
export interface PageTableArguments {
  threadId: number;
  /** Tables of CR3, the EPT, or the tables of CR3 on the other level of VMX operation (of a bare machine's hypervisor and its guest). */
  which: 'guest' | 'ept' | 'other';
  /** From a node's `table`; absent for the root. */
  table?: { hpa: Hex; level: number; start: Hex };
}
export interface PageTableResponse {
  /** Why there is nothing to show, in words (no EPT in Linux mode, paging off). */
  message?: string;
  /** Whose the tables of the other level are: "the hypervisor" or "the guest". */
  whose?: string;
  /** "CR3 0x... PCID 0" or "EPTP 0x...". */
  root: string;
  nodes: PageTableNodeBody[];
}
export interface PageTableNodeBody {
  start: Hex;
  /** Last byte covered. */
  last: Hex;
  level: number;
  kind: 'table' | 'leaf' | 'range';
  /** Where the (first) entry stands. */
  entryHpa: Hex;
  entry: Hex;
  target?: Hex;
  /** "4 KB", "2 MB", "1 GB". */
  pageSize?: string;
  /** "P W U A D" in words. */
  flags: string;
  /** Bits of the entry by name, for toggling. */
  bits: { name: string; bit: number; set: boolean; meaning: string }[];
  table?: { hpa: Hex; level: number; start: Hex };
}

/** `dune/setPageTableEntry`: writes one 8-byte entry; TLBs keep what they have, as hardware would, unless `flush`. */
export interface SetPageTableEntryArguments {
  threadId: number;
  hpa: Hex;
  value: Hex;
  flush?: boolean;
}

/** `dune/walk`: the whole (two-dimensional) walk of an address. */
export interface WalkArguments {
  threadId: number;
  /** A number, register or expression. */
  address: string;
  access?: 'read' | 'write' | 'execute';
  user?: boolean;
}
export interface WalkResponse {
  gva: Hex;
  gpa?: Hex;
  hpa?: Hex;
  /** One line: what came of it. */
  result: string;
  ok: boolean;
  /** In effect, of the page that was reached, with what decided. */
  memoryType?: { type: string; because: string };
  steps: {
    table: 'guest' | 'ept';
    level: number;
    forGuestLevel: number;
    /** "PML4E", "EPT PDPTE", ... */
    name: string;
    gpa: Hex;
    hpa: Hex;
    entry: Hex;
    /** Flags in words. */
    flags: string;
    outcome: string;
  }[];
  /** The same as text, for a terminal. */
  text: string[];
}

/** `dune/vmcs` */
export interface VmcsArguments {
  threadId: number;
  /** `shadow`: the VMCS that the link pointer of the current one names; without checks and lists. */
  which?: 'current' | 'shadow';
}
export interface VmcsResponse {
  /** Why there is nothing to show. */
  message?: string;
  /** "VMCS at hpa:0x..., launched". */
  title?: string;
  /** The shadow VMCS that its link pointer names, and whether the guest's VMREAD and VMWRITE go there. */
  shadow?: { hpa: Hex; inUse: boolean };
  fields: VmcsFieldBody[];
  /** What a VM entry would come to. */
  entry?: VmEntryBody;
  /** Violated VM-entry checks, in SDM order. */
  checks: VmcsCheckBody[];
  /** Bitmaps, masks and lists that say what exits. */
  lists: ExitListBody[];
}
export interface VmEntryBody {
  state: 'holds' | 'would-fail' | 'failed';
  /** "VM entry would fail: 3 checks violated". */
  headline: string;
}
export interface VmcsCheckBody {
  id: string;
  group: 'controls' | 'host' | 'guest' | 'msr-load';
  section: string;
  wants: string;
  found: string;
  /** What is wrong in particular. */
  because?: string;
  /** Encodings of the fields it is about. */
  fields: number[];
  /** Number of the entry of an MSR-load area. */
  entry?: number;
}
export interface ExitListBody {
  id: string;
  title: string;
  section: string;
  fields: number[];
  inEffect: boolean;
  /** The control that puts it in effect, and how it stands. */
  because: string;
  rows: { text: string; exits: boolean }[];
}
export interface VmcsFieldBody {
  encoding: number;
  name: string;
  group: 'control' | 'exit-information' | 'guest' | 'host';
  bits: number;
  value: Hex;
  writable: boolean;
  text?: string;
  /** `bit`: the part is a bit that can be written; `fixed`: the only value that the processor allows it to have. */
  parts: { name: string; value: Hex; meaning?: string; bit?: number; fixed?: Hex }[];
}

/** `dune/setVmcsField`; fails with one sentence. */
export interface SetVmcsFieldArguments {
  threadId: number;
  encoding: number;
  /** Of the field, or of its bit. */
  value: Hex;
  bit?: number;
  which?: 'current' | 'shadow';
}
export interface SetVmcsFieldResponse {
  entry?: VmEntryBody;
  /** Checks that the write has violated. */
  violated: VmcsCheckBody[];
  /** Ids of those that hold again. */
  mended: string[];
}

/** `dune/wouldExit`: whether something the guest does would exit. Fails with one sentence. */
export interface WouldExitArguments {
  threadId: number;
  /**
   * `rdmsr 0xc0000080`, `wrmsr EFER 0x500`, `in 0x60`, `port 0x3f8 w out`, `#PF 0x6`, `cr0 0x80010031`, `at main`, an instruction in AT&T or Intel syntax; empty:
   * the instruction at RIP. `line /path/guest.c:12`: each machine instruction of a line of a source; `line /path/guest.s:12 | rdmsr`: another question where the line has no code
   * of the guest's.
   */
  question: string;
}
export interface WouldExitResponse {
  /** The question in words. */
  asked: string;
  exits: boolean;
  /** One sentence. */
  headline: string;
  reason?: { number: number; name: string; description: string };
  qualification?: Hex;
  /** What is raised before an exit, or instead; it may exit itself. */
  fault?: { vector: number; name: string; errorCode?: number; because: string };
  /** Controls, bits of bitmaps and masks that decide; the most important one last. */
  decides: { text: string; encoding?: number; bit?: number; section: string }[];
  notes: string[];
  /** Of a line of a source: what its instructions do, each; the rest is about the first of them that exits. */
  instructions?: { address: Hex; instruction: string; exits: boolean; headline: string }[];
  /** All of it, for a terminal. */
  text: string[];
}

/** `dune/events`: the log, oldest first. */
export interface EventsArguments {
  kinds: string[];
  /** Only events with a sequence of at least this. */
  since?: number;
  /** At most this many, the newest ones. */
  limit?: number;
}
export interface EventsResponse {
  events: EventBody[];
  /** Pass as `since` next time. */
  next: number;
}
export interface EventBody {
  sequence: number;
  kind: string;
  thread: number;
  instructions: number;
  cycles: number;
  rip: Hex;
  cpl: number;
  mode: string;
  summary: string;
  facts: Record<string, string | number | boolean>;
  /** Symbol and source of RIP. */
  symbol?: string;
  source?: { path: string; line: number };
}

/** `dune/eventFilters`: the event breakpoints there are, as a tree. */
export interface EventFiltersResponse {
  filters: EventFilterBody[];
}
export interface EventFilterBody {
  filter: string;
  /** Parent filter in the tree. */
  parent?: string;
  label: string;
  description: string;
  /** Names a condition may use. */
  facts: string[];
  conditionExample: string;
}

/** `dune/setEventBreakpoints`: replaces those of the view (those set through setExceptionBreakpoints stay). */
export interface SetEventBreakpointsArguments {
  breakpoints: { filter: string; condition?: string; hitCondition?: string; logMessage?: string }[];
}
export interface SetEventBreakpointsResponse {
  breakpoints: { verified: boolean; message?: string }[];
}

/** `dune/explanation`: why a thread's last abnormal stop happened. */
export interface ExplanationResponse {
  explanation?: { headline: string; details: string[]; advice?: string };
}

/** `dune/fault`: all there is to say about the fault, VM exit for one, or shutdown that the program stopped for. */
export interface FaultResponse {
  /** Why there is nothing to say. */
  message?: string;
  fault?: FaultBody;
}
export interface FaultBody {
  /** "#PF page fault", "EPT violation", "triple fault". */
  title: string;
  headline: string;
  /** First fault first. */
  chain: FaultLinkBody[];
  walk?: WalkReportBody;
  /** Cached translations of the address. */
  tlb: TlbDetailsBody[];
  tlbSummary: string;
  /** Registers that decide. */
  controls: { name: string; value: Hex; text: string }[];
  advice?: string;
  /** The same in a few lines. */
  text: string[];
}
/** An address of code with what is known of it. */
export interface CodePlace {
  rip: Hex;
  symbol?: string;
  source?: { path: string; line: number };
}
export interface FaultLinkBody {
  /** "#PF". */
  name: string;
  title: string;
  errorCode?: Hex;
  errorText?: string;
  place: CodePlace;
  cpl: number;
  gva?: Hex;
  gpa?: Hex;
  /** Which check refused. */
  because?: string;
  /** Why it could not be delivered. */
  failed?: string;
  /** What the walk of its address comes to. */
  result?: string;
}
export interface WalkReportBody {
  gva: Hex;
  access: string;
  user: boolean;
  paging: string;
  /** The guest's entries, each with the EPT entries read to reach it; the last may be the page's own, without an entry. */
  levels: { name: string; entry?: WalkEntryBody; ept: WalkEntryBody[] }[];
  gpa?: Hex;
  hpa?: Hex;
  result: string;
  ok: boolean;
  rights: { right: string; wanted: boolean; given: boolean; decidedBy: string[] }[];
}
export interface WalkEntryBody {
  name: string;
  gpa: Hex;
  hpa: Hex;
  value: Hex;
  flags: string;
  target?: Hex;
  outcome: string;
  refused: boolean;
}

/** `dune/tlb`: the banks, and of one of them some entries, in the order of their addresses. */
export interface TlbArguments {
  /** Words that all have to hold: a page's address, stale, global, large, current, user, supervisor, R, W, X, cpu=, vpid=, pcid=. */
  filter?: string;
  bank?: number;
  start?: number;
  /** At most 256. */
  count?: number;
}
export interface TlbResponse {
  banks: TlbBankBody[];
  entries: TlbEntryBody[];
}
export interface TlbBankBody {
  bank: number;
  current: boolean;
  /** "CPU 0, VPID 1, PCID 2, CR3 0x..., ring 3". */
  tags: string;
  /** How many entries the filter lets through. */
  entries: number;
  stale: number;
}
export interface TlbEntryBody {
  bank: number;
  index: number;
  gva: Hex;
  hpa: Hex;
  pageSize: string;
  /** "R W X". */
  rights: string;
  global: boolean;
  differences: string[];
  stale: boolean;
}
export interface TlbDetailsBody {
  entry: TlbEntryBody;
  tags: string;
  current: boolean;
  summary: string;
  changed?: 'guest' | 'ept';
  /** Invalidations, the narrowest first. */
  missing: string[];
  change?: { hpa: Hex; old: Hex; new: Hex; place: CodePlace; byInstruction: boolean; instructions: number };
}

/** `dune/tlbEntry`: an entry beside what the tables say now. */
export interface TlbEntryArguments {
  bank: number;
  index: number;
}
export interface TlbEntryResponse extends TlbDetailsBody {
  walk: WalkResponse;
}

/** `dune/memoryMap` */
export interface MemoryMapResponse {
  areas: { start: Hex; end: Hex; permissions: string; offset: Hex; name: string; window: string }[];
}

/** Event `dune/log`: new events are in the log (sent at most a few times a second while running, and at each stop). */
export interface LogEventBody {
  next: number;
}
