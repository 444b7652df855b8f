/** Fills in addresses (AMD64 supplement of the System V ABI, table 4.10). */
import { R, STT } from '../elf/constants.ts';
import { LinkError } from './model.ts';
import type { InputObject, InputRelocation, InputSection, InputSymbol } from './model.ts';
import type { Resolution } from './resolve.ts';

/** Relocations that want a slot in the global offset table. */
export function wantsGot(type: number): boolean {
  return type === R.GOTPCREL || type === R.GOTPCRELX || type === R.REX_GOTPCRELX || type === R.GOTTPOFF;
}

export interface Space {
  readonly resolution: Resolution;
  /** Address of a symbol's slot of the global offset table. */
  readonly slots: ReadonlyMap<string, number>;
  readonly gotAddress: number;
  /** End of the initial thread-local block, as the thread pointer sees it. */
  readonly tlsEnd: number;
  /** Start of that block. */
  readonly tlsStart: number;
}

/** Name under which a symbol's slot is kept. */
export function slotName(object: InputObject, index: number, symbol: InputSymbol, type: number): string {
  const kind = type === R.GOTTPOFF ? 'tls ' : '';
  return symbol.binding === 'local' ? `${kind}${object.name}#${index}` : `${kind}${symbol.name}`;
}

export function addressOf(symbol: InputSymbol, resolution: Resolution): number {
  const definition = resolution.definitionOf(symbol);
  if (definition) return definition.address ?? 0;
  return placed(symbol);
}
export function placed({ place, value }: InputSymbol): number {
  if (place === 'absolute') return value;
  if (place === 'common' || place === undefined) return 0;
  return place.discarded ? 0 : place.address + value;
}

/** Writes the relocated bytes of an input section. */
export function relocate(input: InputSection, out: Uint8Array, space: Space): void {
  const view = new DataView(out.buffer, out.byteOffset, out.byteLength);
  for (const relocation of input.relocations) {
    if (relocation.type === R.none) continue;
    apply(input, relocation, view, space);
  }
}

function apply(input: InputSection, relocation: InputRelocation, view: DataView, space: Space): void {
  const { object } = input;
  const { offset, type, addend } = relocation;
  const symbol = object.symbols[relocation.symbol];
  const fail = (what: string): never => {
    const name = symbol?.name === '' ? sectionName(symbol) : symbol?.name;
    throw new LinkError(`${object.name}: in ${input.name} at 0x${offset.toString(16)}, \`${name ?? '?'}\`: ${what}`);
  };
  if (!symbol) return fail('the relocation names a symbol that does not exist');
  if (symbol.type === STT.ifunc || space.resolution.definitionOf(symbol)?.symbol?.type === STT.ifunc)
    fail('indirect functions (ifunc) need a C library and its linker');
  const target = addressOf(symbol, space.resolution);
  const here = input.address + offset;
  const value =
    valueOf(type, { target, addend, here, symbol, space, index: relocation.symbol, object }) ??
    fail(`relocation type ${type} is not supported`);
  const size = SIZES[type] ?? 4;
  if (offset + size > view.byteLength) fail('the relocation lies outside its section');
  if (!fitsIn(value, type, size))
    fail(`the value 0x${value.toString(16)} does not fit in ${size} byte${size === 1 ? '' : 's'}`);
  if (size === 8) view.setBigInt64(offset, BigInt(value), true);
  else if (size === 4) view.setUint32(offset, value >>> 0, true);
  else if (size === 2) view.setUint16(offset, value & 0xffff, true);
  else view.setUint8(offset, value & 0xff);
}

const SIZES: Readonly<Record<number, 1 | 2 | 4 | 8>> = {
  [R[64]]: 8, [R.PC64]: 8, [R.TPOFF64]: 8, [R.DTPOFF64]: 8, [R.SIZE64]: 8, [R.GOTOFF64]: 8, [R[16]]: 2, [R.PC16]: 2, [R[8]]: 1, [R.PC8]: 1,
}; // prettier-ignore

function fitsIn(value: number, type: number, size: number): boolean {
  if (size === 8) return true;
  const bits = size * 8;
  const isUnsigned = type === R[32] || type === R[16] || type === R[8];
  const least = isUnsigned && size === 4 ? 0 : -(2 ** (bits - 1));
  return value >= least && value < (isUnsigned ? 2 ** bits : 2 ** (bits - 1));
}

interface Case {
  readonly target: number;
  readonly addend: number;
  readonly here: number;
  readonly symbol: InputSymbol;
  readonly object: InputObject;
  readonly index: number;
  readonly space: Space;
}

function valueOf(type: number, { target, addend, here, symbol, object, index, space }: Case): number | undefined {
  switch (type) {
    case R[64]:
    case R[32]:
    case R['32S']:
    case R[16]:
    case R[8]:
      return target + addend;
    case R.PC32:
    case R.PLT32:
    case R.PC64:
    case R.PC16:
    case R.PC8:
      return target + addend - here;
    case R.GOTPCREL:
    case R.GOTPCRELX:
    case R.REX_GOTPCRELX:
    case R.GOTTPOFF:
      return space.slots.get(slotName(object, index, symbol, type))! + addend - here;
    case R.GOTPC32:
      return space.gotAddress + addend - here;
    case R.GOTOFF64:
      return target + addend - space.gotAddress;
    case R.TPOFF32:
    case R.TPOFF64:
      return target + addend - space.tlsEnd;
    case R.DTPOFF32:
    case R.DTPOFF64:
      return target + addend - space.tlsStart;
    case R.SIZE32:
    case R.SIZE64:
      return symbol.size + addend;
    default:
      return undefined;
  }
}

function sectionName({ place }: InputSymbol): string | undefined {
  return typeof place === 'object' ? place.name : undefined;
}
