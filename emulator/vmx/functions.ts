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
  const enabled = (vmcs.read(Field.vmFunctionControls) >> BigInt(number)) & 1n;
  return enabled === 1n && number === EPTP_SWITCHING && switchEptp(context, vmcs, argument);
}

/** Entry `index` of the EPTP list becomes the EPT pointer; translations of other EPTs stay. */
function switchEptp(context: CpuContext, vmcs: CurrentVmcs, index: number): boolean {
  const { physical, mem } = context;
  if (index >= EPTP_LIST_ENTRIES) return false;
  const at = vmcs.address(Field.eptpListAddress) + index * 8;
  const eptp = physical.has(at, 8) ? physical.read64(at) : -1n;
  if (eptp < 0n || !isEptp(context, eptp)) return false;
  vmcs.write(Field.eptPointer, eptp);
  if (secondaryControls(vmcs) & Secondary.EptViolationException) vmcs.write32(Field.eptpIndex, index);
  mem.set64(L.EPTP, eptp);
  context.engine.contextChanged();
  return true;
}
