/** What an instruction does in one line, and where the manual describes it: for hovers, completion and documents. */
import type { OpcodeRow } from '../cpu/table/row.ts';

/** By Intel mnemonic. */
const SUMMARIES: Readonly<Record<string, string>> = {
  ...{ add: 'add', or: 'bitwise or', adc: 'add with carry', sbb: 'subtract with borrow', and: 'bitwise and' },
  ...{ sub: 'subtract', xor: 'bitwise exclusive or', cmp: 'compare: subtract, keep only the flags' },
  ...{ test: 'bitwise and, keep only the flags', inc: 'add 1; CF stays', dec: 'subtract 1; CF stays' },
  ...{ not: 'invert every bit', neg: 'negate', mul: 'unsigned multiply', imul: 'signed multiply' },
  ...{ div: 'unsigned divide; #DE for 0 or overflow', idiv: 'signed divide; #DE for 0 or overflow' },
  ...{ cbw: 'sign-extend the accumulator into its next width', cwd: 'sign-extend the accumulator into rDX' },
  ...{ xadd: 'exchange and add', cmpxchg: 'compare with the accumulator and exchange' },
  ...{ cmpxchg8b: 'compare rDX:rAX with memory and exchange' },
  ...{
    daa: 'decimal adjust after addition',
    das: 'decimal adjust after subtraction',
    aaa: 'ASCII adjust after addition',
  },
  ...{ aas: 'ASCII adjust after subtraction', aam: 'ASCII adjust after multiplication' },
  ...{ aad: 'ASCII adjust before division', salc: 'set AL to CF' },
  ...{ mov: 'copy', movzx: 'copy, zero-extended', movsx: 'copy, sign-extended', movsxd: 'copy 32 bits, sign-extended' },
  ...{
    lea: 'load the effective address',
    movnti: 'store, bypassing the caches',
    xchg: 'exchange (locked with memory)',
  },
  ...{ bswap: 'reverse the bytes', xlatb: 'AL = byte at rBX + AL', cmovcc: 'copy if the condition holds' },
  ...{ setcc: 'byte = 1 if the condition holds, else 0', push: 'push on the stack', pop: 'pop from the stack' },
  ...{ pushf: 'push the flags', popf: 'pop the flags', enter: 'make a stack frame', leave: 'release the stack frame' },
  ...{ pusha: 'push all general registers', popa: 'pop all general registers' },
  ...{ lss: 'load SS and a register', lfs: 'load FS and a register', lgs: 'load GS and a register' },
  ...{ les: 'load ES and a register', lds: 'load DS and a register' },
  ...{ rol: 'rotate left', ror: 'rotate right', rcl: 'rotate left through CF', rcr: 'rotate right through CF' },
  ...{ shl: 'shift left', shr: 'shift right, unsigned', sar: 'shift right, signed', shift_by_zero: 'shift by zero' },
  ...{ shld: 'shift left, filling from another register', shrd: 'shift right, filling from another register' },
  ...{ bt: 'CF = a bit', bts: 'CF = a bit; set it', btr: 'CF = a bit; clear it', btc: 'CF = a bit; invert it' },
  ...{ bsf: 'number of the lowest set bit', bsr: 'number of the highest set bit', jcc: 'jump if the condition holds' },
  ...{ jmp: 'jump', call: 'push the return address and jump', ret: 'return', jrcxz: 'jump if rCX is 0' },
  ...{ loop: 'decrement rCX and jump if it is not 0', loope: 'LOOP while ZF is 1', loopne: 'LOOP while ZF is 0' },
  ...{ nop: 'nothing', pause: 'hint: a spin-wait loop', lfence: 'loads before it complete first' },
  ...{ mfence: 'loads and stores before it complete first', sfence: 'stores before it complete first' },
  ...{
    clflush: 'flush a cache line',
    clflushopt: 'flush a cache line, weakly ordered',
    clwb: 'write a cache line back',
  },
  ...{ prefetchnta: 'hint: fetch for one use', prefetcht0: 'hint: fetch into all caches' },
  ...{ prefetcht1: 'hint: fetch into the second-level cache', prefetcht2: 'hint: fetch into the third-level cache' },
  ...{ prefetch: 'hint: fetch', prefetchw: 'hint: fetch in order to write' },
  ...{ endbr64: 'indirect branches may land here', endbr32: 'indirect branches may land here' },
  ...{
    cmc: 'invert CF',
    clc: 'CF = 0',
    stc: 'CF = 1',
    cld: 'DF = 0: strings go upwards',
    std: 'DF = 1: strings go downwards',
  },
  ...{ sahf: 'flags = AH', lahf: 'AH = flags', ud2: 'raise #UD', ud1: 'raise #UD', ud0: 'raise #UD' },
  ...{ bound: 'raise #BR outside the bounds', int3: 'breakpoint: #BP', int: 'software interrupt', int1: 'raise #DB' },
  ...{ into: 'raise #OF if OF', iret: 'return from an interrupt', retf: 'far return' },
  ...{ movs: 'copy a string element', stos: 'store the accumulator into a string', lods: 'load a string element' },
  ...{ cmps: 'compare string elements', scas: 'compare the accumulator with a string element' },
  ...{ ins: 'input from port DX into a string', outs: 'output a string element to port DX' },
  ...{ hlt: 'wait for an interrupt', cli: 'IF = 0: interrupts wait', sti: 'IF = 1, after the next instruction' },
  ...{ in: 'input from a port', out: 'output to a port', syscall: 'fast call to ring 0: LSTAR, STAR, FMASK' },
  ...{ sysret: 'return from SYSCALL', sysenter: 'fast call to ring 0: SYSENTER_EIP', sysexit: 'return from SYSENTER' },
  ...{ cpuid: 'identify the processor: leaf in EAX, subleaf in ECX', rdtsc: 'EDX:EAX = time-stamp counter' },
  ...{ rdtscp: 'EDX:EAX = time-stamp counter, ECX = TSC_AUX', rdpmc: 'EDX:EAX = performance counter ECX' },
  ...{ rdpid: 'read TSC_AUX', wrmsr: 'MSR ECX = EDX:EAX', rdmsr: 'EDX:EAX = MSR ECX', invd: 'drop the caches' },
  ...{ wbinvd: 'write the caches back and drop them', clts: 'CR0.TS = 0', rsm: 'leave system-management mode' },
  ...{
    sldt: 'store the LDTR selector',
    str: 'store the task register',
    lldt: 'load the LDTR',
    ltr: 'load the task register',
  },
  ...{
    verr: 'ZF = the segment can be read',
    verw: 'ZF = the segment can be written',
    lar: 'load access rights of a segment',
  },
  ...{
    lsl: 'load the limit of a segment',
    arpl: 'raise the RPL of a selector',
    sgdt: 'store the GDTR',
    sidt: 'store the IDTR',
  },
  ...{
    lgdt: 'load the GDTR',
    lidt: 'load the IDTR',
    smsw: 'store the low part of CR0',
    lmsw: 'load the low 4 bits of CR0',
  },
  ...{ invlpg: 'forget the translation of an address', invpcid: 'forget translations of a PCID' },
  ...{
    swapgs: 'exchange the base of GS with KERNEL_GS_BASE',
    monitor: 'watch an address for MWAIT',
    mwait: 'wait for a store',
  },
  ...{ clac: 'RFLAGS.AC = 0: SMAP holds', stac: 'RFLAGS.AC = 1: ring 0 may touch user pages' },
  ...{ rdpkru: 'EAX = PKRU', wrpkru: 'PKRU = EAX', xgetbv: 'EDX:EAX = extended control register ECX' },
  ...{
    xsetbv: 'extended control register ECX = EDX:EAX',
    rdfsbase: 'read the base of FS',
    rdgsbase: 'read the base of GS',
  },
  ...{ wrfsbase: 'write the base of FS', wrgsbase: 'write the base of GS', fxsave: 'save x87 and SSE state' },
  ...{ fxrstor: 'restore x87 and SSE state', ldmxcsr: 'load MXCSR', stmxcsr: 'store MXCSR' },
  ...{ xsave: 'save the components of XCR0 and EDX:EAX', xrstor: 'restore the components of XCR0 and EDX:EAX' },
  ...{ xsaveopt: 'XSAVE of what has changed', xsavec: 'XSAVE, compacted', xsaves: 'XSAVEC with supervisor components' },
  ...{ xrstors: 'XRSTOR with supervisor components', rdrand: 'random number', rdseed: 'random seed' },
  ...{
    vmcall: 'call the hypervisor',
    vmlaunch: 'enter the guest of a clear VMCS',
    vmresume: 'enter the guest of a launched VMCS',
  },
  ...{ vmxoff: 'leave VMX operation', vmxon: 'enter VMX operation', vmfunc: 'invoke a VM function' },
  ...{
    vmptrld: 'make a VMCS current',
    vmptrst: 'store the current-VMCS pointer',
    vmclear: 'write a VMCS back and make it clear',
  },
  ...{ vmread: 'read a field of the current VMCS', vmwrite: 'write a field of the current VMCS' },
  ...{ invept: 'forget translations of an EPT', invvpid: 'forget translations of a VPID' },
  ...{ popcnt: 'number of set bits', tzcnt: 'number of trailing zero bits', lzcnt: 'number of leading zero bits' },
  ...{
    andn: 'invert the first source, bitwise and',
    blsr: 'clear the lowest set bit',
    blsi: 'keep the lowest set bit',
  },
  ...{
    blsmsk: 'mask up to the lowest set bit',
    bextr: 'extract a field of bits',
    bzhi: 'clear the bits from a position up',
  },
  ...{ pdep: 'scatter bits by a mask', pext: 'gather bits by a mask', mulx: 'unsigned multiply without flags' },
  ...{
    shlx: 'shift left without flags',
    shrx: 'shift right without flags',
    sarx: 'shift right, signed, without flags',
  },
  ...{ rorx: 'rotate right without flags', movbe: 'copy with the bytes reversed', adcx: 'add with CF as the carry' },
  ...{ adox: 'add with OF as the carry', crc32: 'CRC-32C', emms: 'the x87 registers are free again' },
};

const VECTOR: readonly (readonly [RegExp, string])[] = [
  [/^aesimc/, 'AES: inverse mix columns'],
  [/^aeskeygen/, 'AES: help to generate a round key'],
  [/^aes(enc|dec)(last)?/, 'AES: one round'],
  [/^sha/, 'SHA: a step of the hash'],
  [/^pclmul/, 'carry-less multiply of two quadwords'],
  [/^pcmp[ei]str/, 'compare strings in vector registers'],
  [/^fn?m(add|sub)\d|^fm(addsub|subadd)\d|^fnm/, 'multiply and add with one rounding'],
  [/^zero(upper|all)/, 'clear the vector registers, or their upper halves'],
  [/gather/, 'load elements from addresses of a vector of indices'],
  [/^p?broadcast/, 'copy one element to all'],
  [/^perm|^p?shuf/, 'rearrange elements'],
  [/^(insert|pinsr)/, 'insert an element'],
  [/^(extract|pextr)/, 'extract an element'],
  [/^p?mask?mov|^maskmov/, 'load or store elements by a mask'],
  [/^p?mov(msk|mskb)/, 'sign bits of the elements into a general register'],
  [/^pmov[sz]x/, 'widen elements'],
  [/^movnt/, 'load or store, bypassing the caches'],
  [/^movq2dq|^movdq2q/, 'copy between MMX and XMM'],
  [/^mov[sd]?[hl]?(dup)/, 'copy, duplicating elements'],
  [/^(mov|lddqu)/, 'copy'],
  [/^cvt/, 'convert'],
  [/^u?comis/, 'compare scalars into ZF, PF, CF'],
  [/^p?cmp/, 'compare elements into masks'],
  [/^p?add(sub)/, 'subtract and add elements in turn'],
  [/^(ph|h)(add|sub)/, 'add or subtract neighbouring elements'],
  [/^padds|^paddus/, 'add elements, saturating'],
  [/^psubs|^psubus/, 'subtract elements, saturating'],
  [/^p?add/, 'add elements'],
  [/^psad/, 'sum of absolute differences'],
  [/^mpsad/, 'sums of absolute differences at eight places'],
  [/^p?sub/, 'subtract elements'],
  [/^pmadd/, 'multiply elements and add neighbouring products'],
  [/^p?mul/, 'multiply elements'],
  [/^div/, 'divide elements'],
  [/^rsqrt/, 'approximate reciprocal of the square root'],
  [/^rcp/, 'approximate reciprocal'],
  [/^sqrt/, 'square root'],
  [/^p?(min)|^phmin/, 'smaller elements'],
  [/^p?max/, 'larger elements'],
  [/^pavg/, 'average of elements'],
  [/^p?andn/, 'invert the first source, bitwise and'],
  [/^p?and/, 'bitwise and'],
  [/^p?xor/, 'bitwise exclusive or'],
  [/^p?or/, 'bitwise or'],
  [/^p?s[lr]l|^psra/, 'shift elements'],
  [/^p?unpck/, 'interleave elements'],
  [/^pack/, 'narrow elements, saturating'],
  [/^palignr/, 'bytes from the middle of two vectors'],
  [/^psign/, 'negate elements by the signs of others'],
  [/^pabs/, 'absolute values'],
  [/^p?blend/, 'choose elements of two vectors'],
  [/^round/, 'round to integers'],
  [/^dpp/, 'dot product'],
  [/^p?test/, 'ZF and CF from bitwise and'],
  [/^ldmxcsr|^stmxcsr/, 'load or store MXCSR'],
];

const FLOAT: readonly (readonly [RegExp, string])[] = [
  [/^fi?addp?$/, 'x87: add'],
  [/^fi?mulp?$/, 'x87: multiply'],
  [/^fi?subr?p?$/, 'x87: subtract'],
  [/^fi?divr?p?$/, 'x87: divide'],
  [/^f(u?comi?p*|i?comp*|ucompp)$/, 'x87: compare'],
  [/^fld(1|l2t|l2e|pi|lg2|ln2|z)$/, 'x87: push a constant'],
  [/^f[ib]?ld$/, 'x87: push'],
  [/^f[ib]?s?tt?p?(nce)?$|^fist|^fbstp/, 'x87: store'],
  [/^fxch/, 'x87: exchange'],
  [/^fcmov/, 'x87: copy if the condition holds'],
  [/^(fchs|fabs)/, 'x87: change the sign'],
  [/^(ftst|fxam)/, 'x87: examine ST(0)'],
  [/^f(2xm1|yl2xp?1?|ptan|patan|sincos|sin|cos|sqrt|scale|rndint|prem1?|xtract)$/, 'x87: a function of ST(0)'],
  [/^f(decstp|incstp|free|freep|nop|neni|ndisi|nsetpm)/, 'x87: the register stack, or nothing'],
  [/^f(ldenv|ldcw|rstor|nst\w+|nsave|nclex|ninit)/, 'x87: control and state'],
  [/^wait/, 'x87: wait for pending exceptions'],
];

/** Flags that a condition 0..15 reads, in the letters of table rows (SDM 1 appendix B). */
const CONDITION_FLAGS = ['o', 'c', 'z', 'cz', 's', 'p', 'so', 'zso'] as const;
export function conditionFlags(condition: number): string {
  return CONDITION_FLAGS[condition >> 1]!;
}

/** By Intel mnemonic; undefined only for what is not in the table. */
export function instructionSummary(mnemonic: string): string | undefined {
  const known = SUMMARIES[mnemonic];
  if (known) return known;
  const of = (list: typeof VECTOR, name: string): string | undefined =>
    list.find(([pattern]) => pattern.test(name))?.[1];
  if (/^(f|wait)/.test(mnemonic)) return of(FLOAT, mnemonic);
  return of(VECTOR, mnemonic.startsWith('v') ? mnemonic.slice(1) : mnemonic) ?? of(VECTOR, mnemonic);
}

/** Volume 2 is in alphabetical order; VMX instructions have a chapter of their own. */
export function manualSection({ op, feature, mnemonic = op }: OpcodeRow): string {
  if (feature === 'vmx') return 'SDM 3C chapter 31';
  const letter = mnemonic[0]!;
  if (letter <= 'l') return 'SDM 2A chapter 3';
  if (letter <= 'u') return 'SDM 2B chapter 4';
  return letter === 'v' ? 'SDM 2C chapter 5' : 'SDM 2D chapter 6';
}

const OPERANDS: Readonly<Record<string, string>> = {
  Ap: 'far pointer', M: 'm', X: 'm[DS:rSI]', Y: 'm[ES:rDI]', Xbx: 'm[DS:rBX+AL]', Xdi: 'm[DS:rDI]', st0: 'ST(0)', sti: 'ST(i)', Sw: 'sreg',
  Cy: 'CRn', Dy: 'DRn', '1': '1', Mx: 'vm', Kx: 'xmm', Kqq: 'ymm', xmm0: 'XMM0', Wss: 'xmm/m32', Wsd: 'xmm/m64', Mdq: 'm128', Mqq: 'm256', Mt: 'm80',
}; // prettier-ignore
const BITS: Readonly<Record<string, number>> = { b: 8, w: 16, d: 32, q: 64 };

/** An operand code in the manual's notation, for an operand size in bytes: "r/m32", "imm8", "xmm". */
export function operandNotation(code: string, size: number): string {
  const fixed = OPERANDS[code];
  if (fixed) return fixed;
  if (/^(AL|AX|CL|DX|[ECSDFG]S)$/.test(code)) return code;
  if (code === 'eAX' || code === 'rAX') return { 2: 'AX', 4: 'EAX', 8: 'RAX' }[size] ?? 'rAX';
  const [kind, width = ''] = [code[0]!, code[1]];
  const bits = width === 'v' || width === 'y' ? size * 8 : width === 'z' ? Math.min(size, 4) * 8 : BITS[width];
  const vector = code.endsWith('qq') ? 'ymm' : 'xmm';
  switch (kind) {
    case 'E':
      return `r/m${bits ?? ''}`;
    case 'G':
    case 'Z':
    case 'R':
    case 'B':
      return `r${bits ?? ''}`;
    case 'I':
      return `imm${code === 'Ibs' ? 8 : (bits ?? '')}`;
    case 'J':
      return `rel${width === 'b' ? 8 : 32}`;
    case 'M':
      return `m${bits ?? ''}`;
    case 'O':
      return `moffs${bits ?? ''}`;
    case 'P':
      return 'mm';
    case 'N':
      return 'mm';
    case 'Q':
      return `mm/m${width === 'd' ? 32 : 64}`;
    case 'W':
      return `${vector}/m${vector === 'ymm' ? 256 : 128}`;
    default:
      return vector;
  }
}

/** A row in the manual's notation: "add r/m32, imm8". */
export function rowNotation(row: OpcodeRow, size: number): string {
  const operands = (row.operands ?? []).map((code) => operandNotation(code, size)).join(', ');
  return `${row.mnemonic ?? row.op}${operands ? ` ${operands}` : ''}`;
}
