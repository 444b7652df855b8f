/** VM functions (SDM 3C 26.5.6). */
import type { CpuContext } from '../cpu/context.ts';
import * as L from '../cpu/layout.ts';
import { Secondary } from './controls.ts';
import { isEptp } from './eptp.ts';
import { Field } from './fields.ts';
import { secondaryControls } from './queries.ts';
import type { CurrentVmcs } from './vmcs.ts';

const EPTP_SWITCHING = 0;
const EPTP_LIST_ENTRIES = 512;

/** False if the function is not enabled or fails: then VMFUNC exits. */
export function callFunction(context: CpuContext, vmcs: CurrentVmcs, number: number, argument: number): boolean {
  const eptp = functionResult(context, vmcs, number, argument);
  if (typeof eptp === 'string') return false;
  switchEptp(context, vmcs, argument, eptp);
  return true;
}

/** The EPT pointer that VM function `number` with ECX = `index` would load, or why it exits. */
export function functionResult(context: CpuContext, vmcs: CurrentVmcs, number: number, index: number): bigint | string {
  const { physical } = context;
  const enabled = (vmcs.read(Field.vmFunctionControls) >> BigInt(number)) & 1n;
  if (enabled === 0n || number !== EPTP_SWITCHING) return `VM function ${number} is not enabled`;
  if (index >= EPTP_LIST_ENTRIES) return `the EPTP list has ${EPTP_LIST_ENTRIES} entries`;
  const at = vmcs.address(Field.eptpListAddress) + index * 8;
  const eptp = physical.has(at, 8) ? physical.read64(at) : -1n;
  if (eptp < 0n || !isEptp(context, eptp)) return `entry ${index} of the EPTP list is no EPT pointer`;
  return eptp;
}

/** Entry `index` of the EPTP list becomes the EPT pointer; translations of other EPTs stay. */
function switchEptp(context: CpuContext, vmcs: CurrentVmcs, index: number, eptp: bigint): void {
  vmcs.write(Field.eptPointer, eptp);
  if (secondaryControls(vmcs) & Secondary.EptViolationException) vmcs.write32(Field.eptpIndex, index);
  context.mem.set64(L.EPTP, eptp);
  context.engine.contextChanged();
}
