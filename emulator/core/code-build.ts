/**
 * Builds decoded blocks of 64-bit code (AssemblyScript): the quick way for instructions whose head was met before. What a head means comes from the table
 * by way of cpu/decode.ts, which writes a template when it meets one; here it is only filled in. What has no template is left to cpu/blocks.ts.
 */
import {
  BREAK_PAGES, CODE_COUNTDOWN, CODE_JUMP, CODE_NEXT, CODE_STUBS, GPR, HEADS, RECORD_LENGTHS, RECORDS, TEMPLATE_COUNT, TEMPLATES, X87, XMM,
  XMM_STRIDE, ZERO,
} from '../cpu/layout';
import {
  FIRST_VEX_MAP, FLAG_AVX, FLAG_DROPPABLE, FLAG_ENDS, FLAG_HARMLESS, FLAG_JUMPS, FLAG_MEMORY, FLAG_SEES_FLAGS, FLAG_TARGET, FLAG_VVVV,
  FLAG_WIDE_IMMEDIATE, FLAG_WRITES_ALL, HANDLER_UNLINKED, HEAD_ESCAPE, HEAD_EXACT, HEAD_IGNORED, HEAD_KIND, HEAD_LEFT, HEAD_LOCK, HEAD_NO_MODRM, HEAD_OPERAND_SIZE, HEAD_REG,
  HEAD_REPEAT, HEAD_REX, HEAD_SEGMENT, HEAD_VEX2, HEAD_VEX3, IMMEDIATE_64, IMMEDIATE_SIGNED_16, IMMEDIATE_SIGNED_32, IMMEDIATE_SIGNED_8, IMMEDIATE_UNSIGNED_16,
  IMMEDIATE_UNSIGNED_8, KEY_BASED, KEY_FS, KEY_GS, KEY_INDEXED, KEY_L, KEY_LOCK, KEY_MAP_SHIFT, KEY_OPCODE_SHIFT, KEY_OPERAND_SIZE, KEY_REPEAT_SHIFT, KEY_REX,
  KEY_VALID, KEY_WIDE, LARGEST_BLOCK, MARK_SIZE, MOST_INSTRUCTIONS, NO_FRAME, RECORD_REGISTERS,
  SELECT_BYTE, SELECT_GPR, SELECT_MMX, SELECT_XMM, SOURCE_OPCODE, SOURCE_REG, SOURCE_RM, STUB_CELL, STUB_PFN, STUB_SIZE, STUB_TARGET, TEMPLATE_BASE, TEMPLATE_BYTES,
  TEMPLATE_CONDITION, TEMPLATE_COUNT_MASK, TEMPLATE_DISPLACEMENT, TEMPLATE_DISTANCE, TEMPLATE_FLAGLESS, TEMPLATE_FLAGS, TEMPLATE_FUSED, TEMPLATE_HANDLER, TEMPLATE_IMAGE,
  TEMPLATE_IMMEDIATE, TEMPLATE_IMMEDIATE_AT, TEMPLATE_INDEX, TEMPLATE_KEY, TEMPLATE_NEXT, TEMPLATE_REGISTERS, TEMPLATE_SIZE, TEMPLATE_TERMINATOR, TERMINATOR_COUNT, TERMINATOR_COUNTDOWN, TERMINATOR_LINKS,
} from '../cpu/code-layout';
import { blockRoom, keepBlock } from './code-blocks';

const PAGE_MASK: usize = 4095;
/** Longest instruction (SDM 2A 2.3.11). */
const LONGEST: usize = 15;
/** Bytes that reading one looks at, at most, if it is too long. */
const MOST_READ: usize = 64;
const AVX_ENABLED: u32 = 32;

// ---------------------------------------------------------------- the instruction in progress
/** The next byte. */
let at: usize = 0;
/** KEY_* bits of the prefixes. */
let prefixes: u32 = 0;
let rex: u32 = 0;
/** VEX.vvvv, not inverted. */
let vvvv: u32 = 0;
let map: u32 = 0;
let opcode: u32 = 0;
let modrm: u32 = 0;
let base: u32 = 0;
let index: u32 = 0;
let scale: u32 = 0;
let displacement: i64 = 0;
let ripRelative: bool = false;
/** From its end. */
let distance: i64 = 0;
let template: usize = 0;
/** Templates of the block in progress. */
const templates: usize = memory.data(MOST_INSTRUCTIONS * 4, 4);

@inline function byte(): u32 {
  return <u32>load<u8>(at++);
}

/** Prefixes and opcode of the instruction at `host`; false if it is none for here. */
function readHead(host: usize): bool {
  at = host;
  prefixes = 0;
  rex = 0;
  vvvv = 0;
  map = 0;
  let next = byte();
  let kind = <u32>load<u8>(<usize>HEADS + next);
  for (; kind >= <u32>HEAD_REX; kind = <u32>load<u8>(<usize>HEADS + next)) {
    // A REX prefix counts only immediately before the opcode.
    rex = 0;
    if (kind == HEAD_REX) rex = next;
    else if (kind == HEAD_OPERAND_SIZE) prefixes |= KEY_OPERAND_SIZE;
    else if (kind == HEAD_LOCK) prefixes |= KEY_LOCK;
    else if (kind == HEAD_REPEAT) prefixes = (prefixes & ~(3 << KEY_REPEAT_SHIFT)) | ((next == 0xf3 ? 2 : 3) << KEY_REPEAT_SHIFT);
    else if (kind == HEAD_SEGMENT) prefixes = (prefixes & ~(KEY_FS | KEY_GS)) | (next == 0x64 ? KEY_FS : KEY_GS);
    if (at - host >= LONGEST) return false;
    next = byte();
  }
  if (kind < <u32>HEAD_ESCAPE) {
    opcode = next;
  } else if (kind == HEAD_ESCAPE) {
    next = byte();
    map = 1;
    if (next == 0x38 || next == 0x3a) {
      map = next == 0x38 ? 2 : 3;
      next = byte();
    }
    opcode = next;
  } else return readVex(kind);
  if (rex) prefixes |= rex & 8 ? KEY_REX | KEY_WIDE : KEY_REX;
  return true;
}
/** The rest of a head after C4 or C5 (SDM 2A 2.3.5). */
function readVex(kind: u32): bool {
  if (prefixes & ~(KEY_FS | KEY_GS) || rex) return false;
  const first = byte();
  let last = first;
  map = 1;
  if (kind == HEAD_VEX3) {
    last = byte();
    map = first & 0x1f;
    if (map < 1 || map > 3) return false;
    if (last & 0x80) prefixes |= KEY_WIDE;
    rex = (~first >> 5) & 7;
  } else rex = (~first >> 5) & 4;
  map += FIRST_VEX_MAP - 1;
  vvvv = (~last >> 3) & 15;
  if (last & 4) prefixes |= KEY_L;
  const pp = last & 3;
  if (pp == 1) prefixes |= KEY_OPERAND_SIZE;
  else prefixes |= pp << KEY_REPEAT_SHIFT;
  opcode = byte();
  return true;
}

/** ModRM, SIB and displacement; answers the key, 0 if there can be no template. */
function readKey(): u32 {
  const use = <u32>load<u8>(<usize>HEADS + <usize>((map << 8) | opcode));
  if (use == 0 || use >= <u32>HEAD_LEFT) return 0;
  let key = KEY_VALID | prefixes | (map << KEY_MAP_SHIFT) | (opcode << KEY_OPCODE_SHIFT);
  modrm = 0;
  ripRelative = false;
  if (use == HEAD_NO_MODRM) return key;
  modrm = byte();
  if (modrm >= 0xc0) return key | 0xc0 | (use == HEAD_KIND ? 0 : modrm & (use == HEAD_REG ? 0x38 : 0x3f));
  readAddress();
  if (use != HEAD_KIND) key |= modrm & 0x38;
  return key | (index != ZERO ? KEY_INDEXED : KEY_BASED);
}
function readAddress(): void {
  const mod = modrm >> 6;
  const rm = modrm & 7;
  base = ZERO;
  index = ZERO;
  scale = 0;
  displacement = 0;
  let wide = mod == 2;
  if (rm == 4) {
    const sib = byte();
    scale = sib >> 6;
    const number = ((sib >> 3) & 7) | ((rex & 2) << 2);
    if (number != 4) index = GPR + number * 8;
    if ((sib & 7) == 5 && mod == 0) wide = true;
    else base = GPR + ((sib & 7) | ((rex & 1) << 3)) * 8;
  } else if (rm == 5 && mod == 0) {
    wide = true;
    ripRelative = true;
  } else base = GPR + (rm | ((rex & 1) << 3)) * 8;
  if (mod == 1) {
    displacement = <i64>load<i8>(at);
    at += 1;
  } else if (wide) {
    displacement = <i64>load<i32>(at);
    at += 4;
  }
}

function immediate(kind: u32): i64 {
  const from = at;
  switch (kind) {
    case IMMEDIATE_SIGNED_8:
      at = from + 1;
      return <i64>load<i8>(from);
    case IMMEDIATE_UNSIGNED_8:
      at = from + 1;
      return <i64>load<u8>(from);
    case IMMEDIATE_SIGNED_16:
      at = from + 2;
      return <i64>load<i16>(from);
    case IMMEDIATE_UNSIGNED_16:
      at = from + 2;
      return <i64>load<u16>(from);
    case IMMEDIATE_SIGNED_32:
      at = from + 4;
      return <i64>load<i32>(from);
    default:
      at = from + 8;
      return load<i64>(from);
  }
}

/** What a register field of the record holds. */
function registerField(selector: u32): u32 {
  const source = selector & 7;
  const kind = selector & ~7;
  let number: u32;
  if (source == SOURCE_REG) number = ((modrm >> 3) & 7) | ((rex & 4) << 1);
  else if (source == SOURCE_RM) number = (modrm & 7) | ((rex & 1) << 3);
  else if (source == SOURCE_OPCODE) number = (opcode & 7) | ((rex & 1) << 3);
  else number = vvvv;
  if (kind == SELECT_GPR) return GPR + number * 8;
  if (kind == SELECT_XMM) return XMM + number * XMM_STRIDE;
  if (kind == SELECT_BYTE) return rex == 0 && number >= 4 ? GPR + (number - 4) * 8 + 1 : GPR + number * 8;
  return kind == SELECT_MMX ? X87 + (number & 7) * 16 : number & 7;
}

// ---------------------------------------------------------------- templates
/** The slot of a key: its template, or where one may be put; 0 when the table is full. */
function slotOf(key: u32): usize {
  let slot = (key * 0x9e3779b1) >> 18;
  for (let probes = 0; probes < 64; probes++) {
    const found = <usize>TEMPLATES + <usize>slot * TEMPLATE_SIZE;
    const there = load<u32>(found, TEMPLATE_KEY);
    if (there == key || there == 0) return found;
    slot = (slot + 1) & (TEMPLATE_COUNT - 1);
  }
  return 0;
}
/** Map * 256 + opcode of the instruction at `host`, -1 if it has none here. */
export function headAt(host: usize): i32 {
  return readHead(host) ? <i32>((map << 8) | opcode) : -1;
}
/** Where the template of the instruction at `host` goes, its key written; 0 if it has one, or can have none. */
export function newTemplate(host: usize): usize {
  if (!readHead(host)) return 0;
  const key = readKey();
  if (key == 0) return 0;
  const slot = slotOf(key);
  if (slot == 0 || load<u32>(slot, TEMPLATE_KEY) == key) return 0;
  store<u32>(slot, key, TEMPLATE_KEY);
  return slot;
}

// ---------------------------------------------------------------- records
/** Of the record there and nothing behind it: what may be overwritten has been written later, or not yet. */
@inline function setLengths(record: usize, lengths: u32): void {
  store<u64>(<usize>RECORD_LENGTHS + ((record - RECORDS) >> 3), <u64>lengths);
}

/** Writes the record of the instruction at `host`; answers its length, or 0 if it is left to others. */
function writeInstruction(host: usize, gva: u64, record: usize, context: u32): u32 {
  if (!readHead(host)) return 0;
  const key = readKey();
  if (key == 0) return 0;
  const found = slotOf(key);
  if (found == 0 || load<u32>(found, TEMPLATE_KEY) != key) return 0;
  const flags = load<u32>(found, TEMPLATE_FLAGS);
  // A template that was begun but could not be made has no flags and no handler.
  if (load<u16>(found, TEMPLATE_HANDLER) == 0) return 0;
  if (flags & FLAG_AVX && !(context & AVX_ENABLED)) return 0;
  if (map >= <u32>FIRST_VEX_MAP && vvvv != 0 && !(flags & FLAG_VVVV)) return 0;
  template = found;
  const bytes = <usize>load<u16>(found, TEMPLATE_BYTES);
  v128.store(record, v128.load(found, TEMPLATE_IMAGE));
  for (let part: usize = 16; part < bytes; part += 16) v128.store(record + part, v128.load(found + part, TEMPLATE_IMAGE));
  let field = record + RECORD_REGISTERS;
  for (let left = load<u32>(found, TEMPLATE_REGISTERS); left != 0; left >>= 8, field += 2)
    if (left & 255) store<u16>(field, <u16>registerField(left & 255));
  const immediateKind = <u32>load<u8>(found, TEMPLATE_IMMEDIATE);
  if (immediateKind) {
    const value = immediate(immediateKind);
    const mask = <i64>load<u8>(found, TEMPLATE_COUNT_MASK);
    if (mask != 0 && (value & mask) == 0) return 0;
    const place = record + <usize>load<u8>(found, TEMPLATE_IMMEDIATE_AT);
    if (flags & FLAG_WIDE_IMMEDIATE) store<i64>(place, value);
    else store<i32>(place, <i32>value);
  }
  const distanceKind = <u32>load<u8>(found, TEMPLATE_DISTANCE);
  if (distanceKind) distance = immediate(distanceKind);
  const length = at - host;
  if (length > LONGEST) return 0;
  const next = gva + <u64>length;
  if (flags & FLAG_MEMORY) {
    store<u16>(record + <usize>load<u8>(found, TEMPLATE_BASE), <u16>base);
    const indexed = <usize>load<u8>(found, TEMPLATE_INDEX);
    if (indexed) store<u16>(record + indexed, <u16>(index | scale));
    store<i64>(record + <usize>load<u8>(found, TEMPLATE_DISPLACEMENT), ripRelative ? displacement + <i64>next : displacement);
  }
  setLengths(record, <u32>length);
  const follows = <usize>load<u8>(found, TEMPLATE_NEXT);
  if (follows) store<u64>(record + follows, next);
  return <u32>length;
}

/** Whether flags are dead before an instruction, given whether they are after it: as `deadBefore` of cpu/block-writer.ts. */
@inline function deadBefore(flags: u32, dead: bool, dropped: bool): bool {
  if (!(flags & FLAG_HARMLESS)) return false;
  if (dropped) return dead;
  return !(flags & FLAG_SEES_FLAGS) && ((flags & FLAG_WRITES_ALL) != 0 || dead);
}
@inline function templateAt(number: i32): usize {
  return <usize>load<u32>(templates + (<usize>number << 2));
}

/** Handlers of the `count` instructions that end at `end`: flags that are never read are dropped, a compare before the last jump is fused with it. */
function chooseHandlers(count: i32, end: usize): void {
  let record = end;
  let dead = false;
  let fused = false;
  for (let number = count - 1; number >= 0; number--) {
    const found = templateAt(number);
    const flags = load<u32>(found, TEMPLATE_FLAGS);
    record -= <usize>load<u16>(found, TEMPLATE_BYTES);
    const dropped = dead && (flags & FLAG_DROPPABLE) != 0;
    if (fused) {
      const jump = <usize>load<u8>(templateAt(number + 1), TEMPLATE_CONDITION);
      store<u16>(record, load<u16>(found + (jump << 1), TEMPLATE_FUSED));
      const bytes = <usize>load<u16>(found, TEMPLATE_BYTES);
      const lengths = <usize>RECORD_LENGTHS + ((record - RECORDS) >> 3);
      const second = lengths + (bytes >> 3);
      store<u8>(lengths, <u8>(<u32>load<u8>(lengths) | (<u32>load<u8>(second) << 4)));
      // The record of the jump is the second of the pair: it has no handler of its own.
      store<u16>(record + bytes, 0);
      store<u8>(second, 0);
      fused = false;
    } else if (dropped) store<u16>(record, load<u16>(found, TEMPLATE_FLAGLESS));
    if (flags & FLAG_JUMPS && number > 0) {
      const condition = <usize>load<u8>(found, TEMPLATE_CONDITION);
      fused = load<u16>(templateAt(number - 1) + (condition << 1), TEMPLATE_FUSED) != 0;
    }
    dead = deadBefore(flags, dead, dropped);
  }
}

/**
 * Builds the block at `gva`, whose first byte is at `host` in the frame `pfn`, which is known to hold code; answers its number, or -1 if it is left to
 * cpu/blocks.ts. `context` is that of 64-bit mode in which x87 and SSE execute.
 */
export function buildBlock(gva: u64, host: usize, pfn: u32, context: u32): i32 {
  const first = <usize>load<u32>(CODE_NEXT);
  if (first + LARGEST_BLOCK > <usize>load<u32>(CODE_STUBS) || !blockRoom()) return -1;
  const page = <u32>(gva >> 12) & 4095;
  if (load<u8>(<usize>BREAK_PAGES + (page >> 3)) & (1 << (page & 7))) return -1;
  const pageEnd = (host | PAGE_MASK) + 1;
  const memoryEnd = <usize>memory.size() << 16;
  let record = first;
  let code = host;
  let count = 0;
  let flags: u32 = 0;
  let last = first;
  do {
    if (code + MOST_READ > memoryEnd) return -1;
    const length = writeInstruction(code, gva + <u64>(code - host), record, context);
    if (length == 0) return -1;
    // One that goes on on the next page is a block of its own, and none for here. What was taken for its end is of some other page, but that it crosses its beginning says.
    if (code + length > pageEnd) {
      if (count == 0) return -1;
      flags = 0;
      break;
    }
    store<u32>(templates + (<usize>count << 2), <u32>template);
    count++;
    flags = load<u32>(template, TEMPLATE_FLAGS);
    last = record;
    record += <usize>load<u16>(template, TEMPLATE_BYTES);
    code += <usize>length;
  } while (!(flags & FLAG_ENDS) && count < MOST_INSTRUCTIONS && code != pageEnd);
  chooseHandlers(count, record);
  const end = gva + <u64>(code - host);
  const ends = (flags & FLAG_ENDS) != 0;
  const terminator = ends ? last + <usize>load<u16>(template, TEMPLATE_TERMINATOR) : record;
  if (!ends) {
    store<u64>(record, <u64>load<u32>(CODE_JUMP));
    store<u64>(record, 0, 8);
    setLengths(record, 0);
    record += MARK_SIZE;
  }
  store<u16>(terminator, <u16>count, TERMINATOR_COUNT);
  store<u32>(terminator, load<u32>(CODE_COUNTDOWN), TERMINATOR_COUNTDOWN);
  const linear = <u64>(<i64>gva >> 12);
  const links = terminator + TERMINATOR_LINKS;
  if (!ends) addStub(links + 4, end, linear, pfn);
  else if (flags & FLAG_TARGET) {
    addStub(links, end, linear, pfn);
    addStub(links + 4, end + <u64>distance, linear, pfn);
  }
  store<u32>(CODE_NEXT, <u32>record);
  return keepBlock(gva, <u32>first, pfn, <u32>count, <u32>(code - host), context);
}
/** A stub for the link at `cell` of a block on a page. */
function addStub(cell: usize, target: u64, page: u64, pfn: u32): void {
  const stub = <usize>load<u32>(CODE_STUBS) - STUB_SIZE;
  store<u32>(CODE_STUBS, <u32>stub);
  store<u64>(stub, (<u64>cell << 32) | HANDLER_UNLINKED);
  store<u64>(stub, target, STUB_TARGET);
  store<u64>(stub, <u64>(<i64>target >> 12) == page ? <u64>pfn : <u64>NO_FRAME, STUB_PFN);
  store<u32>(cell, <u32>stub);
}
