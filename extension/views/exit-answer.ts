/** The answer to "would this exit?" as a node: what decides below it. */
import type { WouldExitResponse } from '../../debug-adapter/protocol.ts';
import type { Node } from './tree.ts';

export async function answerNode(question: string, request: Promise<WouldExitResponse>): Promise<Node> {
  const id = `answer/${question}`;
  const base = { id, context: 'dune.exitAnswer', data: question };
  let answer: WouldExitResponse;
  try {
    answer = await request;
  } catch (error) {
    return { ...base, label: question, description: (error as Error).message, icon: 'warning' };
  }
  const { asked, headline, exits, decides, notes, text, instructions = [] } = answer;
  return {
    ...base,
    label: asked,
    description: headline,
    tooltip: text.join('\n'),
    icon: exits ? 'sign-out' : 'check',
    expanded: true,
    children: () => [
      ...instructions.map((one, index) => ({
        id: `${id}/instruction${index}`,
        label: one.instruction,
        description: one.headline,
        tooltip: one.address,
        icon: one.exits ? 'sign-out' : 'check',
      })),
      ...decides.map(({ text: what, encoding, section }, index) => ({
        id: `${id}/${index}`,
        label: what,
        description: section,
        icon: 'arrow-small-right',
        ...(encoding === undefined
          ? {}
          : { command: { command: 'dune.revealVmcsField', title: 'Show the Field', arguments: [encoding] } }),
      })),
      ...notes.map((note, index) => ({ id: `${id}/note${index}`, label: note, icon: 'info' })),
    ],
  };
}
