/** A debugging session in words: what a user of the debugger would see, stop by stop. */
import type { DebugProtocol } from '@vscode/debugprotocol';
import { TestClient } from './client.ts';

const MAX_STOPS = 12;

export interface Script {
  readonly program: string;
  readonly functions?: readonly string[];
  readonly filters?: readonly string[];
  readonly conditions?: readonly { readonly filterId: string; readonly condition: string }[];
  /** Scopes of the innermost frame to write down at each stop. */
  readonly scopes?: readonly string[];
  readonly args?: readonly string[];
}

/** Runs a program to its end, writing down every stop. */
export async function transcript(script: Script): Promise<string> {
  const client = new TestClient();
  const lines: string[] = [];
  await client.launch({ program: script.program, args: script.args ?? [] }, async () => {
    await client.request('setFunctionBreakpoints', { breakpoints: (script.functions ?? []).map((name) => ({ name })) });
    await client.request('setExceptionBreakpoints', {
      filters: script.filters ?? [],
      filterOptions: script.conditions ?? [],
    });
  });
  for (let stops = 0; ; stops++) {
    const event = await client.event('stopped', 'exited', 'terminated');
    if (event.event !== 'stopped') {
      lines.push(`${event.event} ${JSON.stringify(event.body)}`);
      break;
    }
    const body = event.body as DebugProtocol.StoppedEvent['body'];
    if (stops === MAX_STOPS) {
      await client.request('setFunctionBreakpoints', { breakpoints: [] });
      await client.request('setExceptionBreakpoints', { filters: [] });
    } else if (stops < MAX_STOPS) lines.push(...(await describeStop(client, body, script.scopes ?? [])));
    await client.request('continue', { threadId: body.threadId });
  }
  for (const category of ['stdout', 'stderr', 'important'] as const) {
    if (client.output[category] === '') continue;
    lines.push(`--- ${category}`, client.output[category].trimEnd());
  }
  await client.close();
  return lines.join('\n');
}

async function describeStop(
  client: TestClient,
  body: DebugProtocol.StoppedEvent['body'],
  scopes: readonly string[],
): Promise<string[]> {
  const thread = body.threadId!;
  const lines = [`stopped: ${body.description ?? body.reason}${body.text ? `: ${body.text}` : ''}`];
  for (const frame of await client.frames(thread))
    if (frame.source || frame.presentationHint === 'label') lines.push(`  ${frameText(frame)}`);
  const frames = await client.frames(thread, 1);
  const known = await client.scopes(frames[0]!.id);
  for (const name of scopes) {
    const scope = known.find((candidate) => candidate.name === name);
    if (!scope) continue;
    lines.push(`  ${name}`);
    for (const row of await client.variables(scope.variablesReference)) lines.push(`    ${row.name} = ${row.value}`);
  }
  return lines;
}

export function frameText({ name, source, line }: DebugProtocol.StackFrame): string {
  return source ? `${name} ${source.name}:${line}` : name;
}
