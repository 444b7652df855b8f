/**
 * VEX forms of SSE instructions, made from the meaning of the SSE form: it is run on an emitter that reads the first source where SSE reads its destination,
 * for VEX.256 once for each half, and keeps what is written until nothing can fault any more. Then the destination is written whole: VEX.128 clears
 * bits 255:128 (SDM 2A 2.3.10.1).
 */
import type { Emitter, Form, Semantic, Size, Value, Variable } from '../emitter.ts';
import type { Operand } from '../instruction.ts';
import { ForwardingEmitter } from './forwarding.ts';
import { high64, low64, zero } from './vector.ts';

const VECTOR_GP = 13;

export interface VexOptions {
  /** The first source is an operand of its own: an SSE form of operands d, s has a VEX form d, v, s. */
  readonly three?: boolean;
  /** Raises SIMD floating-point exceptions: those of all lanes count before one of them is taken. */
  readonly floats?: boolean;
  /** Memory operands must be aligned to their size. */
  readonly aligned?: boolean;
  /** Of VEX.256, the last source has 128 bits or less: these bytes for each half, or the same 16 bytes for both. */
  readonly source?: 8 | 4 | 2 | 'same';
  /** Of VEX.256, the results are the low quadwords of both halves side by side. */
  readonly narrows?: boolean;
  /** Of VEX.256, the upper half takes the immediate from this bit on. */
  readonly highImmediate?: number;
}

/** Helpers whose exceptions wait for those of the other half (core/softfloat-sse.ts `sseHold`). */
const HELD = new Set([
  ...['ssePacked', 'sseConvertPacked', 'sseRoundPacked', 'sseDot', 'fmaPacked'],
  ...['sseFromHalf', 'sseToHalf'],
]);

const floats = (size: 4 | 8): string => (size === 8 ? 'f64x2' : 'f32x4');
const isVector = (operand: Operand): boolean => operand.kind === 'xmm' || operand.kind === 'ymm';

class VexEmitter extends ForwardingEmitter {
  /** Stands for the destination in the SSE form. */
  readonly target: Operand = { kind: 'xmm', register: 0 };
  half: 0 | 1 = 0;
  #results: Value[] = [];
  /** Both halves of memory operands: read once, before anything is computed. */
  readonly #memory = new Map<Operand, readonly [Value, Value]>();
  /** Whether a helper has been called: its exceptions are held. */
  readonly #held: Variable | undefined;

  /** @param first what is read where the SSE form reads its first operand */
  constructor(
    e: Emitter,
    readonly first: Operand,
    readonly wide: boolean,
    readonly options: VexOptions,
  ) {
    super(e);
    if (wide && options.floats) this.#held = e.variable('i32', e.i32(0));
  }

  override readVector(operand: Operand): Value {
    const from = this.#sourceOf(operand);
    if (from.kind === 'memory') return this.#fromMemory(from);
    if (this.half === 0) return this.e.readVector(from);
    if (from.kind === 'ymm') return this.e.readVectorHigh(from);
    const { source } = this.options;
    if (typeof source !== 'number') return this.e.readVector(from);
    const whole = this.e.readVector(from);
    const order = Array.from({ length: 16 }, (_, i) => (i + source) % 16);
    return this.e.shuffle(order, whole, whole);
  }
  override readVectorLow(operand: Operand, size: 4 | 8): Value {
    const from = this.#sourceOf(operand);
    if (!this.wide) return this.e.readVectorLow(from, size);
    return this.e.let(this.e.lane(size === 8 ? 'i64x2.extract_lane' : 'i32x4.extract_lane', 0, this.readVector(from)));
  }
  override readScalar(operand: Operand, size: 4 | 8): Value {
    const from = this.#sourceOf(operand);
    if (!this.wide) return this.e.readScalar(from, size);
    return this.e.let(this.e.lane(`${floats(size)}.extract_lane`, 0, this.readVector(from)));
  }
  /** PMOVSX and PMOVZX read their part of memory so. */
  override read(operand: Operand, size: Size): Value {
    if (this.half === 1 && operand.kind === 'immediate') return this.#highImmediate(operand, size);
    if (!this.wide || operand.kind !== 'memory') return this.e.read(operand, size);
    const part = this.#fromMemory(operand);
    const lane = size === 8 ? 'i64x2.extract_lane' : size === 4 ? 'i32x4.extract_lane' : 'i16x8.extract_lane_u';
    return this.e.let(this.e.lane(lane, 0, part));
  }
  #highImmediate(operand: Operand, size: Size): Value {
    const value = this.e.read(operand, size);
    const { highImmediate = 0 } = this.options;
    return highImmediate ? this.e.op('i32.shr_u', value, this.e.i32(highImmediate)) : value;
  }
  #sourceOf(operand: Operand): Operand {
    return operand === this.target ? this.first : operand;
  }

  #fromMemory(operand: Operand): Value {
    let halves = this.#memory.get(operand);
    if (!halves) this.#memory.set(operand, (halves = this.#loadHalves(operand)));
    return halves[this.half];
  }
  #loadHalves(operand: Operand): readonly [Value, Value] {
    const { e, wide } = this;
    const { source, aligned } = this.options;
    const address = e.address(operand);
    if (!wide || source === 'same') {
      const whole = e.load128(address, aligned);
      return [whole, whole];
    }
    if (source === undefined) {
      if (aligned) this.#checkAlignment(address);
      return e.load256(address);
    }
    // The parts that the halves begin with.
    const whole =
      source === 8
        ? e.load128(address)
        : source === 4
          ? e.op('i64x2.splat', e.load(address, 8))
          : e.op('i32x4.splat', e.load(address, 4));
    const order = Array.from({ length: 16 }, (_, i) => (i + source) % 16);
    return [whole, e.let(e.shuffle(order, whole, whole))];
  }
  #checkAlignment(address: Value): void {
    const { e } = this;
    e.raiseIf(e.op('i32.and', e.op('i32.wrap_i64', address), e.i32(31)), VECTOR_GP, 0);
  }

  override writeVector(operand: Operand, value: Value): void {
    if (operand === this.target || operand.kind === 'memory') this.#results[this.half] = this.e.let(value);
    else this.#writeRegister(operand, [value]);
  }
  override writeVectorLow(operand: Operand, size: 4 | 8, value: Value): void {
    if (operand !== this.target) return this.e.writeVectorLow(operand, size, value);
    const lane = size === 8 ? 'i64x2.replace_lane' : 'i32x4.replace_lane';
    this.writeVector(operand, this.e.lane(lane, 0, this.readVector(operand), value));
  }
  override writeScalar(operand: Operand, size: 4 | 8, value: Value): void {
    if (operand !== this.target) return this.e.writeScalar(operand, size, value);
    this.writeVector(operand, this.e.lane(`${floats(size)}.replace_lane`, 0, this.readVector(operand), value));
  }

  override call(helper: string, ...args: Value[]): Value {
    if (this.#held && HELD.has(helper)) {
      this.e.callVoid('sseHold');
      this.e.set(this.#held, this.e.i32(1));
    }
    return this.e.call(helper, ...args);
  }
  override faultIf(condition: Value): void {
    if (!this.#held) this.e.faultIf(condition);
  }

  /** Takes the exceptions and writes the destination, if it is a vector. */
  finish(destination: Operand): void {
    const { e } = this;
    const held = this.#held;
    if (held) e.if(e.get(held), () => e.faultIf(e.call('sseRelease')));
    const [low, high] = this.#results;
    if (!low) return;
    if (destination.kind === 'memory') this.#store(destination, low, high);
    else if (high && this.options.narrows) this.#writeRegister(destination, [this.#joined(low, high)]);
    else this.#writeRegister(destination, this.#results);
  }
  #writeRegister(operand: Operand, [low, high]: readonly Value[]): void {
    this.e.writeVector(operand, low!);
    this.e.writeVectorHigh(operand, high ?? zero(this.e));
  }
  /** The low quadwords of both halves. */
  #joined(low: Value, high: Value): Value {
    return this.e.lane('i64x2.replace_lane', 1, low, low64(this.e, high));
  }
  #store(destination: Operand, low: Value, high: Value | undefined): void {
    const { e } = this;
    const { aligned } = this.options;
    const address = e.address(destination);
    if (this.options.narrows)
      return high ? e.store128(address, this.#joined(low, high)) : e.store(address, 8, low64(e, low));
    if (!high) return e.store128(address, low, aligned);
    if (aligned) this.#checkAlignment(address);
    e.store256(address, low, high);
  }
}

/** The VEX.128 and VEX.256 forms of an SSE instruction. */
export function vexForm(sse: Semantic, options: VexOptions = {}): Semantic {
  return (e, form) => {
    const [destination, ...sources] = form.operands as [Operand, ...Operand[]];
    // Compares and the like read the first operand and write none.
    const first = options.three ? sources.shift()! : destination;
    const wide = isWide(form);
    // The store may fault: nothing is to be seen in MXCSR then.
    if (options.narrows && destination.kind === 'memory') e.probeWrite(e.address(destination), wide ? 16 : 8);
    const vex = new VexEmitter(e, first, wide, options);
    const operands = [isVector(destination) ? vex.target : destination, ...sources];
    const halves = wide ? ([0, 1] as const) : ([0] as const);
    for (const half of halves) {
      vex.half = half;
      sse(vex, { ...form, operands });
    }
    vex.finish(destination);
  };
}

/** Halves of a vector source, low first: one for VEX.128. Memory needs no alignment. */
export function readHalves(e: Emitter, operand: Operand, wide: boolean): readonly Value[] {
  if (operand.kind !== 'memory')
    return wide ? [e.readVector(operand), e.readVectorHigh(operand)] : [e.readVector(operand)];
  return wide ? e.load256(e.address(operand)) : [e.load128(e.address(operand))];
}

/** Writes a vector register whole; without an upper half that becomes zero. */
export function writeHalves(e: Emitter, operand: Operand, [low, high]: readonly Value[]): void {
  const halves = [e.let(low!), e.let(high ?? zero(e))] as const;
  e.writeVector(operand, halves[0]);
  e.writeVectorHigh(operand, halves[1]);
}

/** Whether a form is VEX.256: the size says so, since not every operand has to be 256 bits wide. */
export const isWide = (form: Form): boolean => form.size === 32;

/** Eight 64-bit halves of vectors as helpers take them. */
export const quadwords = (e: Emitter, ...vectors: Value[]): Value[] =>
  vectors.flatMap((vector) => [low64(e, vector), high64(e, vector)]);
