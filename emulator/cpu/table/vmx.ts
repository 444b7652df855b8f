/** VMX instructions (SDM 3C 31.3), executed by cpu/system/ and vmx/. Every one writes the arithmetic flags (VMsucceed, VMfail). */
import { ALL, system } from './build.ts';
import type { OpcodeRow } from './row.ts';

const NP = { prefix: 'NP', writes: ALL, feature: 'vmx' } as const;
/** Operands are 64 bits in 64-bit mode and 32 bits elsewhere, whatever the prefixes. */
const WIDE = { sizes: [8], only64: true } as const;
const NARROW = { sizes: [4], invalid64: true } as const;

export const vmx: readonly OpcodeRow[] = [
  system('0F 01 C1', 'vmcall', '', NP),
  system('0F 01 C2', 'vmlaunch', '', NP),
  system('0F 01 C3', 'vmresume', '', NP),
  system('0F 01 C4', 'vmxoff', '', NP),
  system('0F 01 D4', 'vmfunc', '', NP),
  system('0F C7 /6', 'vmptrld', 'Mq', NP),
  system('0F C7 /7', 'vmptrst', 'Mq', NP),
  system('0F C7 /6', 'vmclear', 'Mq', { ...NP, prefix: '66' }),
  system('0F C7 /6', 'vmxon', 'Mq', { ...NP, prefix: 'F3' }),
  system('0F 78 /r', 'vmread', 'Ey Gy', { ...NP, ...WIDE }),
  system('0F 78 /r', 'vmread', 'Ey Gy', { ...NP, ...NARROW }),
  system('0F 79 /r', 'vmwrite', 'Gy Ey', { ...NP, ...WIDE }),
  system('0F 79 /r', 'vmwrite', 'Gy Ey', { ...NP, ...NARROW }),
  system('0F 38 80 /r', 'invept', 'Gy M', { ...NP, prefix: '66', ...WIDE }),
  system('0F 38 80 /r', 'invept', 'Gy M', { ...NP, prefix: '66', ...NARROW }),
  system('0F 38 81 /r', 'invvpid', 'Gy M', { ...NP, prefix: '66', ...WIDE }),
  system('0F 38 81 /r', 'invvpid', 'Gy M', { ...NP, prefix: '66', ...NARROW }),
];
