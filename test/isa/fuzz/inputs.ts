/** Random states for a program to begin with: registers that make its memory operands fall where it is interesting, and contents there. */
import type { Random } from '../support/random.ts';
import * as F from './layout.ts';
import type { Patch } from './layout.ts';
import { memoryOperand } from './program.ts';
import type { Program } from './program.ts';
import type { MemoryOperand } from '../../../emulator/cpu/instruction.ts';
import { Content, contents, fill, putInteger } from './values.ts';

const CF_TO_OF = 0x8d5;
const DIRECTION = 0x400;
const ALIGNMENT_CHECK = 0x40000;
const INTERRUPTS_AND_ONE = 0x202;
/** A canonical base with nothing within 4 GB of it: processes have their libraries and stacks near the top, at random places. */
const FAR_BASE = 0x2f12_3456_7890n;
const RCX = 1;
const RDX = 2;
const RBX = 3;
const RSP = 4;
const RBP = 5;
const RSI = 6;
const RDI = 7;
const STACK_OPS = /^(push|pop|pushf|popf|call|ret|call_indirect|push_segment|enter|leave)$/;
const STRING_OPS = /^(movs|stos|lods|cmps|scas)$/;
const POOL = 64;

export class Inputs {
  readonly state = new Uint8Array(F.STATE_BYTES);
  readonly view = new DataView(this.state.buffer);
  patches: Patch[] = [];
  /** Extended states to begin with. */
  readonly #pool: Uint8Array[];
  readonly #gpr = new BigUint64Array(this.state.buffer, 0, 16);

  constructor(readonly random: Random) {
    this.#pool = Array.from({ length: POOL }, () => this.#extended());
  }

  #extended(): Uint8Array {
    const { random, state, view } = this;
    state.fill(0);
    const masks = random.oneIn(5) ? random.next() & 0x3f : 0x3f;
    view.setUint16(F.X_FCW, 0x40 | masks | (random.pick([3, 3, 3, 0, 2]) << 8) | ((random.next() & 3) << 10), true);
    const top = random.below(8);
    const status = (top << 11) | (random.next() & 0x4500) | (random.next() & masks);
    view.setUint16(F.X_FSW, status, true);
    // Mostly a stack of seven, with room for one more.
    state[F.X_FTW] = random.oneIn(3) ? random.next() & 0xff : 0xff & ~(1 << ((top + 7) & 7));
    view.setUint32(F.X_MXCSR, mxcsr(random), true);
    for (let i = 0; i < 8; i++) {
      fill(random, view, F.X_ST + i * 16, 16, random.oneIn(6) ? Content.Integers : Content.Extended);
      // MMX contents: an exponent of all ones.
      if (random.oneIn(6)) view.setUint16(F.X_ST + i * 16 + 8, 0xffff, true);
      state.fill(0, F.X_ST + i * 16 + 10, F.X_ST + i * 16 + 16);
    }
    for (let i = 0; i < 16; i++) fill(random, view, F.X_XMM + i * 16, 16, contents(random));
    for (let i = 0; i < 16; i++) fill(random, view, F.X_YMM + i * 16, 16, contents(random));
    view.setUint32(F.X_HEADER, F.COMPONENTS, true);
    return state.slice(F.AT_XSAVE);
  }

  /** Makes `state` and `patches` for a program. */
  make(program: Program): void {
    const { random, state, view } = this;
    state.set(random.pick(this.#pool), F.AT_XSAVE);
    view.setUint32(F.X_MXCSR, random.oneIn(4) ? mxcsr(random) : view.getUint32(F.X_MXCSR, true), true);
    state.fill(0, 0, F.AT_XSAVE);
    for (let i = 0; i < 16; i++) putInteger(random, view, i * 8);
    this.patches = [];
    let flags = (random.next() & CF_TO_OF) | INTERRUPTS_AND_ONE;
    if (random.oneIn(6)) flags |= DIRECTION;
    if (random.oneIn(64)) flags |= ALIGNMENT_CHECK;
    // Whether MASKMOVDQU checks alignment differs between processors.
    if (program.instructions.some(({ insn }) => insn && /^v?maskmov(q|dqu)$/.test(insn.op))) flags &= ~ALIGNMENT_CHECK;
    view.setUint32(F.AT_RFLAGS, flags, true);
    view.setUint32(F.AT_RIP, program.address, true);
    this.#segmentBases();
    this.#gpr[RSP] = BigInt(0x204400 + random.below(0x180) * 8 + (random.oneIn(16) ? random.below(8) : 0));
    if (program.form) this.#single(program);
    else this.#sequence(program);
  }

  #segmentBases(): void {
    const { random, view } = this;
    for (const at of [F.AT_FS_BASE, F.AT_GS_BASE])
      view.setBigUint64(
        at,
        random.oneIn(2) ? BigInt(random.below(0x10000)) : random.oneIn(2) ? FAR_BASE : 0xffff_9000_1234_5678n,
        true,
      );
  }

  #sequence({ pointers }: Program): void {
    const { random } = this;
    if (!random.oneIn(8)) this.state.fill(0, F.AT_FS_BASE, F.AT_GS_BASE + 8);
    for (const pointer of pointers) {
      const target = random.oneIn(30)
        ? this.#place(16, 16)
        : F.DATA + random.pick([0, 0x4000]) + 128 + random.below(0x1e00 / 16) * 16;
      this.#gpr[pointer] = BigInt(target);
      if (random.oneIn(2)) this.#patch(target - 32, 32, contents(random));
    }
    if (random.oneIn(2)) this.#vectors([random.below(16), random.below(16)]);
  }

  #single(program: Program): void {
    const { random } = this;
    const { insn } = program.instructions[0]!;
    if (!insn) return;
    const { op, operands } = insn;
    if (STRING_OPS.test(op)) this.#strings();
    else if (STACK_OPS.test(op)) this.#stack(op, insn.size);
    else if (op === 'xlat') this.#gpr[RBX] = BigInt(this.#place(1, 1) - 128);
    // Whether bytes that are masked out fault differs between processors.
    else if (/^v?maskmov(q|dqu)$/.test(op)) {
      this.#gpr[RDI] = BigInt(this.#place(16, 1, true));
      this.state.fill(0, F.AT_FS_BASE, F.AT_GS_BASE + 8);
    } else if (/^(div|idiv)$/.test(op) && random.oneIn(2)) this.#dividend();
    else if (/^v?pcmp.str/.test(op)) this.#lengths();
    else if (/^(loop|jrcxz)/.test(op) && random.oneIn(2)) this.#gpr[RCX] = BigInt(random.below(3));
    else if (op === 'jmp_indirect' && operands[0]!.kind === 'gpr') this.#target(operands[0]!.register);
    if (op === 'call_indirect' && operands[0]!.kind === 'gpr') this.#target(operands[0]!.register);
    this.#vectors(operands.flatMap((operand) => (operand.kind === 'xmm' ? [operand.register] : [])));
    if (random.oneIn(2))
      this.#stackRegisters(operands.flatMap((operand) => (operand.kind === 'mmx' ? [operand.register] : [])));
    const memory = memoryOperand(insn);
    if (!memory || STRING_OPS.test(op) || op === 'xlat' || /^v?maskmov(q|dqu)$/.test(op)) return;
    const bytes = accessBytes(program);
    const locked = insn.lock || op === 'xchg';
    // SHA instructions want alignment by the SDM, and do without on AMD processors.
    const aligned = locked || /^sha\d/.test(op);
    const target = this.#place(bytes, locked ? 64 : Math.min(bytes, 64), aligned);
    const at = this.#fit(memory, target, bytes);
    if (/^bt/.test(op) && operands[1]!.kind === 'gpr') this.#bitOffset(memory, operands[1]!.register, insn.size);
    if (at === undefined) return;
    const content = /^f(bld|bstp)/.test(op)
      ? Content.Noise
      : op.startsWith('f') && bytes === 10
        ? Content.Extended
        : contents(random);
    const from = this.#patch(at, bytes, content);
    if (from !== undefined && /^(jmp|call)_indirect$/.test(op)) this.#putTarget(at);
    if (from !== undefined && op === 'cmpxchg8b' && random.oneIn(2)) this.#comparand(at, insn.size);
    if (from !== undefined && /ldmxcsr/.test(op) && random.oneIn(2))
      this.#putPatched(at, (view, offset) => view.setUint32(offset, mxcsr(random), true), 4);
    if (from !== undefined && op === 'fbld') this.#putPatched(at, (view, offset) => decimal(random, view, offset), 10);
  }

  // ---------------------------------------------------------------- places

  /** Where an access of so many bytes shall go: mostly inside the writable pages, often at their edges. */
  #place(bytes: number, align: number, within = false): number {
    const { random } = this;
    const kind = random.oneIn(3) ? random.below(100) : 0;
    const inside = (from: number, length: number): number => {
      const at = from + random.below(length - bytes - 1);
      return random.oneIn(8) && !within ? at : at - (at % align);
    };
    const half = F.DATA + random.pick([0, 0x4000]);
    if (kind < 76 || within) return inside(half + 64, 0x2000 - 128);
    const across = bytes < 2 ? 0 : 1 + random.below(bytes - 1);
    if (kind < 82) return half + F.PAGE - across;
    if (kind < 86) return half + 0x2000 - bytes;
    if (kind < 88) return half + 0x2000 - across;
    if (kind < 90) return F.DATA + 0x3000 - across;
    if (kind < 94) return inside(F.DATA + 0x3000, F.PAGE);
    if (kind < 96) return F.DATA + 0x4000 - across;
    if (kind < 98) return inside(F.DATA + 0x6000, F.PAGE);
    if (kind < 99) return F.DATA - across;
    return -1;
  }

  /** Sets registers so that the operand begins at `target`; answers where it is now, if it can be known. -1: anywhere. */
  #fit(
    { base, index, scale, displacement, segment, addressSize }: MemoryOperand,
    target: number,
    bytes: number,
  ): number | undefined {
    const gpr = this.#gpr;
    // What AMD processors make of an effective address that is not canonical though the linear one is, and of 10 bytes over the border, is their own.
    if (target < 0 && (segment >= 4 || bytes === 10)) return undefined;
    if (target < 0) {
      // Near the canonical border.
      if (base >= 0) gpr[base] = BigInt.asUintN(64, 0x8000_0000_0000n - displacement - BigInt(this.random.below(16)));
      return undefined;
    }
    let wanted = BigInt(target) - displacement;
    if (segment === 4) wanted -= this.view.getBigInt64(F.AT_FS_BASE, true);
    if (segment === 5) wanted -= this.view.getBigInt64(F.AT_GS_BASE, true);
    if (base >= 0) {
      if (index >= 0) wanted -= gpr[index]! << BigInt(scale);
      gpr[base] = BigInt.asUintN(64, wanted);
      // What stands above bit 31 must not matter with a 32-bit address.
      if (addressSize === 32) gpr[base] = BigInt.asUintN(32, wanted) | (BigInt(this.random.next()) << 32n);
      return addressSize === 64 || segment < 4 ? target : undefined;
    }
    if (index >= 0) {
      gpr[index] = BigInt.asUintN(64, wanted >> BigInt(scale));
      return addressSize === 64 || segment < 4 ? Number((gpr[index]! << BigInt(scale)) - wanted) + target : undefined;
    }
    return segment < 4 ? Number(displacement) : undefined;
  }

  /** New contents around an access; undefined if it does not lie in writable pages. */
  #patch(at: number, bytes: number, content: Content): number | undefined {
    const { random } = this;
    let from = at - random.below(16);
    if (bytes > F.PATCH_BYTES) from = at;
    const page = Math.floor((from - F.DATA) / F.PAGE);
    if (from < F.DATA || F.RIGHTS[page] !== F.Right.Write) return undefined;
    const lastPage = Math.floor((from + F.PATCH_BYTES - 1 - F.DATA) / F.PAGE);
    if (F.RIGHTS[lastPage] !== F.Right.Write) from = F.DATA + (page + 1) * F.PAGE - F.PATCH_BYTES;
    const contentsOf = new Uint8Array(F.PATCH_BYTES);
    const view = new DataView(contentsOf.buffer);
    // Aligned to the operand, so that its parts are numbers.
    const shift = (((at - from) % 16) + 16) % 16;
    fill(random, view, 0, F.PATCH_BYTES, content);
    if (shift !== 0) contentsOf.set(contentsOf.slice(0, F.PATCH_BYTES - shift), shift);
    this.patches.push({ address: from, bytes: contentsOf });
    return from;
  }
  #putPatched(at: number, put: (view: DataView, offset: number) => void, bytes: number): void {
    const patch = this.patches.at(-1)!;
    const offset = at - patch.address;
    if (offset < 0 || offset + bytes > F.PATCH_BYTES) return;
    put(new DataView(patch.bytes.buffer), offset);
  }

  // ---------------------------------------------------------------- implicit operands

  #strings(): void {
    const { random } = this;
    const gpr = this.#gpr;
    const near = (): bigint =>
      BigInt(random.oneIn(6) ? this.#place(8, 1) : F.DATA + random.pick([0, 0x4000]) + 512 + random.below(0x1c00));
    gpr[RCX] = BigInt(random.oneIn(20) ? random.below(200) : random.below(24));
    gpr[RSI] = near();
    gpr[RDI] = random.oneIn(3) ? gpr[RSI]! + BigInt(random.below(33) - 16) : near();
    for (const register of [RSI, RDI]) {
      const at = Number(BigInt.asIntN(53, gpr[register]!));
      this.#patch(at - 8, 16, random.oneIn(2) ? Content.Strings : Content.Integers);
    }
    // Equal strings, mostly.
    if (this.patches.length === 2 && random.oneIn(2)) this.patches[1]!.bytes.set(this.patches[0]!.bytes);
    if (random.oneIn(4)) gpr[0] = BigInt(random.pick([0, 0x0101_0101, 0xffff_ffff, 2]));
    // With 32-bit addresses nothing above bit 31 matters.
    if (this.#is32) for (const register of [RCX, RSI, RDI]) gpr[register]! |= BigInt(random.next()) << 32n;
  }
  get #is32(): boolean {
    return this.random.oneIn(16);
  }

  #stack(op: string, size: number): void {
    const { random, view } = this;
    const gpr = this.#gpr;
    if (random.oneIn(8))
      gpr[RSP] = BigInt.asUintN(64, BigInt(this.#place(8, 8) + (op === 'ret' || op.startsWith('pop') ? 0 : 8)));
    if (/^(enter|leave)$/.test(op)) gpr[RBP] = BigInt.asUintN(64, BigInt(this.#place(8, 8)));
    const top = op === 'leave' ? gpr[RBP]! : gpr[RSP]!;
    const at = Number(BigInt.asIntN(53, top));
    if (this.#patch(at, 16, Content.Integers) === undefined) return;
    if (op === 'ret') this.#putTarget(at);
    if (op === 'popf')
      this.#putPatched(
        at,
        (patch, offset) =>
          patch.setUint32(offset, view.getUint32(F.AT_RFLAGS, true) ^ (random.next() & 0x200cd5), true),
        4,
      );
    if (op === 'popf' && size === 8) this.#putPatched(at, (patch, offset) => patch.setUint32(offset + 4, 0, true), 8);
  }

  /** Where an indirect branch goes: mostly the gate, now and then nowhere. */
  #targetAddress(): bigint {
    const { random } = this;
    const kind = random.below(12);
    return kind === 0
      ? 0x8000_0000_0000n
      : kind === 1
        ? BigInt(F.DATA + 0x2000 + random.below(16))
        : kind === 2
          ? BigInt(F.DATA + random.below(0x2000))
          : BigInt(F.GATE);
  }
  #target(register: number): void {
    this.#gpr[register] = this.#targetAddress();
  }
  #putTarget(at: number): void {
    this.#putPatched(at, (view, offset) => view.setBigUint64(offset, this.#targetAddress(), true), 8);
  }

  #dividend(): void {
    this.#gpr[RDX] = this.random.oneIn(2) ? 0n : BigInt.asUintN(64, BigInt.asIntN(64, this.#gpr[0]!) >> 63n);
  }
  #lengths(): void {
    const { random, view } = this;
    for (const register of [0, RDX])
      if (random.oneIn(2)) this.#gpr[register] = BigInt.asUintN(64, BigInt(random.below(40) - 20));
    for (let i = 0; i < 16; i++) fill(random, view, F.X_XMM + i * 16, 16, Content.Strings);
  }
  #bitOffset(memory: MemoryOperand, register: number, size: number): void {
    if (memory.base === register || memory.index === register) return;
    const high =
      size === 8
        ? 0n
        : (BigInt(this.random.next()) << 32n) |
          (size === 2 ? BigInt(this.random.next() & 0xffff0000) & 0xffff0000n : 0n);
    this.#gpr[register] = BigInt.asUintN(64, high | BigInt.asUintN(size * 8, BigInt(this.random.below(1024) - 512)));
  }
  /** What CMPXCHG8B and CMPXCHG16B compare with. */
  #comparand(at: number, size: number): void {
    this.#putPatched(
      at,
      (view, offset) => {
        for (const [part, register] of [0, RDX].entries())
          this.#gpr[register] =
            size === 8 ? view.getBigUint64(offset + part * 8, true) : BigInt(view.getUint32(offset + part * 4, true));
      },
      size * 2,
    );
  }

  #vectors(registers: readonly number[]): void {
    const { random, view } = this;
    if (registers.length === 0) return;
    const content = contents(random);
    for (const register of registers) {
      fill(random, view, F.X_XMM + register * 16, 16, random.oneIn(8) ? contents(random) : content);
      fill(random, view, F.X_YMM + register * 16, 16, random.oneIn(8) ? contents(random) : content);
    }
  }
  #stackRegisters(registers: readonly number[]): void {
    for (const register of registers) {
      const top = (this.view.getUint16(F.X_FSW, true) >> 11) & 7;
      putInteger(this.random, this.view, F.X_ST + ((register - top) & 7) * 16);
    }
  }
}

export function mxcsr(random: Random): number {
  if (random.oneIn(2)) return random.oneIn(2) ? 0x1fa0 : 0x1f80;
  const masks = random.oneIn(3) ? random.next() & 0x1f80 : 0x1f80;
  return (
    masks |
    (random.next() & 0x3f) |
    ((random.next() & 3) << 13) |
    (random.oneIn(4) ? 0x40 : 0) |
    (random.oneIn(4) ? 0x8000 : 0)
  );
}

/** Eighteen decimal digits, most of them such. */
function decimal(random: Random, view: DataView, at: number): void {
  for (let i = 0; i < 9; i++) view.setUint8(at + i, random.below(10) * 16 + random.below(10));
  view.setUint8(at + 9, random.oneIn(2) ? 0x80 : 0);
}

/** Bytes that the memory operand of a single instruction has, as far as its code says. */
function accessBytes({ form, instructions }: Program): number {
  const code = form!.row.operands?.find((operand) => /^[EWQMO]/.test(operand)) ?? '';
  const { size, op } = instructions[0]!.insn!;
  if (op === 'cmpxchg8b') return size * 2;
  const kind = code.slice(1);
  const fixed = ({ b: 1, w: 2, d: 4, q: 8, dq: 16, qq: 32, x: 16, t: 10, ss: 4 } as Record<string, number>)[kind];
  return fixed ?? (size || 8);
}
