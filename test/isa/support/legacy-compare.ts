/** Says where the emulator and the host CPU differ on a case of 16- or 32-bit code. */
import type { LegacyCase, LegacyOutcome } from './legacy-case.ts';

const NAMES = ['eax', 'ecx', 'edx', 'ebx', 'esp', 'ebp', 'esi', 'edi'];
const FLAGS = 0xcd5;
const hex = (value: number): string => (value >>> 0).toString(16);

/** One line, or none. */
export function legacyDifferences(test: LegacyCase, ours: LegacyOutcome, theirs: LegacyOutcome): string[] {
  const found = compare(test, ours, theirs);
  if (found.length === 0) return [];
  const registers = [...test.gpr].map((value, register) => `${NAMES[register]}=${hex(value)}`).join(' ');
  return [`${found.join('; ')}\n    ${test.name} flags=${hex(test.eflags)} ${registers}`];
}

function compare(test: LegacyCase, ours: LegacyOutcome, theirs: LegacyOutcome): string[] {
  const fault = ({ vector, error, eip }: LegacyOutcome): string =>
    vector < 0 ? 'none' : `${vector}(${hex(error)}) at ${hex(eip)}`;
  if (fault(ours) !== fault(theirs)) return [`exception ${fault(ours)}, host ${fault(theirs)}`];
  const found: string[] = [];
  const say = (name: string, a: number, b: number): void => void found.push(`${name} ${hex(a)}, host ${hex(b)}`);
  // The SDM restores what POPA had loaded before its fault, AMD does not.
  if (ours.vector >= 0 && test.name.startsWith('popa')) return [];
  ours.gpr.forEach((value, register) => {
    const expected = theirs.gpr[register]!;
    // LAR: bits 19:16 are undefined.
    const known = test.name.startsWith('lar') ? 0xfff0_ffff : 0xffff_ffff;
    if ((value ^ expected) & known) say(NAMES[register]!, value, expected);
  });
  // A comparison that faults while it is repeated: the SDM restores the flags, AMD keeps the last ones.
  const interrupted = ours.vector >= 0 && /^(cmps|scas)/.test(test.name);
  const mask = interrupted ? 0 : FLAGS & ~test.undefinedFlags;
  if ((ours.eflags ^ theirs.eflags) & mask) say('flags', ours.eflags & mask, theirs.eflags & mask);
  if (ours.ds !== theirs.ds) say('ds', ours.ds, theirs.ds);
  if (ours.es !== theirs.es) say('es', ours.es, theirs.es);
  const byte = ours.window.findIndex((value, index) => value !== theirs.window[index]);
  if (byte >= 0) say(`memory +${hex(byte)}`, ours.window[byte]!, theirs.window[byte]!);
  return found;
}
