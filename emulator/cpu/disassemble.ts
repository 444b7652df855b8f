/** Instructions as text, for people: a wrapper around iced-x86. Execution never depends on it (see decode.ts). */
import { Decoder, DecoderOptions, FlowControl, Formatter, FormatterSyntax, Instruction, OpKind } from 'iced-x86';
import type { CodeMode } from './decode-table.ts';

/** 'gnu' is AT&T syntax as GNU as and objdump write it. */
export type Syntax = 'gnu' | 'intel';

/** Names an address, e.g. `main+0x12`; undefined if nothing is known of it. */
export type SymbolOf = (gva: bigint) => string | undefined;

export interface DisassembledInstruction {
  readonly gva: bigint;
  readonly bytes: Uint8Array;
  /** `(bad)` for bytes that are no instruction or end too early; then `bytes` is one byte. */
  readonly text: string;
  /** Direct branch target, or the address of a RIP-relative or absolute memory operand. */
  readonly reference?: bigint;
  /** `jump` and `call` include indirect ones. */
  readonly flow: 'next' | 'jump' | 'conditional' | 'call' | 'return' | 'interrupt';
}

export interface DisassembleOptions {
  readonly mode?: CodeMode;
  readonly syntax?: Syntax;
  /** At most this many instructions. */
  readonly count?: number;
  /** Appended as ` <symbol>` to what an instruction refers to. */
  readonly symbolOf?: SymbolOf;
}

const BITS = [16, 32, 64];

const formatters = new Map<Syntax, Formatter>();

function formatterFor(syntax: Syntax): Formatter {
  let formatter = formatters.get(syntax);
  if (formatter) return formatter;
  formatter = new Formatter(syntax === 'gnu' ? FormatterSyntax.Gas : FormatterSyntax.Intel);
  formatter.hexPrefix = '0x';
  formatter.hexSuffix = '';
  formatter.uppercaseHex = false;
  formatter.spaceAfterOperandSeparator = syntax === 'intel';
  formatter.spaceBetweenMemoryAddOperators = false;
  formatter.smallHexNumbersInDecimal = true;
  formatter.branchLeadingZeros = false;
  formatter.displacementLeadingZeros = false;
  formatter.leadingZeros = false;
  formatter.ripRelativeAddresses = true;
  formatters.set(syntax, formatter);
  return formatter;
}

function flowOf(instruction: Instruction): DisassembledInstruction['flow'] {
  switch (instruction.flowControl) {
    case FlowControl.UnconditionalBranch:
    case FlowControl.IndirectBranch:
      return 'jump';
    case FlowControl.ConditionalBranch:
      return 'conditional';
    case FlowControl.Call:
    case FlowControl.IndirectCall:
      return 'call';
    case FlowControl.Return:
      return 'return';
    case FlowControl.Interrupt:
    case FlowControl.Exception:
      return 'interrupt';
    default:
      return 'next';
  }
}

function referenceOf(instruction: Instruction): bigint | undefined {
  if (instruction.isIpRelMemoryOperand) return instruction.ipRelMemoryAddress;
  for (let i = 0; i < instruction.opCount; i++) {
    const kind = instruction.opKind(i);
    if (kind === OpKind.NearBranch16 || kind === OpKind.NearBranch32 || kind === OpKind.NearBranch64)
      return instruction.nearBranchTarget;
  }
  return undefined;
}

/** What objdump adds: the symbol of a branch target; address and symbol of a RIP-relative operand. */
function annotation(reference: bigint, isMemory: boolean, symbolOf: SymbolOf | undefined): string {
  const symbol = symbolOf?.(reference);
  const named = symbol === undefined ? '' : ` <${symbol}>`;
  return isMemory ? ` # 0x${reference.toString(16)}${named}` : named;
}

/** Disassembles linearly from `bytes[0]`, which stands at `gva`. A byte that is no instruction is skipped alone. */
export function disassemble(
  bytes: Uint8Array,
  gva: bigint,
  options: DisassembleOptions = {},
): DisassembledInstruction[] {
  const { mode = 2, syntax = 'gnu', count = Infinity, symbolOf } = options;
  const formatter = formatterFor(syntax);
  const decoder = new Decoder(BITS[mode]!, bytes, DecoderOptions.None);
  const instruction = new Instruction();
  const result: DisassembledInstruction[] = [];
  decoder.ip = gva;
  try {
    let position = 0;
    while (position < bytes.length && result.length < count) {
      decoder.position = position;
      decoder.ip = gva + BigInt(position);
      decoder.decodeOut(instruction);
      const valid = !instruction.isInvalid;
      const length = valid ? instruction.length : 1;
      const reference = valid ? referenceOf(instruction) : undefined;
      const text = valid ? formatter.format(instruction) : '(bad)';
      result.push({
        gva: gva + BigInt(position),
        bytes: bytes.slice(position, position + length),
        text: reference === undefined ? text : text + annotation(reference, instruction.isIpRelMemoryOperand, symbolOf),
        reference,
        flow: valid ? flowOf(instruction) : 'next',
      });
      position += length;
    }
  } finally {
    instruction.free();
    decoder.free();
  }
  return result;
}
