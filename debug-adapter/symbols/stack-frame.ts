/** A physical stack frame: registers as far as they are known, and the context in which its variables' locations are evaluated. */
import { At, Tag } from './dwarf/constants.ts';
import type { Die } from './dwarf/die.ts';
import {
  evaluateLocation,
  evaluateNumber,
  littleEndian,
  type ExpressionContext,
  type Location,
} from './dwarf/expression.ts';
import { functionAt } from './dwarf/functions.ts';
import { expressionAt } from './dwarf/location.ts';
import { DwarfRegister, registerName } from './dwarf/registers.ts';
import type { Unit } from './dwarf/unit.ts';
import {
  canonicalFrameAddress,
  unwind,
  type FrameRegister,
  type FrameRegisters,
  type UnwoundFrame,
} from './dwarf/unwind.ts';
import type { ProgramSymbols } from './index.ts';

/** The thread a frame belongs to. Reads return what can be read, which may be less than asked. */
export interface TargetAccess {
  readMemory(gva: bigint, bytes: number): Uint8Array;
  writeMemory(gva: bigint, data: Uint8Array): boolean;
  /** By the machine's names: 'rax', 'xmm3', 'fs_base'. */
  readRegister(name: string): bigint | undefined;
  writeRegister(name: string, value: bigint): void;
}

/** Entry values of entry values: each goes one frame out, so this only stops damaged input. */
const MAX_CALLERS = 64;

export class StackFrame {
  readonly registers: (FrameRegister | undefined)[];
  #cfa: bigint | undefined | null = null;
  #next: UnwoundFrame | undefined | null = null;

  constructor(
    readonly program: ProgramSymbols,
    readonly target: TargetAccess,
    registers: FrameRegisters,
    /** The pc is the next instruction to execute, not a return address. */
    readonly interrupted: boolean,
    readonly depth = 0,
  ) {
    this.registers = [...registers];
  }

  get pc(): bigint {
    return this.registers[DwarfRegister.ReturnAddress]?.value ?? 0n;
  }
  /** Inside the call instruction for callers, so that line and scope are those of the call. */
  get lookupPc(): bigint {
    return this.interrupted ? this.pc : this.pc - 1n;
  }
  get #address(): number {
    return this.program.linkAddress(this.lookupPc);
  }

  readonly readMemory = (address: bigint, bytes: number): Uint8Array =>
    this.target.readMemory(BigInt.asUintN(64, address), bytes);

  get cfa(): bigint | undefined {
    if (this.#cfa === null)
      this.#cfa = canonicalFrameAddress(this.program, this.registers, this.readMemory, this.interrupted);
    return this.#cfa;
  }

  /** One frame out, by the program's own call frame information. */
  unwind(): UnwoundFrame | undefined {
    if (this.#next === null) this.#next = unwind(this.program, this.registers, this.readMemory, this.interrupted);
    return this.#next;
  }
  caller(): StackFrame | undefined {
    const next = this.unwind();
    return next && this.depth < MAX_CALLERS
      ? new StackFrame(this.program, this.target, next.registers, next.signal, this.depth + 1)
      : undefined;
  }

  /** A register of this frame by DWARF number; vector and system registers are the thread's. */
  register(number: number): bigint | undefined {
    if (number <= DwarfRegister.ReturnAddress) return this.registers[number]?.value;
    const name = registerName(number);
    return name === undefined ? undefined : this.target.readRegister(name);
  }

  /** Writes where the register's value lives: the register itself, or the stack slot in which a callee saved it. */
  writeRegister(number: number, value: bigint): boolean {
    if (number > DwarfRegister.ReturnAddress) {
      const name = registerName(number);
      if (name === undefined) return false;
      this.target.writeRegister(name, value);
      return true;
    }
    const old = this.registers[number];
    if (!old) return false;
    const bits = BigInt.asUintN(64, value);
    if (old.savedAt === undefined) this.target.writeRegister(registerName(number)!, bits);
    else if (!this.target.writeMemory(old.savedAt, wordBytes(bits).subarray(0, old.savedBytes))) return false;
    this.registers[number] = { ...old, value: bits };
    this.#cfa = null;
    this.#next = null;
    return true;
  }

  /** Where a variable is at this frame's pc. */
  locationOf(die: Die): Location {
    const holder = die.holder(At.location) ?? die.holder(At.const_value);
    if (!holder) return { kind: 'optimized-out' };
    if (holder.has(At.location)) {
      const expression = expressionAt(holder, At.location, this.#address);
      return expression ? evaluateLocation(expression, this.context(holder.unit)) : { kind: 'optimized-out' };
    }
    const bytes = holder.block(At.const_value);
    if (bytes) return { kind: 'bytes', bytes };
    return { kind: 'value', bits: BigInt.asUintN(64, holder.bigint(At.const_value) ?? 0n) };
  }

  /** The number an attribute with an expression or a reference to a variable gives, such as the bound of an array. */
  numberOf(die: Die, attribute: number): bigint | undefined {
    const variable = die.reference(attribute);
    if (variable) {
      const location = this.locationOf(variable);
      if (location.kind === 'value') return location.bits;
      if (location.kind === 'register') return this.register(location.register);
      if (location.kind !== 'memory') return undefined;
      const size = variable.unit.addressSize;
      const bytes = this.readMemory(location.address, size);
      return bytes.length === size ? littleEndian(bytes) : undefined;
    }
    const expression = expressionAt(die, attribute, this.#address);
    return expression && evaluateNumber(expression, this.context(die.unit));
  }

  context(unit: Unit): ExpressionContext {
    return {
      unit,
      narrow: unit.addressSize === 4,
      bias: this.program.bias,
      register: (number) => this.register(number),
      readMemory: this.readMemory,
      frameBase: () => this.#frameBase(),
      canonicalFrameAddress: () => this.cfa,
      threadLocal: (offset) => {
        const threadPointer = this.target.readRegister('fs_base');
        return threadPointer === undefined ? undefined : this.program.threadLocalAddress(offset, threadPointer);
      },
      entryValue: (expression) => this.#entryValue(expression),
    };
  }

  #frameBase(): bigint | undefined {
    const unit = this.program.dwarf.unitAt(this.#address);
    const function_ = unit && functionAt(unit, this.#address);
    const expression = function_ && expressionAt(function_.die, At.frame_base, this.#address);
    if (!expression) return undefined;
    // A frame base must not depend on itself.
    const location = evaluateLocation(expression, { ...this.context(function_.die.unit), frameBase: undefined });
    if (location.kind === 'register') return this.register(location.register);
    return location.kind === 'memory' ? location.address : undefined;
  }

  /** What the caller's call site says it passed (DWARF 5, 3.4). */
  #entryValue(expression: Uint8Array): bigint | undefined {
    const caller = this.caller();
    if (!caller || caller.interrupted) return undefined;
    const site = callSite(caller, this);
    for (const parameter of site?.children ?? []) {
      if (parameter.tag !== Tag.call_site_parameter && parameter.tag !== Tag.GNU_call_site_parameter) continue;
      const location = parameter.block(At.location);
      const value = parameter.block(At.call_value) ?? parameter.block(At.GNU_call_site_value);
      if (location && value && sameBytes(location, expression))
        return evaluateNumber(value, caller.context(parameter.unit));
    }
    return undefined;
  }
}

/** The call site of `caller` that is active; undefined if it does not call `callee` directly (a tail call is in between). */
function callSite(caller: StackFrame, callee: StackFrame): Die | undefined {
  const returnAddress = caller.program.linkAddress(caller.pc);
  const unit = caller.program.dwarf.unitAt(returnAddress - 1);
  const outer = unit && functionAt(unit, returnAddress - 1);
  const site = outer && findCallSite(outer.die, returnAddress, 0);
  const target = (site?.reference(At.call_origin) ?? site?.reference(At.abstract_origin))?.origins();
  const called = callee.program.functionAt(callee.lookupPc)?.die.origins();
  return target && called && target.some((die) => called.includes(die)) ? site : undefined;
}

function findCallSite(parent: Die, returnAddress: number, depth: number): Die | undefined {
  for (const die of parent.children) {
    const isSite = die.tag === Tag.call_site || die.tag === Tag.GNU_call_site;
    if (isSite && (die.address(At.call_return_pc) ?? die.address(At.low_pc)) === returnAddress) return die;
    if (die.tag === Tag.lexical_block || die.tag === Tag.inlined_subroutine) {
      const found = depth < 100 ? findCallSite(die, returnAddress, depth + 1) : undefined;
      if (found) return found;
    }
  }
  return undefined;
}

function wordBytes(value: bigint): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, value, true);
  return bytes;
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}
