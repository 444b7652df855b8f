/** Reading one attribute value by its form (DWARF 5, 7.5.5-7.5.6). */
import { SymbolError } from '../errors.ts';
import { Form } from './constants.ts';
import type { ByteReader } from './reader.ts';

/**
 * A raw value: number for constants, offsets, addresses, indices and flags (1); bigint for 64-bit data that may not fit;
 * bytes for blocks and expressions. Strings and references stay what the section holds until someone asks.
 */
export type RawValue = number | bigint | Uint8Array;

export interface FormContext {
  readonly offsetSize: 4 | 8;
  readonly addressSize: number;
  readonly version: number;
}

export function readForm(reader: ByteReader, form: number, context: FormContext, implicit: number): RawValue {
  switch (form) {
    case Form.addr:
      return reader.unsigned(context.addressSize);
    case Form.data1:
    case Form.ref1:
    case Form.flag:
    case Form.strx1:
    case Form.addrx1:
      return reader.u8();
    case Form.data2:
    case Form.ref2:
    case Form.strx2:
    case Form.addrx2:
      return reader.u16();
    case Form.strx3:
    case Form.addrx3:
      return reader.u24();
    case Form.data4:
    case Form.ref4:
    case Form.strx4:
    case Form.addrx4:
    case Form.ref_sup4:
      return reader.u32();
    case Form.data8:
    case Form.ref_sig8:
      return reader.u64();
    case Form.ref8:
    case Form.ref_sup8:
      return reader.u64AsNumber();
    case Form.sdata:
      return reader.slebBig();
    case Form.udata:
      return small(reader.ulebBig());
    case Form.ref_udata:
    case Form.strx:
    case Form.addrx:
    case Form.loclistx:
    case Form.rnglistx:
      return reader.uleb();
    case Form.strp:
    case Form.line_strp:
    case Form.strp_sup:
    case Form.sec_offset:
    case Form.GNU_ref_alt:
    case Form.GNU_strp_alt:
      return reader.unsigned(context.offsetSize);
    case Form.ref_addr:
      return reader.unsigned(context.version <= 2 ? context.addressSize : context.offsetSize);
    case Form.flag_present:
      return 1;
    case Form.implicit_const:
      return implicit;
    case Form.string: {
      const at = reader.offset;
      reader.skipCstring();
      return at;
    }
    case Form.block:
    case Form.exprloc:
      return reader.block(reader.uleb());
    case Form.block1:
      return reader.block(reader.u8());
    case Form.block2:
      return reader.block(reader.u16());
    case Form.block4:
      return reader.block(reader.u32());
    case Form.data16:
      return reader.block(16);
    default:
      throw new SymbolError(`${reader.what} uses the unknown form 0x${form.toString(16)} at offset ${reader.offset}.`);
  }
}

function small(value: bigint): number | bigint {
  return value <= 0x1f_ffff_ffff_ffffn ? Number(value) : value;
}

/** A constant as a number. */
export function asNumber(value: RawValue | undefined): number | undefined {
  if (typeof value === 'number') return value;
  if (typeof value === 'bigint') return Number(value);
  return undefined;
}

/** A constant, exact: blocks (data16 and DW_AT_const_value of floats) read as little-endian integers. */
export function asBigInt(value: RawValue | undefined): bigint | undefined {
  if (typeof value === 'bigint') return value;
  if (typeof value === 'number') return BigInt(value);
  if (!value || value.length > 64) return undefined;
  let result = 0n;
  for (let index = value.length - 1; index >= 0; index--) result = (result << 8n) | BigInt(value[index]!);
  return result;
}
