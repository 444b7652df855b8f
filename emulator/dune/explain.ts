/** Why a stay in Dune mode ended badly: EPT violations and failed entries here, unhandled exits beside. */
import { entryName } from '../mmu/entries.ts';
import type { Walk } from '../mmu/api.ts';
import { checkInWords } from '../vmx/checks/words.ts';
import { vmxErrorText } from '../vmx/errors.ts';
import { Field } from '../vmx/fields.ts';
import { exitReasonName } from '../vmx/exit-reasons.ts';
import type { VmxStatus } from '../vmx/api.ts';
import type { Thread } from '../linux/api.ts';
import type { Explanation } from '../machine/api.ts';
import { guestCpl, inGuest } from './guest-context.ts';
import { hex, type Dune } from './state.ts';
import { read } from './vcpu.ts';
import { effectiveRights, rightsSentence } from '../mmu/rights.ts';
import { walkLines } from '../mmu/walk-text.ts';
import { gpaToHva, windowOfGpa, type Layout } from './windows.ts';

export { explainExit, explainWrmsr } from './explain-exit.ts';

const WRITE = 1n << 1n;
const FETCH = 1n << 2n;
const EPT_RIGHTS = 7n << 3n;
const ADDRESS_WIDTH = 1n << 6n;
const FINAL_ACCESS = 1n << 8n;
/** The first page: what a null pointer with an offset reaches. */
const NULL_PAGE = 0x1000n;
/** The module needs an identity window: below 37 bits the other two fill the address space. */
const SMALLEST_USEFUL_LIMIT = 1n << 37n;

export type EptRefusal = 'qualification' | 'no-window' | 'linux-refused' | 'no-memory';

export function explainEptViolation(dune: Dune, thread: Thread, layout: Layout, why: EptRefusal): Explanation {
  const qualification = read(dune, Field.exitQualification);
  const gva = read(dune, Field.guestLinearAddress);
  const gpa = read(dune, Field.guestPhysicalAddress);
  const access = qualification & FETCH ? 'execute' : qualification & WRITE ? 'write' : 'read';
  const { walk, rights } = inGuest(dune, () => {
    const found = dune.context.mmu.walk(gva, access);
    return { walk: found, rights: rightsSentence(effectiveRights(dune.context.mem, found)) };
  });
  const what = accessInWords(qualification, access, gva, walk);
  const linux = linuxSide(dune, thread, layout, gpa);
  const reason = {
    qualification:
      'the module takes it for an address beyond the guest address width, and stops with the return code unchanged',
    'no-window': `guest-physical address ${hex(gpa)} lies in none of the three windows (the top is ${hex(layout.physLimit)})`,
    'linux-refused': linux.reason(access),
    'no-memory': 'the machine has no memory left for it',
  }[why];
  return {
    headline: `EPT violation: ring ${guestCpl(dune)} ${what}: ${reason}`,
    details: [
      `GVA ${hex(gva)} -> GPA ${hex(gpa)}${linux.hva === undefined ? '' : ` -> HVA ${hex(linux.hva)}`}`,
      `exit qualification ${hex(qualification)}: ${access}, EPT rights on the way ${rightsInWords(qualification)}, ${
        qualification & FINAL_ACCESS ? 'access to the final address' : 'access to a guest paging-structure entry'
      }`,
      ...namingEntry(walk, qualification),
      ...linux.lines,
      ...walkLines(walk),
      ...(rights ? [rights] : []),
    ],
    ...adviceFor(why, gva, gpa, layout, linux),
    walk,
  };
}

function accessInWords(qualification: bigint, access: string, gva: bigint, walk: Walk): string {
  if (qualification & ADDRESS_WIDTH) return `access to GVA ${hex(gva)} with qualification bit 6 set`;
  if (qualification & FINAL_ACCESS) return `${access === 'execute' ? 'instruction fetch' : access} at GVA ${hex(gva)}`;
  const last = walk.steps.at(-1);
  const entry = last
    ? entryName({ table: 'guest', level: last.table === 'ept' ? last.forGuestLevel : last.level })
    : 'entry';
  return `page walk for GVA ${hex(gva)}, reading its ${entry}`;
}

/** The guest entry that named the refused address. */
function namingEntry(walk: Walk, qualification: bigint): string[] {
  if (!(qualification & FINAL_ACCESS)) return [];
  const leaf = walk.steps.findLast((step) => step.table === 'guest' && step.outcome === 'leaf');
  return leaf ? [`the guest's ${entryName(leaf)} at gpa:${hex(leaf.gpa)} = ${hex(leaf.entry)} names this GPA`] : [];
}

function rightsInWords(qualification: bigint): string {
  const rights = (qualification & EPT_RIGHTS) >> 3n;
  if (rights === 0n) return 'none (not present)';
  return ['R', 'W', 'X'].filter((_, bit) => rights & (1n << BigInt(bit))).join(' ');
}

interface LinuxSide {
  readonly hva: bigint | undefined;
  readonly lines: readonly string[];
  reason(access: string): string;
}

function linuxSide(dune: Dune, thread: Thread, layout: Layout, gpa: bigint): LinuxSide {
  const hva = gpaToHva(layout, gpa);
  const window = windowOfGpa(layout, gpa);
  if (hva === undefined || !window)
    return { hva, lines: [windowTable(layout)], reason: () => `GPA ${hex(gpa)} is in no window` };
  const area = dune.services.describeAddress(thread.pid, hva);
  return {
    hva,
    lines: [
      `${window.name} window: GPA ${hex(window.gpa)}..${hex(window.gpa + window.bytes)} is HVA ${hex(window.hva)}..${hex(window.hva + window.bytes)}`,
      `Linux at HVA ${hex(hva)}: ${area}`,
    ],
    reason: (access) => `Linux refuses a ${access === 'write' ? 'write' : 'read'} of HVA ${hex(hva)} (${area})`,
  };
}

function windowTable(layout: Layout): string {
  return `windows: ${layout.windows
    .map((window) => `${window.name} GPA ${hex(window.gpa)}..${hex(window.gpa + window.bytes)}`)
    .join(', ')}`;
}

function adviceFor(why: EptRefusal, gva: bigint, gpa: bigint, layout: Layout, linux: LinuxSide): { advice?: string } {
  if (layout.physLimit < SMALLEST_USEFUL_LIMIT)
    return {
      advice:
        'The identity window is empty: the two others fill the address space. Use at least 37 physical-address bits.',
    };
  if (gva < NULL_PAGE)
    return {
      advice:
        "A null pointer. libdune's full mapping covers page 0, so the guest page tables let it pass and the EPT refuses it; " +
        'unmap page 0 in the guest (dune_vm_unmap) to get a page fault instead.',
    };
  if (why === 'no-window')
    return { advice: `A page-table entry holds ${hex(gpa)}, which is no address that dune_va_to_pa() gives.` };
  if (why === 'linux-refused' && linux.hva !== undefined)
    return {
      advice:
        'In Dune mode no SIGSEGV is sent: what Linux does not map, or protects (mprotect), cannot be filled into the EPT, and the program ends. ' +
        'Protect pages with guest page-table entries (dune_vm_mprotect) instead.',
    };
  return {};
}

/** A VMLAUNCH or VMRESUME that failed, with a status or as an exit. The VMCS is current. */
export function explainEntryFailure(dune: Dune, status?: VmxStatus): Explanation {
  const checks = dune.context.vmx.violatedChecks();
  const how =
    status === undefined
      ? `${exitReasonName(Number(read(dune, Field.exitReason)) & 0xffff)}, qualification ${hex(read(dune, Field.exitQualification))}`
      : status.kind === 'fail-valid'
        ? `VM-instruction error ${status.error}: ${vmxErrorText(status.error)}`
        : 'there is no current VMCS';
  const first = checks[0];
  return {
    headline: first
      ? `VM entry failed: ${checks.length > 1 ? `${checks.length} checks violated, the first ` : ''}${checkInWords(first)}`
      : `VM entry failed: ${how}`,
    details: [how, ...checks.map((check) => `${check.id}: ${checkInWords(check)}`)],
    checks,
  };
}
