/** Exit qualifications in parts and words (SDM 3C 28.2.1, 29.4). */
import { GPR_TITLES } from '../cpu/register-names.ts';
import { ExitReason } from './exit-reasons.ts';

export interface QualificationPart {
  readonly name: string;
  readonly value: bigint;
  readonly meaning?: string;
  readonly hi: number;
  readonly lo: number;
}

export interface Qualification {
  readonly parts: readonly QualificationPart[];
  /** One line; empty when the number says nothing. */
  readonly text: string;
}

/** Reads fields of one qualification and keeps what it read. */
class Reader {
  readonly parts: QualificationPart[] = [];
  constructor(private readonly value: bigint) {}

  field(name: string, hi: number, lo: number, meaning?: (value: number) => string | undefined): number {
    const value = (this.value >> BigInt(lo)) & ((1n << BigInt(hi - lo + 1)) - 1n);
    const words = meaning?.(Number(value));
    this.parts.push(words === undefined ? { name, value, hi, lo } : { name, value, meaning: words, hi, lo });
    return Number(value);
  }
  bit(name: string, position: number, set: string, clear = ''): boolean {
    return this.field(name, position, position, (value) => (value ? set : clear) || undefined) === 1;
  }
  whole(name: string): bigint {
    this.parts.push({ name, value: this.value, hi: 63, lo: 0 });
    return this.value;
  }
}

const hex = (value: bigint | number): string => `0x${value.toString(16)}`;
const list = (words: readonly (string | false)[], none: string): string => words.filter(Boolean).join(' ') || none;

function eptViolation(r: Reader): string {
  const access = [
    r.bit('data read', 0, 'the access was a read') && 'read',
    r.bit('data write', 1, 'the access was a write') && 'write',
    r.bit('instruction fetch', 2, 'the access was a fetch') && 'fetch',
  ];
  const given = [
    r.bit('readable', 3, 'the EPT allows reads') && 'R',
    r.bit('writable', 4, 'the EPT allows writes') && 'W',
    r.bit('executable', 5, 'the EPT allows fetches') && 'X',
    r.bit('user-executable', 6, 'the EPT allows fetches of user pages') && 'XU',
  ];
  const linear = r.bit('linear address valid', 7, 'the guest linear-address field is valid');
  const final = r.bit(
    'final translation',
    8,
    'access to the address itself',
    'access to a guest paging-structure entry',
  );
  r.bit('user-mode address', 9, 'the guest tables make it a user page');
  r.bit('writable page', 10, 'the guest tables make it writable');
  r.bit('execute-disable', 11, 'the guest tables forbid fetches');
  r.bit('NMI unblocking', 12, 'IRET had unblocked NMIs');
  const target = linear ? (final ? '' : ' of a guest page-table entry') : ' without a linear address';
  const rights = list(given, '');
  return `${list(access, 'access')}${target}, ${rights ? `EPT allows ${rights}` : 'not mapped in the EPT'}`;
}

function crAccess(r: Reader): string {
  const cr = r.field('control register', 3, 0);
  const type = r.field('access type', 5, 4, (value) => ['MOV to CR', 'MOV from CR', 'CLTS', 'LMSW'][value]);
  r.bit('LMSW operand', 6, 'memory', 'register');
  const gpr = GPR_TITLES[r.field('register', 11, 8, (value) => GPR_TITLES[value])]!;
  const source = r.field('LMSW source', 31, 16);
  if (type === 2) return 'CLTS';
  if (type === 3) return `LMSW ${hex(source)}`;
  return type === 0 ? `MOV CR${cr}, ${gpr}` : `MOV ${gpr}, CR${cr}`;
}

function movDr(r: Reader): string {
  const dr = r.field('debug register', 2, 0);
  const from = r.bit('direction', 4, 'MOV from DR', 'MOV to DR');
  const gpr = GPR_TITLES[r.field('register', 11, 8, (value) => GPR_TITLES[value])]!;
  return from ? `MOV ${gpr}, DR${dr}` : `MOV DR${dr}, ${gpr}`;
}

function io(r: Reader): string {
  const size = r.field('size', 2, 0, (value) => `${value + 1} bytes`) + 1;
  const input = r.bit('direction', 3, 'IN', 'OUT');
  const string = r.bit('string', 4, 'INS or OUTS');
  const rep = r.bit('REP', 5, 'REP prefixed');
  r.bit('operand', 6, 'immediate port', 'port in DX');
  const port = r.field('port', 31, 16);
  return `${rep ? 'REP ' : ''}${input ? 'IN' : 'OUT'}${string ? 'S' : ''} of ${size} bytes, port ${hex(port)}`;
}

function taskSwitch(r: Reader): string {
  const selector = r.field('TSS selector', 15, 0);
  const source = r.field('source', 31, 30, (value) => ['CALL', 'IRET', 'JMP', 'task gate'][value]);
  return `${['CALL', 'IRET', 'JMP', 'task gate'][source]!} to TSS ${hex(selector)}`;
}

function exception(r: Reader): string {
  const value = r.whole('linear address (#PF) or debug conditions (#DB)');
  return value === 0n ? '' : hex(value);
}

function entryFailure(r: Reader): string {
  const WORDS: Readonly<Record<number, string>> = {
    2: 'PDPTEs could not be loaded',
    3: 'an NMI was to be injected while blocked',
    4: 'the VMCS link pointer is invalid',
  };
  return WORDS[r.field('detail', 31, 0, (value) => WORDS[value])] ?? '';
}

function apicAccess(r: Reader): string {
  const offset = r.field('page offset', 11, 0);
  const TYPES: Readonly<Record<number, string>> = {
    0: 'linear read',
    1: 'linear write',
    2: 'fetch',
    3: 'access during event delivery',
    10: 'guest-physical access during event delivery',
    15: 'guest-physical access',
  };
  const type = r.field('access type', 15, 12, (value) => TYPES[value]);
  return `${TYPES[type] ?? 'access'} at offset ${hex(offset)}`;
}

const named =
  (name: string, text: (value: bigint) => string) =>
  (r: Reader): string =>
    text(r.whole(name));

const displacement = named('displacement', (value) => `memory operand displacement ${hex(value)}`);

const DECODERS: Readonly<Record<number, (r: Reader) => string>> = {
  [ExitReason.ExceptionOrNmi]: exception,
  [ExitReason.StartupIpi]: named('vector', (value) => `SIPI vector ${value}`),
  [ExitReason.TaskSwitch]: taskSwitch,
  [ExitReason.Invlpg]: named('linear address', (value) => `of gva:${hex(value)}`),
  [ExitReason.CrAccess]: crAccess,
  [ExitReason.MovDr]: movDr,
  [ExitReason.IoInstruction]: io,
  [ExitReason.EntryFailureGuestState]: entryFailure,
  [ExitReason.EntryFailureMsrLoading]: named('entry', (value) => `entry ${value} of the VM-entry MSR-load area`),
  [ExitReason.Mwait]: (r) =>
    r.bit('monitor armed', 0, 'the monitor was armed') ? 'monitor armed' : 'monitor not armed',
  [ExitReason.ApicAccess]: apicAccess,
  [ExitReason.VirtualizedEoi]: named('vector', (value) => `EOI of vector ${value}`),
  [ExitReason.ApicWrite]: named('page offset', (value) => `APIC register ${hex(value)}`),
  [ExitReason.EptViolation]: eptViolation,
  ...Object.fromEntries(
    [
      ExitReason.Vmclear,
      ExitReason.Vmptrld,
      ExitReason.Vmptrst,
      ExitReason.Vmread,
      ExitReason.Vmwrite,
      ExitReason.Vmxon,
      ExitReason.GdtrIdtrAccess,
      ExitReason.LdtrTrAccess,
      ExitReason.Invept,
      ExitReason.Invvpid,
      ExitReason.Invpcid,
    ].map((reason) => [reason, displacement]),
  ),
};

/** @param reason basic exit reason */
export function describeQualification(reason: number, qualification: bigint): Qualification {
  const decode = DECODERS[reason & 0xffff];
  if (!decode) return { parts: [], text: '' };
  const reader = new Reader(qualification);
  const text = decode(reader);
  return { parts: reader.parts, text };
}
