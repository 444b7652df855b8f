/** Page tables: the guest tables of CR3 and the EPT as lazy trees, and the walk of an address asked for. */
import * as vscode from 'vscode';
import type {
  PageTableArguments,
  PageTableNodeBody,
  PageTableResponse,
  SetPageTableEntryArguments,
  WalkArguments,
  WalkResponse,
} from '../../debug-adapter/protocol.ts';
import type { ActiveSession } from '../session.ts';
import { MachineView } from './machine-view.ts';
import type { Node } from './tree.ts';
import { walkNode } from './walk.ts';

type Which = PageTableArguments['which'];

/** What a bit node needs to be toggled. */
interface EntryBit {
  readonly hpa: string;
  readonly entry: string;
  readonly bit: number;
}

const ICONS: Readonly<Record<PageTableNodeBody['kind'], string>> = {
  table: 'symbol-array',
  range: 'layers',
  leaf: 'file',
};
const ENTRY_NAMES = ['', 'PTE', 'PDE', 'PDPTE', 'PML4E', 'PML5E'];

export class PageTablesView extends MachineView {
  /** Address whose walk is shown, as it was asked for. */
  #searched: string | undefined;
  /** The other level is a guest: its tables lead to guest-physical addresses. */
  #otherIsGuest = false;

  constructor(session: ActiveSession) {
    super('dune.pageTables', session);
    this.subscriptions.push(
      vscode.commands.registerCommand('dune.searchAddress', () => this.#search()),
      vscode.commands.registerCommand('dune.revealWalk', (from?: unknown) => this.#reveal(addressOf(from))),
      vscode.commands.registerCommand('dune.hideWalk', () => this.#hide()),
      vscode.commands.registerCommand('dune.togglePageTableBit', (node: Node) => this.#toggle(node.data as EntryBit)),
    );
  }

  protected async roots(): Promise<Node[]> {
    const ofLevels = [await this.#root('guest', 'Page tables of CR3'), ...(await this.#otherLevel())];
    const roots = [...ofLevels, await this.#root('ept', 'EPT')];
    return this.#searched === undefined ? roots : [await this.#walk(this.#searched), ...roots];
  }

  /** Of the hypervisor under a guest, or of the guest above a hypervisor, if there is one. */
  async #otherLevel(): Promise<Node[]> {
    const top = await this.#request('other');
    this.#otherIsGuest = top.whose === 'the guest';
    return top.message === undefined ? [this.#rootOf('other', `Page tables of ${top.whose}`, top)] : [];
  }

  async #root(which: Which, label: string): Promise<Node> {
    return this.#rootOf(which, label, await this.#request(which));
  }
  #rootOf(which: Which, label: string, top: PageTableResponse): Node {
    if (top.message !== undefined) return { id: which, label, description: top.message, icon: 'circle-slash' };
    return {
      id: which,
      label,
      description: top.root,
      icon: 'list-tree',
      expanded: which === 'guest',
      children: () => top.nodes.map((body) => this.#entry(which, which, body)),
    };
  }

  #request(which: Which, table?: PageTableArguments['table']): Promise<PageTableResponse> {
    const args: PageTableArguments = { threadId: this.session.threadId, which, table };
    return this.session.request('dune/pageTable', args);
  }

  #entry(which: Which, parent: string, body: PageTableNodeBody): Node {
    const id = `${parent}/${body.start}`;
    const name = `${which === 'ept' ? 'EPT ' : ''}${ENTRY_NAMES[body.level]}`;
    return {
      id,
      label: body.start,
      description: describeEntry(this.#targets(which), name, body),
      tooltip: `${body.start} – ${body.last}\n${name} ${body.entry} at hpa:${body.entryHpa}\n${body.flags}`,
      icon: ICONS[body.kind],
      data: body,
      children: async () => {
        if (!body.table) return bitNodes(id, body);
        const { nodes } = await this.#request(which, body.table);
        return [...nodes.map((child) => this.#entry(which, id, child)), this.#tableEntry(id, name, body)];
      },
    };
  }

  /** The space in which targets are. */
  #targets(which: Which): 'gpa' | 'hpa' {
    return which === 'guest' || (which === 'other' && this.#otherIsGuest) ? 'gpa' : 'hpa';
  }

  /** The entry that points to a table has bits of its own. */
  #tableEntry(parent: string, name: string, body: PageTableNodeBody): Node {
    const id = `${parent}/entry`;
    const label = `The ${name} itself`;
    return { id, label, description: body.entry, icon: 'symbol-key', children: () => bitNodes(id, body) };
  }

  async #walk(address: string): Promise<Node> {
    const args: WalkArguments = { threadId: this.session.threadId, address };
    return walkNode(address, this.session.request<WalkResponse>('dune/walk', args));
  }

  async #search(): Promise<void> {
    const address = await vscode.window.showInputBox({
      title: 'Walk an address',
      prompt: 'A linear address, register or expression',
      placeHolder: '0x401000, $rsp, &counter',
      value: this.#searched,
    });
    if (address?.trim()) await this.#reveal(address);
  }

  /** Shows the walk on top, and opens the tables down to the entry that maps the address. */
  async #reveal(address: string | undefined): Promise<void> {
    if (address === undefined) return this.#search();
    if (!this.session.isStopped) {
      void vscode.window.showInformationMessage('Page tables can be walked while a Dune program is stopped.');
      return;
    }
    this.#searched = address.trim();
    this.tree.refresh();
    await vscode.commands.executeCommand('dune.pageTables.focus');
    await this.attempt(async () => {
      const args: WalkArguments = { threadId: this.session.threadId, address: this.#searched! };
      const { gva } = await this.session.request<WalkResponse>('dune/walk', args);
      const found = await this.#find(BigInt(gva));
      if (found) await this.tree.view.reveal(found, { select: true, focus: false });
    });
  }

  #hide(): void {
    this.#searched = undefined;
    this.tree.refresh();
  }

  /** The innermost node of the guest's tables that covers an address. */
  async #find(gva: bigint): Promise<Node | undefined> {
    const roots = await this.tree.getChildren();
    let found: Node | undefined;
    let next = roots.find(({ id }) => id === 'guest');
    while (next) {
      found = next;
      const body = next.data as PageTableNodeBody | undefined;
      if (body && !body.table) break;
      const children = next.children ? await this.tree.getChildren(next) : [];
      next = children.find(({ data }) => data !== undefined && covers(data as PageTableNodeBody, gva));
    }
    return found;
  }

  #toggle({ hpa, entry, bit }: EntryBit): Promise<void> {
    const value = `0x${(BigInt(entry) ^ (1n << BigInt(bit))).toString(16)}`;
    const args: SetPageTableEntryArguments = { threadId: this.session.threadId, hpa, value, flush: true };
    return this.attempt(() => this.session.request('dune/setPageTableEntry', args));
  }
}

function covers({ start, last }: PageTableNodeBody, address: bigint): boolean {
  return address >= BigInt(start) && address <= BigInt(last);
}

/** What an entry covers and allows, e.g. "512 GB  PML4E R W U X" or "36 KB of 4 KB pages  R X → gpa:0x401000". */
function describeEntry(space: 'gpa' | 'hpa', name: string, body: PageTableNodeBody): string {
  const size = sizeText(BigInt(body.last) - BigInt(body.start) + 1n);
  if (body.kind === 'table') return `${size}  ${name} ${body.flags}`;
  const pages = body.kind === 'leaf' ? `${body.pageSize} page` : `${size} of ${body.pageSize} pages`;
  const target = body.target === undefined ? '' : ` → ${space}:${body.target}`;
  return `${pages}  ${body.flags}${target}`;
}

function sizeText(bytes: bigint): string {
  const units = ['bytes', 'KB', 'MB', 'GB', 'TB'];
  let unit = 0;
  for (; unit < units.length - 1 && bytes >= 1024n && bytes % 1024n === 0n; unit++) bytes /= 1024n;
  return `${bytes} ${units[unit]}`;
}

function bitNodes(parent: string, body: PageTableNodeBody): Node[] {
  const bits = body.bits.map(({ name, bit, set, meaning }) => ({
    id: `${parent}/bit${bit}`,
    label: name,
    description: `${set ? 1 : 0}  ${meaning}`,
    tooltip: `Bit ${bit}`,
    icon: set ? 'circle-filled' : 'circle-outline',
    context: 'dune.entryBit',
    data: { hpa: body.entryHpa, entry: body.entry, bit } satisfies EntryBit,
  }));
  const first = body.kind === 'range' ? 'first entry' : 'entry';
  const entry = { id: `${parent}/value`, label: first, description: `${body.entry} at hpa:${body.entryHpa}` };
  return [entry, ...bits];
}

/** The address in what a menu passes: text itself, a variable, or the selection of the editor in front. */
function addressOf(from: unknown): string | undefined {
  if (typeof from === 'string') return from;
  if (from instanceof vscode.Uri) return selectedText();
  const { variable } = (from ?? {}) as {
    variable?: { memoryReference?: string; evaluateName?: string; value: string };
  };
  return variable?.memoryReference ?? variable?.evaluateName ?? variable?.value;
}

function selectedText(): string | undefined {
  const editor = vscode.window.activeTextEditor;
  if (!editor) return undefined;
  const { document, selection } = editor;
  const range = selection.isEmpty ? document.getWordRangeAtPosition(selection.active) : selection;
  return range && document.getText(range);
}
