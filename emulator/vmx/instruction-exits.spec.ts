/** The table of exits that the language server and the debugger tell of, row by row against the engine: with what a row names the instruction exits, without it it does not. */
import assert from 'node:assert/strict';
import * as L from '../cpu/layout.ts';
import { GDT, IDT } from '../cpu/system/system-test-support.ts';
import { SHADOW_INDICATOR, VMCS_REVISION } from './capabilities.ts';
import { Primary, Secondary } from './controls.ts';
import { ExitReason, exitReasonName } from './exit-reasons.ts';
import { Field } from './fields.ts';
import { EXITING_INSTRUCTIONS, exitsOfInstruction } from './instruction-exits.ts';
import { MSR_BITMAP, type VmxMachine, createVmxMachine } from './vmx-test-support.ts';

const IO_BITMAP = 0x120000;
const FIELD_BITMAP = 0x122000;
const EPTP_LIST = 0x124000;
const SHADOW = 0x125000;
/** Zeros, but for the header of an XSAVE area without components in compacted format. */
const AREA = 0x7000;

type Change = (m: VmxMachine) => void;
const put =
  (field: number, value: bigint | number): Change =>
  (m) =>
    m.set(field, value);
const add =
  (field: number, bits: number): Change =>
  (m) =>
    m.set(field, (Number(m.field(field)) | bits) >>> 0);
const fill =
  (page: number, byte: number): Change =>
  ({ context }) =>
    context.physical.fill(page, 4096, byte);

interface Example {
  readonly code: string;
  /** Which exit of the instruction's row; the first if absent. */
  readonly exit?: number;
  /** In force whether it exits or not. */
  readonly also?: readonly Change[];
  /** What `when` says beside the control, so, and not so. */
  readonly so?: readonly Change[];
  readonly not?: readonly Change[];
  /** Without the exit the guest gets this exception, or waits. */
  readonly instead?: number | 'halted';
}

const ports = (code: string): Example[] => [
  { code, exit: 0, not: [add(Field.primaryControls, Primary.IoBitmaps), fill(IO_BITMAP, 0)] },
  { code, exit: 1, so: [fill(IO_BITMAP, 0xff)], not: [fill(IO_BITMAP, 0)] },
];
const msr = (code: string): Example[] => [
  { code, so: [fill(MSR_BITMAP, 0xff)], not: [fill(MSR_BITMAP, 0)] },
  { code, so: [(m) => m.set(Field.primaryControls, Number(m.field(Field.primaryControls)) & ~Primary.MsrBitmaps)] },
];
const exception = (code: string, vector: number, also: readonly Change[] = []): Example[] => [
  {
    code,
    also,
    so: [put(Field.exceptionBitmap, 1 << vector)],
    not: [put(Field.exceptionBitmap, ~(1 << vector) >>> 0)],
    instead: vector,
  },
];
const shadowing: readonly Change[] = [
  add(Field.secondaryControls, Secondary.VmcsShadowing),
  put(Field.vmcsLinkPointer, SHADOW),
  ({ context }) => context.physical.write32(SHADOW, VMCS_REVISION + SHADOW_INDICATOR),
];
const shadowed = (code: string): Example[] => [
  { code, so: [...shadowing, fill(FIELD_BITMAP, 0xff)], not: [...shadowing, fill(FIELD_BITMAP, 0)] },
  { code },
];
const plain = (...codes: string[]): Example[] => codes.map((code) => ({ code }));
const TS_OF_CR0 = [put(Field.cr0Mask, 8)];
const supervisor = (code: string): Example[] => [
  {
    code,
    also: [
      add(Field.secondaryControls, Secondary.Xsaves),
      (m) => m.set(Field.guestCr4, m.field(Field.guestCr4) | 0x4_0000n),
      ({ context }) => context.physical.write64(AREA + 520, 1n << 63n),
      // No component exists that a guest could set here.
      ({ context }) => context.mem.set64(L.MSR_XSS, 0x800n),
    ],
    so: [put(Field.xssExitingBitmap, 0x800)],
    not: [put(Field.xssExitingBitmap, 0x700)],
  },
];
const VMFUNC = 'xor eax, eax\n xor ecx, ecx\n vmfunc';
const sameEptp: Change = (m) => m.context.physical.write64(EPTP_LIST, m.field(Field.eptPointer));
const OVERFLOW = 'mov al, 0x7f\n inc al\n';
const IN_32_BITS: readonly Change[] = [put(Field.guestCsAccessRights, 0xc09b)];

/** By `op`: at least one for each exit. */
const EXAMPLES: Readonly<Record<string, readonly Example[]>> = {
  cpuid: plain('cpuid'),
  invd: plain('invd'),
  xsetbv: [
    {
      code: 'xor ecx, ecx\n xgetbv\n xsetbv',
      also: [(m) => m.set(Field.guestCr4, m.field(Field.guestCr4) | 0x4_0000n)],
    },
  ],
  vmcall: plain('vmcall'),
  vmclear: plain('vmclear [rsp]'),
  vmlaunch: plain('vmlaunch'),
  vmptrld: plain('vmptrld [rsp]'),
  vmptrst: plain('vmptrst [rsp - 8]'),
  vmresume: plain('vmresume'),
  vmxoff: plain('vmxoff'),
  vmxon: plain('vmxon [rsp]'),
  invept: plain('invept rax, [rsp]'),
  invvpid: plain('invvpid rax, [rsp]'),
  vmread: shadowed('mov ecx, 0x681e\n vmread rax, rcx'),
  vmwrite: shadowed('mov ecx, 0x681e\n vmwrite rcx, rax'),
  vmfunc: [
    {
      code: VMFUNC,
      also: [put(Field.vmFunctionControls, 1), put(Field.eptpListAddress, EPTP_LIST)],
      not: [sameEptp],
      instead: 6,
    },
    { code: VMFUNC, so: [put(Field.vmFunctionControls, 0)], instead: 6 },
  ],
  hlt: [{ code: 'hlt', instead: 'halted' }],
  invlpg: plain('invlpg [rsp]'),
  invpcid: [
    {
      code: 'mov eax, 2\n push 0\n push 0\n invpcid rax, [rsp]',
      also: [add(Field.secondaryControls, Secondary.Invpcid)],
    },
  ],
  rdpmc: [{ code: 'xor ecx, ecx\n rdpmc', instead: 13 }],
  rdtsc: plain('rdtsc'),
  rdtscp: [{ code: 'rdtscp', also: [add(Field.secondaryControls, Secondary.Rdtscp)] }],
  mwait: plain('xor eax, eax\n xor ecx, ecx\n mwait'),
  monitor: plain('mov rax, rsp\n xor ecx, ecx\n xor edx, edx\n monitor'),
  pause: [
    { code: 'pause' },
    {
      code: 'mov ecx, 2000\n 1: pause\n loop 1b',
      exit: 1,
      so: [put(Field.pleGap, 1000), put(Field.pleWindow, 1000)],
      not: [put(Field.pleGap, 1000), put(Field.pleWindow, 10_000_000)],
    },
  ],
  mov_from_debug: plain('mov rax, dr7'),
  mov_to_debug: plain('mov eax, 0x400\n mov dr7, rax'),
  mov_from_control: [{ code: 'mov rax, cr3' }, { code: 'mov rax, cr8', exit: 1 }],
  mov_to_control: [
    {
      code: 'mov eax, 0xf00000\n mov cr3, rax',
      not: [put(Field.cr3TargetCount, 1), (m) => m.set(Field.cr3Target0, m.context.cpu.cr3)],
    },
    { code: 'xor eax, eax\n mov cr8, rax', exit: 1 },
    ...['0', '4'].map((number) => ({
      code: `mov rax, cr${number}\n xor eax, 8\n mov cr${number}, rax`,
      exit: 2,
      so: [put(number === '0' ? Field.cr0Mask : Field.cr4Mask, 8)],
      not: [put(number === '0' ? Field.cr0Mask : Field.cr4Mask, 0x10)],
    })),
  ],
  clts: [
    { code: 'clts', also: [put(Field.cr0Shadow, 8)], so: TS_OF_CR0, not: [put(Field.cr0Mask, 0)] },
    { code: 'clts', also: TS_OF_CR0, so: [put(Field.cr0Shadow, 8)], not: [put(Field.cr0Shadow, 0)] },
  ],
  lmsw: [{ code: 'mov eax, 0xb\n lmsw ax', so: TS_OF_CR0, not: [put(Field.cr0Mask, 0)] }],
  rdmsr: msr('mov ecx, 0x174\n rdmsr'),
  wrmsr: msr('mov ecx, 0x174\n xor eax, eax\n xor edx, edx\n wrmsr'),
  in: ports('in al, 0x71'),
  out: ports('out 0x80, eax'),
  ins: ports(`mov edi, ${AREA}\n mov edx, 0x71\n insb`),
  outs: ports(`mov esi, ${AREA}\n mov edx, 0x71\n mov ecx, 3\n rep outsb`),
  lgdt: plain('lgdt [rip + gdt]'),
  lidt: plain('lidt [rip + idt]'),
  sgdt: plain('sgdt [rsp - 32]'),
  sidt: plain('sidt [rsp - 32]'),
  lldt: plain('xor eax, eax\n lldt ax'),
  ltr: plain('mov eax, 0x38\n ltr ax'),
  sldt: plain('sldt eax'),
  str: plain('str [rsp - 8]'),
  wbinvd: plain('wbinvd'),
  rdrand: plain('rdrand eax'),
  rdseed: plain('rdseed rax'),
  int3: exception('int3', 3),
  int1: exception('.byte 0xf1', 1),
  into: exception(`.code32\n ${OVERFLOW} into\n .code64`, 4, IN_32_BITS),
  ud0: exception('.byte 0x0f, 0xff, 0xc0', 6),
  ud1: exception('.byte 0x0f, 0xb9, 0xc0', 6),
  ud2: exception('ud2', 6),
  xsaves: supervisor(`mov esi, ${AREA}\n mov eax, -1\n mov edx, eax\n xsaves [rsi]`),
  xrstors: supervisor(`mov esi, ${AREA}\n mov eax, -1\n mov edx, eax\n xrstors [rsi]`),
};

/** Runs an example: the basic exit reason, the vector of the exception that the guest got, or 'halted'. */
function run(code: string, changes: readonly Change[]): number | string {
  const m = createVmxMachine(`
    guest: ${code}\n vmcall\n host: hlt\n .balign 8
    gdt: .word 0x7f\n .quad ${GDT}\n idt: .word 0xfff\n .quad ${IDT}`);
  const { context } = m;
  const { capability } = context.vmx;
  const least = Number(capability.call(context.vmx, 0x48e)! & 0xffff_ffffn);
  m.set(Field.primaryControls, (least | Primary.MsrBitmaps | Primary.SecondaryControls) >>> 0);
  for (const field of [Field.ioBitmapA, Field.ioBitmapB]) m.set(field, IO_BITMAP);
  for (const field of [Field.vmreadBitmap, Field.vmwriteBitmap]) m.set(field, FIELD_BITMAP);
  m.set(Field.cr0Shadow, context.cpu.cr0);
  m.set(Field.cr4Shadow, context.cpu.cr4);
  for (const change of changes) change(m);
  const status = m.launch();
  assert.deepEqual(status, { kind: 'succeed' }, JSON.stringify(context.vmx.violatedChecks()));
  m.run();
  const report = m.report();
  if (report) return `exception ${report.vector}`;
  if (context.cpu.nonRoot) return 'halted';
  const reason = Number(m.field(Field.exitReason));
  // The VMCALL behind it.
  const last = context.physical.slice(Number(m.field(Field.guestRip)) + 3, 1)[0] === 0xf4;
  return reason === ExitReason.Vmcall && last && code !== 'vmcall' ? 'none' : exitReasonName(reason);
}

describe('exits of instructions, as the table has them', () => {
  it('have an example for every one', () => {
    for (const op of EXITING_INSTRUCTIONS)
      exitsOfInstruction(op).forEach((_, index) =>
        assert.ok(
          EXAMPLES[op]?.some(({ exit = 0 }) => exit === index),
          `${op}, exit ${index}`,
        ),
      );
    assert.deepEqual(Object.keys(EXAMPLES).sort(), [...EXITING_INSTRUCTIONS].sort());
  });

  for (const [op, examples] of Object.entries(EXAMPLES))
    for (const { code, exit = 0, also = [], so = [], not, instead } of examples) {
      const { reason, control, field, mask, when } = exitsOfInstruction(op)[exit] ?? { reason: -1 };
      const asked = field === undefined ? [] : [add(field, mask!)];
      const otherwise = typeof instead === 'number' ? `exception ${instead}` : (instead ?? 'none');
      it(`${op}: ${control ? `"${control}"` : (when ?? 'always')}`, () => {
        assert.equal(run(code, [...also, ...asked, ...so]), exitReasonName(reason));
        if (field !== undefined) assert.equal(run(code, [...also, ...so]), otherwise, 'without the control');
        if (not)
          assert.equal(
            run(code, [...also, ...asked, ...not]),
            field === undefined ? otherwise : 'none',
            `not: ${when}`,
          );
      });
    }
});
