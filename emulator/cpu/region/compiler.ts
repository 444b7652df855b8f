/** Graphs of regions to functions: one WebAssembly module for a batch of them. */
import { MXCSR_NATIVE, MXCSR_ROUNDING } from '../../core/softfloat-codes.ts';
import type { Semantic } from '../emitter.ts';
import type { HandlerTable } from '../interpreter/keys.ts';
import type { Helper } from '../interpreter/values.ts';
import * as L from '../layout.ts';
import type { LinearMemory } from '../state.ts';
import { buildModule } from '../wasm/module.ts';
import type { FunctionType, ImportedFunction } from '../wasm/module.ts';
import { emitRegion } from './function.ts';
import type { RegionGraph } from './graph.ts';
import type { RegionObserver } from './observer.ts';

const PAGE = 4096;
const OBSERVER_TYPE: FunctionType = { parameters: ['i32', 'i32', 'i32'], results: [] };
/** Counters that a region has: misses, exits, instructions saved. */
const GLOBALS = 3;

export interface CompilerParts {
  readonly mem: LinearMemory;
  readonly forms: HandlerTable;
  /** Exports of the core, and the memory. */
  readonly imports: WebAssembly.Imports;
  readonly semantics: (op: string) => Semantic | undefined;
}

export class RegionCompiler {
  readonly #parts: CompilerParts;
  readonly #observer: RegionObserver | undefined;
  readonly #isSlow: (region: number, record: number) => boolean;
  readonly #flagless: ReadonlySet<number>;
  readonly #signatures: ReadonlyMap<string, FunctionType>;
  /** Number of the next region to be made. */
  #made = 0;

  /** @param isSlow whether an access of a region, known by its first record, often misses the TLB */
  constructor(
    parts: CompilerParts,
    isSlow: (region: number, record: number) => boolean,
    observer: RegionObserver | undefined,
  ) {
    this.#parts = parts;
    this.#isSlow = isSlow;
    this.#observer = observer;
    const { handlers, helpers } = parts.forms;
    this.#flagless = new Set(
      Object.entries(handlers)
        .filter(([key]) => key.endsWith('!'))
        .map(([, handler]) => handler),
    );
    this.#signatures = new Map(Object.entries(helpers));
  }

  /** The functions of regions, in their order. */
  compile(graphs: readonly RegionGraph[]): WebAssembly.ExportValue[] {
    const imports: ImportedFunction[] = [];
    const observer = this.#observer;
    const helper = this.#helpers(imports);
    const left = observer && imports.push({ module: 'observer', name: 'left', type: OBSERVER_TYPE }) - 1;
    const parts = {
      left,
      semantics: this.#parts.semantics,
      helper,
      isFlagless: (handler: number) => this.#flagless.has(handler),
      isSlow: this.#isSlow,
      nativeFloats: (this.#parts.mem.get32(L.MXCSR) & MXCSR_ROUNDING) === MXCSR_NATIVE,
    };
    const first = this.#made;
    this.#made += graphs.length;
    const regions = graphs.map((graph, index) =>
      emitRegion(graph, parts, {
        exportName: `region${index}`,
        misses: GLOBALS * index,
        exits: GLOBALS * index + 1,
        saved: GLOBALS * index + 2,
        id: first + index,
      }),
    );
    if (observer)
      regions.forEach(({ definition: { body }, structure, marks }, index) => {
        const graph = graphs[index]!;
        const functionName = (number: number): string => imports[number]!.name;
        const bytes = this.#bytesOf(graph);
        observer.made({ id: first + index, graph, structure, body, marks, functionName, bytes });
      });
    const bytes = buildModule({
      imports,
      memory: { module: 'env', name: 'memory', pages: 1 },
      functions: regions.map(({ definition }) => definition),
      globals: GLOBALS * regions.length,
    });
    const compiled = new WebAssembly.Module(bytes as BufferSource);
    const { exports } = new WebAssembly.Instance(compiled, {
      ...this.#parts.imports,
      ...(observer ? { observer: { left: observer.left.bind(observer) } } : {}),
    });
    return graphs.map((_, index) => exports[`region${index}`]!);
  }

  /** Functions of the core by name, imported when they are first asked for. */
  #helpers(imports: ImportedFunction[]): (name: string) => Helper {
    const helpers = new Map<string, Helper>();
    return (name) => {
      let known = helpers.get(name);
      if (!known) {
        const type = this.#signatures.get(name);
        if (!type) throw new Error(`the core exports no function ${name}`);
        known = { index: imports.push({ module: 'core', name, type }) - 1, type };
        helpers.set(name, known);
      }
      return known;
    };
  }

  #bytesOf(graph: RegionGraph): Map<bigint, Uint8Array> {
    const { mem } = this.#parts;
    const bytes = new Map<bigint, Uint8Array>();
    for (const { code } of graph.nodes)
      for (const { gva, length } of code.insns) {
        const host = L.RAM_BASE + code.block.pfn * PAGE + Number(gva & BigInt(PAGE - 1));
        bytes.set(gva, mem.bytes.slice(host, host + length));
      }
    return bytes;
  }
}
