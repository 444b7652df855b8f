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
  readonly order: readonly RegionNode[];
  readonly shapes: ReadonlyMap<RegionNode, Shape>;
  /** Edges cut off, since they enter a loop by the side: they leave the region. */
  readonly cuts: number;
}

/** Analyses a graph; edges into the middle of a loop are cut off, so that it is reducible afterwards. */
export function structureOf(graph: RegionGraph): Structure {
  let cuts = 0;
  for (;;) {
    const order = reversePostorder(graph.entry);
    const shapes = dominators(order);
    let sideways = 0;
    for (const node of order)
      for (const edge of node.edges) {
        const target = edge.node;
        if (!target) continue;
        const shape = shapes.get(target)!;
        if (shape.order > shapes.get(node)!.order) shape.entries++;
        else if (dominates(shapes, target, node)) shape.loop = true;
        else {
          edge.node = undefined;
          sideways++;
        }
      }
    cuts += sideways;
    if (sideways > 0) continue;
    for (const node of order) {
      const { dominator } = shapes.get(node)!;
      if (dominator !== node) shapes.get(dominator)!.dominated.push(node);
    }
    return { order, shapes, cuts };
  }
}

function reversePostorder(entry: RegionNode): RegionNode[] {
  const order: RegionNode[] = [];
  const seen = new Set([entry]);
  const stack: { node: RegionNode; next: number }[] = [{ node: entry, next: 0 }];
  for (let top = stack.at(-1); top; top = stack.at(-1)) {
    const edge = top.node.edges[top.next++];
    if (!edge) {
      order.push(top.node);
      stack.pop();
    } else if (edge.node && !seen.has(edge.node)) {
      seen.add(edge.node);
      stack.push({ node: edge.node, next: 0 });
    }
  }
  return order.reverse();
}

/** K. Cooper, T. Harvey, K. Kennedy, "A simple, fast dominance algorithm", 2001. */
function dominators(order: readonly RegionNode[]): Map<RegionNode, Shape> {
  const places = new Map(order.map((node, index) => [node, index]));
  const predecessors = order.map((): number[] => []);
  order.forEach((node, index) => {
    for (const { node: target } of node.edges) if (target) predecessors[places.get(target)!]!.push(index);
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
