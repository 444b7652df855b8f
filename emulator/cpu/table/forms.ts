/**
 * Forms: every combination of op, size, operand kinds, condition, repeat prefix and (for string instructions) address
 * size that needs a handler of its own. The interpreter generator makes one handler a form; a decoded instruction finds
 * its handler through `formKey`.
 */
import type { Form } from '../emitter.ts';
import type { MemoryOperand, Operand } from '../instruction.ts';
import { legacyForms } from './legacy.ts';
import type { OpcodeRow } from './row.ts';

export interface TableForm extends Form {
  /** What `formKey` answers for this form and for every instruction that it handles. */
  readonly key: string;
  /** Worth a place in the hot switch. */
  readonly hot: boolean;
  /** One of the rows it comes from. */
  readonly row: OpcodeRow;
}

const KIND_LETTER: Record<Operand['kind'], string> = {
  gpr: 'r',
  xmm: 'x',
  ymm: 'y',
  mmx: 'q',
  st: 't',
  segment: 's',
  control: 'c',
  debug: 'd',
  memory: 'm',
  immediate: 'i',
  target: 'j',
};

const DIRECT_JUMPS = new Set(['jmp', 'jcc']);

/** Ops whose meaning depends on the address size of an implicit memory operand. */
export const STRING_OPS: ReadonlySet<string> = new Set(['movs', 'stos', 'lods', 'cmps', 'scas', 'ins', 'outs']);

/**
 * The key of a form or instruction: `op/size/kinds`, then `/cc<condition>`, `/rep` or `/repne`, for string
 * instructions `/a32` or `/a16` where it matters, and `/l<form>` outside 64-bit mode. Memory operands of other instructions have one key for all
 * address sizes; direct jumps have one for all operand sizes, as their target says it all.
 */
export function formKey(form: Form): string {
  let key = form.op + '/' + (DIRECT_JUMPS.has(form.op) ? 8 : form.size) + '/';
  for (const operand of form.operands) key += KIND_LETTER[operand.kind];
  if (form.condition !== undefined) key += '/cc' + form.condition;
  if (form.rep !== 'none') key += '/' + form.rep;
  if (STRING_OPS.has(form.op)) {
    const { addressSize } = form.operands[0] as MemoryOperand;
    if (addressSize !== 64) key += '/a' + addressSize;
  }
  if (form.legacy) key += '/l' + form.legacy;
  return key;
}

const memory = (addressSize: 64 | 32 | 16): MemoryOperand => ({
  kind: 'memory',
  base: 0,
  index: -1,
  scale: 0,
  displacement: 0n,
  segment: 3,
  addressSize,
});

const vector = (code: string): Operand => ({ kind: code.endsWith('qq') ? 'ymm' : 'xmm', register: 0 });

/** The kinds an operand code can decode to. Every operand of a form is an object of its own: back-ends tell them apart by identity. */
function alternatives(code: string, addressSize: 64 | 32 | 16): readonly Operand[] {
  switch (code[0]) {
    case 'E':
      return [{ kind: 'gpr', register: 0 }, memory(64)];
    case 'W':
      return [vector(code), memory(64)];
    case 'Q':
      return [{ kind: 'mmx', register: 0 }, memory(64)];
    case 'M':
    case 'O':
      return [memory(64)];
    case 'X':
    case 'Y':
      return [memory(addressSize)];
    case 'V':
    case 'U':
    case 'H':
    case 'L':
    case 'K':
    case 'x':
      return [vector(code)];
    case 'P':
    case 'N':
      return [{ kind: 'mmx', register: 0 }];
    case 'I':
    case '1':
      return [{ kind: 'immediate', value: 0n }];
    case 'J':
      return [{ kind: 'target', gva: 0n }];
    case 's':
      return [{ kind: 'st', register: 0 }];
    default:
      // Segment, control and debug registers and far pointers occur in system rows only.
      return [{ kind: 'gpr', register: 0 }];
  }
}

function product<T>(choices: readonly (readonly T[])[]): T[][] {
  return choices.reduce<T[][]>((lists, choice) => lists.flatMap((list) => choice.map((item) => [...list, item])), [[]]);
}

const CONDITIONS = Array.from({ length: 16 }, (_, condition) => condition);

/**
 * Every form of the rows that cpu/system/ does not execute, each once. Rows of 64-bit mode come first.
 * Forms of 16-bit size are never hot.
 */
export function enumerateForms(rows: readonly OpcodeRow[]): TableForm[] {
  const forms = new Map<string, TableForm>();
  for (const row of rows) {
    if (row.system) continue;
    const conditions = row.encoding.includes('+cc') ? CONDITIONS : [undefined];
    const reps =
      row.rep === undefined
        ? (['none'] as const)
        : row.rep === 'rep'
          ? (['none', 'rep'] as const)
          : (['none', 'rep', 'repne'] as const);
    const addressSizes = STRING_OPS.has(row.op) ? ([64, 32, 16] as const) : ([64] as const);
    for (const size of row.sizes ?? [0])
      for (const addressSize of addressSizes)
        for (const operands of product((row.operands ?? []).map((code) => alternatives(code, addressSize))))
          for (const condition of conditions)
            for (const rep of reps)
              for (const legacy of legacyForms(row, operands, addressSize)) {
                if (legacy && size === 8) continue;
                const form: Form = {
                  op: row.op,
                  size,
                  operands,
                  rep,
                  ...(condition === undefined ? {} : { condition }),
                  ...(legacy === undefined ? {} : { legacy }),
                };
                const key = formKey(form);
                const hot = row.hot === true && size !== 2 && addressSize === 64 && legacy === undefined;
                const previous = forms.get(key);
                if (!previous) forms.set(key, { ...form, key, hot, row });
                else if (hot && !previous.hot) forms.set(key, { ...previous, hot });
              }
  }
  return [...forms.values()];
}
