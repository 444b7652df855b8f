/** Registers as rows: value in hexadecimal, meaning beside it, decoded parts under it. */
import type { RegisterInfo, RegisterPart } from '../../emulator/machine/api.ts';
import { RequestError } from '../request.ts';
import type { VariableRow } from './variable.ts';

export function hexadecimal(value: bigint, bits = 0): string {
  return `0x${value.toString(16).padStart(Math.ceil(bits / 4), '0')}`;
}

/** A whole number in any of C's notations, negative ones in two's complement. */
export function parseNumber(text: string): bigint {
  const trimmed = text.trim().replace(/_/g, '');
  const negative = trimmed.startsWith('-');
  const digits = negative ? trimmed.slice(1) : trimmed;
  if (!/^(0x[0-9a-f]+|0b[01]+|0o[0-7]+|\d+)$/i.test(digits)) throw new RequestError(`'${text}' is not a whole number.`);
  return negative ? -BigInt(digits) : BigInt(digits);
}

/** `again` gives the register as it is when its parts are looked at, or looked at once more after one was set. */
export function registerRow(
  register: RegisterInfo,
  write: (name: string, value: bigint) => void,
  again: () => RegisterInfo = () => register,
): VariableRow {
  const { name, value, bits, parts, text, writable } = register;
  const shown = hexadecimal(value, bits);
  const rows = (): VariableRow[] => {
    const now = again();
    const setPart = (part: RegisterPart) => (bitsOf: bigint) => write(name, replaceBits(now.value, part, bitsOf));
    return (now.parts ?? []).map((part) => partRow(part, writable ? setPart(part) : undefined));
  };
  return {
    name,
    value: text ? `${shown} ${text}` : shown,
    evaluateName: /^\w+$/.test(name) ? `$${name.toLowerCase()}` : undefined,
    memoryReference: bits === 64 ? shown : undefined,
    children: parts && parts.length > 0 ? { rows } : undefined,
    set: writable ? (input) => write(name, parseNumber(firstWord(input))) : undefined,
    hint: writable ? undefined : { attributes: ['readOnly'] },
  };
}

export function partRow(part: RegisterPart, set?: (value: bigint) => void): VariableRow {
  const oneBit = part.hi !== undefined && part.hi === part.lo;
  const value = oneBit || part.value < 10n ? part.value.toString() : hexadecimal(part.value);
  return {
    name: part.name,
    value: [value, part.meaning, fixedInWords(part)].filter(Boolean).join(' '),
    set: set && part.hi !== undefined ? (text) => set(parseNumber(firstWord(text))) : undefined,
    hint: set && part.hi !== undefined ? undefined : { attributes: ['readOnly'] },
  };
}

/** What the processor holds the part at, if it stands otherwise. */
function fixedInWords({ fixed, value }: RegisterPart): string | undefined {
  return fixed === undefined || fixed === value ? undefined : `(must be ${fixed})`;
}

/** The value shown has words after it; what is typed over it may keep them. */
function firstWord(text: string): string {
  return text.trim().split(/\s+/)[0] ?? '';
}

export function replaceBits(whole: bigint, { hi, lo, name }: RegisterPart, value: bigint): bigint {
  const width = BigInt(hi! - lo! + 1);
  const low = BigInt(lo!);
  const mask = (1n << width) - 1n;
  if (value < 0n || value > mask) throw new RequestError(`${name} has ${width} bits; ${value} does not fit.`);
  return (whole & ~(mask << low)) | (value << low);
}
