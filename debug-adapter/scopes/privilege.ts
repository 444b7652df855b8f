/** Who the thread is to the processor: mode, ring, VMCS, page tables. */
import type { ThreadInfo } from '../../emulator/machine/api.ts';
import { MODE_DESCRIPTIONS, isNonRoot } from '../presentation/modes.ts';
import { hexadecimal } from '../presentation/registers.ts';
import type { VariableRow } from '../presentation/variable.ts';
import type { ScopeDefinition } from './scope.ts';

const CR4_PCIDE = 1n << 17n;
const PCID = 0xfffn;
const PAGE_FRAME = 0x000f_ffff_ffff_f000n;

export const privilege: ScopeDefinition = {
  name: 'Privilege',
  expensive: false,
  available: () => true,
  rows({ machine }, { thread, ring }) {
    const info = machine.thread(thread);
    const read = (name: string): bigint => machine.readRegister(thread, name) ?? 0n;
    const cr3 = read('cr3');
    const rows: VariableRow[] = [
      row('Mode', MODE_DESCRIPTIONS[info?.mode ?? 'linux']),
      row('CPL', `${info?.cpl ?? ring}${(info?.cpl ?? ring) === 0 ? ' (supervisor)' : ' (user)'}`),
    ];
    if (ring !== info?.cpl) rows.push(row('Ring of this frame', `${ring}`));
    rows.push(row('CR3', hexadecimal(cr3 & PAGE_FRAME)));
    rows.push(row('PCID', (read('cr4') & CR4_PCIDE) !== 0n ? `${cr3 & PCID}` : 'off'));
    const vmcs = machine.vmcs(thread);
    const field = (name: RegExp): bigint | undefined => vmcs?.find((candidate) => name.test(candidate.name))?.value;
    if (!isNonRoot(info?.mode) || !vmcs)
      return [...rows, row('VMCS', noVmcs(info?.mode)), row('CPU', `${info?.cpu ?? 0}`)];
    const eptp = field(/^EPT pointer/);
    const vpid = field(/virtual.processor identifier|^VPID/i);
    if (eptp !== undefined) rows.push(row('EPTP', hexadecimal(eptp)));
    if (vpid !== undefined) rows.push(row('VPID', `${vpid}`));
    return [...rows, row('CPU', `${info?.cpu ?? 0}`)];
  },
};

function noVmcs(mode: ThreadInfo['mode'] | undefined): string {
  return mode === 'root' ? 'not in force: root operation' : 'none: not in Dune mode';
}

function row(name: string, value: string): VariableRow {
  return { name, value, hint: { attributes: ['readOnly'] } };
}
