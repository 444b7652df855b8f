/** Runs cases both ways and says where the emulator and the host CPU differ. */
import { GPR_NAMES } from '../../../emulator/cpu/register-names.ts';
import { EmulatedHost } from './emulated.ts';
import { runOnHost } from './host.ts';
import type { Outcome, Registers, TestCase } from './case.ts';

/** CF PF AF ZF SF DF OF */
const FLAGS = 0xcd5;

const hex = (value: bigint | number) => value.toString(16);
const hexBytes = (bytes: Uint8Array) => [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(' ');

export interface CompareOptions {
  /** Compares XMM, MXCSR and the x87 state as well. */
  readonly floatingPoint?: boolean;
}

/** #MF and #XM arrive as the same signal as #DE. */
const signalOf = (vector: number) => (vector === 16 || vector === 19 ? 0 : vector);

/** Differences of one case, as lines "register: ours, host theirs". */
export function differences(
  test: TestCase,
  ours: Outcome,
  theirs: Outcome,
  { floatingPoint = false }: CompareOptions = {},
): string[] {
  const found: string[] = [];
  if (signalOf(ours.vector) !== signalOf(theirs.vector)) return [`vector ${ours.vector}, host ${theirs.vector}`];
  ours.registers.gpr.forEach((value, register) => {
    const expected = theirs.registers.gpr[register]!;
    if (value !== expected) found.push(`${GPR_NAMES[register]} ${hex(value)}, host ${hex(expected)}`);
  });
  const mask = FLAGS & ~test.undefinedFlags;
  if ((ours.registers.rflags ^ theirs.registers.rflags) & mask)
    found.push(`flags ${hex(ours.registers.rflags & mask)}, host ${hex(theirs.registers.rflags & mask)}`);
  const byte = ours.window.findIndex((value, index) => value !== theirs.window[index]);
  if (byte >= 0)
    found.push(
      `memory +${byte}: ${hexBytes(ours.window.subarray(byte, byte + 8))}, host ${hexBytes(theirs.window.subarray(byte, byte + 8))}`,
    );
  if (floatingPoint) found.push(...floatingPointDifferences(ours.registers, theirs.registers));
  return found;
}

function floatingPointDifferences(ours: Registers, theirs: Registers): string[] {
  const found: string[] = [];
  const part = (name: string, at: number, bytes: number, area: 'fx' | 'high' = 'fx') => {
    const [a, b] = [ours[area]!.subarray(at, at + bytes), theirs[area]!.subarray(at, at + bytes)];
    if (a.some((value, index) => value !== b[index])) found.push(`${name} ${hexBytes(a)}, host ${hexBytes(b)}`);
  };
  part('fcw', 0, 2);
  part('fsw', 2, 2);
  part('ftw', 4, 1);
  part('mxcsr', 24, 4);
  for (let i = 0; i < 8; i++) part(`st${i}`, 32 + i * 16, 10);
  for (let i = 0; i < 16; i++) part(`xmm${i}`, 160 + i * 16, 16);
  for (let i = 0; i < 16; i++) part(`ymm${i} 255:128`, i * 16, 16, 'high');
  return found;
}

/** What went into a case, for a message that suffices to repeat it. */
function describe(test: TestCase): string {
  const registers = [...test.registers.gpr].map((value, register) => `${GPR_NAMES[register]}=${hex(value)}`).join(' ');
  return `${test.name} [${hexBytes(test.code)}] flags=${hex(test.registers.rflags)} ${registers}`;
}

/** Cases that differ, with how. */
export function compareWithHost(cases: readonly TestCase[], options?: CompareOptions): string[] {
  const expected = runOnHost(cases);
  const emulated = new EmulatedHost();
  return cases.flatMap((test, index) => {
    const found = differences(test, emulated.run(test, index), expected[index]!, options);
    return found.length ? [`${found.join('; ')}\n    ${describe(test)}`] : [];
  });
}
