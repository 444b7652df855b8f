/** Evaluating a parsed C expression in a frame. */
import { childrenOf } from '../symbols/children.ts';
import { Encoding } from '../symbols/dwarf/constants.ts';
import { arrayOf, baseType, pointerTo, strip, VOID, type Type } from '../symbols/dwarf/types.ts';
import { SymbolError } from '../symbols/errors.ts';
import { formatValue } from '../symbols/format.ts';
import { findMember, isRecord, Value, ValueError } from '../symbols/values.ts';
import { ExpressionError } from './errors.ts';
import { parseExpression, type Node, type ParsedExpression, type TypeName } from './parser.ts';
import * as scalars from './scalars.ts';
import type { Scalar } from './scalars.ts';
import type { FrameScope } from './scope.ts';

/** Evaluates the text of a watch, hover or condition. Throws ExpressionError. */
export function evaluate(text: string, scope: FrameScope): { value: Value; format: ParsedExpression['format'] } {
  const { node, format } = parseExpression(
    text,
    (name) => !scope.isVariable(name) && (baseTypeOf(name) ?? scope.typeByName(name)) !== undefined,
  );
  const value = new Evaluator(scope).value(node);
  return typeof format === 'number' ? { value: pointedArray(value, format), format: undefined } : { value, format };
}

/** A condition's truth. */
export function evaluateCondition(text: string, scope: FrameScope): boolean {
  const { value } = evaluate(text, scope);
  return scalars.isTrue(toScalar(value, 0));
}

/** New text for a variable, as setVariable gives it: evaluated in the frame and assigned. */
export function assignText(target: Value, text: string, scope: FrameScope): void {
  const { value } = evaluate(text, scope);
  new Evaluator(scope).store(target, value, 0);
}

function pointedArray(value: Value, count: number): Value {
  const type = value.plainType;
  if (type.kind === 'pointer')
    return new Value(arrayOf(type.target, count), value.dereference(type).location, value.frame);
  if (type.kind === 'array') return new Value(arrayOf(type.element, count), value.location, value.frame);
  return value;
}

function toScalar(value: Value, at: number): Scalar {
  const type = value.plainType;
  if (type.kind === 'array' || type.kind === 'function')
    return { type: pointerTo(type.kind === 'array' ? type.element : type), integer: addressOf(value, at) };
  if (!scalars.isScalar(type))
    throw new ExpressionError(`A value of type '${value.type.name}' cannot be used as a number.`, at);
  return scalars.fromBits(value.type, value.unsigned(), value.bitWidth);
}

function addressOf(value: Value, at: number): bigint {
  if (value.address === undefined || value.bits)
    throw new ExpressionError('The value is not in memory, so it has no address.', at);
  return value.address;
}

class Evaluator {
  constructor(readonly scope: FrameScope) {}

  /** Errors of values (optimized out, unreadable) get the position of the part that needed them. */
  value(node: Node): Value {
    try {
      return this.#value(node);
    } catch (error) {
      if (error instanceof ValueError || error instanceof SymbolError)
        throw new ExpressionError(sentence(error.message), node.at, node.length);
      if (error instanceof RangeError) throw new ExpressionError(error.message, node.at, node.length);
      throw error;
    }
  }

  #scalar(node: Node): Scalar {
    const value = this.value(node);
    try {
      return toScalar(value, node.at);
    } catch (error) {
      if (error instanceof ValueError) throw new ExpressionError(sentence(error.message), node.at, node.length);
      throw error;
    }
  }

  #of(scalar: Scalar): Value {
    return Value.ofBits(scalar.type, scalars.toBits(scalar), this.scope.frame);
  }

  #value(node: Node): Value {
    switch (node.kind) {
      case 'integer':
        return this.#of({ type: integerType(node), integer: node.value });
      case 'float':
        return this.#of({ type: node.single ? scalars.FLOAT : scalars.DOUBLE, float: node.value });
      case 'character':
        return this.#of({ type: scalars.CHAR, integer: node.value });
      case 'string': {
        const bytes = new TextEncoder().encode(`${node.value}\0`);
        return new Value(arrayOf(scalars.CHAR, bytes.length), { kind: 'bytes', bytes }, this.scope.frame);
      }
      case 'name':
        return this.#name(node.name, node);
      case 'register': {
        const value = this.scope.register(node.name);
        if (!value)
          throw new ExpressionError(`There is no register '$${node.name}' in this frame.`, node.at, node.length);
        return value;
      }
      case 'unary':
        return this.#unary(node);
      case 'binary':
        return this.#binary(node);
      case 'conditional':
        return this.value(scalars.isTrue(this.#scalar(node.condition)) ? node.then : node.otherwise);
      case 'assign':
        return this.#assign(node);
      case 'step':
        return this.#step(node);
      case 'member':
        return this.#member(node);
      case 'index':
        return this.#dereference(
          this.#add('+', this.#scalar(node.object), this.#scalar(node.index), node),
          node,
          this.value(node.object),
          node.index,
        );
      case 'cast':
        return this.#cast(node);
      case 'sizeof': {
        const type = node.type ? this.type(node.type, node) : this.value(node.operand!).type;
        const size = node.operand ? this.value(node.operand).size : strip(type).size;
        return this.#of({ type: scalars.UNSIGNED_LONG, integer: BigInt(size ?? 0) });
      }
    }
  }

  #name(name: string, node: Node): Value {
    if (name === 'true' || name === 'false') return this.#of(scalars.truth(name === 'true'));
    if (name === 'NULL') return this.#of({ type: pointerTo(VOID), integer: 0n });
    const value = this.scope.lookup(name);
    if (!value)
      throw new ExpressionError(`There is no variable, function or symbol '${name}' here.`, node.at, node.length);
    return value;
  }

  type(name: TypeName, node: Node): Type {
    let type = baseTypeOf(name.words) ?? this.scope.typeByName(name.words);
    if (!type) throw new ExpressionError(`There is no type '${name.words}' in the program.`, node.at, node.length);
    for (let count = 0; count < name.pointers; count++) type = pointerTo(type);
    for (const dimension of [...name.dimensions].reverse()) type = arrayOf(type, dimension);
    return type;
  }

  #unary(node: Extract<Node, { kind: 'unary' }>): Value {
    if (node.operator === '&') return this.#addressOf(node);
    if (node.operator === '*') return this.#dereference(this.#scalar(node.operand), node, this.value(node.operand));
    if (node.operator === '!') return this.#of(scalars.truth(!scalars.isTrue(this.#scalar(node.operand))));
    const operand = scalars.promote(this.#scalar(node.operand));
    if (strip(operand.type).kind === 'pointer')
      throw new ExpressionError(`'${node.operator}' has no meaning for a pointer.`, node.at, node.length);
    if (node.operator === '+') return this.#of(operand);
    if ('float' in operand) {
      if (node.operator === '~')
        throw new ExpressionError("'~' has no meaning for a floating-point number.", node.at, node.length);
      return this.#of({ type: operand.type, float: -operand.float });
    }
    const integer = node.operator === '-' ? -operand.integer : ~operand.integer;
    return this.#of(scalars.convert({ type: operand.type, integer }, operand.type));
  }

  #addressOf(node: Extract<Node, { kind: 'unary' }>): Value {
    const operand = this.value(node.operand);
    return this.#of({ type: pointerTo(operand.type), integer: addressOf(operand, node.operand.at) });
  }

  /** `*pointer`; arrays that are not in memory are indexed as they are. */
  #dereference(pointer: Scalar, node: Node, object?: Value, index?: Node): Value {
    const objectType = object?.plainType;
    if (object && objectType?.kind === 'array' && object.address === undefined)
      return object.element(objectType, index ? Number(scalars.toInteger(this.#scalar(index))) : 0);
    if (object && objectType?.kind === 'pointer' && !index && object.location.kind === 'implicit-pointer')
      return object.dereference(objectType);
    const type = strip(pointer.type);
    if (type.kind !== 'pointer')
      throw new ExpressionError(`A value of type '${pointer.type.name}' is not a pointer.`, node.at, node.length);
    if (strip(type.target).kind === 'void')
      throw new ExpressionError("A 'void *' points to nothing known; cast it first.", node.at, node.length);
    return Value.inMemory(type.target, scalars.toInteger(pointer), this.scope.frame);
  }

  #binary(node: Extract<Node, { kind: 'binary' }>): Value {
    const left = this.#scalar(node.left);
    if (node.operator === '&&')
      return this.#of(scalars.truth(scalars.isTrue(left) && scalars.isTrue(this.#scalar(node.right))));
    if (node.operator === '||')
      return this.#of(scalars.truth(scalars.isTrue(left) || scalars.isTrue(this.#scalar(node.right))));
    return this.#of(this.#operate(node.operator, left, this.#scalar(node.right), node));
  }

  #operate(operator: string, left: Scalar, right: Scalar, node: Node): Scalar {
    const pointers = [left, right].filter(({ type }) => strip(type).kind === 'pointer').length;
    if (pointers > 0 && (operator === '+' || operator === '-')) return this.#add(operator, left, right, node);
    if (pointers > 0 && !scalars.isComparison(operator))
      throw new ExpressionError(`'${operator}' has no meaning for pointers.`, node.at, node.length);
    const result = scalars.binary(operator, left, right);
    if (!result)
      throw new ExpressionError(
        `'${operator}' has no meaning for '${left.type.name}' and '${right.type.name}'.`,
        node.at,
        node.length,
      );
    return result;
  }

  /** Pointer arithmetic, in elements. */
  #add(operator: string, left: Scalar, right: Scalar, node: Node): Scalar {
    const [a, b] = [strip(left.type), strip(right.type)];
    if (a.kind === 'pointer' && b.kind === 'pointer') {
      if (operator !== '-') throw new ExpressionError('Two pointers cannot be added.', node.at, node.length);
      return {
        type: scalars.LONG,
        integer: (scalars.toInteger(left) - scalars.toInteger(right)) / elementSize(a.target),
      };
    }
    if (b.kind === 'pointer' && operator === '+') return this.#add('+', right, left, node);
    if (a.kind !== 'pointer' || 'float' in right || b.kind === 'pointer')
      throw new ExpressionError(
        `'${left.type.name}' and '${right.type.name}' cannot be combined this way.`,
        node.at,
        node.length,
      );
    const distance = scalars.toInteger(right) * elementSize(a.target);
    return {
      type: left.type,
      integer: BigInt.asUintN(64, scalars.toInteger(left) + (operator === '+' ? distance : -distance)),
    };
  }

  #member(node: Extract<Node, { kind: 'member' }>): Value {
    let object = this.value(node.object);
    const type = object.plainType;
    if (type.kind === 'pointer')
      object = type.reference ? Value.inMemory(type.target, object.unsigned(), object.frame) : object.dereference(type);
    if (!isRecord(object.plainType))
      throw new ExpressionError(`A value of type '${object.type.name}' has no members.`, node.at, node.length);
    const member = findMember(object, node.name);
    if (member) return member;
    const names = childrenOf(object).map((child) => child.name);
    throw new ExpressionError(
      `'${object.type.name}' has no member '${node.name}'; it has ${names.slice(0, 8).join(', ')}.`,
      node.at,
      node.length,
    );
  }

  #cast(node: Extract<Node, { kind: 'cast' }>): Value {
    const type = this.type(node.type, node);
    const operand = this.value(node.operand);
    const target = strip(type);
    if (scalars.isScalar(type)) return this.#of(scalars.convert(toScalar(operand, node.operand.at), type));
    if (target.kind === 'void') return operand;
    if (operand.address !== undefined) return Value.inMemory(type, operand.address, this.scope.frame);
    throw new ExpressionError(`The value cannot be seen as '${type.name}'.`, node.at, node.length);
  }

  #assign(node: Extract<Node, { kind: 'assign' }>): Value {
    const value = this.value(node.value);
    const replacement =
      node.operator === ''
        ? value
        : this.#of(this.#operate(node.operator, this.#scalar(node.target), toScalar(value, node.value.at), node));
    return this.#put(node.target, replacement, node.at);
  }

  #step(node: Extract<Node, { kind: 'step' }>): Value {
    const old = this.#of(this.#scalar(node.operand));
    const changed = this.#operate(
      node.operator === '++' ? '+' : '-',
      toScalar(old, node.at),
      { type: scalars.INT, integer: 1n },
      node,
    );
    const result = this.#put(node.operand, this.#of(changed), node.at);
    return node.prefix ? result : old;
  }

  #put(target: Node, value: Value, at: number): Value {
    if (target.kind !== 'register') {
      const place = this.value(target);
      this.store(place, value, at);
      return this.value(target);
    }
    const written = this.scope.writeRegister(target.name, scalars.toInteger(toScalar(value, at)));
    if (!written)
      throw new ExpressionError(`There is no register '$${target.name}' in this frame.`, target.at, target.length);
    return this.value(target);
  }

  store(target: Value, value: Value, at: number): void {
    if (scalars.isScalar(target.type))
      return target.write(scalars.toBits(scalars.convert(toScalar(value, at), target.type)));
    if (target.plainType.kind === 'array' && value.plainType.kind === 'array' && value.size <= target.size) {
      const bytes = target.bytes().slice();
      bytes.set(value.bytes());
      return target.writeBytes(bytes);
    }
    if (isRecord(target.plainType) && target.type.name === value.type.name) return target.writeBytes(value.bytes());
    throw new ExpressionError(
      `'${formatValue(value)}' cannot be assigned to a value of type '${target.type.name}'.`,
      at,
    );
  }
}

function sentence(message: string): string {
  const text = message.replace(/^<|>$/g, '');
  return text.charAt(0).toUpperCase() + text.slice(1) + (text.endsWith('.') ? '' : '.');
}

function elementSize(type: Type): bigint {
  return BigInt(Math.max(1, strip(type).size ?? 1));
}

/** The first of int, unsigned, long, unsigned long that holds the constant (C17 6.4.4.1). */
function integerType(node: Extract<Node, { kind: 'integer' }>): Type {
  const unsigned = node.suffix.includes('u');
  const long = node.suffix.includes('l');
  if (!long && node.value <= 0x7fffffffn && !unsigned) return scalars.INT;
  if (!long && node.value <= 0xffffffffn && (unsigned || !node.decimal)) return scalars.UNSIGNED;
  return node.value <= 0x7fff_ffff_ffff_ffffn && !unsigned ? scalars.LONG : scalars.UNSIGNED_LONG;
}

const BASE_TYPES: Readonly<Record<string, readonly [size: number, encoding: number]>> = {
  char: [1, Encoding.signed_char],
  'signed char': [1, Encoding.signed_char],
  'unsigned char': [1, Encoding.unsigned_char],
  short: [2, Encoding.signed],
  'unsigned short': [2, Encoding.unsigned],
  int: [4, Encoding.signed],
  unsigned: [4, Encoding.unsigned],
  long: [8, Encoding.signed],
  'unsigned long': [8, Encoding.unsigned],
  float: [4, Encoding.float],
  double: [8, Encoding.float],
  'long double': [16, Encoding.float],
  _Bool: [1, Encoding.boolean],
  bool: [1, Encoding.boolean],
  int8_t: [1, Encoding.signed],
  int16_t: [2, Encoding.signed],
  int32_t: [4, Encoding.signed],
  int64_t: [8, Encoding.signed],
  uint8_t: [1, Encoding.unsigned],
  uint16_t: [2, Encoding.unsigned],
  uint32_t: [4, Encoding.unsigned],
  uint64_t: [8, Encoding.unsigned],
  size_t: [8, Encoding.unsigned],
};

/** C's own types in any order of their words, and the fixed-width ones, which a program may not use. */
function baseTypeOf(words: string): Type | undefined {
  if (words === 'void') return VOID;
  const exact = BASE_TYPES[words];
  if (exact) return baseType(words, ...exact);
  const list = words.split(' ');
  if (!list.every((word) => ['signed', 'unsigned', 'short', 'long', 'int', 'char', 'double'].includes(word)))
    return undefined;
  const unsigned = list.includes('unsigned') ? 'unsigned ' : '';
  const core = list.includes('double')
    ? list.includes('long')
      ? 'long double'
      : 'double'
    : ['char', 'short', 'long'].find((word) => list.includes(word));
  const name = core ?? 'int';
  const found = BASE_TYPES[(unsigned + name).replace(/^unsigned int$/, 'unsigned')] ?? BASE_TYPES[name];
  return found && baseType(words, ...found);
}
