/** Builds a WebAssembly module from finished function bodies, and reads the function signatures of one. */
import { TYPE_CODES } from './opcodes.ts';
import type { ValueType } from './opcodes.ts';
import { i32Const, Writer } from './writer.ts';

export interface FunctionType {
  readonly parameters: readonly ValueType[];
  readonly results: readonly ValueType[];
}

export interface ImportedFunction {
  readonly module: string;
  readonly name: string;
  readonly type: FunctionType;
}

export interface DefinedFunction {
  readonly type: FunctionType;
  /** Types of the locals after the parameters. */
  readonly locals: readonly ValueType[];
  /** Instructions without the final `end`. */
  readonly body: Uint8Array;
  readonly export?: string;
}

export interface ModuleParts {
  readonly imports: readonly ImportedFunction[];
  readonly memory: { readonly module: string; readonly name: string; readonly pages: number };
  /** A table of functions, exported as `table`; `elements` are indexes into `functions`, from entry `offset`. */
  readonly table?: { readonly entries: number; readonly offset: number; readonly elements: readonly number[] };
  readonly functions: readonly DefinedFunction[];
  /** Mutable i32 globals, 0 at first. */
  readonly globals?: number;
  /** Types that bodies name in call_indirect: they get the numbers 0, 1, ... */
  readonly indirectTypes?: readonly FunctionType[];
}

const SECTION = { type: 1, import: 2, function: 3, table: 4, global: 6, export: 7, element: 9, code: 10 } as const;
const KIND = { function: 0, table: 1, memory: 2 } as const;
const FUNCTION_TYPE = 0x60;
const FUNCREF = 0x70;
const END = 0x0b;
const MUTABLE = 1;

export function buildModule(parts: ModuleParts): Uint8Array {
  const types: FunctionType[] = [...(parts.indirectTypes ?? [])];
  const typeNumbers = new Map(types.map((type, index) => [signature(type), index]));
  const typeIndex = (type: FunctionType): number => {
    const key = signature(type);
    let index = typeNumbers.get(key);
    if (index === undefined) {
      index = types.push(type) - 1;
      typeNumbers.set(key, index);
    }
    return index;
  };
  const importTypes = parts.imports.map((entry) => typeIndex(entry.type));
  const functionTypes = parts.functions.map((entry) => typeIndex(entry.type));

  const out = new Writer(1 << 16);
  out.bytes([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]);
  const section = (id: number, fill: (writer: Writer) => void): void => {
    const content = new Writer();
    fill(content);
    out.byte(id);
    out.unsigned(content.length);
    out.bytes(content.finish());
  };

  section(SECTION.type, (w) => {
    w.unsigned(types.length);
    for (const type of types) {
      w.byte(FUNCTION_TYPE);
      for (const list of [type.parameters, type.results]) {
        w.unsigned(list.length);
        for (const value of list) w.byte(TYPE_CODES[value]);
      }
    }
  });
  section(SECTION.import, (w) => {
    w.unsigned(parts.imports.length + 1);
    parts.imports.forEach((entry, index) => {
      w.string(entry.module);
      w.string(entry.name);
      w.byte(KIND.function);
      w.unsigned(importTypes[index]!);
    });
    w.string(parts.memory.module);
    w.string(parts.memory.name);
    w.byte(KIND.memory);
    w.byte(0);
    w.unsigned(parts.memory.pages);
  });
  section(SECTION.function, (w) => {
    w.unsigned(functionTypes.length);
    for (const type of functionTypes) w.unsigned(type);
  });
  if (parts.table) {
    const { entries } = parts.table;
    section(SECTION.table, (w) => {
      w.bytes([1, FUNCREF, 0]);
      w.unsigned(entries);
    });
  }
  const { globals = 0 } = parts;
  if (globals > 0)
    section(SECTION.global, (w) => {
      w.unsigned(globals);
      for (let index = 0; index < globals; index++) w.bytes([TYPE_CODES.i32, MUTABLE, ...i32Const(0), END]);
    });
  section(SECTION.export, (w) => {
    const exported = parts.functions.flatMap((entry, index) => (entry.export ? [{ name: entry.export, index }] : []));
    w.unsigned(exported.length + (parts.table ? 1 : 0));
    for (const entry of exported) {
      w.string(entry.name);
      w.byte(KIND.function);
      w.unsigned(entry.index + parts.imports.length);
    }
    if (parts.table) {
      w.string('table');
      w.bytes([KIND.table, 0]);
    }
  });
  if (parts.table) {
    const { offset, elements } = parts.table;
    section(SECTION.element, (w) => {
      w.bytes([1, 0, ...i32Const(offset), END]);
      w.unsigned(elements.length);
      for (const index of elements) w.unsigned(index + parts.imports.length);
    });
  }
  section(SECTION.code, (w) => {
    w.unsigned(parts.functions.length);
    for (const entry of parts.functions) {
      const head = new Writer(64);
      const runs = runsOf(entry.locals);
      head.unsigned(runs.length);
      for (const { count, type } of runs) {
        head.unsigned(count);
        head.byte(TYPE_CODES[type]);
      }
      w.unsigned(head.length + entry.body.length + 1);
      w.bytes(head.finish());
      w.bytes(entry.body);
      w.byte(END);
    }
  });
  return out.finish();
}

const signature = (type: FunctionType): string => `${type.parameters.join()}>${type.results.join()}`;

function runsOf(locals: readonly ValueType[]): { count: number; type: ValueType }[] {
  const runs: { count: number; type: ValueType }[] = [];
  for (const type of locals) {
    const last = runs.at(-1);
    if (last?.type === type) last.count++;
    else runs.push({ count: 1, type });
  }
  return runs;
}

/** Signatures of the functions a module exports (the JavaScript API does not tell them). */
export function exportedSignatures(module: Uint8Array): Map<string, FunctionType> {
  const names = new Map<number, ValueType>(Object.entries(TYPE_CODES).map(([name, code]) => [code, name as ValueType]));
  const types: FunctionType[] = [];
  const functions: number[] = [];
  const result = new Map<string, FunctionType>();
  let at = 8;
  const byte = (): number => module[at++]!;
  const unsigned = (): number => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const next = byte();
      value |= (next & 0x7f) << shift;
      if (!(next & 0x80)) return value >>> 0;
    }
  };
  const text = (): string => {
    const length = unsigned();
    at += length;
    return new TextDecoder().decode(module.subarray(at - length, at));
  };
  const limits = (): void => {
    if (byte() & 1) unsigned();
    unsigned();
  };
  const repeat = (action: () => void): void => {
    for (let count = unsigned(); count > 0; count--) action();
  };
  const valueTypes = (): ValueType[] => {
    const list: ValueType[] = [];
    repeat(() => list.push(names.get(byte())!));
    return list;
  };

  while (at < module.length) {
    const id = byte();
    const end = unsigned() + at;
    if (id === SECTION.type) {
      repeat(() => {
        at++;
        const parameters = valueTypes();
        types.push({ parameters, results: valueTypes() });
      });
    } else if (id === SECTION.import) {
      repeat(() => {
        text();
        text();
        const kind = byte();
        if (kind === KIND.function) functions.push(unsigned());
        else if (kind === KIND.memory) limits();
        else if (kind === KIND.table) {
          at++;
          limits();
        } else at += 2;
      });
    } else if (id === SECTION.function) {
      repeat(() => functions.push(unsigned()));
    } else if (id === SECTION.export) {
      repeat(() => {
        const name = text();
        const kind = byte();
        const index = unsigned();
        if (kind === KIND.function) result.set(name, types[functions[index]!]!);
      });
    }
    at = end;
  }
  return result;
}
