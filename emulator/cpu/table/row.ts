/** One row of the instruction table: decoder, interpreter, disassembler checks, documentation and (later) the assembler read the same rows. */

/**
 * Operand codes, in the manner of the SDM's opcode map (SDM 2D appendix A.2):
 *  Eb Ev Ew Ed Eq Ey  general register or memory (b 1, w 2, d 4, q 8, v operand size, y 4 or 8)
 *  Gb Gv Gw Gd Gq Gy  general register of ModRM.reg
 *  Zb Zv Zq           general register of the opcode's low three bits
 *  Rv Ry              general register of rm only (Ry with Cy, Dy: the mod bits are ignored)
 *  Ib Iw              immediates, zero-extended (counts, vectors, ports, frame sizes)
 *  Ibs Iz Iv          immediates of 1, 2 or 4, and the operand size in bytes, sign-extended
 *  Jb Jz              relative branch targets; Ap: far pointer
 *  M Mb Mw Md Mq Mdq Mqq Mt  memory only; Ob Ov  moffs
 *  X Y                string operands: DS:rSI (override allowed), ES:rDI; Xbx, Xdi: DS:rBX, DS:rDI
 *  Vx Wx              xmm of reg; xmm of rm or 16 bytes of memory; Wss Wsd: xmm or 4/8 bytes; Ux: xmm of rm only
 *  By Hx Lx           VEX.vvvv: general register, xmm; xmm of the top four bits of an immediate
 *  Vqq Wqq Uqq Hqq Lqq  the same as ymm registers or 32 bytes of memory
 *  Mx Kx Kqq          of a gather: memory without its index; the index, an xmm or ymm register
 *  xmm0               that register
 *  Pq Qq Qd Nq        mmx of reg; mmx or memory; mmx of rm only
 *  Sw Cy Dy           segment, control, debug register
 *  ES CS SS DS FS GS  fixed segment register
 *  st0 sti            x87 stack
 *  AL AX eAX rAX CL DX 1 fixed operands
 */
export type OperandCode = string;

export interface OpcodeRow {
  /** Hex bytes after prefixes: '0F 58 /r', '80 /0', 'B8+r', '70+cc' (condition), 'D9 C0+i', '0F 01 C1' (exact ModRM). */
  readonly encoding: string;
  /** Mandatory prefix, or 'NP' when none of 66 F2 F3 may stand there; absent = prefixes have their usual meaning. */
  readonly prefix?: 'NP' | '66' | 'F2' | 'F3';
  /** Semantics key, and (unless `mnemonic` differs) the Intel mnemonic in lower case. */
  readonly op: string;
  readonly mnemonic?: string;
  readonly operands?: readonly OperandCode[];
  /** Operand sizes in bytes this row exists in (a handler is made for each). Absent: [0] (no size). */
  readonly sizes?: readonly number[];
  /** Operand size defaults to 64 bits in 64-bit mode (push, near call). */
  readonly default64?: boolean;
  readonly invalid64?: boolean;
  readonly only64?: boolean;
  /** LOCK allowed with a memory destination. */
  readonly lock?: boolean;
  /** Meaning of F2/F3 here: repeat prefix of string instructions. */
  readonly rep?: 'rep' | 'repz';
  /** Arithmetic flags read and written, as letters "oszapc"; 'u' after a letter is not used: undefined flags count as written. */
  readonly reads?: string;
  readonly writes?: string;
  /** Ends a block. */
  readonly branch?: 'jump' | 'conditional' | 'call' | 'return' | 'indirect' | 'system';
  /** Executed by cpu/system/ in TypeScript. */
  readonly system?: boolean;
  /** Worth a place in the interpreter's hot switch. */
  readonly hot?: boolean;
  /** VEX-encoded (SDM 2A 2.3): what VEX.L must be. `prefix` is then VEX.pp; the operand size is 8 for VEX.W in 64-bit mode, else 4. */
  readonly vex?: 'L0' | 'L1' | 'LIG';
  /** What VEX.W must be; absent: it is ignored or gives the operand size. */
  readonly w?: 0 | 1;
  /** CPUID feature it needs, as cpu/system/cpuid.ts names it; absent = always there. What the model lacks decodes as #UD. */
  readonly feature?: string;
}
