/** Which page tables are in force for a thread, in words. */
import type { Debuggee } from '../debuggee.ts';
import { isNonRoot } from './modes.ts';

const CR4_PCIDE = 1n << 17n;

export function hex(value: bigint | number): string {
  return `0x${value.toString(16)}`;
}

export function vmcsField(debuggee: Debuggee, thread: number, encoding: number): bigint | undefined {
  return debuggee.machine.vmcs(thread)?.find((field) => field.encoding === encoding)?.value;
}

/** VMCS encoding of the EPT pointer (SDM 3D appendix B). */
export const EPTP = 0x201a;

/** Of the basic exit reason and its flags. */
export const EXIT_REASON = 0x4402;

/** "CR3 0x... PCID 0" or "EPTP 0x...", or why there are none. */
export function tableRoot(
  debuggee: Debuggee,
  thread: number,
  which: 'guest' | 'ept',
): { text: string; message?: string } {
  const { machine } = debuggee;
  if (which === 'guest') {
    const cr3 = machine.readRegister(thread, 'cr3') ?? 0n;
    const pcid = ((machine.readRegister(thread, 'cr4') ?? 0n) & CR4_PCIDE) !== 0n ? ` PCID ${cr3 & 0xfffn}` : '';
    return { text: `CR3 ${hex(cr3 & ~0xfffn)}${pcid}` };
  }
  const info = machine.thread(thread);
  if (info?.mode === 'root')
    return { text: '', message: 'This processor is in root operation, and no VMCS says what its guest is.' };
  if (!isNonRoot(info?.mode)) return { text: '', message: 'This thread is in Linux mode: there is no EPT in force.' };
  return { text: `EPTP ${hex(vmcsField(debuggee, thread, EPTP) ?? 0n)}` };
}
