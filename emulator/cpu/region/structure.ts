/**
 * The shape of a region's graph: order, dominators, loops. Structured control flow follows from the dominator tree (N. Ramsey, "Beyond Relooper: recursive
 * translation of unstructured control flow to structured control flow", ICFP 2022).
 */
import type { RegionGraph, RegionNode } from './graph.ts';

/** What code generation needs to know of a node. */
export interface Shape {
  /** Place in reverse postorder. */
  order: number;
  dominator: RegionNode;
  /** Forward edges into it. */
  entries: number;
  /** Target of a backward edge. */
  loop: boolean;
  /** Nodes that it dominates directly. */
  readonly dominated: RegionNode[];
}

export interface Structure {
  /** Where it begins: the dispatcher or the graph's entry. */
  readonly root: RegionNode;
  readonly order: readonly RegionNode[];
  readonly shapes: ReadonlyMap<RegionNode, Shape>;
  /**
   * A node without code, there if the region has several entries, or if edges enter loops by the side: they go to it and from it to their targets, by
   * number. The entries come first. As it dominates everything, the graph is reducible then.
   */
  readonly dispatcher: RegionNode | undefined;
}

/** Analyses a graph, and gives it a dispatcher if it has several entries or is not reducible. */
export function structureOf(graph: RegionGraph): Structure {
  const { entry, entries } = graph;
  const targets: RegionNode[] = [...entries];
  const newDispatcher = (): RegionNode => ({ code: entry.code, calls: entry.calls, edges: [] });
  let dispatcher = entries.length > 1 ? newDispatcher() : undefined;
  const numberOf = (target: RegionNode): number => {
    const known = targets.indexOf(target);
    return known >= 0 ? known : targets.push(target) - 1;
  };
  for (;;) {
    const successors = (node: RegionNode): (RegionNode | undefined)[] =>
      node === dispatcher
        ? targets
        : node.edges.map((edge) => (edge.dispatched === undefined ? edge.node : dispatcher));
    const root = dispatcher ?? entry;
    const order = reversePostorder(root, successors);
    const shapes = dominators(order, successors);
    let sideways = false;
    for (const node of order)
      for (const edge of node === dispatcher ? [] : node.edges) {
        if (!edge.node || edge.dispatched !== undefined) continue;
        if (shapes.get(edge.node)!.order > shapes.get(node)!.order || dominates(shapes, edge.node, node)) continue;
        edge.dispatched = numberOf(edge.node);
        sideways = true;
      }
    if (sideways) {
      dispatcher ??= newDispatcher();
      continue;
    }
    for (const node of order) {
      const shape = shapes.get(node)!;
      if (shape.dominator !== node) shapes.get(shape.dominator)!.dominated.push(node);
      for (const target of successors(node)) {
        if (!target) continue;
        const reached = shapes.get(target)!;
        // What the dispatcher leads to has a label even if nothing else leads there.
        if (reached.order > shape.order) reached.entries += node === dispatcher ? 2 : 1;
        else reached.loop = true;
      }
    }
    if (dispatcher) dispatcher.edges = targets.map((node) => ({ cell: 0, guard: undefined, node }));
    return { root, order, shapes, dispatcher };
  }
}

type Successors = (node: RegionNode) => readonly (RegionNode | undefined)[];

function reversePostorder(entry: RegionNode, successors: Successors): RegionNode[] {
  const order: RegionNode[] = [];
  const seen = new Set([entry]);
  const begin = (node: RegionNode) => ({ node, targets: successors(node), next: 0 });
  const stack = [begin(entry)];
  for (let top = stack.at(-1); top; top = stack.at(-1)) {
    if (top.next === top.targets.length) {
      order.push(top.node);
      stack.pop();
      continue;
    }
    const target = top.targets[top.next++];
    if (!target || seen.has(target)) continue;
    seen.add(target);
    stack.push(begin(target));
  }
  return order.reverse();
}

/** K. Cooper, T. Harvey, K. Kennedy, "A simple, fast dominance algorithm", 2001. */
function dominators(order: readonly RegionNode[], successors: Successors): Map<RegionNode, Shape> {
  const places = new Map(order.map((node, index) => [node, index]));
  const predecessors = order.map((): number[] => []);
  order.forEach((node, index) => {
    for (const target of successors(node)) if (target) predecessors[places.get(target)!]!.push(index);
  });
  const immediate = order.map(() => -1);
  immediate[0] = 0;
  const common = (one: number, other: number): number => {
    let a = one;
    let b = other;
    while (a !== b) {
      while (a > b) a = immediate[a]!;
      while (b > a) b = immediate[b]!;
    }
    return a;
  };
  for (let changed = true; changed;) {
    changed = false;
    for (let index = 1; index < order.length; index++) {
      let found = -1;
      for (const from of predecessors[index]!)
        if (immediate[from]! >= 0) found = found < 0 ? from : common(found, from);
      if (immediate[index] === found) continue;
      immediate[index] = found;
      changed = true;
    }
  }
  return new Map(
    order.map((node, index) => [
      node,
      { order: index, dominator: order[immediate[index]!]!, entries: 0, loop: false, dominated: [] },
    ]),
  );
}

function dominates(shapes: ReadonlyMap<RegionNode, Shape>, above: RegionNode, below: RegionNode): boolean {
  for (let node = below; ;) {
    if (node === above) return true;
    const { dominator } = shapes.get(node)!;
    if (dominator === node) return false;
    node = dominator;
  }
}
