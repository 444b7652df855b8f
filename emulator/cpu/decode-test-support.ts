/** For specs and the fuzzer: the decoder beside iced-x86, over random bytes: validity, length, mnemonic, operands. */
import * as iced from 'iced-x86';
import { decode, decodeFailure } from './decode.ts';
import type { DecodedInstruction } from './decode.ts';
import type { MemoryOperand, Operand } from './instruction.ts';
import { decodeTableOf } from './decode-table.ts';
import type { CodeMode } from './decode-table.ts';
import { EVERYTHING } from './system/model-test-support.ts';

const { features } = EVERYTHING;
const TABLE = decodeTableOf(EVERYTHING);
const hex = (bytes: Uint8Array) => [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(' ');

/** iced names of the features that the processor has under another name or always. */
const ALWAYS = new Set([
  ...['INTEL8086', 'INTEL8086_ONLY', 'INTEL186', 'INTEL286', 'INTEL386', 'INTEL486', 'X64', 'FPU', 'FPU287', 'FPU387'],
  ...[
    'CPUID',
    'TSC',
    'MSR',
    'RDPMC',
    'CMOV',
    'CX8',
    'CMPXCHG16B',
    'SEP',
    'SYSCALL',
    'RDTSCP',
    'FXSR',
    'CLFSH',
    'MULTIBYTENOP',
  ],
  ...[
    'PAUSE',
    'SMM',
    'MONITOR',
    'UD',
    'INTEL386_486',
    'INTEL286_386',
    'PREFETCHW',
    'LAHF',
    'HLE',
    'RTM_NOP',
    'SSE3_NOP',
  ],
]);
const OWN_NAMES: Record<string, string> = { VMX: 'vmx', INVEPT: 'vmx', INVVPID: 'vmx', SMAP: 'smap' };

/**
 * Differences that are ours or iced's on purpose, by iced mnemonic or by what the bytes look like.
 */
const EXPECTED: readonly {
  readonly why: string;
  readonly when: (ours: string | undefined, theirs: string) => boolean;
}[] = [
  {
    why: 'hint NOPs: CET, MPX, CLDEMOTE and the like use encodings that are NOPs on a processor without them',
    when: (ours, theirs) =>
      ours === 'nop' && /^(rdssp|bnd|cldemote|prefetch|endbr|reservednop|nop|invalid)/.test(theirs),
  },
  {
    why: 'F3 before BSF, BSR and WBINVD means nothing without BMI1, LZCNT and WBNOINVD',
    when: (ours, theirs) => ['bsf tzcnt', 'bsr lzcnt', 'wbinvd wbnoinvd'].includes(`${ours} ${theirs}`),
  },
  {
    why: 'SYSCALL and SYSRET exist in 64-bit mode only (Intel)',
    when: (ours, theirs) => ours === undefined && /^sys(call|ret)/.test(theirs),
  },
  {
    why: 'iced lists the implicit operand of MASKMOV first',
    when: (ours) => /^v?maskmov(q|dqu)$/.test(ours ?? ''),
  },
  {
    why: 'UD0 takes a ModRM byte on Intel processors from Core on',
    when: (ours, theirs) => ours === 'ud0' && theirs === 'ud0',
  },
  {
    why: 'JMPE, RSM-like and pre-386 oddities, and undocumented x87 encodings that iced leaves out',
    when: (ours, theirs) => theirs === 'invalid' && (ours === 'ffreep' || ours === 'fstpnce'),
  },
];

function mnemonicOf(instruction: iced.Instruction): string {
  return instruction.isInvalid ? 'invalid' : iced.Mnemonic[instruction.mnemonic]!.toLowerCase();
}

/** What iced calls an instruction of ours; several where sizes are spelled out. */
function names(instruction: DecodedInstruction): string[] {
  const { op, size, row, condition } = instruction;
  const base = row.mnemonic ?? op;
  if (condition !== undefined) {
    const cc = ['o', 'no', 'b', 'ae', 'e', 'ne', 'be', 'a', 's', 'ns', 'p', 'np', 'l', 'ge', 'le', 'g'][condition]!;
    return [op.slice(0, -2) + cc];
  }
  const letter = { 1: 'b', 2: 'w', 4: 'd', 8: 'q' }[size] ?? '';
  const sized: Record<string, string[]> = {
    cbw: ['', '', 'cbw', '', 'cwde', '', '', '', 'cdqe'],
    cwd: ['', '', 'cwd', '', 'cdq', '', '', '', 'cqo'],
    jrcxz: ['', '', 'jcxz', '', 'jecxz', '', '', '', 'jrcxz'],
    cmpxchg8b: ['', '', '', '', 'cmpxchg8b', '', '', '', 'cmpxchg16b'],
  };
  if (sized[op]) return [sized[op][size]!];
  if (['movs', 'stos', 'lods', 'cmps', 'scas', 'ins', 'outs'].includes(op)) return [op + letter];
  if (op === 'shift_by_zero') return ['rol', 'ror', 'rcl', 'rcr', 'shl', 'shr', 'sal', 'sar', 'shld', 'shrd'];
  if (op === 'iret') return [size === 2 ? 'iret' : `iret${letter}`];
  if (op === 'pushf' || op === 'popf') return [size === 2 ? op : op + letter];
  if (op === 'sysret' || op === 'sysexit') return [size === 8 ? `${op}q` : op];
  if (/^(fx|x)(save|rstor)/.test(op)) return [size === 8 ? `${op}64` : op];
  if (op === 'shl') return ['shl', 'sal'];
  const v = op.startsWith('v') ? 'v' : '';
  if (/^v?movd_(to|from)_(xmm|mmx)$/.test(op)) return [v + (size === 8 ? 'movq' : 'movd')];
  if (/^v?p(extr|insr)d$/.test(op)) return [size === 8 ? `${op.slice(0, -1)}q` : op];
  if (/^v?pcmpestr/.test(op)) return [size === 8 ? `${op}64` : op];
  if (op === 'nop')
    return [
      'nop',
      'prefetch',
      'prefetchw',
      'prefetchwt1',
      'prefetchnta',
      'prefetcht0',
      'prefetcht1',
      'prefetcht2',
      'endbr64',
      'endbr32',
    ];
  if (op === 'pusha' || op === 'popa') return [size === 2 ? op : op + letter];
  return [base];
}

function isClaimed(instruction: iced.Instruction): boolean {
  return [...instruction.cpuidFeatures()].every((feature) => {
    const name = iced.CpuidFeature[feature]!;
    return ALWAYS.has(name) || features.has(OWN_NAMES[name] ?? name.toLowerCase());
  });
}

const REGISTER = new Map<number, number>();
for (const [first, step] of [
  [iced.Register.AX, 1],
  [iced.Register.EAX, 1],
  [iced.Register.RAX, 1],
] as const)
  for (let i = 0; i < 16; i++) REGISTER.set(first + i * step, i);

function memoryDifference(ours: MemoryOperand, theirs: iced.Instruction): string | undefined {
  const ipRelative = theirs.isIpRelMemoryOperand;
  const base = ipRelative || theirs.memoryBase === iced.Register.None ? -1 : REGISTER.get(theirs.memoryBase);
  const index = theirs.memoryIndex === iced.Register.None ? -1 : REGISTER.get(theirs.memoryIndex);
  if (ours.base !== base) return `base ${ours.base} ${base}`;
  if (ours.index !== index) return `index ${ours.index} ${index}`;
  if (index !== -1 && 1 << ours.scale !== theirs.memoryIndexScale) return 'scale';
  const bits = ours.addressSize;
  if (BigInt.asUintN(bits, ours.displacement) !== BigInt.asUintN(bits, theirs.memoryDisplacement))
    return `displacement ${ours.displacement} ${theirs.memoryDisplacement}`;
  const segment = theirs.memorySegment - iced.Register.ES;
  // Overrides other than FS and GS mean nothing in 64-bit mode; iced reports them.
  if (theirs.codeSize === iced.CodeSize.Code64 && segment < 4 && ours.segment < 4) return undefined;
  if (ours.segment !== segment) return `segment ${ours.segment} ${segment}`;
  return undefined;
}

/** Register number of an operand: 16..19 for AH..BH, undefined for other kinds. */
function theirRegister(register: iced.Register): { kind: Operand['kind']; number: number } | undefined {
  const within = (first: iced.Register, count: number) => register >= first && register < first + count;
  if (within(iced.Register.AL, 4)) return { kind: 'gpr', number: register - iced.Register.AL };
  if (within(iced.Register.AH, 4)) return { kind: 'gpr', number: 16 + register - iced.Register.AH };
  if (within(iced.Register.SPL, 12)) return { kind: 'gpr', number: 4 + register - iced.Register.SPL };
  if (within(iced.Register.AX, 48)) return { kind: 'gpr', number: REGISTER.get(register)! };
  if (within(iced.Register.XMM0, 16)) return { kind: 'xmm', number: register - iced.Register.XMM0 };
  if (within(iced.Register.YMM0, 16)) return { kind: 'ymm', number: register - iced.Register.YMM0 };
  if (within(iced.Register.MM0, 8)) return { kind: 'mmx', number: register - iced.Register.MM0 };
  if (within(iced.Register.ST0, 8)) return { kind: 'st', number: register - iced.Register.ST0 };
  if (within(iced.Register.CR0, 16)) return { kind: 'control', number: register - iced.Register.CR0 };
  if (within(iced.Register.DR0, 8)) return { kind: 'debug', number: register - iced.Register.DR0 };
  if (within(iced.Register.ES, 6)) return { kind: 'segment', number: register - iced.Register.ES };
  return undefined;
}

function operandDifference(ours: DecodedInstruction, theirs: iced.Instruction): string | undefined {
  if (ours.op === 'nop' || ours.op === 'xlat' || ours.op === 'shift_by_zero' || ours.row.mnemonic === 'fstpnce')
    return undefined;
  if (ours.operands.length !== theirs.opCount) return undefined; // implicit operands are spelled out by one side only
  for (let i = 0; i < ours.operands.length; i++) {
    const operand = ours.operands[i]!;
    const kind = theirs.opKind(i);
    if (kind === iced.OpKind.Register) {
      const register = theirRegister(theirs.opRegister(i));
      if (!register) return `register ${iced.Register[theirs.opRegister(i)]}`;
      if (
        operand.kind === 'immediate' ||
        operand.kind === 'target' ||
        operand.kind === 'memory' ||
        operand.kind !== register.kind
      )
        return `operand ${i} is a ${operand.kind}, not a ${register.kind}`;
      const number = operand.kind === 'gpr' && operand.high ? 16 + operand.register : operand.register;
      if (number !== register.number) return `operand ${i}: register ${number}, not ${register.number}`;
    } else if (kind === iced.OpKind.Memory) {
      if (operand.kind !== 'memory') return `operand ${i} is a ${operand.kind}, not memory`;
      const difference = memoryDifference(operand, theirs);
      if (difference) return `operand ${i}: ${difference}`;
    } else if (kind >= iced.OpKind.NearBranch16 && kind <= iced.OpKind.NearBranch64) {
      if (operand.kind !== 'target') return `operand ${i} is a ${operand.kind}, not a target`;
      const mask = kind === iced.OpKind.NearBranch16 ? 0xffffn : ~0n; // see target() in decode.ts
      if ((operand.gva & mask) !== theirs.nearBranchTarget)
        return `target ${operand.gva.toString(16)}, not ${theirs.nearBranchTarget.toString(16)}`;
    } else if (kind >= iced.OpKind.Immediate8 && kind <= iced.OpKind.Immediate32to64) {
      if (operand.kind !== 'immediate') return `operand ${i} is a ${operand.kind}, not an immediate`;
      const bits = ours.size === 1 || kind === iced.OpKind.Immediate8 ? 8 : ours.size === 2 ? 16 : 32;
      if (BigInt.asUintN(bits, operand.value) !== BigInt.asUintN(bits, theirs.immediate(i)))
        return `immediate ${operand.value}`;
    }
  }
  return undefined;
}

function difference(ours: DecodedInstruction | undefined, theirs: iced.Instruction): string | undefined {
  const theirName = mnemonicOf(theirs);
  const valid = !theirs.isInvalid && isClaimed(theirs);
  if (EXPECTED.some((exception) => exception.when(ours?.row.mnemonic ?? ours?.op, theirName))) return undefined;
  if (!ours) return valid ? `refused (${decodeFailure()}), iced says ${theirName}` : undefined;
  if (!valid)
    return `${ours.op} accepted, iced says ${theirName} ${theirs.isInvalid ? '' : [...theirs.cpuidFeatures()].map((f) => iced.CpuidFeature[f])}`;
  if (!names(ours).includes(theirName)) return `${names(ours).join(' or ')}, iced says ${theirName}`;
  if (ours.length !== theirs.length) return `${ours.op}: ${ours.length} bytes, iced says ${theirs.length}`;
  const operands = operandDifference(ours, theirs);
  return operands && `${ours.op}: ${operands}`;
}

/** Small, fast, seedable (mulberry32). */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return (t ^ (t >>> 14)) >>> 0;
  };
}

const PREFIXES = [0x66, 0xf2, 0xf3, 0xf0, 0x64, 0x65, 0x2e, 0x67];

/** Mostly one legacy prefix or REX, then opcode bytes spread over the maps, then noise. */
function randomInstruction(next: () => number, into: Uint8Array): void {
  for (let i = 0; i < into.length; i++) into[i] = next();
  let at = 0;
  for (let left = next() % 3; left > 0; left--) into[at++] = PREFIXES[next() % PREFIXES.length]!;
  if (next() % 4 === 0) {
    const long = next() % 4 !== 0;
    into[at++] = long ? 0xc4 : 0xc5;
    if (long) into[at++] = (next() & 0xe0) | (1 + (next() % 3));
    // VEX.vvvv is 1111b half of the time.
    into[at++] = next() | (next() % 2 ? 0x78 : 0);
    return;
  }
  if (next() % 2) into[at++] = 0x40 | (next() & 15);
  if (next() % 2) into[at++] = 0x0f;
  into[at] = next();
}

const BITS = [16, 32, 64] as const;
/** Bytes from one instruction to the next, and instructions at a time. */
const STRIDE = 20;
const CHUNK = 1024;

/** What differs in `cases` random instructions of a code mode, with the first bytes that show it. */
export function compareDecoders(cases: number, seed: number, mode: CodeMode): Map<string, string> {
  const next = random(seed + mode);
  const bytes = new Uint8Array(CHUNK * STRIDE);
  const instruction = new iced.Instruction();
  const found = new Map<string, string>();
  const gva = mode === 2 ? 0x7fff_1234_5678n : 0x1234n;
  for (let done = 0; done < cases; done += CHUNK) {
    for (let i = 0; i < CHUNK; i++) randomInstruction(next, bytes.subarray(i * STRIDE, i * STRIDE + STRIDE));
    const decoder = new iced.Decoder(BITS[mode], bytes, iced.DecoderOptions.None);
    for (let i = 0; i < Math.min(CHUNK, cases - done); i++) {
      decoder.position = i * STRIDE;
      decoder.ip = gva;
      decoder.decodeOut(instruction);
      const problem = difference(decode(bytes, i * STRIDE, gva, mode, TABLE), instruction);
      if (problem && !found.has(problem)) found.set(problem, hex(bytes.subarray(i * STRIDE, i * STRIDE + 15)));
    }
    decoder.free();
  }
  instruction.free();
  return found;
}
