/** The walk of an address as a node: one child for each entry read, the EPT's indented below the access they translate. */
import type { WalkResponse } from '../../debug-adapter/protocol.ts';
import type { Node } from './tree.ts';

type Step = WalkResponse['steps'][number];

export async function walkNode(address: string, request: Promise<WalkResponse>): Promise<Node> {
  const id = `walk/${address}`;
  const base = { id, label: `Walk of ${address}`, context: 'dune.walk' };
  let walk: WalkResponse;
  try {
    walk = await request;
  } catch (error) {
    return { ...base, description: (error as Error).message, icon: 'warning' };
  }
  const asked = address === walk.gva ? '' : `gva:${walk.gva} `;
  return {
    ...base,
    description: `${asked}${walk.result}`,
    tooltip: walk.text.join('\n'),
    icon: walk.ok ? 'pass' : 'error',
    expanded: true,
    children: () => levels(id, walk),
  };
}

/** The guest's entries, each with the EPT entries that were read to reach it; then those of the page itself. */
function levels(parent: string, walk: WalkResponse): Node[] {
  const nodes: Node[] = [];
  let ept: Step[] = [];
  for (const step of walk.steps) {
    if (step.table === 'ept') ept.push(step);
    else {
      nodes.push(guestNode(`${parent}/${nodes.length}`, step, ept));
      ept = [];
    }
  }
  const leaf = walk.steps.some(({ table, outcome }) => table === 'guest' && outcome === 'leaf');
  if (ept.length > 0) nodes.push(lastNode(`${parent}/${nodes.length}`, leaf, walk, ept));
  if (walk.memoryType) nodes.push(typeNode(`${parent}/type`, walk.memoryType));
  return nodes;
}

function guestNode(id: string, step: Step, ept: readonly Step[]): Node {
  return {
    id,
    label: step.name,
    description: `${step.entry}  ${step.flags}${refusal(step)}`,
    tooltip: `gpa:${step.gpa} hpa:${step.hpa}`,
    icon: step.outcome === 'table' || step.outcome === 'leaf' ? 'arrow-small-right' : 'error',
    children: ept.length > 0 ? () => eptNodes(id, ept) : undefined,
  };
}

/** The last access of a two-dimensional walk: the EPT translates the page's own address, or refused a table's. */
function lastNode(id: string, leaf: boolean, walk: WalkResponse, ept: readonly Step[]): Node {
  const failed = ept.some(({ outcome }) => outcome !== 'table' && outcome !== 'leaf');
  const gpa = walk.gpa ?? ept[0]?.gpa;
  return {
    id,
    label: leaf ? 'EPT of the page' : 'EPT of the next table',
    description: gpa === undefined ? undefined : `gpa:${gpa}${walk.hpa === undefined ? '' : ` → hpa:${walk.hpa}`}`,
    icon: failed ? 'error' : 'arrow-small-right',
    expanded: failed,
    children: () => eptNodes(id, ept),
  };
}

function typeNode(id: string, { type, because }: NonNullable<WalkResponse['memoryType']>): Node {
  return { id, label: `Memory type ${type}`, description: because, icon: 'symbol-property' };
}

function eptNodes(parent: string, steps: readonly Step[]): Node[] {
  return steps.map((step, index) => ({
    id: `${parent}/ept${index}`,
    label: step.name,
    description: `${step.entry}  ${step.flags}${refusal(step)}`,
    tooltip: `hpa:${step.hpa}`,
    icon: step.outcome === 'table' || step.outcome === 'leaf' ? 'arrow-small-right' : 'error',
  }));
}

function refusal({ outcome }: Step): string {
  return outcome === 'table' || outcome === 'leaf' ? '' : `  (${outcome})`;
}
