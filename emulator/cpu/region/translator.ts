/**
 * The region translator: hot blocks become WebAssembly functions in the interpreter's table. A region stands in its entry block's first record, as the handler;
 * so dispatch finds it wherever the interpreter would have gone on with that block, and whoever drops the block drops the region.
 *
 * Whether and when code is translated cannot be seen by a program: see graph.ts for what is fetched, function.ts for counts.
 */
import { MXCSR_NATIVE, MXCSR_ROUNDING } from '../../core/softfloat-codes.ts';
import type { Block } from '../block.ts';
import type { BlockCache } from '../blocks.ts';
import { EXIT_BUDGET, EXIT_REGION_IDLE, EXIT_REGION_LEFT, EXIT_REGION_LOW, EXIT_REGION_SLOW } from '../codes.ts';
import type { Semantic } from '../emitter.ts';
import { codeContext, modeOf } from '../fpu-traps.ts';
import type { HandlerTable } from '../interpreter/keys.ts';
import type { Helper } from '../interpreter/values.ts';
import * as L from '../layout.ts';
import { BUDGET_MARGIN, TERMINATOR } from '../records.ts';
import type { LinearMemory } from '../state.ts';
import { buildModule } from '../wasm/module.ts';
import type { FunctionType, ImportedFunction } from '../wasm/module.ts';
import { ExitProfile } from './exit-profile.ts';
import { emitRegion } from './function.ts';
import { Heat } from './heat.ts';
import { MissProfile } from './misses.ts';
import { MOST_ENTRIES, RegionGrower } from './graph.ts';
import type { RegionGraph, RegionNode } from './graph.ts';
import type { RegionObserver } from './observer.ts';

export interface TranslatorOptions {
  /** Executions after which a block is hot. */
  readonly threshold: number;
  /** Regions that are made into one module. */
  readonly batch: number;
  /** Live modules before everything is dropped. */
  readonly modules: number;
  /** The threshold of a block grows with what has been translated, at most to so many times (default 200); 1 for tests, where everything is to be translated. */
  readonly mostSteps?: number;
  readonly observer?: RegionObserver;
}

export const TRANSLATOR_DEFAULTS: TranslatorOptions = { threshold: 1000, batch: 8, modules: 2000 };

/**
 * Translating an instruction costs about as much as interpreting a few thousand. So the more has been translated, the more often a block must have been
 * executed: programs with one hot loop are translated at once, those with a flat profile only where it pays.
 */
const INSTRUCTIONS_A_STEP = 100;
const MOST_STEPS = 200;
/** A block joins a region if it was executed at least once for so many times that make one hot. */
const RARE = 64;

export interface TranslatorParts {
  readonly mem: LinearMemory;
  readonly blocks: BlockCache;
  readonly forms: HandlerTable;
  /** The interpreter's table of handlers. */
  readonly table: WebAssembly.Table;
  /** Exports of the core, and the memory. */
  readonly imports: WebAssembly.Imports;
  readonly semantics: (op: string) => Semantic | undefined;
  /** Instructions executed so far. */
  readonly clock: () => number;
}

interface Region {
  /** Known by the first of them. */
  readonly entries: readonly Entry[];
  readonly blocks: ReadonlySet<Block>;
  /** Those that are not in functions that it calls. */
  readonly own: ReadonlySet<Block>;
  /** Table entry. */
  readonly index: number;
  /** Guest instructions. */
  readonly instructions: number;
}
interface Entry {
  readonly block: Block;
  /** What its first record had for a handler. */
  readonly handler: number;
}

interface Module {
  live: number;
}

const MODE_64 = 2;
const PAGE = 4096;
const OBSERVER_TYPE: FunctionType = { parameters: ['i32', 'i32', 'i32'], results: [] };
/** A hot block waits for others to share its module for this many entries of the interpreter. */
const PATIENCE = 4;
/**
 * What a region must promise, in thresholds for each of its instructions: executions of its first block before it is made, and of a block in its
 * middle before it is made again with an entry there.
 */
const FIRST_TIME = 1 / 50;
const WITH_ANOTHER_ENTRY = 1 / 5;
/** Samples of unexpected targets, for each instruction of a region, before it is made again with them. */
const SAMPLES_AN_INSTRUCTION = 10;
/** Instructions of a region that others do not copy but lead to. */
const LARGE = 150;
/** Executions until a block whose region saved nothing is looked at again. */
const IDLE_WAIT = 1 << 20;
/** Samples of an indirect branch before it is translated, and executions from one to the next at least: their number varies. */
const TARGET_SAMPLES = 48;
const SAMPLING = 7;
const SAMPLING_VARIES = 11;

export class RegionTranslator {
  readonly #parts: TranslatorParts;
  readonly #options: TranslatorOptions;
  readonly #flagless: ReadonlySet<number>;
  readonly #signatures: ReadonlyMap<string, FunctionType>;
  readonly #free: number[] = [];
  #next: number;
  readonly #regions = new Map<Block, Region>();
  /** Executions of blocks when they were first hot in the middle of a region. */
  readonly #hotInside = new Map<Block, number>();
  /** Regions that each block is part of. */
  readonly #users = new Map<Block, Set<Region>>();
  readonly #modules = new Map<Region, Module>();
  #liveModules = 0;
  /** Hot blocks that wait to be translated. */
  #queue: Block[] = [];
  #waited = 0;
  readonly #heat: Heat;
  /** Samples still wanted of where an indirect branch leads, by its terminator. */
  readonly #wantedTargets = new Map<number, number>();
  /** Blocks whose regions saved nothing. They may be part of other regions. */
  readonly #idle = new Set<Block>();
  /** Guest instructions translated so far. */
  #instructions = 0;
  readonly #misses = new MissProfile();
  readonly #exits = new ExitProfile();
  /** Blocks whose regions are to be translated again. */
  readonly #again = new Set<Block>();
  /** Regions taken out of the way since the budget did not suffice for them. */
  #suspended: Region[] = [];
  /** Regions made so far. */
  translated = 0;
  /** Number of the next region to be made. */
  #made = 0;

  constructor(parts: TranslatorParts, options: TranslatorOptions = TRANSLATOR_DEFAULTS) {
    this.#parts = parts;
    this.#options = options;
    const { forms, blocks } = parts;
    this.#next = forms.end;
    this.#heat = new Heat(parts.mem, options.threshold);
    this.#flagless = new Set(
      Object.entries(forms.handlers)
        .filter(([key]) => key.endsWith('!'))
        .map(([, handler]) => handler),
    );
    this.#signatures = new Map(Object.entries(forms.helpers));
    blocks.countdown = options.threshold;
    blocks.onDrop = (block) => this.#dropped(block);
    blocks.onFlush = () => this.#flush();
  }

  // ---------------------------------------------------------------- what the driver asks

  /** To be called before the interpreter is entered with a new budget. */
  prepare(): void {
    if (this.#suspended.length > 0) {
      for (const region of this.#suspended) this.#hook(region);
      this.#suspended = [];
    }
    if (this.#queue.length > 0 && ++this.#waited >= PATIENCE) this.#translateQueue();
  }

  /** After an exit of the interpreter that only the translator is concerned with: true to enter again at OP with BUDGET. */
  goesOn(exit: number): boolean {
    const { mem, blocks } = this.#parts;
    if (exit === EXIT_REGION_LOW) {
      this.#suspend(blocks.holding(mem.get32(L.OP)));
      return true;
    }
    if (exit === EXIT_REGION_SLOW) {
      const entry = blocks.holding(mem.get32(L.SITE));
      if (
        this.#samples(entry) &&
        this.#misses.sample(entry.record, mem.get32(L.OP), this.#parts.clock(), this.#regions.get(entry)!.instructions)
      )
        this.#requeue(entry);
      return true;
    }
    if (exit === EXIT_REGION_LEFT) {
      const region = this.#regions.get(blocks.holding(mem.get32(L.SITE)));
      const entry = region?.entries[0]!.block;
      if (
        region &&
        entry &&
        this.#samples(entry) &&
        this.#exits.sample(
          entry.record,
          mem.get32(L.LINK),
          mem.get32(L.OP),
          region.instructions * SAMPLES_AN_INSTRUCTION,
        )
      )
        this.#requeue(entry);
      return true;
    }
    if (exit === EXIT_REGION_IDLE) {
      const region = this.#regions.get(blocks.holding(mem.get32(L.SITE)));
      if (region) {
        this.#remove(region);
        for (const { block } of region.entries) this.#idle.add(block);
      }
      return true;
    }
    if (exit !== EXIT_BUDGET) return false;
    const terminator = mem.get32(L.LINK);
    if (mem.get32(terminator + TERMINATOR.countdown) !== 0) return false;
    this.#hot(terminator, mem.get32(L.OP));
    return (mem.get32(L.BUDGET) | 0) >= BUDGET_MARGIN;
  }

  // ---------------------------------------------------------------- hot blocks

  #hot(terminator: number, next: number): void {
    const wait = this.#heatUp(terminator, next);
    this.#heat.wait(terminator, wait ?? this.#options.threshold);
    if (this.#queue.length >= this.#options.batch) this.#translateQueue();
  }
  /** A block was executed as often as its countdown says. Answers after how many executions to look at it again, undefined: as a new one. */
  #heatUp(terminator: number, next: number): number | undefined {
    const { mem, blocks } = this.#parts;
    const block = blocks.holding(terminator);
    if (block.single || modeOf(codeContext(mem)) !== MODE_64) return undefined;
    if (this.#idle.has(block)) return IDLE_WAIT;
    if (mem.get32(terminator + TERMINATOR.links + 4) === 0 && this.#learnsTarget(terminator, next))
      return SAMPLING + ((this.#wantedTargets.get(terminator)! * 5) % SAMPLING_VARIES);
    const executed = this.#heat.executed(terminator);
    const wanted = this.#wanted();
    if (executed < wanted) return wanted - executed;
    if (this.#regions.has(block)) return undefined;
    const [host] = this.#users.get(block) ?? [];
    if (host) {
      // It is translated, but not to begin with: compiling it again is dearer than interpreting it for a while.
      const first = this.#hotInside.get(block);
      if (first === undefined) this.#hotInside.set(block, executed);
      const enough = (first ?? executed) + this.#promised(host.instructions, WITH_ANOTHER_ENTRY);
      if (executed < enough) return enough - executed;
      this.#hotInside.delete(block);
    }
    this.#queue.push(block);
    return undefined;
  }
  /** Takes a sample of where an indirect branch leads; false if there are enough. */
  #learnsTarget(terminator: number, target: number): boolean {
    const left = this.#wantedTargets.get(terminator) ?? Math.min(TARGET_SAMPLES, this.#options.threshold >> 4);
    if (left === 0) return false;
    this.#wantedTargets.set(terminator, left - 1);
    this.#exits.note(terminator, target);
    return true;
  }
  /** Executions of a block that make it worth translating now. */
  #wanted(): number {
    const { threshold, mostSteps = MOST_STEPS } = this.#options;
    return threshold * Math.min(1 + Math.floor(this.#instructions / INSTRUCTIONS_A_STEP), mostSteps);
  }
  #promised(instructions: number, factor: number): number {
    return Math.ceil(instructions * this.#options.threshold * factor);
  }
  /** Whether samples of a region mean anything: it stands, and is not to be translated again already. */
  #samples(entry: Block): boolean {
    return this.#regions.has(entry) && !this.#again.has(entry);
  }
  /** Translates a region again soon, with what has been learnt. */
  #requeue(entry: Block): void {
    this.#again.add(entry);
    this.#waited = PATIENCE;
    this.#queue.push(entry);
  }
  #translateQueue(): void {
    const queue = this.#queue;
    this.#queue = [];
    this.#waited = 0;
    if (this.#liveModules >= this.#options.modules) this.#flush();
    const graphs: RegionGraph[] = [];
    const covered = new Set<Block>();
    for (const block of queue) {
      const old = this.#regions.get(block);
      const again = this.#again.delete(block);
      if (!block.live || (old ? !again : covered.has(block))) continue;
      const graph = this.#grow(block, old, graphs);
      if (!graph) continue;
      graphs.push(graph);
      this.#instructions += graph.instructions;
      for (const { code } of graph.nodes) covered.add(code.block);
    }
    if (graphs.length > 0) this.#build(graphs);
  }
  /**
   * The graph of a region that begins with a block, or of a region that is made again.
   * @param others that are about to be made
   */
  #grow(block: Block, old: Region | undefined, others: readonly RegionGraph[]): RegionGraph | undefined {
    const { mem, blocks } = this.#parts;
    const { threshold } = this.#options;
    const host = old ?? this.#hostOf(block);
    if (host) this.#remove(host);
    const entries = host ? host.entries.map((entry) => entry.block) : [];
    if (!old) entries.push(block);
    let least = 0;
    const begins = (other: Block): boolean =>
      (this.#regions.get(other)?.instructions ?? 0) >= LARGE ||
      others.some(
        ({ instructions, entries: begun }) => instructions >= LARGE && begun.some(({ code }) => code.block === other),
      );
    const grower = new RegionGrower(
      blocks,
      codeContext(mem),
      (terminator) => this.#heat.executed(terminator) >= least,
      begins,
      (terminator) => this.#exits.targets(terminator),
    );
    const terminator = grower.code(block)?.terminator ?? 0;
    const executed = terminator === 0 ? 0 : this.#heat.executed(terminator);
    least = Math.max(threshold, executed) / RARE;
    const graph = grower.grow(entries[0]!, entries.slice(1));
    if (!graph) return undefined;
    const promised = this.#promised(graph.instructions, FIRST_TIME);
    if (!host && terminator !== 0 && executed < promised) {
      this.#heat.wait(terminator, promised - executed);
      return undefined;
    }
    this.#absorb(graph);
    // A block is an entry of one region only.
    const taken = new Set(others.flatMap((other) => other.entries.map(({ code }) => code.block)));
    const free = graph.entries.filter(({ code }) => !this.#regions.has(code.block) && !taken.has(code.block));
    graph.entries.splice(0, graph.entries.length, ...free);
    return graph;
  }

  /** The region that a block is in the middle of, and that it is to become an entry of. */
  #hostOf(block: Block): Region | undefined {
    for (const region of this.#users.get(block) ?? [])
      if (region.own.has(block) && region.entries.length < MOST_ENTRIES) return region;
    return undefined;
  }
  /** Takes the place of regions that are wholly part of a new one: it is entered where they were. */
  #absorb(graph: RegionGraph): void {
    const own = new Map(graph.nodes.filter(({ calls }) => calls.depth === 0).map((node) => [node.code.block, node]));
    const others = new Set<Region>();
    for (const block of own.keys()) for (const region of this.#users.get(block) ?? []) others.add(region);
    for (const region of others) {
      if (graph.entries.length + region.entries.length > MOST_ENTRIES) continue;
      if (![...region.own].every((block) => own.has(block))) continue;
      this.#remove(region);
      for (const { block } of region.entries) {
        const node = own.get(block)!;
        if (!graph.entries.includes(node)) graph.entries.push(node);
      }
    }
  }

  #build(graphs: readonly RegionGraph[]): void {
    const imports: ImportedFunction[] = [];
    const helpers = new Map<string, Helper>();
    const helper = (name: string): Helper => {
      let known = helpers.get(name);
      if (!known) {
        const type = this.#signatures.get(name);
        if (!type) throw new Error(`the core exports no function ${name}`);
        known = { index: imports.push({ module: 'core', name, type }) - 1, type };
        helpers.set(name, known);
      }
      return known;
    };
    const { observer } = this.#options;
    const left = observer && imports.push({ module: 'observer', name: 'left', type: OBSERVER_TYPE }) - 1;
    const parts = {
      left,
      semantics: this.#parts.semantics,
      helper,
      isFlagless: (handler: number) => this.#flagless.has(handler),
      isSlow: (region: number, record: number) => this.#misses.isSlow(region, record),
      nativeFloats: (this.#parts.mem.get32(L.MXCSR) & MXCSR_ROUNDING) === MXCSR_NATIVE,
    };
    const first = this.#made;
    this.#made += graphs.length;
    const regions = graphs.map((graph, index) =>
      emitRegion(graph, parts, {
        exportName: `region${index}`,
        misses: 3 * index,
        exits: 3 * index + 1,
        saved: 3 * index + 2,
        id: first + index,
      }),
    );
    const functions = regions.map(({ definition }) => definition);
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
      functions,
      globals: 3 * functions.length,
    });
    const compiled = new WebAssembly.Module(bytes as BufferSource);
    const { exports } = new WebAssembly.Instance(compiled, {
      ...this.#parts.imports,
      ...(observer ? { observer: { left: observer.left.bind(observer) } } : {}),
    });
    const module: Module = { live: graphs.length };
    this.#liveModules++;
    graphs.forEach((graph, index) => {
      const entry = this.#allocate();
      if (entry === undefined) {
        module.live--;
        return;
      }
      this.#parts.table.set(entry, exports[`region${index}`]);
      const blocksOf = (nodes: readonly RegionNode[]): Set<Block> => new Set(nodes.map(({ code }) => code.block));
      const region: Region = {
        entries: graph.entries.map(({ code: { block } }) => ({ block, handler: this.#parts.mem.get16(block.record) })),
        blocks: blocksOf(graph.nodes),
        own: blocksOf(graph.nodes.filter(({ calls }) => calls.depth === 0)),
        index: entry,
        instructions: graph.instructions,
      };
      for (const { block } of region.entries) this.#regions.set(block, region);
      this.#modules.set(region, module);
      for (const member of region.blocks) {
        const users = this.#users.get(member);
        if (users) users.add(region);
        else this.#users.set(member, new Set([region]));
      }
      this.#hook(region);
      this.translated++;
    });
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

  #allocate(): number | undefined {
    const free = this.#free.pop();
    if (free !== undefined) return free;
    return this.#next < this.#parts.table.length ? this.#next++ : undefined;
  }

  // ---------------------------------------------------------------- regions in their places

  #hook({ entries, index }: Region): void {
    for (const { block } of entries) this.#parts.mem.set16(block.record, index);
  }
  #unhook({ entries }: Region): void {
    for (const { block, handler } of entries) if (block.live) this.#parts.mem.set16(block.record, handler);
  }
  #suspend(entry: Block): void {
    const region = this.#regions.get(entry);
    if (!region) throw new Error(`no region at record ${entry.record.toString(16)}`);
    this.#unhook(region);
    this.#suspended.push(region);
  }

  #remove(region: Region): void {
    this.#unhook(region);
    for (const { block } of region.entries) this.#regions.delete(block);
    for (const block of region.blocks) {
      const users = this.#users.get(block);
      users?.delete(region);
      if (users?.size === 0) this.#users.delete(block);
    }
    this.#suspended = this.#suspended.filter((other) => other !== region);
    this.#parts.table.set(region.index, null);
    this.#free.push(region.index);
    const module = this.#modules.get(region)!;
    this.#modules.delete(region);
    if (--module.live === 0) this.#liveModules--;
  }
  #dropped(block: Block): void {
    this.#hotInside.delete(block);
    this.#again.delete(block);
    this.#idle.delete(block);
    for (const region of [...(this.#users.get(block) ?? [])]) this.#remove(region);
  }
  /** Drops every region; blocks stay, and grow hot again. */
  #flush(): void {
    for (const region of new Set(this.#regions.values())) this.#remove(region);
    this.#queue = [];
    this.#misses.clear();
    this.#exits.clear();
    this.#again.clear();
    this.#hotInside.clear();
    this.#heat.clear();
    this.#wantedTargets.clear();
  }
}
