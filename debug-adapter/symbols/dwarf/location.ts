/** Which expression describes an entry at an address: expressions and location lists (DWARF 4, 2.6.2; DWARF 5, 2.6.2). */
import { SymbolError } from '../errors.ts';
import { At, Form } from './constants.ts';
import type { Die } from './die.ts';
import { ByteReader } from './reader.ts';
import type { Unit } from './unit.ts';

const enum Lle {
  end_of_list = 0,
  base_addressx = 1,
  startx_endx = 2,
  startx_length = 3,
  offset_pair = 4,
  default_location = 5,
  base_address = 6,
  start_end = 7,
  start_length = 8,
  GNU_view_pair = 9,
}

/** The attribute's expression at `pc` (link-time); undefined where the entry has none, that is, is optimized out. */
export function expressionAt(die: Die, attribute: number, pc: number | undefined): Uint8Array | undefined {
  const block = die.block(attribute);
  if (block) return block;
  const offset = die.number(attribute);
  if (offset === undefined || pc === undefined) return undefined;
  const unit = die.unit;
  if (unit.version < 5) return fromList4(unit, offset, pc);
  return fromList5(unit, die.form(attribute) === Form.loclistx ? indexedList(unit, offset) : offset, pc);
}

function fromList4(unit: Unit, offset: number, pc: number): Uint8Array | undefined {
  const reader = new ByteReader(unit.dwarf.sections.loc, 'The section .debug_loc', offset);
  const largest = unit.addressSize === 4 ? 0xffffffff : 2 ** 64;
  let base = unit.lowPc;
  for (;;) {
    const low = reader.unsigned(unit.addressSize);
    const high = reader.unsigned(unit.addressSize);
    if (low === 0 && high === 0) return undefined;
    if (low >= largest - 1) {
      base = high;
      continue;
    }
    const expression = reader.block(reader.u16());
    if (pc >= base + low && pc < base + high) return expression;
  }
}

/** Offset of list number `index` in .debug_loclists (DWARF 5, 7.29). */
function indexedList(unit: Unit, index: number): number {
  const base = unit.root.number(At.loclists_base) ?? 12;
  const reader = new ByteReader(
    unit.dwarf.sections.loclists,
    'The section .debug_loclists',
    base + index * unit.offsetSize,
  );
  return base + reader.unsigned(unit.offsetSize);
}

function fromList5(unit: Unit, offset: number, pc: number): Uint8Array | undefined {
  const reader = new ByteReader(unit.dwarf.sections.loclists, 'The section .debug_loclists', offset);
  let base = unit.lowPc;
  let fallback: Uint8Array | undefined;
  for (;;) {
    let low: number | undefined;
    let high: number | undefined;
    const kind = reader.u8();
    switch (kind) {
      case Lle.end_of_list:
        return fallback;
      case Lle.base_addressx:
        base = unit.indexedAddress(reader.uleb()) ?? 0;
        continue;
      case Lle.base_address:
        base = reader.unsigned(unit.addressSize);
        continue;
      case Lle.GNU_view_pair:
        reader.uleb();
        reader.uleb();
        continue;
      case Lle.default_location:
        fallback = reader.block(reader.uleb());
        continue;
      case Lle.startx_endx:
        low = unit.indexedAddress(reader.uleb());
        high = unit.indexedAddress(reader.uleb());
        break;
      case Lle.startx_length:
        low = unit.indexedAddress(reader.uleb());
        high = (low ?? 0) + reader.uleb();
        break;
      case Lle.offset_pair:
        low = base + reader.uleb();
        high = base + reader.uleb();
        break;
      case Lle.start_end:
        low = reader.unsigned(unit.addressSize);
        high = reader.unsigned(unit.addressSize);
        break;
      case Lle.start_length:
        low = reader.unsigned(unit.addressSize);
        high = low + reader.uleb();
        break;
      default:
        throw new SymbolError(`.debug_loclists has the unknown entry kind ${kind} at offset ${reader.offset - 1}.`);
    }
    const expression = reader.block(reader.uleb());
    if (low !== undefined && high !== undefined && pc >= low && pc < high) return expression;
  }
}
