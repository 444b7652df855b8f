/** What names mean in a frame. */
import { Encoding } from '../symbols/dwarf/constants.ts';
import type { FunctionInstance } from '../symbols/dwarf/functions.ts';
import { registerNumber } from '../symbols/dwarf/registers.ts';
import { arrayOf, baseType, pointerTo, VOID, type Type } from '../symbols/dwarf/types.ts';
import type { StackFrame } from '../symbols/stack-frame.ts';
import { Value } from '../symbols/values.ts';
import type { Variable } from '../symbols/index.ts';

const SUB_REGISTERS: ReadonlyMap<string, { register: string; bits: number; shift: number }> = subRegisters();

/** Names as a frame's code sees them: locals innermost first, parameters, statics and globals, ELF symbols, registers. */
export class FrameScope {
  #variables: Map<string, Variable> | undefined;

  constructor(
    readonly frame: StackFrame,
    /** The function or inlined copy whose variables are in scope. */
    readonly instance: FunctionInstance | undefined,
  ) {}

  #locals(): Map<string, Variable> {
    if (!this.#variables) {
      this.#variables = new Map();
      if (this.instance)
        for (const variable of this.frame.program.variablesIn(this.instance, this.frame.lookupPc))
          this.#variables.set(variable.name, variable);
    }
    return this.#variables;
  }

  valueOf(variable: Variable): Value {
    return new Value(this.frame.program.types.typeOf(variable.die), this.frame.locationOf(variable.die), this.frame);
  }

  lookup(name: string): Value | undefined {
    const local = this.#locals().get(name);
    if (local) return this.valueOf(local);
    return this.#global(name) ?? this.#enumerator(name) ?? this.#function(name) ?? this.#symbol(name);
  }

  #global(name: string): Value | undefined {
    let removed: Variable | undefined;
    for (const variable of this.frame.program.globals(this.frame.lookupPc)) {
      if (variable.name !== name) continue;
      if (variable.located) return this.valueOf(variable);
      removed ??= variable;
    }
    return removed && this.valueOf(removed);
  }

  #enumerator(name: string): Value | undefined {
    const found = this.frame.program.types.enumerator(name);
    return found && Value.ofBits(found.type, found.value, this.frame);
  }

  #function(name: string): Value | undefined {
    const [found] = this.frame.program.functionsByName(name);
    if (!found) return undefined;
    const function_ = this.frame.program.functionAt(found.entry);
    const type: Type = function_
      ? this.frame.program.types.functionType(function_.die)
      : { kind: 'function', name: 'void ()', size: undefined, result: VOID, parameters: [], variadic: false };
    return Value.inMemory(type, found.entry, this.frame);
  }

  /** An object the ELF symbol table knows but no debugging information describes: unsigned integers, else bytes. */
  #symbol(name: string): Value | undefined {
    const found = this.frame.program.symbolByName(name);
    if (!found) return undefined;
    const { size } = found.symbol;
    const word = [1, 2, 4, 8].includes(size);
    const byte = baseType('unsigned char', 1, Encoding.unsigned_char);
    const type = word ? baseType(`uint${size * 8}_t`, size, Encoding.unsigned) : arrayOf(byte, size);
    return Value.inMemory(type, found.address, this.frame);
  }

  /** A variable or function of that name hides a type. */
  isVariable(name: string): boolean {
    return this.#locals().has(name) || this.#global(name) !== undefined || this.#function(name) !== undefined;
  }

  typeByName(name: string): Type | undefined {
    return this.frame.program.types.byName(name);
  }

  /** By any of its names: the 64-bit ones as this frame has them, parts of them, and every other register of the thread. */
  register(name: string): Value | undefined {
    const key = canonicalName(name);
    const part = SUB_REGISTERS.get(key);
    const base = part?.register ?? key;
    const number = registerNumber(base);
    const whole = number !== undefined ? this.frame.register(number) : this.frame.target.readRegister(key);
    if (whole === undefined) return undefined;
    const bits = part ? BigInt.asUintN(part.bits, whole >> BigInt(part.shift)) : whole;
    return Value.ofBits(registerType(key, part?.bits), bits, this.frame);
  }

  /** False if there is no such register in this frame. Errors of the machine pass through. */
  writeRegister(name: string, value: bigint): boolean {
    const key = canonicalName(name);
    const part = SUB_REGISTERS.get(key);
    const number = registerNumber(part?.register ?? key);
    if (number === undefined || number > 16) {
      if (this.frame.target.readRegister(key) === undefined) return false;
      this.frame.target.writeRegister(key, value);
      return true;
    }
    if (!part) return this.frame.writeRegister(number, value);
    const old = this.frame.register(number);
    if (old === undefined) return false;
    // A 32-bit write clears the upper half, as the processor does.
    const mask = part.bits === 32 ? ~0n : ((1n << BigInt(part.bits)) - 1n) << BigInt(part.shift);
    return this.frame.writeRegister(number, (old & ~mask) | (BigInt.asUintN(part.bits, value) << BigInt(part.shift)));
  }
}

/** gdb's names for what every processor has. */
const GENERIC_NAMES: Readonly<Record<string, string>> = { pc: 'rip', sp: 'rsp', fp: 'rbp' };

function canonicalName(name: string): string {
  const lower = name.toLowerCase();
  return GENERIC_NAMES[lower] ?? lower;
}

function registerType(name: string, bits: number | undefined): Type {
  if (name === 'rip') return pointerTo(VOID);
  if (/^(xmm|st)\d/.test(name)) return baseType('register', 16, Encoding.unsigned);
  if (/^ymm\d/.test(name)) return baseType('register', 32, Encoding.unsigned);
  if (/^[cdefgs]s$/.test(name) || name === 'tr' || name === 'ldtr') return baseType('uint16_t', 2, Encoding.unsigned);
  const size = (bits ?? 64) / 8;
  return size === 8 ? baseType('long', 8, Encoding.signed) : baseType(`int${size * 8}_t`, size, Encoding.signed);
}

function subRegisters(): Map<string, { register: string; bits: number; shift: number }> {
  const map = new Map<string, { register: string; bits: number; shift: number }>();
  for (const letter of ['a', 'b', 'c', 'd']) {
    const register = `r${letter}x`;
    map.set(`e${letter}x`, { register, bits: 32, shift: 0 });
    map.set(`${letter}x`, { register, bits: 16, shift: 0 });
    map.set(`${letter}l`, { register, bits: 8, shift: 0 });
    map.set(`${letter}h`, { register, bits: 8, shift: 8 });
  }
  for (const name of ['si', 'di', 'bp', 'sp']) {
    map.set(`e${name}`, { register: `r${name}`, bits: 32, shift: 0 });
    map.set(`${name}l`, { register: `r${name}`, bits: 8, shift: 0 });
  }
  for (let number = 8; number < 16; number++) {
    map.set(`r${number}d`, { register: `r${number}`, bits: 32, shift: 0 });
    map.set(`r${number}w`, { register: `r${number}`, bits: 16, shift: 0 });
    map.set(`r${number}b`, { register: `r${number}`, bits: 8, shift: 0 });
  }
  map.set('eip', { register: 'rip', bits: 32, shift: 0 });
  map.set('eflags', { register: 'rflags', bits: 32, shift: 0 });
  return map;
}
