/** EPT violations that become #VE (SDM 3C 26.5.7). */
import type { CpuContext } from '../cpu/context.ts';
import type { EptFault, Fault } from '../cpu/engine-api.ts';
import { Secondary } from './controls.ts';
import { ExitReason } from './exit-reasons.ts';
import { Field } from './fields.ts';
import { secondaryControls } from './queries.ts';
import type { CurrentVmcs } from './vmcs.ts';
import { BITS_64 } from '../cpu/control-bits-64.ts';

const { CR0_PE } = BITS_64;

const VECTOR_VE = 20;
/** Offsets in the virtualization-exception information area (SDM 3C table 26-1). */
const REASON = 0;
const BUSY = 4;
const QUALIFICATION = 8;
const LINEAR = 16;
const PHYSICAL = 24;
const INDEX = 32;

/** The exception, with its information area written; undefined if the violation exits. */
export function convertViolation(context: CpuContext, vmcs: CurrentVmcs, fault: EptFault): Fault | undefined {
  const { physical, cpu } = context;
  if (!fault.convertible || context.vectoring || !cpu.nonRoot || !(cpu.cr0 & CR0_PE)) return undefined;
  if (!(secondaryControls(vmcs) & Secondary.EptViolationException)) return undefined;
  const area = vmcs.address(Field.virtualizationExceptionAddress);
  if (!physical.has(area, 4096) || physical.read32(area + BUSY) !== 0) return undefined;
  physical.write32(area + REASON, ExitReason.EptViolation);
  physical.write32(area + BUSY, 0xffff_ffff);
  physical.write64(area + QUALIFICATION, fault.qualification);
  physical.write64(area + LINEAR, fault.gva);
  physical.write64(area + PHYSICAL, BigInt(fault.gpa));
  physical.write(area + INDEX, Uint8Array.of(vmcs.read32(Field.eptpIndex) & 0xff, vmcs.read32(Field.eptpIndex) >> 8));
  return { kind: 'exception', vector: VECTOR_VE, because: 'EPT violation, which the EPT entry lets become #VE' };
}
