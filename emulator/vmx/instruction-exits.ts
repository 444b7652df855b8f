/** Which VM exits an instruction causes in non-root operation, and under which control (SDM 3C 26.1.2, 26.1.3). Faults come first where SDM 3C 26.1.1 says so. */
import { controlField, Primary, Secondary } from './controls.ts';
import { ExitReason } from './exit-reasons.ts';
import { Field } from './fields.ts';

export interface InstructionExit {
  readonly reason: number;
  /** Controls that ask for it, as the SDM names them; none: it always exits. */
  readonly control?: string;
  /** Encoding of the field of the control, and the control's bit in it as a mask. */
  readonly field?: number;
  readonly mask?: number;
  /** What else it depends on. */
  readonly when?: string;
}

const bitName = (field: number, mask: number): string =>
  controlField(field)!.bits.find(({ bit }) => 1 << bit === mask || (1 << bit) >>> 0 === mask)!.name;
const under = (field: number, reason: number, mask: number, when?: string): InstructionExit => ({
  reason,
  control: bitName(field, mask),
  field,
  mask,
  ...(when ? { when } : {}),
});
const primary = (reason: number, mask: number, when?: string): InstructionExit =>
  under(Field.primaryControls, reason, mask, when);
const secondary = (reason: number, mask: number, when?: string): InstructionExit =>
  under(Field.secondaryControls, reason, mask, when);
const always = (reason: number): InstructionExit => ({ reason });
const when = (reason: number, what: string): InstructionExit => ({ reason, when: what });

const X = ExitReason;
const IO = [
  primary(X.IoInstruction, Primary.UnconditionalIoExiting, 'and not "use I/O bitmaps"'),
  primary(X.IoInstruction, Primary.IoBitmaps, 'and the bitmap names the port'),
];
const MSR_BITMAP = 'unless "use MSR bitmaps" is set and the bitmap does not name the MSR';
const XSS = 'a component in EDX:EAX and IA32_XSS is in the XSS-exiting bitmap';
const UNDEFINED = [when(X.ExceptionOrNmi, 'the exception bitmap has bit 6')];
const shadowed = (name: string): string =>
  `unless "VMCS shadowing" is set and the ${name} bitmap does not name the field`;
const descriptor = (reason: number): readonly InstructionExit[] => [
  secondary(reason, Secondary.DescriptorTableExiting),
];

/** By the table row's `op`. */
const EXITS: Readonly<Record<string, readonly InstructionExit[]>> = {
  cpuid: [always(X.Cpuid)],
  invd: [always(X.Invd)],
  xsetbv: [always(X.Xsetbv)],
  vmcall: [always(X.Vmcall)],
  vmclear: [always(X.Vmclear)],
  vmlaunch: [always(X.Vmlaunch)],
  vmptrld: [always(X.Vmptrld)],
  vmptrst: [always(X.Vmptrst)],
  vmread: [when(X.Vmread, shadowed('VMREAD'))],
  vmresume: [always(X.Vmresume)],
  vmwrite: [when(X.Vmwrite, shadowed('VMWRITE'))],
  vmxoff: [always(X.Vmxoff)],
  vmxon: [always(X.Vmxon)],
  invept: [always(X.Invept)],
  invvpid: [always(X.Invvpid)],
  vmfunc: [
    secondary(X.Vmfunc, Secondary.VmFunctions, 'and the function is not enabled, or the EPTP list has no such entry'),
  ],
  hlt: [primary(X.Hlt, Primary.HltExiting)],
  invlpg: [primary(X.Invlpg, Primary.InvlpgExiting)],
  invpcid: [primary(X.Invpcid, Primary.InvlpgExiting, 'and "enable INVPCID"')],
  rdpmc: [primary(X.Rdpmc, Primary.RdpmcExiting)],
  rdtsc: [primary(X.Rdtsc, Primary.RdtscExiting)],
  rdtscp: [primary(X.Rdtscp, Primary.RdtscExiting, 'and "enable RDTSCP"')],
  mwait: [primary(X.Mwait, Primary.MwaitExiting)],
  monitor: [primary(X.Monitor, Primary.MonitorExiting)],
  pause: [
    primary(X.Pause, Primary.PauseExiting),
    secondary(
      X.Pause,
      Secondary.PauseLoopExiting,
      'in ring 0, in a loop of PAUSEs that lasts longer than the PLE window',
    ),
  ],
  mov_from_debug: [primary(X.MovDr, Primary.MovDrExiting)],
  mov_to_debug: [primary(X.MovDr, Primary.MovDrExiting)],
  mov_from_control: [
    primary(X.CrAccess, Primary.Cr3StoreExiting, 'for CR3'),
    primary(X.CrAccess, Primary.Cr8StoreExiting, 'for CR8'),
  ],
  mov_to_control: [
    primary(X.CrAccess, Primary.Cr3LoadExiting, 'for CR3, unless the value is a CR3-target value'),
    primary(X.CrAccess, Primary.Cr8LoadExiting, 'for CR8'),
    when(X.CrAccess, 'for CR0 and CR4: a bit of the guest/host mask gets a value other than in the read shadow'),
  ],
  clts: [when(X.CrAccess, 'the guest/host mask and the read shadow of CR0 have TS')],
  lmsw: [when(X.CrAccess, 'a bit of the guest/host mask of CR0 gets a value other than in the read shadow')],
  rdmsr: [when(X.Rdmsr, MSR_BITMAP)],
  wrmsr: [when(X.Wrmsr, MSR_BITMAP)],
  in: IO,
  out: IO,
  ins: IO,
  outs: IO,
  lgdt: descriptor(X.GdtrIdtrAccess),
  lidt: descriptor(X.GdtrIdtrAccess),
  sgdt: descriptor(X.GdtrIdtrAccess),
  sidt: descriptor(X.GdtrIdtrAccess),
  lldt: descriptor(X.LdtrTrAccess),
  ltr: descriptor(X.LdtrTrAccess),
  sldt: descriptor(X.LdtrTrAccess),
  str: descriptor(X.LdtrTrAccess),
  wbinvd: [secondary(X.Wbinvd, Secondary.WbinvdExiting)],
  rdrand: [secondary(X.Rdrand, Secondary.RdrandExiting)],
  rdseed: [secondary(X.Rdseed, Secondary.RdseedExiting)],
  int3: [when(X.ExceptionOrNmi, 'the exception bitmap has bit 3')],
  int1: [when(X.ExceptionOrNmi, 'the exception bitmap has bit 1')],
  into: [when(X.ExceptionOrNmi, 'it traps and the exception bitmap has bit 4')],
  ud0: UNDEFINED,
  ud1: UNDEFINED,
  ud2: UNDEFINED,
  xsaves: [when(X.Xsaves, XSS)],
  xrstors: [when(X.Xrstors, XSS)],
};

/** Instructions of which something is said here, by `op`. */
export const EXITING_INSTRUCTIONS: readonly string[] = Object.keys(EXITS);

export function exitsOfInstruction(op: string): readonly InstructionExit[] {
  return EXITS[op] ?? [];
}
