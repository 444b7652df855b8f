/** Samples of a profile, and the forms they are given in. */
import type { MachineStats } from '../emulator/machine/api.ts';

/** A function, or what stands for one. */
export interface Place {
  readonly name: string;
  readonly path?: string;
  /** From 1. */
  readonly line?: number;
}

/** A call path, as a tree grows from the outermost function. */
interface Node {
  readonly id: number;
  readonly place: Place;
  hits: number;
  readonly children: Map<string, Node>;
}

const MOST_ROWS = 40;

export class Profile {
  readonly #root: Node = { id: 1, place: { name: '(root)' }, hits: 0, children: new Map() };
  #nodes = 1;
  /** Node of each sample, in order. */
  readonly #samples: number[] = [];
  readonly #self = new Map<string, number>();
  readonly #total = new Map<string, number>();

  /** Innermost function first. */
  add(stack: readonly Place[]): void {
    let node = this.#root;
    for (const place of stack.toReversed()) node = this.#child(node, place);
    node.hits++;
    this.#samples.push(node.id);
    const count = (map: Map<string, number>, name: string): void => void map.set(name, (map.get(name) ?? 0) + 1);
    if (stack[0]) count(this.#self, stack[0].name);
    for (const name of new Set(stack.map((place) => place.name))) count(this.#total, name);
  }
  #child(parent: Node, place: Place): Node {
    let child = parent.children.get(place.name);
    if (!child) {
      child = { id: ++this.#nodes, place, hits: 0, children: new Map() };
      parent.children.set(place.name, child);
    }
    return child;
  }

  /** Functions by what they executed themselves. */
  table(interval: number, { instructions, cycles }: MachineStats): string {
    const samples = this.#samples.length;
    const count = (value: number): string => value.toLocaleString('en');
    const percent = (hits: number): string => `${((hits / Math.max(1, samples)) * 100).toFixed(1)} %`.padStart(8);
    const rows = [...this.#total]
      .map(([name, total]) => ({ name, total, self: this.#self.get(name) ?? 0 }))
      .sort((a, b) => b.self - a.self || b.total - a.total || (a.name < b.name ? -1 : 1))
      .slice(0, MOST_ROWS);
    return [
      `${count(instructions)} instructions, ${count(samples)} samples, one every ${count(interval)}`,
      // An instruction is one cycle; the rest is what page walks, faults, exits and the kernel are reckoned at.
      `${count(cycles)} modelled cycles, ${count(cycles - instructions)} of them for page walks, faults, VM exits and the kernel`,
      '',
      samples === 0
        ? 'The program ended before the first sample: a smaller --interval takes more.'
        : '    self    total  function',
      ...rows.map(({ name, self, total }) => `${percent(self)} ${percent(total)}  ${name}`),
      '',
    ].join('\n');
  }

  /** One line a call path, outermost function first, with its samples. */
  folded(): string {
    const lines: string[] = [];
    const visit = (node: Node, path: string): void => {
      if (node.hits > 0) lines.push(`${path} ${node.hits}`);
      for (const child of node.children.values())
        visit(child, path === '' ? child.place.name : `${path};${child.place.name}`);
    };
    visit(this.#root, '');
    return lines.map((line) => `${line}\n`).join('');
  }

  /** As the Chrome DevTools Protocol has it ("Profiler.Profile"). Its microseconds are thousands of instructions here. */
  cpuProfile(interval: number): string {
    const nodes: unknown[] = [];
    const visit = ({ id, place, hits, children }: Node): void => {
      const { name, path = '', line = 1 } = place;
      const url = path === '' ? '' : `file://${path}`;
      nodes.push({
        id,
        callFrame: { functionName: name, scriptId: '0', url, lineNumber: line - 1, columnNumber: 0 },
        hitCount: hits,
        children: [...children.values()].map((child) => child.id),
      });
      for (const child of children.values()) visit(child);
    };
    visit(this.#root);
    const step = interval / 1000;
    return JSON.stringify({
      nodes,
      startTime: 0,
      endTime: Math.round(step * this.#samples.length),
      samples: this.#samples,
      timeDeltas: this.#samples.map(() => Math.round(step)),
    });
  }
}
