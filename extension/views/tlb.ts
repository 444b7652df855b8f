/** What the TLBs hold, bank by bank and a part at a time; entries that disagree with the tables are marked. */
import * as vscode from 'vscode';
import type {
  TlbArguments,
  TlbBankBody,
  TlbEntryArguments,
  TlbEntryBody,
  TlbEntryResponse,
  TlbResponse,
} from '../../debug-adapter/protocol.ts';
import type { ActiveSession } from '../session.ts';
import { MachineView } from './machine-view.ts';
import type { Node } from './tree.ts';
import { walkNode } from './walk.ts';

/** Entries below one node. */
const PART = 64;

export class TlbView extends MachineView {
  #filter = '';

  constructor(session: ActiveSession) {
    super('dune.tlb', session);
    this.subscriptions.push(
      vscode.commands.registerCommand('dune.filterTlb', () => this.#askForFilter()),
      vscode.commands.registerCommand('dune.clearTlbFilter', () => this.#setFilter('')),
    );
  }

  #request(args: TlbArguments): Promise<TlbResponse> {
    return this.session.request('dune/tlb', { filter: this.#filter, ...args });
  }

  protected async roots(): Promise<Node[]> {
    const { banks } = await this.#request({});
    const shown = banks.filter(({ entries }) => entries > 0);
    const sorted = shown.sort((a, b) => Number(b.current) - Number(a.current) || a.bank - b.bank);
    if (sorted.length > 0) return sorted.map((bank) => this.#bank(bank));
    const label = this.#filter ? `No entry for: ${this.#filter}` : 'The TLB is empty.';
    return [{ id: 'empty', label, icon: 'circle-slash' }];
  }

  #bank(bank: TlbBankBody): Node {
    const { entries, stale, current, tags } = bank;
    const id = `bank${bank.bank}`;
    return {
      id,
      label: current ? 'In force' : `Context ${bank.bank}`,
      description: `${tags}  ${entries} ${entries === 1 ? 'entry' : 'entries'}${stale > 0 ? `, ${stale} stale` : ''}`,
      tooltip: tags,
      icon: stale > 0 ? 'warning' : 'circuit-board',
      expanded: current || stale > 0,
      children: () => this.#entriesOf(bank, id),
    };
  }

  async #entriesOf({ bank, entries, stale }: TlbBankBody, parent: string): Promise<Node[]> {
    if (entries <= PART) return this.#part(bank, parent, 0);
    const nodes: Node[] = [];
    if (stale > 0) {
      const id = `${parent}/stale`;
      const children = (): Promise<Node[]> => this.#part(bank, id, 0, 'stale');
      nodes.push({ id, label: 'Stale', description: `${stale}`, icon: 'warning', expanded: true, children });
    }
    for (let start = 0; start < entries; start += PART) {
      const id = `${parent}/${start}`;
      const label = `Entries ${start + 1} to ${Math.min(entries, start + PART)}`;
      nodes.push({ id, label, icon: 'list-flat', children: () => this.#part(bank, id, start) });
    }
    return nodes;
  }

  async #part(bank: number, parent: string, start: number, only = ''): Promise<Node[]> {
    const count = only ? undefined : PART;
    const { entries } = await this.#request({ bank, start, count, filter: `${this.#filter} ${only}`.trim() });
    return entries.map((entry) => this.#entry(parent, entry));
  }

  #entry(parent: string, entry: TlbEntryBody): Node {
    const id = `${parent}/${entry.index}`;
    const marks = [entry.pageSize === '4 KB' ? '' : `of a ${entry.pageSize} page`, entry.global ? 'G' : ''];
    const note = entry.stale ? '  STALE' : entry.differences.length > 0 ? `  (${entry.differences.join(', ')})` : '';
    return {
      id,
      label: entry.gva,
      description: [`→ hpa:${entry.hpa}`, entry.rights, ...marks].filter(Boolean).join('  ') + note,
      tooltip: entry.differences.length > 0 ? `differs from the tables: ${entry.differences.join(', ')}` : undefined,
      icon: entry.stale ? 'warning' : 'arrow-small-right',
      children: () => this.#details(id, entry),
    };
  }

  async #details(parent: string, { bank, index }: TlbEntryBody): Promise<Node[]> {
    const args: TlbEntryArguments = { bank, index };
    const found = await this.session.request<TlbEntryResponse>('dune/tlbEntry', args);
    const nodes: Node[] = [];
    const row = (name: string, description: string, icon = 'info', command?: vscode.Command): void => {
      nodes.push({ id: `${parent}/${nodes.length}`, label: name, description, tooltip: description, icon, command });
    };
    if (found.entry.stale) row('Stale', found.summary, 'warning');
    for (const missing of found.missing) row('Missing', missing, 'lightbulb');
    if (found.change) {
      const { old, hpa, place } = found.change;
      const text = `${old} → ${found.change.new} at hpa:${hpa} by ${place.symbol ?? place.rip}`;
      row('Changed', text, 'edit', place.source && reveal(place.source.path, place.source.line));
    }
    const walk = await walkNode(found.entry.gva, Promise.resolve(found.walk));
    nodes.push({ ...walk, id: `${parent}/walk`, label: 'The tables say now', context: undefined });
    return nodes;
  }

  async #askForFilter(): Promise<void> {
    const filter = await vscode.window.showInputBox({
      title: 'Filter the TLB',
      prompt:
        'An address, stale, global, large, current, user, supervisor, R, W, X, cpu=, vpid= or pcid=; all words have to hold',
      placeHolder: 'stale pcid=1',
      value: this.#filter,
    });
    if (filter !== undefined) this.#setFilter(filter.trim());
  }
  #setFilter(filter: string): void {
    this.#filter = filter;
    this.tree.view.description = filter;
    this.tree.refresh();
  }
}

function reveal(path: string, line: number): vscode.Command {
  return { command: 'dune.revealSource', title: 'Show the Source', arguments: [path, line] };
}
