/** Bytes of floating-point constants. */

function numberOf(text: string): number {
  const lower = text.toLowerCase().replace(/^\+/, '');
  if (/^-?inf/.test(lower)) return lower.startsWith('-') ? -Infinity : Infinity;
  return /nan$/.test(lower) ? NaN : Number(lower);
}

export function f64Bytes(text: string): number[] {
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, numberOf(text), true);
  return [...new Uint8Array(view.buffer)];
}

/** Decimal to single in one rounding: through binary64 it could be two. */
export function f32Bytes(text: string): number[] {
  const view = new DataView(new ArrayBuffer(4));
  const value = numberOf(text);
  view.setFloat32(0, value, true);
  const exact = rational(text);
  if (exact && Number.isFinite(value)) view.setUint32(0, Number(rounded(exact, 24, -149, 8)), true);
  return [...new Uint8Array(view.buffer)];
}

/** x87 extended precision, 10 bytes. */
export function f80Bytes(text: string): number[] {
  const value = numberOf(text);
  const sign = text.startsWith('-') ? 0x8000 : 0;
  let exponent = 0;
  let significand = 0n;
  const exact = rational(text);
  if (Number.isNaN(value)) [exponent, significand] = [0x7fff, 0xc000_0000_0000_0000n];
  else if (!exact) [exponent, significand] = value === 0 ? [0, 0n] : [0x7fff, 1n << 63n];
  else {
    const bits = rounded({ ...exact, negative: false }, 64, -16445, 15);
    exponent = Number(bits >> 63n) & 0x7fff;
    // The integer bit is explicit.
    significand = (bits & ((1n << 63n) - 1n)) | (exponent === 0 ? 0n : 1n << 63n);
  }
  const bytes: number[] = [];
  for (let i = 0; i < 8; i++) bytes.push(Number((significand >> BigInt(8 * i)) & 255n));
  return [...bytes, exponent & 255, ((exponent | sign) >> 8) & 255];
}

interface Rational {
  readonly negative: boolean;
  readonly numerator: bigint;
  readonly denominator: bigint;
}

/** The exact value of a decimal text; undefined for zero, infinities and NaN. */
function rational(text: string): Rational | undefined {
  const parts = /^([-+]?)(\d*)\.?(\d*)(?:e([-+]?\d+))?$/i.exec(text);
  if (!parts) return undefined;
  const digits = BigInt(`${parts[2]}${parts[3]}` || '0');
  if (digits === 0n) return undefined;
  const power = Number(parts[4] ?? 0) - parts[3]!.length;
  const scale = 10n ** BigInt(Math.abs(power));
  const negative = parts[1] === '-';
  return power >= 0
    ? { negative, numerator: digits * scale, denominator: 1n }
    : { negative, numerator: digits, denominator: scale };
}

/** Bits of the nearest number (ties to even) of a binary format: sign, exponent, fraction without the integer bit. */
function rounded(
  { negative, numerator, denominator }: Rational,
  precision: number,
  least: number,
  exponentBits: number,
): bigint {
  const log2 = numerator.toString(2).length - denominator.toString(2).length;
  const bias = (1 << (exponentBits - 1)) - 1;
  // The exponent of the last place.
  let place = Math.max(log2 - precision, least);
  const quotient = (at: number): readonly [bigint, bigint, bigint] => {
    const [n, d] = at >= 0 ? [numerator, denominator << BigInt(at)] : [numerator << BigInt(-at), denominator];
    return [n / d, n % d, d];
  };
  let [value, rest, divisor] = quotient(place);
  while (value >> BigInt(precision) !== 0n) [value, rest, divisor] = quotient(++place);
  const twice = rest * 2n;
  if (twice > divisor || (twice === divisor && value & 1n)) value++;
  if (value >> BigInt(precision) !== 0n) {
    value >>= 1n;
    place++;
  }
  const isNormal = value >> BigInt(precision - 1) !== 0n;
  const exponent = isNormal ? place + precision - 1 + bias : 0;
  const fraction = value & ((1n << BigInt(precision - 1)) - 1n);
  const full = (1 << exponentBits) - 1;
  const bits =
    exponent >= full ? BigInt(full) << BigInt(precision - 1) : (BigInt(exponent) << BigInt(precision - 1)) | fraction;
  return bits | (negative ? 1n << BigInt(exponentBits + precision - 1) : 0n);
}
