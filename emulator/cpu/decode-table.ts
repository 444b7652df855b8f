/**
 * The decoder's dispatch: for each code mode, opcode map, opcode and mandatory-prefix class, either one compiled row or
 * 256 of them by ModRM byte. Made from the instruction table as opcodes are met: a short program meets few of them, and
 * the whole would be a third of its start-up.
 */
import type { CpuModel } from './system/models.ts';
import { table } from './table/index.ts';
import type { OpcodeRow } from './table/row.ts';

/** 16-bit, 32-bit, 64-bit code. */
export type CodeMode = 0 | 1 | 2;

/** How an operand is read; see OperandCode in table/row.ts. */
export const enum Read {
  RmByte,
  Rm,
  RegByte,
  Reg,
  OpcodeByte,
  Opcode,
  ImmediateUnsigned8,
  ImmediateUnsigned16,
  ImmediateSigned8,
  ImmediateZ,
  ImmediateV,
  TargetByte,
  TargetZ,
  Moffs,
  StringSource,
  StringDestination,
  BxByte,
  DiByte,
  Xmm,
  XmmRm,
  Mmx,
  MmxRm,
  Segment,
  Control,
  Debug,
  FarPointer,
  St0,
  Sti,
  One,
  Accumulator,
  Count,
  Port,
  /** VEX.vvvv. */
  RegVex,
  XmmVex,
  YmmVex,
  /** Bits 7:4 of an immediate byte. */
  XmmImmediate,
  YmmImmediate,
  Ymm,
  YmmRm,
  /** Vector register that SIB.index names. */
  XmmIndex,
  YmmIndex,
  Xmm0,
  /** Plus the segment register's number. */
  FixedSegment,
}

/** What decides the `size` of an instruction. */
export const enum SizeRule {
  Fixed,
  OperandSize,
  AddressSize,
}

/** A row made ready for decoding in one mode. */
export interface CompiledRow {
  readonly row: OpcodeRow;
  /** Numbers the compiled rows of all modes. */
  readonly id: number;
  readonly op: string;
  readonly reads: readonly Read[];
  readonly hasModrm: boolean;
  /** rm names a register whatever mod says (MOV CR, MOV DR). */
  readonly ignoresMod: boolean;
  readonly sizeRule: SizeRule;
  /** Size for an operand size of 2, 4 and 8 (index 1, 2, 3), or the fixed size at 0. */
  readonly sizes: readonly number[];
  readonly lock: boolean;
  readonly repeat: 'rep' | 'repz' | undefined;
  readonly hasCondition: boolean;
  /** VEX.vvvv names an operand; it must be 1111b otherwise. */
  readonly usesVvvv: boolean;
  /** A gather: SIB.index names a vector register. */
  readonly vectorIndex: boolean;
  /** A shift or rotate by an immediate: a masked count of 0 makes it `shift_by_zero`. */
  readonly shift: boolean;
}

const FIXED_SEGMENTS = ['ES', 'CS', 'SS', 'DS', 'FS', 'GS'];

const EXACT: Record<string, Read> = {
  Ib: Read.ImmediateUnsigned8,
  Iw: Read.ImmediateUnsigned16,
  Ibs: Read.ImmediateSigned8,
  Iz: Read.ImmediateZ,
  Iv: Read.ImmediateV,
  Jb: Read.TargetByte,
  Jz: Read.TargetZ,
  Ap: Read.FarPointer,
  X: Read.StringSource,
  Y: Read.StringDestination,
  Xbx: Read.BxByte,
  Xdi: Read.DiByte,
  Sw: Read.Segment,
  Cy: Read.Control,
  Dy: Read.Debug,
  st0: Read.St0,
  sti: Read.Sti,
  AL: Read.Accumulator,
  AX: Read.Accumulator,
  eAX: Read.Accumulator,
  rAX: Read.Accumulator,
  CL: Read.Count,
  DX: Read.Port,
  '1': Read.One,
  Eb: Read.RmByte,
  Gb: Read.RegByte,
  xmm0: Read.Xmm0,
  Zb: Read.OpcodeByte,
};

const BY_LETTER: Record<string, Read> = {
  E: Read.Rm,
  R: Read.Rm,
  M: Read.Rm,
  G: Read.Reg,
  Z: Read.Opcode,
  O: Read.Moffs,
  V: Read.Xmm,
  W: Read.XmmRm,
  U: Read.XmmRm,
  P: Read.Mmx,
  Q: Read.MmxRm,
  N: Read.MmxRm,
  B: Read.RegVex,
  H: Read.XmmVex,
  L: Read.XmmImmediate,
  K: Read.XmmIndex,
};

const YMM: Record<string, Read> = {
  V: Read.Ymm,
  W: Read.YmmRm,
  U: Read.YmmRm,
  H: Read.YmmVex,
  L: Read.YmmImmediate,
  K: Read.YmmIndex,
};

function readOf(code: string): Read {
  const segment = FIXED_SEGMENTS.indexOf(code);
  if (segment >= 0) return Read.FixedSegment + segment;
  const wide = code.endsWith('qq') ? YMM[code[0]!] : undefined;
  const read = wide ?? EXACT[code] ?? BY_LETTER[code[0]!];
  if (read === undefined) throw new Error(`operand code ${code} is not known`);
  return read;
}

/** Lengths of '', '0F ', '0F 38 ', '0F 3A ', by opcode map. */
const ESCAPE_LENGTHS = [0, 3, 6, 6];

function mapOf(encoding: string): number {
  if (!encoding.startsWith('0F ')) return 0;
  return encoding.startsWith('38 ', 3) ? 2 : encoding.startsWith('3A ', 3) ? 3 : 1;
}

/** The ModRM bytes that an encoding takes. */
interface Place {
  readonly hasModrm: boolean;
  readonly accepts: (modrm: number) => boolean;
  /** More specific rows win over `/r`. */
  readonly rank: number;
}

function placeOf(row: OpcodeRow): Place {
  const second = row.encoding.slice(ESCAPE_LENGTHS[mapOf(row.encoding)]).split(' ')[1];
  const operands = row.operands ?? [];
  const memoryOnly = operands.some((code) => code.startsWith('M'));
  const registerOnly = operands.some((code) => /^[UNR]/.test(code)) && !operands.some((code) => /^[CD]y$/.test(code));
  const form = (modrm: number) => (memoryOnly ? modrm < 0xc0 : registerOnly ? modrm >= 0xc0 : true);
  if (second === undefined) return { hasModrm: false, accepts: () => true, rank: 0 };
  if (second === '/r') return { hasModrm: true, accepts: form, rank: memoryOnly || registerOnly ? 1 : 0 };
  if (second.startsWith('/')) {
    const reg = Number(second[1]);
    return {
      hasModrm: true,
      accepts: (modrm) => ((modrm >> 3) & 7) === reg && form(modrm),
      rank: memoryOnly || registerOnly ? 3 : 2,
    };
  }
  const modrm = parseInt(second, 16);
  const mask = second.endsWith('+i') ? 0xf8 : 0xff;
  return { hasModrm: true, accepts: (byte) => (byte & mask) === modrm, rank: 4 };
}

let compiledRows = 0;

function compile(row: OpcodeRow, mode: CodeMode, hasModrm: boolean): CompiledRow {
  const reads = (row.operands ?? []).map(readOf);
  const sizes = row.sizes ?? [0];
  const four = row.default64 && mode === 2 ? 8 : sizes.includes(4) ? 4 : sizes[0]!;
  const counted = /^(loop|jrcxz)/.test(row.op);
  return {
    row,
    id: compiledRows++,
    op: row.op,
    reads,
    hasModrm,
    ignoresMod: reads.includes(Read.Control) || reads.includes(Read.Debug),
    sizeRule: counted ? SizeRule.AddressSize : sizes.length === 1 ? SizeRule.Fixed : SizeRule.OperandSize,
    sizes: [sizes[0]!, sizes.includes(2) ? 2 : four, four, sizes.includes(8) ? 8 : four],
    lock: row.lock === true,
    repeat: row.rep,
    usesVvvv: [Read.RegVex, Read.XmmVex, Read.YmmVex].some((read) => reads.includes(read)),
    vectorIndex: reads.includes(Read.XmmIndex) || reads.includes(Read.YmmIndex),
    hasCondition: row.encoding.includes('+cc'),
    shift: /^(rol|ror|rcl|rcr|shl|shr|sar|shld|shrd)$/.test(row.op) && reads.includes(Read.ImmediateUnsigned8),
  };
}

/** A row for an opcode. Most opcodes are never met, so the rest is found out when one is. */
class Candidate {
  compiled: CompiledRow | undefined;
  #place: Place | undefined;

  constructor(readonly row: OpcodeRow) {}

  get place(): Place {
    return (this.#place ??= placeOf(this.row));
  }
}

/** VEX-encoded instructions of general registers; all others need AVX besides their feature. */
export const GENERAL_VEX: ReadonlySet<string | undefined> = new Set(['bmi1', 'bmi2']);

const CLASSES = ['NP', '66', 'F3', 'F2'] as const;

/** Candidates by map * 256 + opcode. */
type Candidates = ReadonlyMap<number, Candidate[]>;

/** The candidates of each opcode of a mode: those of VEX encodings, or the others. */
function candidatesOf(mode: CodeMode, features: ReadonlySet<string>, vex: boolean): Candidates {
  const candidates = new Map<number, Candidate[]>();
  for (const row of table) {
    if (row.encoding === '' || (row.vex !== undefined) !== vex || (mode === 2 ? row.invalid64 : row.only64)) continue;
    if (row.feature !== undefined && !features.has(row.feature)) continue;
    if (vex && !GENERAL_VEX.has(row.feature) && !features.has('avx')) continue;
    const { encoding } = row;
    const map = mapOf(encoding);
    const at = ESCAPE_LENGTHS[map]!;
    // '+r' names eight opcodes, '+cc' sixteen.
    const opcodes = encoding[at + 2] !== '+' ? 1 : encoding[at + 3] === 'r' ? 8 : 16;
    const opcode = parseInt(encoding.slice(at, at + 2), 16);
    const candidate = new Candidate(row);
    for (let i = 0; i < opcodes; i++) {
      const key = map * 256 + opcode + i;
      const list = candidates.get(key);
      // An exact opcode stands before a range that includes it (NOP before XCHG rAX).
      if (!list) candidates.set(key, [candidate]);
      else if (opcodes > 1) list.push(candidate);
      else list.unshift(candidate);
    }
  }
  return candidates;
}

/** The best row for a ModRM byte: one that names the prefix before one that does not care, then the most specific. */
function best(candidates: readonly Candidate[], mode: CodeMode, modrm: number): CompiledRow | undefined {
  let found: Candidate | undefined;
  let foundRank = -1;
  for (const candidate of candidates) {
    if (!candidate.place.accepts(modrm)) continue;
    const rank = candidate.place.rank + (candidate.row.prefix === undefined ? 0 : 10);
    if (rank > foundRank) [found, foundRank] = [candidate, rank];
  }
  return found && (found.compiled ??= compile(found.row, mode, found.place.hasModrm));
}

/** What of a ModRM byte chooses among the rows of an opcode. */
export const enum ModrmUse {
  /** There is none. */
  None,
  /** Whether it names memory. */
  Kind,
  /** That and its reg field. */
  Reg,
  /** All of it, where it names registers. */
  Exact,
  /** Some rows have one, others do not. */
  Mixed,
}

/** What an opcode with its prefix class selects. */
class Cell {
  /** The row for every ModRM byte, where one is. */
  readonly only: CompiledRow | undefined;
  readonly #candidates: readonly Candidate[];
  /** Filled as bytes are met. */
  readonly #byModrm: (CompiledRow | null)[] = [];

  constructor(
    candidates: readonly Candidate[],
    prefixClass: number,
    readonly mode: CodeMode,
  ) {
    const fit = ({ row }: Candidate): boolean => row.prefix === undefined || row.prefix === CLASSES[prefixClass];
    this.#candidates = candidates.filter(fit);
    const takesModrm = candidates.some(({ place }) => place.hasModrm);
    const [first] = this.#candidates;
    const alone = this.#candidates.length === 1 && first!.place.rank === 0;
    this.only = !takesModrm || alone ? best(this.#candidates, mode, 0) : undefined;
  }

  row(modrm: number): CompiledRow | null | undefined {
    if (this.#candidates.length === 0) return undefined;
    let row = this.#byModrm[modrm];
    if (row === undefined) this.#byModrm[modrm] = row = best(this.#candidates, this.mode, modrm) ?? null;
    return row;
  }
}

/** The dispatch of processors with a set of features. */
export class DecodeTable {
  readonly #features: ReadonlySet<string>;
  readonly #candidates: (Candidates | undefined)[] = [undefined, undefined, undefined];
  readonly #cells: (Cell | undefined)[][] = [0, 1, 2].map(() => new Array<Cell | undefined>(4096).fill(undefined));
  readonly #vexCandidates: (Candidates | undefined)[] = [undefined, undefined, undefined];
  readonly #vexCells = [0, 1, 2].map(() => new Map<number, Cell>());

  constructor(features: ReadonlySet<string>) {
    this.#features = features;
  }

  /**
   * The row of an opcode; undefined when it has none, null when it has none for this ModRM byte: #UD.
   * @param map 0 one-byte, 1 0F, 2 0F38, 3 0F3A
   * @param prefixClass 0 none, 1 66, 2 F3, 3 F2
   * @param modrm the byte after the opcode, whether it turns out to be one or not
   */
  row(mode: CodeMode, map: number, prefixClass: number, opcode: number, modrm: number): CompiledRow | null | undefined {
    const at = map * 1024 + prefixClass * 256 + opcode;
    const cells = this.#cells[mode]!;
    const cell = cells[at] ?? (cells[at] = this.#makeCell(mode, map * 256 + opcode, prefixClass));
    return cell.only ?? cell.row(modrm);
  }
  #makeCell(mode: CodeMode, key: number, prefixClass: number): Cell {
    const candidates = (this.#candidates[mode] ??= candidatesOf(mode, this.#features, false));
    return new Cell(candidates.get(key) ?? [], prefixClass, mode);
  }

  /** What of ModRM chooses among the rows of an opcode of 64-bit mode, whatever its prefixes. */
  modrmUse(map: number, opcode: number, vex: boolean): ModrmUse {
    const lists = vex ? this.#vexCandidates : this.#candidates;
    const candidates = (lists[2] ??= candidatesOf(2, this.#features, vex)).get(map * 256 + opcode) ?? [];
    const places = candidates.map(({ place }) => place);
    if (places.some(({ hasModrm }) => hasModrm !== places[0]!.hasModrm)) return ModrmUse.Mixed;
    if (!places[0]?.hasModrm) return ModrmUse.None;
    const rank = Math.max(...places.map((place) => place.rank));
    return rank === 4 ? ModrmUse.Exact : rank >= 2 ? ModrmUse.Reg : ModrmUse.Kind;
  }

  /** As `row`, for a VEX prefix with these L and W; `map` is VEX.mmmmm, `prefixClass` VEX.pp. */
  vexRow(
    mode: CodeMode,
    map: number,
    prefixClass: number,
    opcode: number,
    modrm: number,
    l: number,
    w: number,
  ): CompiledRow | null | undefined {
    const at = (((l * 2 + w) * 4 + map) * 4 + prefixClass) * 256 + opcode;
    let cell = this.#vexCells[mode]!.get(at);
    if (!cell) {
      const candidates = (this.#vexCandidates[mode] ??= candidatesOf(mode, this.#features, true));
      const fit = ({ row }: Candidate): boolean =>
        (row.vex === 'LIG' || row.vex === `L${l}`) && (row.w === undefined || row.w === w);
      cell = new Cell((candidates.get(map * 256 + opcode) ?? []).filter(fit), prefixClass, mode);
      this.#vexCells[mode]!.set(at, cell);
    }
    return cell.only ?? cell.row(modrm);
  }
}

const tables = new Map<CpuModel, DecodeTable>();

/** The table of a model; made once. */
export function decodeTableOf(model: CpuModel): DecodeTable {
  let made = tables.get(model);
  if (!made) tables.set(model, (made = new DecodeTable(model.features)));
  return made;
}

/** XCHG r8, rAX: what 90 means with REX.B. */
export const EXCHANGE_ACCUMULATOR = compile(
  table.find((row) => row.encoding === '90+r')!,
  2,
  false,
);
