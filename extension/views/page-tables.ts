/** Page tables: the guest tables of CR3 and the EPT as lazy trees, and the walk of an address asked for. */
import * as vscode from 'vscode';
import type {
  PageTableNodeBody,
  PageTableResponse,
  WalkResponse,
  PageTableArguments,
} from '../../debug-adapter/protocol.ts';
import type { ActiveSession } from '../session.ts';
import { NodeTree, type Node } from './tree.ts';

type Which = PageTableArguments['which'];

/** What a bit node needs to be toggled. */
interface EntryBit {
  hpa: string;
  entry: string;
  bit: number;
  name: string;
}

export class PageTablesView implements vscode.Disposable {
  readonly #tree: NodeTree;
  readonly #subscriptions: vscode.Disposable[] = [];
  /** Address whose walk is shown, as it was asked for. */
  #searched: string | undefined;

  constructor(readonly session: ActiveSession) {
    this.#tree = new NodeTree('dune.pageTables', () => this.#roots(), true);
    this.#subscriptions.push(
      this.#tree,
      session.onDidStop(() => this.#tree.advance()),
      session.onDidChange(() => this.#tree.refresh()),
      vscode.commands.registerCommand('dune.searchAddress', () => this.#search()),
      vscode.commands.registerCommand('dune.revealWalk', (address?: string) => this.#reveal(address)),
      vscode.commands.registerCommand('dune.togglePageTableBit', (node: Node) => this.#toggle(node.data as EntryBit)),
    );
  }

  async #roots(): Promise<Node[]> {
    if (!this.session.isStopped) return [];
    const roots = [await this.#root('guest', 'Guest page tables'), await this.#root('ept', 'EPT')];
    if (this.#searched) roots.unshift(await this.#walk(this.#searched));
    return roots;
  }

  async #root(which: Which, label: string): Promise<Node> {
    const top = await this.#request(which);
    if (top.message) return { id: which, label, description: top.message, icon: 'circle-slash' };
    return {
      id: which,
      label,
      description: top.root,
      icon: 'list-tree',
      expanded: which === 'guest',
      children: () => top.nodes.map((node) => this.#entry(which, which, node)),
    };
  }

  #request(which: Which, table?: PageTableArguments['table']): Promise<PageTableResponse> {
    return this.session.request('dune/pageTable', { threadId: this.session.threadId, which, table });
  }

  #entry(which: Which, parent: string, body: PageTableNodeBody): Node {
    const id = `${parent}/${body.start}`;
    const target = body.target ? ` → ${which === 'guest' ? 'gpa' : 'hpa'}:${body.target}` : '';
    const size = body.pageSize ? ` ${body.pageSize}` : '';
    return {
      id,
      label: `${body.start}–${body.last}`,
      description: `${body.flags}${size}${target}`,
      tooltip: `Level ${body.level} entry ${body.entry} at hpa:${body.entryHpa}`,
      icon: body.kind === 'table' ? 'symbol-array' : body.kind === 'range' ? 'layers' : 'file',
      context: `dune.${body.kind}`,
      children: async () =>
        body.table
          ? (await this.#request(which, body.table)).nodes.map((node) => this.#entry(which, id, node))
          : this.#bits(id, body),
    };
  }

  #bits(id: string, body: PageTableNodeBody): Node[] {
    const bits = body.bits.map(({ name, bit, set, meaning }) => ({
      id: `${id}/bit${bit}`,
      label: name,
      description: `${set ? 1 : 0}  ${meaning}`,
      context: 'dune.entryBit',
      data: { hpa: body.entryHpa, entry: body.entry, bit, name } satisfies EntryBit,
    }));
    return [{ id: `${id}/entry`, label: 'entry', description: `${body.entry} at hpa:${body.entryHpa}` }, ...bits];
  }

  async #walk(address: string): Promise<Node> {
    const walk = await this.session.request<WalkResponse>('dune/walk', { threadId: this.session.threadId, address });
    return {
      id: `walk/${address}`,
      label: `Walk of ${address}`,
      description: walk.result,
      icon: walk.ok ? 'pass' : 'error',
      expanded: true,
      children: () =>
        walk.steps.map((step, index) => ({
          id: `walk/${address}/${index}`,
          label: step.table === 'ept' ? `  ${step.name}` : step.name,
          description: `${step.entry} ${step.flags} (${step.outcome})`,
          tooltip: `${step.table === 'guest' ? `gpa:${step.gpa} ` : ''}hpa:${step.hpa}`,
          icon: step.outcome === 'table' || step.outcome === 'leaf' ? 'arrow-small-right' : 'error',
        })),
    };
  }

  async #search(): Promise<void> {
    const address = await vscode.window.showInputBox({
      title: 'Walk of an address',
      prompt: 'A linear address, register or expression, e.g. 0x401000, $rsp, &counter',
      value: this.#searched,
    });
    if (address !== undefined) await this.#reveal(address);
  }

  async #reveal(address?: string): Promise<void> {
    if (typeof address !== 'string') return this.#search();
    this.#searched = address.trim() || undefined;
    this.#tree.refresh();
    await vscode.commands.executeCommand('dune.pageTables.focus');
  }

  async #toggle({ hpa, entry, bit }: EntryBit): Promise<void> {
    const value = `0x${(BigInt(entry) ^ (1n << BigInt(bit))).toString(16)}`;
    await this.session.request('dune/setPageTableEntry', { threadId: this.session.threadId, hpa, value });
    this.#tree.advance();
  }

  dispose(): void {
    for (const subscription of this.#subscriptions) subscription.dispose();
  }
}
