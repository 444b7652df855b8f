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
    const root = tableRoot(debuggee, threadId, which);
    if (root.message !== undefined) return { message: root.message, root: '', nodes: [] };
    const nodes = table
      ? debuggee.machine.pageTable(threadId, which, Number(BigInt(table.hpa)), table.level, BigInt(table.start))
      : debuggee.machine.pageTable(threadId, which);
    return { root: root.text, nodes: nodes.map(body) };
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
