/**
 * Which blocks make a region: the hot one and what it leads to, along links and jump-cache entries that the interpreter has made. Growing a region
 * looks at nothing else, and translated code takes an edge only where the interpreter would take it without asking the driver. So neither fetches what
 * the other does not, and TLB and accessed flags stay the same whether code is translated or not.
 */
import type { Block } from '../block.ts';
import type { BlockCache } from '../blocks.ts';
import type { CodeMode } from '../decode-table.ts';
import { decode } from '../decode.ts';
import type { DecodedInstruction } from '../decode.ts';
import type { CodeContext } from '../fpu-traps.ts';
import { modeOf } from '../fpu-traps.ts';
import { readGva, toBigint } from '../code-address.ts';
import { pageOf } from '../fetch.ts';
import * as L from '../layout.ts';
import { HANDLER, STUB, TERMINATOR } from '../records.ts';

/** Blocks and instructions of a region at most. */
const MOST_BLOCKS = 300;
const MOST_INSTRUCTIONS = 2000;
/** Entries of a region at most. */
export const MOST_ENTRIES = 30;
/** Calls within calls that are followed. */
const DEEPEST_CALL = 4;
/** Return points that a return is compared with. */
const MOST_RETURNS = 6;
const PAGE_MASK = 0xfff;

/** A block with its instructions and the places of its records. */
export interface RegionBlock {
  readonly block: Block;
  readonly insns: readonly DecodedInstruction[];
  /** Record of each instruction. */
  readonly records: readonly number[];
  /** Handler that the interpreter has for each record's instructions. */
  readonly handlers: readonly number[];
  /** Address of the terminator; 0 if a system instruction ends the block. */
  readonly terminator: number;
}

/** A call that the region has followed, or the function that it begins in: where returns go. */
interface CallContext {
  readonly id: number;
  readonly depth: number;
  /** Record of the function's first block, as far as known. */
  readonly function: number;
  /** The call's own return point first, then those of recursive calls. */
  readonly returns: ReturnPoint[];
}
interface ReturnPoint {
  readonly code: RegionBlock;
  readonly calls: CallContext;
}

/** How control reaches a successor. */
export interface Edge {
  /** The link that is followed; 0 for a return. */
  readonly cell: number;
  /** Linear address of the target if it is checked against the jump cache: it lies on another page, or the branch is indirect. */
  readonly guard: number | undefined;
  /** Undefined: it leaves the region. */
  node: RegionNode | undefined;
  /** It enters a loop by the side, by way of the dispatcher, which has this number for its target (structure.ts). */
  dispatched?: number;
}

export interface RegionNode {
  readonly code: RegionBlock;
  readonly calls: CallContext;
  /** Direct branches: taken last; fall-through before it if there is one. Returns: those that are expected. */
  edges: Edge[];
}

export interface RegionGraph {
  /** The first of the entries; the region is known by its first record. */
  readonly entry: RegionNode;
  /** Blocks that the interpreter may go on with here. */
  readonly entries: RegionNode[];
  readonly nodes: readonly RegionNode[];
  readonly instructions: number;
}

export class RegionGrower {
  readonly #nodes = new Map<string, RegionNode>();
  readonly #queue: RegionNode[] = [];
  readonly #returning: RegionNode[] = [];
  #instructions = 0;
  #contexts: CallContext[] = [];
  #entries: RegionNode[] = [];
  readonly #decoded = new Map<Block, RegionBlock | undefined>();

  /**
   * @param joins whether the block with this terminator was executed often enough to be part of a region
   * @param begins whether a large region begins with the block already: this one is left there
   * @param targets records that an indirect branch was seen to lead to, by its terminator
   */
  constructor(
    readonly blocks: BlockCache,
    readonly context: CodeContext,
    readonly joins: (terminator: number) => boolean,
    readonly begins: (block: Block) => boolean,
    readonly targets: (terminator: number) => readonly number[],
  ) {}

  /** The region of a block that is also entered at others, or undefined if the block cannot begin one. */
  grow(block: Block, others: readonly Block[] = []): RegionGraph | undefined {
    const grown = this.#grow(block, others, block.record);
    if (!grown) return undefined;
    // A block in the middle of a function that is called again below it: then calls of that function lead back, and its returns are known.
    const again = grown.nodes.find(({ code, calls }) => code.block === block && calls.depth > 0);
    return again ? this.#grow(block, others, again.calls.function) : grown;
  }
  #grow(block: Block, others: readonly Block[], ofFunction: number): RegionGraph | undefined {
    this.#nodes.clear();
    this.#returning.length = 0;
    this.#instructions = 0;
    const root: CallContext = { id: 0, depth: 0, function: ofFunction, returns: [] };
    this.#contexts = [root];
    this.#entries = [];
    for (const one of [block, ...others]) {
      const code = this.code(one);
      const entry = code && this.#node(code, root, true);
      if (entry) this.#entries.push(entry);
      else if (one === block) return undefined;
    }
    while (this.#queue.length > 0) {
      for (let node = this.#queue.shift(); node; node = this.#queue.shift()) this.#follow(node);
      for (const node of this.#returning) this.#return(node);
    }
    const entries = this.#entries;
    return { entry: entries[0]!, entries, nodes: [...this.#nodes.values()], instructions: this.#instructions };
  }

  #node(code: RegionBlock, calls: CallContext, always = false): RegionNode | undefined {
    const key = `${code.block.record}/${calls.id}`;
    const known = this.#nodes.get(key);
    if (known) return known;
    if (!always) {
      if (this.#nodes.size >= MOST_BLOCKS || this.#instructions + code.insns.length > MOST_INSTRUCTIONS)
        return undefined;
      if (this.begins(code.block) || (code.terminator !== 0 && !this.joins(code.terminator))) return undefined;
    }
    const node: RegionNode = { code, calls, edges: [] };
    this.#nodes.set(key, node);
    this.#queue.push(node);
    this.#instructions += code.insns.length;
    return node;
  }

  #follow(node: RegionNode): void {
    const { code, calls } = node;
    const { terminator } = code;
    const last = code.insns.at(-1)!;
    if (terminator === 0) return;
    const taken = terminator + TERMINATOR.links + 4;
    const { branch } = last.row;
    if (branch === 'conditional')
      node.edges = [this.#edge(terminator + TERMINATOR.links, calls), this.#edge(taken, calls)];
    else if (branch === undefined) node.edges = [this.#edge(taken, calls)];
    else if (last.operands.some((operand) => operand.kind === 'target'))
      node.edges = [branch === 'call' ? this.#call(code, calls, taken) : this.#edge(taken, calls)];
    else if (branch === 'return') this.#returning.push(node);
    else if (branch === 'call' || branch === 'jump' || branch === 'indirect') this.#indirect(node, branch === 'call');
  }
  /** An indirect jump or call: to where it was seen to go. */
  #indirect(node: RegionNode, isCall: boolean): void {
    const { code, calls } = node;
    for (const target of this.targets(code.terminator)) {
      const block = this.#at(target);
      const found = block && this.code(block);
      if (!found) continue;
      const callee = isCall ? this.#callee(code, calls, target) : calls;
      if (callee) node.edges.push({ cell: 0, guard: found.block.gva, node: this.#node(found, callee) });
    }
  }
  #call(code: RegionBlock, caller: CallContext, cell: number): Edge {
    const target = this.#target(cell)?.block.record;
    return this.#edge(cell, target === undefined ? undefined : this.#callee(code, caller, target));
  }
  /**
   * A call is followed, in one context for all calls of the same function. Not so if the function is a large region of its own: then this one is entered
   * again where the call returns to.
   */
  #callee(code: RegionBlock, caller: CallContext, target: number): CallContext | undefined {
    let callee = this.#contexts.find((context) => context.function === target);
    const after = this.#after(code);
    if (!callee) {
      const block = this.#at(target);
      if (caller.depth >= DEEPEST_CALL || (block && this.begins(block))) {
        if (after && caller.depth === 0) this.#enter(after, caller);
        return undefined;
      }
      callee = { id: this.#contexts.length, depth: caller.depth + 1, function: target, returns: [] };
      this.#contexts.push(callee);
    }
    if (after) callee.returns.push({ code: after, calls: caller });
    return callee;
  }
  /** Where a call returns to. */
  #after({ block }: RegionBlock): RegionBlock | undefined {
    if (pageOf(block.end) !== pageOf(block.gva)) return undefined;
    const after = this.blocks.known(block.end, block.pfn, this.context);
    return after && this.code(after);
  }
  #enter(code: RegionBlock, calls: CallContext): void {
    if (this.#entries.length >= MOST_ENTRIES) return;
    const node = this.#node(code, calls);
    if (node && !this.#entries.includes(node)) this.#entries.push(node);
  }
  /** The edges of a return: to where calls of its function come back to. */
  #return(node: RegionNode): void {
    const points: ReturnPoint[] = [];
    for (const point of node.calls.returns)
      if (points.length < MOST_RETURNS && !points.some(({ code }) => code.block === point.code.block))
        points.push(point);
    node.edges = points.map(({ code, calls }) => ({ cell: 0, guard: code.block.gva, node: this.#node(code, calls) }));
  }

  #edge(cell: number, calls: CallContext | undefined): Edge {
    const found = calls && this.#target(cell);
    const code = found && this.code(found.block);
    return { cell, guard: found?.guard, node: code && this.#node(code, calls) };
  }
  /** Where a link leads, as far as the interpreter knows. */
  #target(cell: number): { block: Block; guard: number | undefined } | undefined {
    const { mem } = this.blocks;
    const link = mem.get32(cell);
    const handler = mem.get16(link);
    if (handler === HANDLER.far) {
      const gva = readGva(mem, link + STUB.target);
      const record = this.blocks.cachedJump(gva);
      const block = record === 0 ? undefined : this.#at(record);
      return block && { block, guard: gva };
    }
    const block = this.#at(link);
    return block && { block, guard: undefined };
  }
  /** The live block that begins at a record, unless it is a stub. */
  #at(record: number): Block | undefined {
    const handler = this.blocks.mem.get16(record);
    if (handler >= HANDLER.unlinked && handler <= HANDLER.system) return undefined;
    const block = this.blocks.holding(record);
    return block.record === record && block.live ? block : undefined;
  }

  /** A block's instructions, decoded again; undefined for one that is not translated, or for other code: the jump cache is that of what runs now. */
  code(block: Block): RegionBlock | undefined {
    if (this.#decoded.has(block)) return this.#decoded.get(block);
    const whole = block.live && block.secondPfn < 0 && !block.single && block.context === this.context;
    const code = whole ? decodeBlock(this.blocks, block, modeOf(this.context)) : undefined;
    this.#decoded.set(block, code);
    return code;
  }
}

/** Decodes a block of one page again. Undefined for a breakpoint and for what is no instruction. */
export function decodeBlock(blocks: BlockCache, block: Block, mode: CodeMode): RegionBlock | undefined {
  const { mem, writer } = blocks;
  if (block.system && block.system.insn === undefined) return undefined;
  if (mem.get16(block.record) === HANDLER.breakpoint) return undefined;
  const host = L.RAM_BASE + block.pfn * (PAGE_MASK + 1) + (block.gva & PAGE_MASK);
  const insns: DecodedInstruction[] = [];
  for (const start of block.starts) {
    const insn = decode(mem.bytes, host + start, toBigint(block.gva + start), mode);
    if (!insn) return undefined;
    insns.push(insn);
  }
  const handlers: number[] = [];
  let at = block.record;
  let terminator = 0;
  for (const plan of writer.plan(insns, mode, false)) {
    for (let index = 0; index < plan.instructions; index++) handlers.push(plan.handler);
    if (plan.terminator >= 0) terminator = at + plan.terminator;
    at += plan.bytes;
  }
  if (block.system) terminator = 0;
  else if (terminator === 0) terminator = at;
  return { block, insns, records: block.records, handlers, terminator };
}
