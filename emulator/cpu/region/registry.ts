/** The regions that stand: as handlers in the first records of their entry blocks, as functions in the interpreter's table, in modules that live as long as one of theirs does. */
import type { Block } from '../block.ts';
import type { LinearMemory } from '../state.ts';
import { MOST_ENTRIES } from './graph.ts';
import type { RegionGraph, RegionNode } from './graph.ts';

export interface Region {
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

const NONE: ReadonlySet<Region> = new Set();
const blocksOf = (nodes: readonly RegionNode[]): Set<Block> => new Set(nodes.map(({ code }) => code.block));

export class RegionRegistry {
  readonly #mem: LinearMemory;
  readonly #table: WebAssembly.Table;
  readonly #free: number[] = [];
  #next: number;
  readonly #regions = new Map<Block, Region>();
  /** Regions that each block is part of. */
  readonly #users = new Map<Block, Set<Region>>();
  readonly #modules = new Map<Region, Module>();
  /** Regions taken out of the way since the budget did not suffice for them. */
  #suspended: Region[] = [];
  liveModules = 0;

  /** @param first entry of the table that is theirs */
  constructor(mem: LinearMemory, table: WebAssembly.Table, first: number) {
    this.#mem = mem;
    this.#table = table;
    this.#next = first;
  }

  /** The region that is entered at a block. */
  at(block: Block): Region | undefined {
    return this.#regions.get(block);
  }
  /** Regions that a block is part of. */
  users(block: Block): ReadonlySet<Region> {
    return this.#users.get(block) ?? NONE;
  }
  /** The region that a block is in the middle of, and that it is to become an entry of. */
  hostOf(block: Block): Region | undefined {
    for (const region of this.users(block))
      if (region.own.has(block) && region.entries.length < MOST_ENTRIES) return region;
    return undefined;
  }

  /** Puts the functions of a module in their places; answers how many found one. */
  add(graphs: readonly RegionGraph[], functions: readonly WebAssembly.ExportValue[]): number {
    const module: Module = { live: 0 };
    this.liveModules++;
    graphs.forEach((graph, number) => {
      const index = this.#allocate();
      if (index === undefined) return;
      module.live++;
      this.#table.set(index, functions[number]);
      const region: Region = {
        entries: graph.entries.map(({ code: { block } }) => ({ block, handler: this.#mem.get16(block.record) })),
        blocks: blocksOf(graph.nodes),
        own: blocksOf(graph.nodes.filter(({ calls }) => calls.depth === 0)),
        index,
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
    });
    return module.live;
  }

  /** Takes the region of an entry out of the way until `resume`. */
  suspend(entry: Block): void {
    const region = this.#regions.get(entry);
    if (!region) throw new Error(`no region at record ${entry.record.toString(16)}`);
    this.#unhook(region);
    this.#suspended.push(region);
  }
  resume(): void {
    if (this.#suspended.length === 0) return;
    for (const region of this.#suspended) this.#hook(region);
    this.#suspended = [];
  }

  remove(region: Region): void {
    this.#unhook(region);
    for (const { block } of region.entries) this.#regions.delete(block);
    for (const block of region.blocks) {
      const users = this.#users.get(block);
      users?.delete(region);
      if (users?.size === 0) this.#users.delete(block);
    }
    this.#suspended = this.#suspended.filter((other) => other !== region);
    this.#table.set(region.index, null);
    this.#free.push(region.index);
    const module = this.#modules.get(region)!;
    this.#modules.delete(region);
    if (--module.live === 0) this.liveModules--;
  }
  removeUsersOf(block: Block): void {
    for (const region of [...this.users(block)]) this.remove(region);
  }
  clear(): void {
    for (const region of new Set(this.#regions.values())) this.remove(region);
  }

  #hook({ entries, index }: Region): void {
    for (const { block } of entries) this.#mem.set16(block.record, index);
  }
  #unhook({ entries }: Region): void {
    for (const { block, handler } of entries) if (block.live) this.#mem.set16(block.record, handler);
  }
  #allocate(): number | undefined {
    const free = this.#free.pop();
    if (free !== undefined) return free;
    return this.#next < this.#table.length ? this.#next++ : undefined;
  }
}
