/** Data movement and the stack (SDM 1 5.1.1). */
import { row, system } from './build.ts';
import type { OpcodeRow } from './row.ts';

const hot = true;
const STACK = { sizes: [2, 8], default64: true, only64: true } as const;
const STACK_LEGACY = { sizes: [2, 4], invalid64: true } as const;

/** A stack instruction: 64 or 16 bits wide in 64-bit mode, 32 or 16 elsewhere. */
function stack(encoding: string, op: string, operands = '', rest: Partial<OpcodeRow> = {}): OpcodeRow[] {
  return [
    row(encoding, op, operands, { ...STACK, ...rest }),
    row(encoding, op, operands, { ...STACK_LEGACY, ...rest, hot: false }),
  ];
}

export const movement: readonly OpcodeRow[] = [
  row('88 /r', 'mov', 'Eb Gb', { hot }),
  row('89 /r', 'mov', 'Ev Gv', { hot }),
  row('8A /r', 'mov', 'Gb Eb', { hot }),
  row('8B /r', 'mov', 'Gv Ev', { hot }),
  row('A0', 'mov', 'AL Ob'),
  row('A1', 'mov', 'rAX Ov'),
  row('A2', 'mov', 'Ob AL'),
  row('A3', 'mov', 'Ov rAX'),
  row('B0+r', 'mov', 'Zb Ibs', { hot }),
  row('B8+r', 'mov', 'Zv Iv', { hot }),
  row('C6 /0', 'mov', 'Eb Ibs', { hot }),
  row('C7 /0', 'mov', 'Ev Iz', { hot }),
  system('8C /r', 'mov_from_segment', 'Ev Sw', { mnemonic: 'mov' }),
  system('8E /r', 'mov_to_segment', 'Sw Ew', { mnemonic: 'mov', sizes: [2] }),

  row('0F B6 /r', 'movzx8', 'Gv Eb', { mnemonic: 'movzx', hot }),
  row('0F B7 /r', 'movzx16', 'Gv Ew', { mnemonic: 'movzx', hot }),
  row('0F BE /r', 'movsx8', 'Gv Eb', { mnemonic: 'movsx', hot }),
  row('0F BF /r', 'movsx16', 'Gv Ew', { mnemonic: 'movsx', hot }),
  row('63 /r', 'movsxd', 'Gv Ed', { only64: true, hot }),
  row('8D /r', 'lea', 'Gv M', { hot }),
  row('0F C3 /r', 'movnti', 'My Gy', { prefix: 'NP' }),

  row('86 /r', 'xchg', 'Eb Gb', { lock: true }),
  row('87 /r', 'xchg', 'Ev Gv', { lock: true, hot }),
  row('90+r', 'xchg', 'Zv rAX'),
  row('0F C8+r', 'bswap', 'Zv', { hot }),
  row('D7', 'xlat', 'Xbx', { mnemonic: 'xlatb', sizes: [1] }),

  row('0F 40+cc /r', 'cmovcc', 'Gv Ev', { reads: 'oszapc', hot }),
  row('0F 90+cc /r', 'setcc', 'Eb', { reads: 'oszapc', hot }),

  ...stack('50+r', 'push', 'Zv', { hot }),
  ...stack('58+r', 'pop', 'Zv', { hot }),
  ...stack('68', 'push', 'Iz', { hot }),
  ...stack('6A', 'push', 'Ibs', { hot }),
  ...stack('FF /6', 'push', 'Ev', { hot }),
  ...stack('8F /0', 'pop', 'Ev'),
  ...stack('9C', 'pushf', '', { reads: 'oszapc' }),
  ...stack('9D', 'popf', '', { writes: 'oszapc', system: true, branch: 'system' }),
  ...stack('C8', 'enter', 'Iw Ib'),
  ...stack('C9', 'leave', '', { hot }),
  ...stack('0F A0', 'push_segment', 'FS', { mnemonic: 'push', system: true, branch: 'system' }),
  ...stack('0F A1', 'pop_segment', 'FS', { mnemonic: 'pop', system: true, branch: 'system' }),
  ...stack('0F A8', 'push_segment', 'GS', { mnemonic: 'push', system: true, branch: 'system' }),
  ...stack('0F A9', 'pop_segment', 'GS', { mnemonic: 'pop', system: true, branch: 'system' }),
  ...['ES', 'CS', 'SS', 'DS'].flatMap((segment, index) => [
    system((index * 8 + 6).toString(16).padStart(2, '0'), 'push_segment', segment, {
      mnemonic: 'push',
      ...STACK_LEGACY,
    }),
    ...(segment === 'CS'
      ? []
      : [
          system((index * 8 + 7).toString(16).padStart(2, '0'), 'pop_segment', segment, {
            mnemonic: 'pop',
            ...STACK_LEGACY,
          }),
        ]),
  ]),
  row('60', 'pusha', '', STACK_LEGACY),
  row('61', 'popa', '', STACK_LEGACY),

  system('0F B2 /r', 'lss', 'Gv M'),
  system('0F B4 /r', 'lfs', 'Gv M'),
  system('0F B5 /r', 'lgs', 'Gv M'),
  system('C4 /r', 'les', 'Gv M', { invalid64: true, sizes: [2, 4] }),
  system('C5 /r', 'lds', 'Gv M', { invalid64: true, sizes: [2, 4] }),
];
