/** Protection keys of user pages: PKRU, RDPKRU, WRPKRU (SDM 3A 4.6.2; SDM 2B). */
import type { CpuContext, SystemOutcome } from '../context.ts';
import * as L from '../layout.ts';
import { generalProtection, undefinedOpcode } from './fault.ts';
import { BITS_64 } from '../control-bits-64.ts';

const { CR4_PKE } = BITS_64;

const LOW32 = 0xffff_ffffn;
const RAX = 0;
const RCX = 1;
const RDX = 2;

/** Rights live in the key of the TLB bank: a change only selects another bank. */
export function setPkru(context: CpuContext, value: number): void {
  if (context.mem.get32(L.PKRU) === value >>> 0) return;
  context.mem.set32(L.PKRU, value);
  context.engine.contextChanged();
}

function requireKeys({ cpu }: CpuContext, what: string): void {
  if (!(cpu.cr4 & CR4_PKE)) undefinedOpcode(`${what} while CR4.PKE is 0`);
  if (cpu.gpr(RCX) & LOW32) generalProtection(`${what} with ECX other than 0`);
}

export function rdpkru(context: CpuContext): SystemOutcome {
  requireKeys(context, 'RDPKRU');
  context.cpu.setGpr(RAX, BigInt(context.mem.get32(L.PKRU)));
  context.cpu.setGpr(RDX, 0n);
  return 'next';
}

export function wrpkru(context: CpuContext): SystemOutcome {
  requireKeys(context, 'WRPKRU');
  if (context.cpu.gpr(RDX) & LOW32) generalProtection('WRPKRU with EDX other than 0');
  setPkru(context, Number(context.cpu.gpr(RAX) & LOW32));
  return 'next';
}
