/** Nodes of the VMCS view that only show: violated checks, and what exits. */
import type { ExitListBody, VmcsCheckBody, VmcsFieldBody, VmcsResponse } from '../../debug-adapter/protocol.ts';
import type { Node } from './tree.ts';

/** The checks that a field takes part in violating. */
export function violatedChecks({ checks }: VmcsResponse, { encoding }: VmcsFieldBody): VmcsCheckBody[] {
  return checks.filter(({ fields }) => fields.includes(encoding));
}

/** What a VM entry would come to, with every violated check in the order of the manual. */
export function entryNode({ entry, checks }: VmcsResponse): Node[] {
  if (!entry) return [];
  if (entry.state === 'holds') return [{ id: 'checks', label: entry.headline, icon: 'pass' }];
  return [
    {
      id: 'checks',
      label: entry.headline,
      tooltip: 'Select a check to see its field',
      icon: 'error',
      expanded: true,
      children: () => checks.map((check) => checkNode('checks', check)),
    },
  ];
}

/** A violated check, which leads to its first field. */
export function checkNode(parent: string, check: VmcsCheckBody): Node {
  const { id, wants, found, because, section, entry, fields } = check;
  return {
    id: `${parent}/check/${id}/${entry ?? ''}`,
    label: `wants ${wants}`,
    description: `found ${found}${because ? `: ${because}` : ''} (${section})`,
    tooltip: [id, `wants ${wants}`, `found ${found}`, because, section].filter(Boolean).join('\n'),
    icon: 'error',
    command: { command: 'dune.revealVmcsField', title: 'Show the Field', arguments: [fields[0]] },
  };
}

export function listNodes(lists: readonly ExitListBody[]): Node[] {
  return lists.map(({ id, title, because, section, inEffect, rows }) => ({
    id: `exits/${id}`,
    label: title,
    description: `${inEffect ? '' : 'not in effect  '}${because}`,
    tooltip: section,
    icon: inEffect ? 'list-unordered' : 'circle-slash',
    children:
      rows.length === 0
        ? undefined
        : () =>
            rows.map(({ text, exits }, index) => ({
              id: `exits/${id}/${index}`,
              label: text,
              tooltip: text,
              icon: exits ? 'arrow-small-up' : 'dash',
            })),
  }));
}
