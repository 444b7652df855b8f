/**
 * The region translator: hot blocks become WebAssembly functions in the interpreter's table. A region stands in its entry block's first record, as the handler;
 * so dispatch finds it wherever the interpreter would have gone on with that block, and whoever drops the block drops the region. Here it is decided what is
 * translated and when; compiler.ts makes the functions, registry.ts puts them in their places.
 *
 * Whether and when code is translated cannot be seen by a program: see graph.ts for what is fetched, function.ts for counts.
 */
import type { Block } from '../block.ts';
import type { BlockCache } from '../blocks.ts';
import {
  EXIT_BUDGET,
  EXIT_FAULT,
  EXIT_REGION_IDLE,
  EXIT_REGION_LEFT,
  EXIT_REGION_LOW,
  EXIT_REGION_SLOW,
} from '../codes.ts';
import { codeContext, modeOf } from '../fpu-traps.ts';
import * as L from '../layout.ts';
import { BUDGET_MARGIN, TERMINATOR } from '../records.ts';
import { RegionCompiler } from './compiler.ts';
import type { CompilerParts } from './compiler.ts';
import { ExitProfile } from './exit-profile.ts';
import { Heat } from './heat.ts';
import { MissProfile } from './misses.ts';
import { MOST_ENTRIES, RegionGrower } from './graph.ts';
import type { RegionGraph } from './graph.ts';
import type { RegionObserver } from './observer.ts';
import { RegionRegistry } from './registry.ts';
import type { Region } from './registry.ts';

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

export interface TranslatorParts extends CompilerParts {
  readonly blocks: BlockCache;
  /** The interpreter's table of handlers. */
  readonly table: WebAssembly.Table;
  /** Instructions executed so far. */
  readonly clock: () => number;
}

const MODE_64 = 2;
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
  readonly #compiler: RegionCompiler;
  readonly #regions: RegionRegistry;
  /** Executions of blocks when they were first hot in the middle of a region. */
  readonly #hotInside = new Map<Block, number>();
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
  /** Where a region was when it last told of a miss, until it is known what came of it: its first block, and the record. */
  #missed: Block | undefined;
  #missedRecord = 0;
  readonly #exits = new ExitProfile();
  /** Blocks whose regions are to be translated again. */
  readonly #again = new Set<Block>();
  /** Regions made so far. */
  translated = 0;

  constructor(parts: TranslatorParts, options: TranslatorOptions = TRANSLATOR_DEFAULTS) {
    this.#parts = parts;
    this.#options = options;
    const { mem, blocks, forms, table } = parts;
    this.#compiler = new RegionCompiler(
      parts,
      (region, record) => this.#misses.isSlow(region, record),
      options.observer,
    );
    this.#regions = new RegionRegistry(mem, table, forms.end);
    this.#heat = new Heat(mem, options.threshold);
    blocks.countdown = options.threshold;
    blocks.onDrop = (block) => this.#dropped(block);
    blocks.onFlush = () => this.#flush();
  }

  // ---------------------------------------------------------------- what the driver asks

  /** To be called before the interpreter is entered with a new budget. */
  prepare(): void {
    this.#regions.resume();
    if (this.#queue.length > 0 && ++this.#waited >= PATIENCE) this.#translateQueue();
  }

  /** After an exit of the interpreter that only the translator is concerned with: true to enter again at OP with BUDGET. */
  goesOn(exit: number): boolean {
    const { mem, blocks } = this.#parts;
    if (this.#missed) this.#settleMiss(exit);
    if (exit === EXIT_REGION_LOW) {
      this.#regions.suspend(blocks.holding(mem.get32(L.OP)));
      return true;
    }
    if (exit === EXIT_REGION_SLOW) {
      this.#missed = blocks.holding(mem.get32(L.SITE));
      this.#missedRecord = mem.get32(L.OP);
      return true;
    }
    if (exit === EXIT_REGION_LEFT) {
      const region = this.#regions.at(blocks.holding(mem.get32(L.SITE)));
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
      const region = this.#regions.at(blocks.holding(mem.get32(L.SITE)));
      if (region) {
        this.#regions.remove(region);
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

  /** The stay in the interpreter after a sample of a miss has ended. A fault leaves the region whether or not the slow path was called there, so its miss is no reason to. */
  #settleMiss(exit: number): void {
    const entry = this.#missed!;
    this.#missed = undefined;
    const record = this.#missedRecord;
    if ((exit === EXIT_FAULT && this.#parts.mem.get32(L.OP) === record) || !this.#samples(entry)) return;
    const { instructions } = this.#regions.at(entry)!;
    if (this.#misses.sample(entry.record, record, this.#parts.clock(), instructions)) this.#requeue(entry);
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
    if (this.#regions.at(block)) return undefined;
    const [host] = this.#regions.users(block);
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
    return this.#regions.at(entry) !== undefined && !this.#again.has(entry);
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
    if (this.#regions.liveModules >= this.#options.modules) this.#flush();
    const graphs: RegionGraph[] = [];
    const covered = new Set<Block>();
    for (const block of queue) {
      const old = this.#regions.at(block);
      const again = this.#again.delete(block);
      if (!block.live || (old ? !again : covered.has(block))) continue;
      const graph = this.#grow(block, old, graphs);
      if (!graph) continue;
      graphs.push(graph);
      this.#instructions += graph.instructions;
      for (const { code } of graph.nodes) covered.add(code.block);
    }
    if (graphs.length > 0) this.translated += this.#regions.add(graphs, this.#compiler.compile(graphs));
  }
  /**
   * The graph of a region that begins with a block, or of a region that is made again.
   * @param others that are about to be made
   */
  #grow(block: Block, old: Region | undefined, others: readonly RegionGraph[]): RegionGraph | undefined {
    const { blocks } = this.#parts;
    const { threshold } = this.#options;
    const host = old ?? this.#regions.hostOf(block);
    if (host) this.#regions.remove(host);
    const entries = host ? host.entries.map((entry) => entry.block) : [];
    if (!old) entries.push(block);
    let least = 0;
    const begins = (other: Block): boolean =>
      (this.#regions.at(other)?.instructions ?? 0) >= LARGE ||
      others.some(
        ({ instructions, entries: begun }) => instructions >= LARGE && begun.some(({ code }) => code.block === other),
      );
    const grower = new RegionGrower(
      blocks,
      block.context,
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
    const free = graph.entries.filter(({ code }) => !this.#regions.at(code.block) && !taken.has(code.block));
    graph.entries.splice(0, graph.entries.length, ...free);
    return graph;
  }
  /** Takes the place of regions that are wholly part of a new one: it is entered where they were. */
  #absorb(graph: RegionGraph): void {
    const own = new Map(graph.nodes.filter(({ calls }) => calls.depth === 0).map((node) => [node.code.block, node]));
    const others = new Set<Region>();
    for (const block of own.keys()) for (const region of this.#regions.users(block)) others.add(region);
    for (const region of others) {
      if (graph.entries.length + region.entries.length > MOST_ENTRIES) continue;
      if (![...region.own].every((block) => own.has(block))) continue;
      this.#regions.remove(region);
      for (const { block } of region.entries) {
        const node = own.get(block)!;
        if (!graph.entries.includes(node)) graph.entries.push(node);
      }
    }
  }

  #dropped(block: Block): void {
    this.#hotInside.delete(block);
    this.#again.delete(block);
    this.#idle.delete(block);
    this.#regions.removeUsersOf(block);
  }
  /** Drops every region; blocks stay, and grow hot again. */
  #flush(): void {
    this.#regions.clear();
    this.#queue = [];
    this.#misses.clear();
    this.#exits.clear();
    this.#again.clear();
    this.#hotInside.clear();
    this.#heat.clear();
    this.#wantedTargets.clear();
  }
}
