/** `dune/pageTable`: children of a guest or EPT table. */
import type { PageTableNode } from '../../../emulator/machine/api.ts';
import { sizeWords } from '../../../emulator/mmu/walk-text.ts';
import type { PageTableArguments, PageTableNodeBody, PageTableResponse } from '../../protocol.ts';
import { defineRequest } from '../../request.ts';
import { hex, tableRoot } from '../../presentation/tables.ts';

export const pageTable = defineRequest<PageTableArguments, PageTableResponse>({
  command: 'dune/pageTable',
  run({ debuggee }, { threadId, which, table }) {
    debuggee.requireStopped();
    const { machine } = debuggee;
    const other = machine.otherLevel(threadId);
    if (which === 'other' && !other)
      return { message: 'This thread has one level of linear addresses.', root: '', nodes: [] };
    // The EPT is the guest's, whichever level runs.
    const id = which === 'other' || (which === 'ept' && other?.mode === 'guest') ? other!.id : threadId;
    const tables = which === 'ept' ? 'ept' : 'guest';
    const root = tableRoot(debuggee, id, tables);
    if (root.message !== undefined) return { message: root.message, root: '', nodes: [] };
    const nodes = table
      ? machine.pageTable(id, tables, Number(BigInt(table.hpa)), table.level, BigInt(table.start))
      : machine.pageTable(id, tables);
    const whose = which === 'other' ? (other!.mode === 'root' ? 'the hypervisor' : 'the guest') : undefined;
    return { whose, root: root.text, nodes: nodes.map(body) };
  },
});

function body(node: PageTableNode): PageTableNodeBody {
  const bits = node.parts
    .filter(({ hi, lo }) => hi === lo)
    .map(({ name, lo, value, meaning }) => ({ name, bit: lo, set: value !== 0n, meaning }));
  return {
    start: hex(node.start),
    last: hex(node.end - 1n),
    level: node.level,
    kind: node.kind,
    entryHpa: hex(node.entryHpa),
    entry: hex(node.entry),
    target: node.target === undefined ? undefined : hex(node.target),
    pageSize: node.pageSize === undefined ? undefined : sizeWords(node.pageSize),
    flags: node.flags,
    bits,
    table:
      node.tableHpa === undefined
        ? undefined
        : { hpa: hex(node.tableHpa), level: node.level - 1, start: hex(node.start) },
  };
}
