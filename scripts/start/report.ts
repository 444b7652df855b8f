/** Prints what a stop shows: location, ring and mode, the decoded exit, the walk of the faulting address. */
import { basename } from 'node:path';
import { accessOfError } from '../../emulator/describe/fault-report.ts';
import type { EventsResponse, WalkResponse } from '../../debug-adapter/protocol.ts';
import type { Body, Client } from './client.ts';

const tty = process.stdout.isTTY;
const bold = (text: string): string => (tty ? `\x1b[1m${text}\x1b[0m` : text);
const dim = (text: string): string => (tty ? `\x1b[2m${text}\x1b[0m` : text);

export class Report {
  isFirstStop = true;

  constructor(readonly client: Client) {
    client.output = (category, text) => {
      if (category === 'stdout' || category === 'stderr')
        process.stdout.write(text.replace(/^(?=.)/gm, '  program | '));
      else if (category !== 'telemetry') process.stdout.write(dim(text));
    };
  }

  say(text: string): void {
    console.log(text);
  }

  async stop(threadId: number, body: Body): Promise<void> {
    this.isFirstStop = false;
    this.say(bold(`\n● stopped: ${String(body.description ?? body.reason)}`));
    if (body.text) this.say(`  ${String(body.text)}`);
    const { stackFrames } = await this.client.request('stackTrace', { threadId, levels: 4 });
    const frames = stackFrames as {
      id: number;
      name: string;
      line: number;
      source?: { name?: string; path?: string };
    }[];
    for (const [index, frame] of frames.entries()) {
      const where = frame.source ? `  ${basename(frame.source.path ?? frame.source.name ?? '')}:${frame.line}` : '';
      this.say(`  ${index === 0 ? 'at' : '  '} ${frame.name}${where}`);
    }
    await this.#privilege(frames[0]?.id ?? 0);
    await this.#event(threadId, body);
  }

  async #privilege(frameId: number): Promise<void> {
    const { scopes } = await this.client.request('scopes', { frameId });
    const scope = (scopes as { name: string; variablesReference: number }[]).find(({ name }) => name === 'Privilege');
    if (!scope) return;
    const { variables } = await this.client.request('variables', { variablesReference: scope.variablesReference });
    const list = variables as { name: string; value: string }[];
    this.say(`  ${list.map(({ name, value }) => `${name} ${value}`).join('   ')}`);
  }

  /** The event that stopped it, decoded, and the walk of the address it names. */
  async #event(threadId: number, body: Body): Promise<void> {
    const kinds = ['vm-exit', 'page-fault', 'ept-violation'];
    if (!/exception|event/.test(String(body.reason))) return;
    const { events } = (await this.client.request('dune/events', { kinds, limit: 1 })) as unknown as EventsResponse;
    const event = events[0];
    if (!event) return;
    this.say(`  ${event.kind}: ${event.summary}`);
    for (const [name, value] of Object.entries(event.facts)) this.say(dim(`    ${name.padEnd(16)} ${String(value)}`));
    const gva = event.facts.gva;
    if (gva === undefined) return;
    const asked = { threadId, address: String(gva), ...accessOfError(Number(event.facts.errorCode ?? 0)) };
    const walk = (await this.client.request('dune/walk', asked)) as unknown as WalkResponse;
    this.say(`  walk of gva:${walk.gva} for a ${asked.access}`);
    for (const line of walk.text) this.say(`    ${line}`);
  }

  end(exitCode: number): number {
    this.say(bold(`\n● the program ended with exit code ${exitCode}`));
    return exitCode;
  }
}
