/**
 * The one map of the engine's linear memory (wasm32). Every address is a byte offset.
 *
 * This file is compiled twice: as TypeScript, and by AssemblyScript as part of the core
 * (`emulator/core/`). Keep it to plain `export const NAME = <number expression>;`.
 *
 *   CPU state | engine scratch | TLB banks | core statics | code bitmap | frame flags |
 *   jump caches | decoded records | decoded blocks | guest frames (host physical memory)
 */

// ---------------------------------------------------------------- CPU state (the running vCPU)
/** Start of the state that is saved and loaded whole when another vCPU or thread runs. */
export const STATE = 0x1000;
/** Bytes of it. */
export const STATE_SIZE = 0x1000;

/** RAX RCX RDX RBX RSP RBP RSI RDI R8..R15, 8 bytes each. */
export const GPR = 0x1000;
/** Always 0: what an absent base, index or segment base reads. */
export const ZERO = 0x1080;
/** Address of the next instruction; exact only outside `enter()`. */
export const RIP = 0x1088;
/** Lazy flags: kind * 4 + log2(operand bytes); see cpu/flags.ts. */
export const CC_OP = 0x1090;
export const CC_A = 0x1098;
export const CC_B = 0x10a0;
/** RFLAGS without CF PF AF ZF SF OF and without bit 1: TF IF DF IOPL NT RF VM AC VIF VIP ID. 4 bytes. */
export const SYSTEM_FLAGS = 0x10a8;
/** Current privilege level, 4 bytes. */
export const CPL = 0x10ac;
/** 1 while in VMX non-root operation, 4 bytes. */
export const NON_ROOT = 0x10b0;
/** Bytes blocked: bit 0 by STI, bit 1 by MOV SS, bit 3 by NMI (VMCS interruptibility format), 4 bytes. */
export const INTERRUPTIBILITY = 0x10b4;
/** 0 active, 1 HLT, 2 shutdown, 3 wait for SIPI (VMCS activity format), 4 bytes. */
export const ACTIVITY = 0x10b8;
/** Code mode of CS: 0 16-bit, 1 32-bit, 2 64-bit. 4 bytes. */
export const CODE_MODE = 0x10bc;

/** Segment registers ES CS SS DS FS GS LDTR TR (VMCS order), SEG_STRIDE bytes each. */
export const SEG = 0x10c0;
export const SEG_STRIDE = 24;
export const SEG_BASE = 0; // u64
export const SEG_LIMIT = 8; // u32, in bytes (granularity applied)
export const SEG_RIGHTS = 12; // u32, VMCS access-rights format (SDM 3C 25.4.1); bit 16 unusable
export const SEG_SELECTOR = 16; // u16
export const ES = 0x10c0;
export const CS = 0x10d8;
export const SS = 0x10f0;
export const DS = 0x1108;
export const FS = 0x1120;
export const GS = 0x1138;
export const LDTR = 0x1150;
export const TR = 0x1168;
export const GDTR_BASE = 0x1180;
export const GDTR_LIMIT = 0x1188;
export const IDTR_BASE = 0x1190;
export const IDTR_LIMIT = 0x1198;

export const CR0 = 0x11a0;
export const CR2 = 0x11a8;
export const CR3 = 0x11b0;
export const CR4 = 0x11b8;
export const CR8 = 0x11c0;
export const XCR0 = 0x11c8;
export const DR0 = 0x11d0; // DR0..DR3 8 bytes each, then DR6, DR7
export const DR6 = 0x11f0;
export const DR7 = 0x11f8;

export const MSR_EFER = 0x1200;
export const MSR_STAR = 0x1208;
export const MSR_LSTAR = 0x1210;
export const MSR_CSTAR = 0x1218;
export const MSR_FMASK = 0x1220;
export const MSR_KERNEL_GS_BASE = 0x1228;
export const MSR_SYSENTER_CS = 0x1230;
export const MSR_SYSENTER_ESP = 0x1238;
export const MSR_SYSENTER_EIP = 0x1240;
export const MSR_PAT = 0x1248;
export const MSR_TSC_AUX = 0x1250;
export const MSR_TSC_ADJUST = 0x1258;
export const MSR_DEBUGCTL = 0x1260;
export const MSR_APIC_BASE = 0x1268;
export const MSR_FEATURE_CONTROL = 0x1270;
export const MSR_MISC_ENABLE = 0x1278;

// VMX, of this logical processor
/** 1 after VMXON. 4 bytes. */
export const VMX_ON = 0x1280;
/** Physical address of the VMXON region, or all ones. 8 bytes. */
export const VMXON_POINTER = 0x1288;
/** Physical address of the current VMCS, or all ones. 8 bytes. */
export const VMCS_POINTER = 0x1290;
/** EPTP in force (0 when EPT is off). 8 bytes. */
export const EPTP = 0x1298;
/** VPID in force (0 in root operation). 4 bytes. */
export const VPID = 0x12a0;
/** TSC offset in force, 8 bytes. */
export const TSC_OFFSET = 0x12a8;

/** Instructions retired by this thread or vCPU, 8 bytes. */
export const RETIRED = 0x12c0;
/** Modelled cycles of this vCPU, 8 bytes. */
export const CYCLES = 0x12c8;

/** IA32_XSS: there are no supervisor state components, so it stays 0. */
export const MSR_XSS = 0x12d0;

/** Rights of the protection keys: bit 2i access disabled, bit 2i + 1 write disabled (SDM 3A 4.6.2). 4 bytes. */
export const PKRU = 0x1340;
/** The four PDPTE registers of PAE paging (SDM 3A 4.4.1), 8 bytes each. */
export const PDPTE = 0x1348;
/** Events that wait for an instruction boundary: PENDING_* bits. 4 bytes. */
export const PENDING_EVENTS = 0x1368;
/** Debug exceptions as the VMCS field has them: breakpoints 3:0, BS 14. */
export const PENDING_DEBUG = 0x400f;
export const PENDING_NMI = 0x10000;
/** A VM exit by the monitor trap flag (vmx/boundary.ts), and of the guest in force: every instruction is followed by one. */
export const PENDING_MTF = 0x20000;
export const MONITOR_TRAP = 0x40000;
/** The VMX-preemption timer runs; VT-x is to be asked at every boundary (windows, virtual interrupts). */
export const TIMER_RUNS = 0x80000;
export const ASKS_VMX = 0x100000;
/** Those that end with the stay in non-root operation. */
export const OF_GUEST = 0x3e0000;
/** The next instruction accesses the virtual-APIC page in place of the APIC-access page (vmx/apic-page.ts). */
export const APIC_REDIRECTED = 0x200000;

/** XMM/YMM0..15, 32 bytes each: the upper half of a YMM register is at 16. */
export const XMM = 0x1400;
export const XMM_STRIDE = 32;
/** x87 physical registers R0..R7 (not ST order), 16 bytes each: 64-bit significand, 16-bit sign and exponent. MMX aliases the significands. */
export const X87 = 0x1600;
/** u32 each: control word, status word (TOP kept in X87_TOP), TOP, tag (2 bits a physical register: 3 empty, 0 in use; FNSTENV classifies the values in use). */
export const X87_CW = 0x1680;
export const X87_SW = 0x1684;
export const X87_TOP = 0x1688;
export const X87_TAG = 0x168c;
export const X87_LAST_OPCODE = 0x1690;
export const X87_LAST_IP = 0x1698;
export const X87_LAST_DP = 0x16a0;
export const MXCSR = 0x16a8;

// What the controls of the VMCS in force ask of the fast parts. All of it 0 in root operation.
/** Cycle (CYCLES) at which the VMX-preemption timer has counted down, 8 bytes. */
export const TIMER_DEADLINE = 0x1fe8;
/** TSC multiplier in force, with 48 fraction bits; 0 for none. 8 bytes. */
export const TSC_MULTIPLIER = 0x1ff0;
/** VMX_* bits. 4 bytes. */
export const VMX_MODE = 0x1ff8;
export const VMX_NMI_EXITING = 1;
export const VMX_VIRTUAL_NMIS = 2;
/** Bit 10 of EPT entries is the right to fetch from user pages, bit 2 from others. */
export const VMX_MODE_BASED_EXECUTE = 4;
export const VMX_PML = 8;
export const VMX_SUB_PAGES = 0x10;
export const VMX_APIC_ACCESSES = 0x20;
/** PML index, 4 bytes, and HPA of the page-modification log, 8 bytes. */
export const PML_INDEX = 0x1ffc;
export const PML_ADDRESS = 0x1fe0;
/** HPA of the APIC-access page and of the virtual-APIC page, 8 bytes each. */
export const APIC_ACCESS = 0x1fd8;
export const VIRTUAL_APIC = 0x1fb8;
/** The access that APIC_REDIRECTED is about: offset in the page, bit 15 for a write, bit 16 once the instruction has been executed. 4 bytes. */
export const APIC_OFFSET = 0x1fb4;
export const APIC_WRITES = 0x8000;
export const APIC_DONE = 0x10000;
/** HPA of the root of the sub-page-permission table, 8 bytes. */
export const SPP_TABLE = 0x1fd0;
/** Time-stamp counter at the first and the last PAUSE of a loop, 8 bytes each. */
export const PAUSE_FIRST = 0x1fc8;
export const PAUSE_LAST = 0x1fc0;

// ---------------------------------------------------------------- engine scratch (not part of a vCPU)
export const SCRATCH = 0x2000;
/** Record at which `enter()` stopped. u32. */
export const OP = 0x2000;
/** Budget left when `enter()` returned. i32. */
export const BUDGET = 0x2004;
export const LINK = 0x2008;
export const SITE = 0x200c;
/** Base of the TLB bank in force. u32. */
export const TLB_BASE = 0x2010;
/** Base of the jump cache in force. u32. */
export const JC_BASE = 0x2014;
/** Bytes of guest frames behind RAM_BASE. u32 (up to 3 GB). */
export const RAM_SIZE = 0x2018;
/** Physical-address width (MAXPHYADDR) in bits. u32. */
export const PHYS_BITS = 0x201c;

/** What the slow path or a semantic refused: FaultKind. u32. Cleared by the reader. */
export const FAULT_KIND = 0x2020;
/** Vector of an exception. u32. */
export const FAULT_VECTOR = 0x2024;
/** Error code of an exception. u32. */
export const FAULT_ERROR = 0x2028;
/** Linear address of the access. u64. */
export const FAULT_GVA = 0x2030;
/** Guest-physical address (EPT faults). u64. */
export const FAULT_GPA = 0x2038;
/** Exit qualification of an EPT violation (SDM 3C table 28-7). u64. */
export const FAULT_QUALIFICATION = 0x2040;
/** Bit n: TLB bank n belongs to the address space in force (same CPU, VPID, PCID); set with TLB_BASE. u32. */
export const TLB_SIBLINGS = 0x2048;
/** Not 0: nothing may be cached in the bank in force (alignment checks at CPL 3). u32. */
export const TLB_UNCACHED = 0x204c;

/** What of paging the CPU model lacks: NO_* bits. u32. */
export const PAGING_ABSENT = 0x2050;
/** No 1 GB pages: PS in a PDPTE is reserved. */
export const NO_PAGE_1GB = 1;
/** No PSE-36: 4 MB pages lie below 4 GB. */
export const NO_PSE36 = 2;
/** Bit n: slot n of WATCH_LIST is in use (core/mmu-watch.ts). u32. */
export const WATCHES = 0x2054;
/** Bit n: the range in slot n has been met since this was cleared. u32. */
export const WATCH_HITS = 0x2058;

/** 1: there is a board around the processor, which answers where there is no RAM and is told of PAUSE. u32. */
export const BOARD = 0x2070;
/** Physical address of the last access that found no RAM (core/mmu.ts, NOWHERE). u64. */
export const NOWHERE_HPA = 0x2078;
/** Where page-crossing loads are assembled. 64 bytes. */
export const BOUNCE = 0x2080;
/** Where floating-point helpers leave their result (16 bytes; see core/softfloat-sse.ts, core/x87.ts). */
export const FP_RESULT = 0x20c0;
/** Where integer helpers leave a second result: remainder or high half, or new flags (see core/int128.ts, core/integer.ts). 8 bytes. */
export const INTEGER_RESULT = 0x20e0;
/** Images of FNSTENV, FNSAVE and FXSAVE on their way to and from guest memory (see core/x87-image.ts). 512 bytes. */
export const FP_IMAGE = 0x2100;
/** Where the core leaves the answer of a diagnostic walk (core/mmu-walk.ts, `walkTrace`): 64 bytes, then 32 a step, 35 at most (5 levels under an EPT of 5). 0x600 bytes. */
export const WALK = 0x2400;
/** Watched ranges of linear addresses: 16 slots of 32 bytes. */
export const WATCH_LIST = 0x2a00;
export const WATCH_SHIFT = 5;
export const WATCH_FIRST = 0; // u64
export const WATCH_LAST = 8; // u64
/** WATCH_WRITES, WATCH_READS or both. u32 */
export const WATCH_KIND = 16;
export const WATCH_WRITES = 1;
export const WATCH_READS = 2;
/** Scratch the TypeScript side may use to pass blocks to the core. */
export const EXCHANGE = 0x3000;
export const EXCHANGE_SIZE = 0x1000;

/** A byte for every 512 bytes of the TLB banks that may hold entries: what a flush has to look at. 64 a bank. */
export const TLB_MARKS = 0x4000;
export const MARKS_A_BANK = 64;
/**
 * What the core knows of a VMCS beside cpu/vmcs-region.ts (vmx/transfer.ts writes it once, core/vm-transitions.ts reads it): eight u32, then what they tell of. Start and
 * end of the moves of the guest's state, of the host's, of the words that an entry watches; offset in the region of what these were. Up to 0x800 bytes.
 */
export const VMCS_MOVES = 0x4400;
/** Keys of the TLB banks and of the context in force behind them, and the tables of each bank (cpu/bank-keys.ts). */
export const BANK_KEYS = 0x4c00;
export const BANK_ROOTS = 0x4e00;
/** The bank in force and the one before it, -1 for none. i32 each. */
export const BANK_CURRENT = 0x4ec0;
export const BANK_PREVIOUS = 0x4ec4;
/**
 * What stands behind the address of an EPT violation, as linux/supply.ts and dune/supply.ts say it to core/page-supply.ts: 8 bytes of host-virtual address, then u32 each:
 * root of the process's tables; bits that its leaf must have; low bits and high half of a leaf put there now, for which SUPPLY_FRAME is the frame, 0 for none;
 * whether that has been used and is to be emptied; root of the EPT and low bits of its leaf. Answer: 1 if the leaf was put there.
 */
export const SUPPLY_HVA = 0x4f00;
export const SUPPLY_ROOT = 0x4f08;
export const SUPPLY_NEEDED = 0x4f0c;
export const SUPPLY_LEAF = 0x4f10;
export const SUPPLY_LEAF_HIGH = 0x4f14;
export const SUPPLY_FRAME = 0x4f18;
export const SUPPLY_RECYCLED = 0x4f1c;
export const SUPPLY_EPT_ROOT = 0x4f20;
export const SUPPLY_EPT_LEAF = 0x4f24;
export const SUPPLY_INSTALLED = 0x4f28;
/**
 * What the core may serve by itself until it is taken back (core/page-lease.ts): an area of the guest's memory behind which one area of the process stands. u32 each but for
 * the addresses: host offset of the VMCS, 0 for no lease; budget at which the last event was delivered; first guest-physical address, address after the last, host-virtual
 * address of the first (8 bytes each); whether it may be written; high half of leaves put there; frame that reads of absent pages get, 0 for none; free frames, from the
 * first to before the last; low bits of EPT leaves for reads and for writes.
 */
export const LEASE = 0x4f30;
export const LEASE_LAST = 0x4f34;
export const LEASE_GPA = 0x4f38;
export const LEASE_GPA_END = 0x4f40;
export const LEASE_HVA = 0x4f48;
export const LEASE_WRITABLE = 0x4f50;
export const LEASE_LEAF_HIGH = 0x4f54;
export const LEASE_ZERO = 0x4f58;
export const LEASE_FRAME = 0x4f5c;
export const LEASE_FRAME_END = 0x4f60;
export const LEASE_EPT_READ = 0x4f64;
export const LEASE_EPT_WRITE = 0x4f68;
/** What it has done since TypeScript looked (u32 each): exits with the entry after them, leaves put in the process's tables, frames taken for them. */
export const LEASE_SERVED = 0x4f6c;
export const LEASE_INSTALLED = 0x4f70;
export const LEASE_TAKEN = 0x4f74;
/** General registers, KERNEL_GS_BASE and CR2 at the last exit. 8 bytes each. */
export const LEASE_REGISTERS = 0x5000;

// ---------------------------------------------------------------- TLB
export const TLB_BANKS = 16;
export const TLB_ENTRIES = 1024;
/** log2 of bytes per entry. */
export const TLB_SHIFT = 5;
export const TLB_BANK_BYTES = 0x8000;
export const TLB = 0x10000;
// offsets in an entry; a tag is the page's linear address, or all ones
export const TLB_READ = 0; // u64
export const TLB_WRITE = 8; // u64
export const TLB_EXEC = 16; // u64
/** Linear memory offset = wrap(gva) + addend. i32 */
export const TLB_ADDEND = 24;
/** Bit 0 global page, other bits below 5 as core/mmu-tlb.ts has them; from bit 5 the low 27 bits of the guest-physical page number. u32 */
export const TLB_FLAGS = 28;
export const TLB_GPA_SHIFT = 5;
/** In a tag: the tables may have changed since the entry was filled. Such a tag matches no address (core/mmu-stale.ts). */
export const TLB_PARKED = 1;
/**
 * CODE_PAGES_A_BANK bytes a bank, a bit for hashes of the pages code was looked up on since the last flush: byte (bits 23:15 of the address xor bits 31:23), bit
 * (bits 14:12). Only these can be in the bank's jump cache.
 */
export const CODE_PAGES = 0x90000;
export const CODE_PAGES_A_BANK = 512;
/**
 * Translations that code is fetched by, CODE_ENTRIES a bank by the low bits of the page number, which only fetches displace: page | CODE_VALID (u64; 0 none), linear
 * memory offset = wrap(gva) + addend (u32), size of the page that it is a part of as TLB_FLAGS has it (u32). TLB_PARKED as above.
 */
export const CODE_TLB = 0x1000000;
export const CODE_VALID = 2;
export const CODE_ADDEND = 8;
export const CODE_SIZE = 12;
export const CODE_ENTRIES = 8192;
export const CODE_SHIFT = 4;
export const CODE_BANK_BYTES = 0x20000;
/** CODE_USED_BYTES a bank: bit n set when one of the entries n to n + 1 times CODE_CHUNK is in use. */
export const CODE_USED = 0xa0000;
export const CODE_USED_BYTES = 32;
export const CODE_CHUNK = 32;

// ---------------------------------------------------------------- statics of the AssemblyScript core
export const CORE_STATICS = 0x190000;

// ---------------------------------------------------------------- per frame of guest memory
/** u64 a frame: bit g set when 64-byte granule g holds decoded code. */
export const CODE_BITMAP = 0x400000;
/** u8 a frame: FRAME_* bits. */
export const FRAME_FLAGS = 0xa00000;
/** Written since the last snapshot. */
export const FRAME_DIRTY = 1;
/** Do not hand out a write tag: a watchpoint or other observer wants every write. */
export const FRAME_WATCHED = 2;
export const MAX_FRAMES = 0xc0000;

// ---------------------------------------------------------------- jump caches: one a bank
export const JC = 0xb00000;
export const JC_ENTRIES = 16384;
/** An address goes to the entry of the low bits of (address >> JC_LOW) ^ (address >> JC_HIGH): targets are rarely nearer to each other than 4 bytes. */
export const JC_LOW = 2;
export const JC_HIGH = 14;
/** 16 bytes: gva u64, record u32, spare u32. */
export const JC_SHIFT = 4;
export const JC_BANK_BYTES = 0x40000;
/** u64 a bank: bit n set when entries n * JC_CHUNK to (n + 1) * JC_CHUNK - 1 are in use; emptying goes by these. */
export const JC_USED = 0xf00000;
/** Bytes of an empty entry: its address is canonical in no mode, so nothing jumps there. */
export const JC_EMPTY = 0x80;
/** log2 of the entries of a chunk. */
export const JC_CHUNK_SHIFT = 8;

// ---------------------------------------------------------------- decoded records
export const RECORDS = 0x1200000;
export const RECORDS_END = 0xe000000;
/** Records take multiples of this. */
export const RECORD_UNIT = 8;
/**
 * Lengths of the instructions of each record, one byte a unit: in that of its first unit the low four bits of its instruction, the high four of the second of a
 * fused pair; 0 for what begins no instruction.
 */
export const RECORD_LENGTHS = 0xe000000;

// ---------------------------------------------------------------- decoded blocks (core/code-blocks.ts, core/code-build.ts)
/** Where the next record goes. u32. */
export const CODE_NEXT = 0x10000000;
/** Blocks so far, dropped ones included. u32. */
export const BLOCK_COUNT = 0x10000004;
/** Executions before a new block counts as hot. u32. */
export const CODE_COUNTDOWN = 0x10000008;
/** Handler of the jump that ends a block no branch ends. u32. */
export const CODE_JUMP = 0x1000000c;
/** The lowest stub: they fill the records' area from its end. u32. */
export const CODE_STUBS = 0x10000010;
/** 4,096 bits by bits 23:12 of an address: whether a breakpoint may stand on the page. */
export const BREAK_PAGES = 0x10000100;
export const BREAK_PAGES_BYTES = 512;
/** How the core reads the head of an instruction, by opcode map (code-layout.ts). 256 bytes a map. */
export const HEADS = 0x10000400;
/** What instructions with the same head have in common (code-layout.ts). */
export const TEMPLATES = 0x10010000;
export const TEMPLATE_COUNT = 16384;
/** The latest block of each frame: number + 1, or 0. u32 a frame. */
export const FRAME_BLOCKS = 0x10400000;
/** What is known of each block by its number, BLOCK_SIZE bytes a block (code-layout.ts). */
export const BLOCKS = 0x11000000;
export const BLOCK_SIZE = 32;
export const MOST_BLOCKS = 0xf0000;
/** Blocks by address, frame and context: a table of n bytes lies n bytes from here, so that it can grow. */
export const BLOCK_INDEX = 0x14000000;
export const BLOCK_INDEX_BYTES = 0x2000000;

// ---------------------------------------------------------------- host physical memory
/** Offset of host physical address 0. */
export const RAM_BASE = 0x18000000;
