/** Checks of the host-state area (SDM 3C 27.2.2 to 27.2.4). A violation is VM-instruction error 8. */
import * as L from '../../cpu/layout.ts';
import { Entry, Exit } from '../controls.ts';
import type { FieldName } from '../fields.ts';
import { type CheckRow, type CheckState, canonical, fixedBits, isEfer, isPat } from './row.ts';
import { CR4_PAE, CR4_PCIDE } from '../../cpu/control-bits.ts';
import { BITS_64 } from '../../cpu/control-bits-64.ts';

const { EFER_LMA } = BITS_64;

const REGISTERS = '27.2.2';
const SEGMENTS = '27.2.3';
const MODE = '27.2.4';

const host64 = (s: CheckState): boolean => s.exit(Exit.Host64);

function selector(name: string, field: FieldName): CheckRow {
  return {
    id: `host.${name}.selector`,
    section: SEGMENTS,
    wants: 'RPL and TI 0',
    fields: [field],
    holds: (s) => (s.n(field) & 7) === 0,
  };
}
function notNull(name: string, field: FieldName, when: (s: CheckState) => boolean = () => true): CheckRow {
  return {
    id: `host.${name}.null`,
    section: SEGMENTS,
    wants: 'not the null selector',
    fields: [field],
    holds: (s) => !when(s) || s.n(field) !== 0,
  };
}

export const hostChecks: readonly CheckRow[] = [
  fixedBits('host.cr0', REGISTERS, 'hostCr0', 0x486, 0x487),
  fixedBits('host.cr4', REGISTERS, 'hostCr4', 0x488, 0x489),
  {
    id: 'host.cr3',
    section: REGISTERS,
    wants: 'no bits above the physical-address width',
    fields: ['hostCr3'],
    holds: (s) => s.inWidth(s.b('hostCr3')),
  },
  canonical('host.sysenter-esp', REGISTERS, 'hostSysenterEsp'),
  canonical('host.sysenter-eip', REGISTERS, 'hostSysenterEip'),
  {
    id: 'host.pat',
    section: REGISTERS,
    wants: 'memory types 0, 1, 4, 5, 6 or 7 in every byte',
    fields: ['hostPat', 'exitControls'],
    holds: (s) => !s.exit(Exit.LoadPat) || isPat(s.b('hostPat')),
  },
  {
    id: 'host.efer',
    section: REGISTERS,
    wants: 'reserved bits clear, LMA and LME equal to "host address-space size"',
    fields: ['hostEfer', 'exitControls'],
    holds: (s) => !s.exit(Exit.LoadEfer) || isEfer(s.b('hostEfer'), host64(s)),
  },
  selector('es', 'hostEsSelector'),
  selector('cs', 'hostCsSelector'),
  selector('ss', 'hostSsSelector'),
  selector('ds', 'hostDsSelector'),
  selector('fs', 'hostFsSelector'),
  selector('gs', 'hostGsSelector'),
  selector('tr', 'hostTrSelector'),
  notNull('cs', 'hostCsSelector'),
  notNull('tr', 'hostTrSelector'),
  notNull('ss', 'hostSsSelector', (s) => !host64(s)),
  canonical('host.fs.base', SEGMENTS, 'hostFsBase'),
  canonical('host.gs.base', SEGMENTS, 'hostGsBase'),
  canonical('host.gdtr.base', SEGMENTS, 'hostGdtrBase'),
  canonical('host.idtr.base', SEGMENTS, 'hostIdtrBase'),
  canonical('host.tr.base', SEGMENTS, 'hostTrBase'),
  {
    id: 'host.address-space-size',
    section: MODE,
    wants: '"host address-space size" equal to EFER.LMA of the processor at the entry',
    fields: ['exitControls'],
    memory: true,
    holds: (s) => host64(s) === ((s.context.mem.get64(L.MSR_EFER) & EFER_LMA) !== 0n),
  },
  {
    id: 'host.long-guest',
    section: MODE,
    wants: '"IA-32e mode guest" clear for a host that is not 64-bit',
    fields: ['entryControls', 'exitControls'],
    holds: (s) => host64(s) || !s.entry(Entry.Ia32eGuest),
  },
  {
    id: 'host.pcid',
    section: MODE,
    wants: 'CR4.PCIDE clear for a host that is not 64-bit',
    fields: ['hostCr4', 'exitControls'],
    holds: (s) => host64(s) || (s.n('hostCr4') & CR4_PCIDE) === 0,
  },
  {
    id: 'host.pae',
    section: MODE,
    wants: 'CR4.PAE set for a 64-bit host',
    fields: ['hostCr4', 'exitControls'],
    holds: (s) => !host64(s) || (s.n('hostCr4') & CR4_PAE) !== 0,
  },
  {
    id: 'host.rip',
    section: MODE,
    wants: 'a canonical address for a 64-bit host, below 4 GB for another',
    fields: ['hostRip', 'exitControls'],
    holds: (s) => (host64(s) ? s.canonical('hostRip') : s.b('hostRip') >> 32n === 0n),
  },
];
