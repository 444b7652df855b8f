/** The registers of the running CPU by name, for the debugger. To see another thread's, its context must be loaded first. */
import type { CpuContext } from '../cpu/context.ts';
import type { RegisterInfo } from './api.ts';
import { hex } from './register-row.ts';
import type { RegisterRow } from './register-row.ts';
import { floatRows } from './registers-float.ts';
import { generalRows } from './registers-general.ts';
import { segmentRegisterRows } from './registers-segments.ts';
import { systemRegisterRows } from './registers-system.ts';

const ROWS: readonly RegisterRow[] = [...generalRows, ...segmentRegisterRows, ...systemRegisterRows, ...floatRows];
const BY_NAME = new Map(ROWS.map((row) => [row.name, row]));

const exists = ({ model }: CpuContext, { feature }: RegisterRow): boolean =>
  feature === undefined || model.features.has(feature);

function find(context: CpuContext, name: string): RegisterRow | undefined {
  const row = BY_NAME.get(name.toLowerCase());
  return row && exists(context, row) ? row : undefined;
}

/** All of them, in display order. */
export function registers(context: CpuContext): RegisterInfo[] {
  return ROWS.filter((row) => !row.hidden && exists(context, row)).map((row) => describe(context, row));
}

/** One of them, parts of others ('eax', 'cs_base') included; undefined if there is none of that name. */
export function register(context: CpuContext, name: string): RegisterInfo | undefined {
  const row = find(context, name);
  return row && describe(context, row);
}

/** Names that `readRegister` knows. */
export const REGISTER_NAMES: readonly string[] = [...BY_NAME.keys()];

export function readRegister(context: CpuContext, name: string): bigint | undefined {
  return find(context, name)?.read(context);
}

/** Throws an Error of one sentence if there is no such register or it cannot hold the value. Negative values count as two's complement. */
export function writeRegister(context: CpuContext, name: string, value: bigint): void {
  const row = find(context, name);
  if (!row) throw new Error(`There is no register ${name}.`);
  if (!row.write) throw new Error(`${row.name} cannot be set.`);
  const bits = BigInt(row.bits);
  if (value >> bits !== 0n && (value >= 0n || value < -(1n << (bits - 1n)))) {
    throw new Error(`${hex(value)} does not fit in the ${row.bits} bits of ${row.name}.`);
  }
  row.write(context, BigInt.asUintN(row.bits, value));
}

function describe(context: CpuContext, row: RegisterRow): RegisterInfo {
  const value = row.read(context);
  const text = row.text?.(value, context);
  const parts = row.parts?.(value, context);
  return {
    name: row.name,
    group: row.group,
    bits: row.bits,
    value,
    writable: row.write !== undefined,
    ...(parts ? { parts } : {}),
    ...(text ? { text } : {}),
  };
}
