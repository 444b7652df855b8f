/**
 * One region as a WebAssembly function `(record, budget) -> next record or exit code`: registers are loaded, blocks executed in structured control flow, and
 * everything written is stored again at the one exit.
 *
 * Counting: a block's instructions are taken off the budget at its end, as the interpreter does it, so that a fault inside a block needs no correction. The
 * budget is compared on entry and at the head of each loop, with what the longest way between two of them takes.
 */
import { toBigint } from '../code-address.ts';
import {
  EXIT_LOOKUP,
  EXIT_REGION_IDLE,
  EXIT_REGION_LEFT,
  EXIT_REGION_LOW,
  EXIT_REGION_SLOW,
  EXIT_SYSTEM,
} from '../codes.ts';
import type { Semantic, Value } from '../emitter.ts';
import type { Expression, Helper } from '../interpreter/values.ts';
import * as L from '../layout.ts';
import { BUDGET_MARGIN, HANDLER } from '../records.ts';
import type { DefinedFunction } from '../wasm/module.ts';
import { Writer } from '../wasm/writer.ts';
import { RegionEmitter } from './emitter.ts';
import { NOTHING_KNOWN } from './knowledge.ts';
import type { Ending } from './knowledge.ts';
import type { CodeMark } from './observer.ts';
import type { Edge, RegionBlock, RegionGraph, RegionNode } from './graph.ts';
import { structureOf } from './structure.ts';
import type { Shape, Structure } from './structure.ts';
import { narrowRegisters } from './widths.ts';

const PARAMETER_RECORD = 0;
const JC_MASK = L.JC_ENTRIES - 1;

export interface RegionParts {
  readonly semantics: (op: string) => Semantic | undefined;
  readonly helper: (name: string) => Helper;
  /** Whether a handler is of the kind that writes no flags. */
  readonly isFlagless: (handler: number) => boolean;
  /** Function to tell of every exit: (region, outcome, instructions). */
  readonly left?: number | undefined;
  /** Whether accesses of a record have missed the TLB so often that its slow path is better called. */
  readonly isSlow: (region: number, record: number) => boolean;
  /** Whether MXCSR lets the native answers of floating-point operations stand, where they are ordinary. */
  readonly nativeFloats: boolean;
}

export interface EmittedRegion {
  readonly definition: DefinedFunction;
  readonly structure: Structure;
  readonly marks: readonly CodeMark[];
}

const upperHalf = (register: number): number => L.XMM + register * L.XMM_STRIDE + 16;

/** Their helpers read or write registers in memory. */
const INTERPRETED = new Set(['fxsave', 'fxrstor']);

/** Where a region stands. */
export interface RegionNames {
  readonly exportName: string;
  /** Globals that count its misses and its exits, and that hold what it has saved. */
  readonly misses: number;
  readonly exits: number;
  readonly saved: number;
  readonly id: number;
}

/** Misses, and exits, until the driver is told of one. Primes, so that it hears of each of several that take turns. */
const MISS_SAMPLING = 31;
const EXIT_SAMPLING = 43;
/** Instructions that a visit must execute to pay for entering and leaving. */
const VISIT = 24;
/** What a region may lose in all before it is given up, and most that it may have saved up, in instructions. */
const LOSS = 400_000;
const SAVINGS = 1 << 26;

export function emitRegion(graph: RegionGraph, parts: RegionParts, names: RegionNames): EmittedRegion {
  return new RegionFunction(graph, parts, names).emit();
}

class RegionFunction {
  readonly #graph: RegionGraph;
  readonly #parts: RegionParts;
  readonly #structure: Structure;
  readonly #w = new Writer(1 << 14);
  readonly #e: RegionEmitter;
  /** Depth that a branch to a node takes. */
  readonly #labels = new Map<RegionNode, number>();
  #leftDepth = 0;
  /** Registers that hold 32 bits where blocks begin. */
  readonly #narrow: ReadonlyMap<RegionNode, number>;
  /** Below it the budget may not suffice. */
  readonly #least: number;
  /** Local that says where the dispatcher goes to: to the entry that the interpreter has come to, at first. */
  readonly #selector: number;

  readonly #marks: { offset: number; gva: bigint }[] = [];

  constructor(
    graph: RegionGraph,
    parts: RegionParts,
    readonly names: RegionNames,
  ) {
    this.#graph = graph;
    this.#parts = parts;
    this.#structure = structureOf(graph);
    // The interpreter would come back to the region from the first record of an entry.
    const firsts = graph.entries.map(({ code }) => code.block.record);
    const mayLeave = (record: number): boolean => !firsts.includes(record) && !parts.isSlow(firsts[0]!, record);
    const mayDoubt = (record: number): boolean => parts.nativeFloats && mayLeave(record);
    this.#e = new RegionEmitter(this.#w, parts.helper, mayLeave, mayDoubt);
    this.#narrow = narrowRegisters(graph);
    this.#least = graph.instructions + BUDGET_MARGIN;
    this.#selector = this.#e.newLocal('i32');
  }

  emit(): EmittedRegion {
    const w = this.#w;
    const e = this.#e;
    // The body comes first: only then is it known which registers it uses.
    e.exitDepth = 1;
    this.#leftDepth = 2;
    e.missDepth = w.depth = 3;
    this.#tree(this.#structure.root);
    w.unreachable();
    w.end();
    this.#miss();
    w.end();
    this.#exit();
    w.end();
    this.#epilogue();
    const body = w.finish();
    const prologue = this.#prologue();
    for (const mark of this.#marks) mark.offset += prologue.length;
    const whole = new Uint8Array(prologue.length + body.length);
    whole.set(prologue);
    whole.set(body, prologue.length);
    const definition: DefinedFunction = {
      type: { parameters: ['i32', 'i32'], results: ['i32'] },
      locals: e.locals,
      body: whole,
      export: this.names.exportName,
    };
    return { definition, structure: this.#structure, marks: this.#marks };
  }

  // ---------------------------------------------------------------- entry and exit

  #prologue(): Uint8Array {
    const e = this.#e;
    const p = new Writer(512);
    const load = (name: 'i32.load' | 'i64.load' | 'v128.load', address: number, local: number): void => {
      p.i32Const(0);
      p.memory(name, address);
      p.localSet(local);
    };
    p.localGet(e.fixed.budget);
    p.i32Const(this.#least);
    p.plain(0x48); // i32.lt_s
    p.if();
    p.i32Const(0);
    p.localGet(PARAMETER_RECORD);
    p.memory('i32.store', L.OP);
    p.i32Const(EXIT_REGION_LOW);
    p.return();
    p.end();
    this.#graph.entries.forEach(({ code }, number) => {
      if (number === 0) return;
      p.localGet(PARAMETER_RECORD);
      p.i32Const(code.block.record);
      p.plain(0x46); // i32.eq
      p.if();
      p.i32Const(number);
      p.localSet(this.#selector);
      p.end();
    });
    load('i32.load', L.TLB_BASE, e.fixed.tlbBase);
    if (e.usesMxcsr) load('i32.load', L.MXCSR, e.fixed.mxcsr);
    for (const [register, local] of e.gprs) load('i64.load', L.GPR + register * 8, local);
    for (const [register, local] of e.xmms) load('v128.load', L.XMM + register * L.XMM_STRIDE, local);
    for (const [register, local] of e.yhighs) load('v128.load', upperHalf(register), local);
    if (e.usesFlags) {
      load('i32.load', L.CC_OP, e.flags.state);
      load('i64.load', L.CC_A, e.flags.a);
      load('i64.load', L.CC_B, e.flags.b);
    }
    p.block();
    p.block();
    p.block();
    return p.finish();
  }
  /** An access at the record `at` missed the TLB: the interpreter goes on there. Now and then the driver hears of it. */
  #miss(): void {
    const e = this.#e;
    this.#sampled(this.names.misses, MISS_SAMPLING, () => e.setLocal(e.fixed.outcome, e.i32(EXIT_REGION_SLOW)));
    this.#w.else();
    e.setLocal(e.fixed.outcome, e.fixedLocal(e.fixed.at, 'i32'));
    this.#w.end();
    this.#w.branch(e.exitDepth);
  }
  /** The region is left for the record `outcome`, by an indirect branch with the terminator `at`. */
  #exit(): void {
    const e = this.#e;
    const at = e.fixedLocal(e.fixed.at, 'i32');
    this.#sampled(this.names.exits, EXIT_SAMPLING, () => {
      e.storeState(L.LINK, 4, at);
      e.setLocal(e.fixed.at, e.fixedLocal(e.fixed.outcome, 'i32'));
      e.setLocal(e.fixed.outcome, e.i32(EXIT_REGION_LEFT));
    });
    this.#w.end();
  }
  /** Begins an `if` that holds every so many times. */
  #sampled(global: number, sampling: number, then: () => void): void {
    const w = this.#w;
    const e = this.#e;
    w.globalGet(global);
    w.i32Const(1);
    w.plain(0x6a); // i32.add
    w.globalSet(global);
    w.globalGet(global);
    w.i32Const(sampling);
    w.plain(0x4e); // i32.ge_s
    w.if();
    w.i32Const(0);
    w.globalSet(global);
    e.storeState(L.SITE, 4, e.i32(this.#graph.entry.code.block.record));
    then();
  }
  #leaveTo(record: Value, terminator: number): void {
    const e = this.#e;
    e.setLocal(e.fixed.outcome, record);
    e.setLocal(e.fixed.at, e.i32(terminator));
    this.#w.branch(this.#leftDepth);
  }

  #epilogue(): void {
    const e = this.#e;
    const w = this.#w;
    const store = (name: 'i32.store' | 'i64.store' | 'v128.store', address: number, local: number): void => {
      w.i32Const(0);
      w.localGet(local);
      w.memory(name, address);
    };
    for (const register of e.writtenGprs) store('i64.store', L.GPR + register * 8, e.gprs.get(register)!);
    for (const register of e.writtenXmms) store('v128.store', L.XMM + register * L.XMM_STRIDE, e.xmms.get(register)!);
    for (const register of e.writtenYhighs) store('v128.store', upperHalf(register), e.yhighs.get(register)!);
    if (e.usesFlags) {
      store('i32.store', L.CC_OP, e.flags.state);
      store('i64.store', L.CC_A, e.flags.a);
      store('i64.store', L.CC_B, e.flags.b);
    }
    if (this.#parts.left !== undefined) this.#tellLeft(this.#parts.left);
    this.#account();
    store('i32.store', L.BUDGET, e.fixed.budget);
    store('i32.store', L.OP, e.fixed.at);
    w.localGet(e.fixed.outcome);
    w.return();
  }

  /** Keeps the books of what visits save, and gives the region up if they lose. BUDGET in memory is what was left on entry. */
  #account(): void {
    const e = this.#e;
    const w = this.#w;
    const { saved } = this.names;
    const { outcome, at, budget } = e.fixed;
    w.globalGet(saved);
    w.i32Const(0);
    w.memory('i32.load', L.BUDGET);
    w.localGet(budget);
    w.plain(0x6b); // i32.sub
    w.plain(0x6a); // i32.add
    w.i32Const(VISIT);
    w.plain(0x6b); // i32.sub
    w.globalSet(saved);
    w.globalGet(saved);
    w.i32Const(-LOSS);
    w.plain(0x48); // i32.lt_s
    w.if();
    w.i32Const(0);
    w.globalSet(saved);
    w.localGet(outcome);
    w.i32Const(L.RECORDS);
    w.plain(0x4f); // i32.ge_u
    w.if();
    e.storeState(L.SITE, 4, e.i32(this.#graph.entry.code.block.record));
    w.localGet(outcome);
    w.localSet(at);
    e.setLocal(outcome, e.i32(EXIT_REGION_IDLE));
    w.end();
    w.end();
    w.globalGet(saved);
    w.i32Const(SAVINGS);
    w.plain(0x4a); // i32.gt_s
    w.if();
    w.i32Const(SAVINGS);
    w.globalSet(saved);
    w.end();
  }

  /** BUDGET in memory is what was left on entry: whoever called the region put it there. */
  #tellLeft(left: number): void {
    const e = this.#e;
    const w = this.#w;
    w.i32Const(this.names.id);
    w.localGet(e.fixed.outcome);
    w.i32Const(0);
    w.memory('i32.load', L.BUDGET);
    w.localGet(e.fixed.budget);
    w.plain(0x6b); // i32.sub
    w.call(left);
  }

  // ---------------------------------------------------------------- structure

  #shape(node: RegionNode): Shape {
    return this.#structure.shapes.get(node)!;
  }
  /** A node and everything it dominates. */
  #tree(node: RegionNode): void {
    const e = this.#e;
    const shape = this.#shape(node);
    // Merge points that it dominates follow it, the last one outermost.
    const merges = shape.dominated
      .filter((other) => this.#shape(other).entries > 1)
      .sort((a, b) => this.#shape(b).order - this.#shape(a).order);
    if (shape.entries > 1 || shape.loop) e.know({ ...NOTHING_KNOWN, narrow: this.#narrow.get(node) ?? 0 });
    if (!shape.loop) return this.#within(node, merges, 0);
    const outer = this.#labels.get(node);
    this.#labels.set(node, this.#w.loop());
    if (node !== this.#structure.dispatcher) this.#checkBudget(node);
    this.#within(node, merges, 0);
    this.#w.end();
    if (outer !== undefined) this.#labels.set(node, outer);
  }
  #checkBudget(node: RegionNode): void {
    const e = this.#e;
    e.when(e.op('i32.lt_s', this.#budget, e.i32(this.#least)));
    e.leave(e.i32(node.code.block.record));
    this.#w.end();
  }
  #within(node: RegionNode, merges: readonly RegionNode[], index: number): void {
    const merge = merges[index];
    if (!merge) return this.#node(node);
    this.#labels.set(merge, this.#w.block());
    this.#within(node, merges, index + 1);
    this.#w.end();
    this.#tree(merge);
  }
  /** Goes where `#selector` says. */
  #dispatch(dispatcher: RegionNode): void {
    const w = this.#w;
    w.localGet(this.#selector);
    const labels = dispatcher.edges.map(({ node }) => w.depth - this.#labels.get(node!)!);
    w.branchTable(labels, labels[0]!);
  }
  /** Whether an edge from `node` is a plain branch. */
  #isBranch(node: RegionNode, { node: target, dispatched }: Edge): boolean {
    if (!target || dispatched !== undefined) return false;
    const shape = this.#shape(target);
    return shape.order <= this.#shape(node).order || shape.entries > 1;
  }
  #goTo(node: RegionNode, edge: Edge): void {
    const target = edge.node!;
    if (edge.dispatched !== undefined) {
      this.#checkBudget(target);
      this.#e.setLocal(this.#selector, this.#e.i32(edge.dispatched));
      return this.#w.branch(this.#labels.get(this.#structure.dispatcher!)!);
    }
    if (this.#isBranch(node, edge)) return this.#w.branch(this.#labels.get(target)!);
    const knowledge = this.#e.knowledge();
    this.#tree(target);
    this.#e.know(knowledge);
  }

  // ---------------------------------------------------------------- blocks

  get #budget(): Expression {
    return this.#e.fixedLocal(this.#e.fixed.budget, 'i32');
  }

  #node(node: RegionNode): void {
    if (node === this.#structure.dispatcher) return this.#dispatch(node);
    const e = this.#e;
    let ending: Ending | undefined;
    e.block((recording) => {
      ending = this.#instructions(node.code, recording);
    });
    this.#finish(node, ending!);
  }
  #finish(node: RegionNode, ending: Ending): void {
    if (ending.kind === 'left') return;
    this.#spend(node.code.insns.length);
    this.#end(node, ending);
  }
  #instructions(code: RegionBlock, recording: boolean): Ending {
    const e = this.#e;
    const last = code.insns.length - 1;
    for (let index = 0; index <= last; index++) {
      const insn = code.insns[index]!;
      const handler = code.handlers[index]!;
      const record = code.records[index]!;
      const semantic = handler === HANDLER.system ? undefined : this.#parts.semantics(insn.op);
      if (!semantic || INTERPRETED.has(insn.op)) {
        // Interpreted: the interpreter goes on in the middle of the block; it counts all of it at the end.
        if (semantic) e.leave(e.i32(record));
        else e.leave(e.i32(EXIT_SYSTEM), e.i32(record));
        return { kind: 'left' };
      }
      const next = BigInt.asUintN(64, insn.gva + BigInt(insn.length));
      if (!recording) this.#marks.push({ offset: this.#w.length, gva: insn.gva });
      e.beginInstruction(record, next, this.#parts.isFlagless(handler));
      semantic(e, insn);
      if (e.ending?.kind === 'left') return e.ending;
    }
    return e.ending ?? { kind: 'jump' };
  }
  #spend(count: number): void {
    const e = this.#e;
    e.setLocal(e.fixed.budget, e.op('i32.sub', this.#budget, e.i32(count)));
  }

  #end(node: RegionNode, ending: Ending): void {
    const e = this.#e;
    switch (ending.kind) {
      case 'jump':
        return this.#edge(node, node.edges[0]!);
      case 'branch': {
        const [fallThrough, taken] = node.edges as [Edge, Edge];
        if (taken.guard === undefined && this.#isBranch(node, taken)) {
          e.when(ending.condition);
          this.#w.branch(this.#labels.get(taken.node!)!);
        } else {
          e.when(ending.condition);
          const knowledge = e.knowledge();
          this.#edge(node, taken);
          e.know(knowledge);
        }
        this.#w.end();
        return this.#edge(node, fallThrough);
      }
      case 'indirect':
        return this.#indirect(node, ending.target);
      case 'left':
        return;
    }
  }

  /** A direct edge. A guarded one is taken if the jump cache leads the interpreter there, too. */
  #edge(node: RegionNode, edge: Edge): void {
    const e = this.#e;
    const { node: target, guard, cell } = edge;
    if (target && guard === undefined) return this.#goTo(node, edge);
    if (target && guard !== undefined) {
      const low = guard >>> 0;
      const offset = (((low >>> L.JC_LOW) ^ (low >>> L.JC_HIGH)) & JC_MASK) << L.JC_SHIFT;
      const base = e.at('i32.load', e.i32(0), L.JC_BASE);
      const hit = e.op('i64.eq', e.at('i64.load', base, offset), e.i64(toBigint(guard)));
      const same = e.op('i32.eq', e.at('i32.load', base, offset + 8), e.i32(target.code.block.record));
      e.when(e.op('i32.and', hit, same));
      const knowledge = e.knowledge();
      this.#goTo(node, edge);
      e.know(knowledge);
      this.#w.end();
    }
    e.leave(e.at('i32.load', e.i32(cell)));
  }

  #indirect(node: RegionNode, target: Value): void {
    const e = this.#e;
    const low = e.let(e.op('i32.wrap_i64', target));
    const shifted = (bits: number): Value => e.op('i32.shr_u', low, e.i32(bits));
    const hash = e.op('i32.xor', shifted(L.JC_LOW), shifted(L.JC_HIGH));
    const offset = e.op('i32.shl', e.op('i32.and', hash, e.i32(JC_MASK)), e.i32(L.JC_SHIFT));
    const entry = e.let(e.op('i32.add', offset, e.at('i32.load', e.i32(0), L.JC_BASE)));
    e.when(e.op('i64.ne', e.at('i64.load', entry), target));
    e.storeState(L.RIP, 8, target);
    e.leave(e.i32(EXIT_LOOKUP));
    this.#w.end();
    const record = e.let(e.at('i32.load', entry, 8));
    // What a candidate's code does to temporaries is not seen here: it never comes back.
    for (const edge of node.edges) {
      if (!edge.node) continue;
      e.when(e.op('i32.eq', record, e.i32(edge.node.code.block.record)));
      const knowledge = e.knowledge();
      this.#goTo(node, edge);
      e.know(knowledge);
      this.#w.end();
    }
    e.touch(record);
    if (node.code.insns.at(-1)!.row.branch === 'return') e.leave(record);
    else this.#leaveTo(record, node.code.terminator);
  }
}
