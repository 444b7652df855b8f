/** Address ranges of entries: low/high pc, .debug_ranges (DWARF 4, 2.17.3) and .debug_rnglists (DWARF 5, 2.17.3). */
import { SymbolError } from '../errors.ts';
import { At, Form } from './constants.ts';
import type { Die } from './die.ts';
import { ByteReader } from './reader.ts';
import type { Unit } from './unit.ts';

/** [low, high), link-time addresses. */
export interface AddressRange {
  readonly low: number;
  readonly high: number;
}

const enum Rle {
  end_of_list = 0,
  base_addressx = 1,
  startx_endx = 2,
  startx_length = 3,
  offset_pair = 4,
  base_address = 5,
  start_end = 6,
  start_length = 7,
}

/** Empty if the entry has no code. */
export function readDieRanges(die: Die): readonly AddressRange[] {
  const offset = die.number(At.ranges);
  if (offset !== undefined) {
    const unit = die.unit;
    if (unit.version < 5) return readRanges(unit, offset);
    return readRangeList(unit, die.form(At.ranges) === Form.rnglistx ? indexedList(unit, offset) : offset);
  }
  const low = die.address(At.low_pc);
  if (low === undefined) return [];
  const high = highPc(die, low);
  return high !== undefined && high > low ? [{ low, high }] : [];
}

function highPc(die: Die, low: number): number | undefined {
  switch (die.form(At.high_pc)) {
    case Form.addr:
    case Form.addrx:
    case Form.addrx1:
    case Form.addrx2:
    case Form.addrx3:
    case Form.addrx4:
      return die.address(At.high_pc);
    case undefined:
      return undefined;
    default:
      return low + (die.number(At.high_pc) ?? 0);
  }
}

function readRanges(unit: Unit, offset: number): AddressRange[] {
  const reader = new ByteReader(unit.dwarf.sections.ranges, 'The section .debug_ranges', offset);
  const largest = unit.addressSize === 4 ? 0xffffffff : 2 ** 64;
  const ranges: AddressRange[] = [];
  let base = unit.lowPc;
  for (;;) {
    const low = reader.unsigned(unit.addressSize);
    const high = reader.unsigned(unit.addressSize);
    if (low === 0 && high === 0) return ranges;
    if (low >= largest - 1) base = high;
    else if (high > low) ranges.push({ low: base + low, high: base + high });
  }
}

/** Offset of list number `index` in .debug_rnglists (DWARF 5, 7.28). */
function indexedList(unit: Unit, index: number): number {
  const base = unit.root.number(At.rnglists_base) ?? 12;
  const reader = new ByteReader(
    unit.dwarf.sections.rnglists,
    'The section .debug_rnglists',
    base + index * unit.offsetSize,
  );
  return base + reader.unsigned(unit.offsetSize);
}

function readRangeList(unit: Unit, offset: number): AddressRange[] {
  const reader = new ByteReader(unit.dwarf.sections.rnglists, 'The section .debug_rnglists', offset);
  const ranges: AddressRange[] = [];
  const add = (low: number | undefined, high: number | undefined): void => {
    if (low !== undefined && high !== undefined && high > low) ranges.push({ low, high });
  };
  let base = unit.lowPc;
  for (;;) {
    const kind = reader.u8();
    switch (kind) {
      case Rle.end_of_list:
        return ranges;
      case Rle.base_addressx:
        base = unit.indexedAddress(reader.uleb()) ?? 0;
        break;
      case Rle.startx_endx:
        add(unit.indexedAddress(reader.uleb()), unit.indexedAddress(reader.uleb()));
        break;
      case Rle.startx_length: {
        const low = unit.indexedAddress(reader.uleb());
        add(low, (low ?? 0) + reader.uleb());
        break;
      }
      case Rle.offset_pair:
        add(base + reader.uleb(), base + reader.uleb());
        break;
      case Rle.base_address:
        base = reader.unsigned(unit.addressSize);
        break;
      case Rle.start_end:
        add(reader.unsigned(unit.addressSize), reader.unsigned(unit.addressSize));
        break;
      case Rle.start_length: {
        const low = reader.unsigned(unit.addressSize);
        add(low, low + reader.uleb());
        break;
      }
      default:
        throw new SymbolError(`.debug_rnglists has the unknown entry kind ${kind} at offset ${reader.offset - 1}.`);
    }
  }
}

export function covers(ranges: readonly AddressRange[], address: number): boolean {
  for (const range of ranges) if (address >= range.low && address < range.high) return true;
  return false;
}
