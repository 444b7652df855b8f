/** What unfolds under a scope or a variable. */
import type { DebugProtocol } from '@vscode/debugprotocol';
import { protocolVariable } from '../presentation/protocol-variable.ts';
import { defineRequest, RequestError } from '../request.ts';

export const variables = defineRequest<DebugProtocol.VariablesArguments, DebugProtocol.VariablesResponse['body']>({
  command: 'variables',
  run(session, args) {
    const { debuggee } = session;
    debuggee.requireStopped();
    const container = debuggee.variables.get(args.variablesReference);
    if (!container) throw new RequestError('These variables are gone: the program has run since.');
    if (args.filter === 'named' && container.indexed && !container.named) return { variables: [] };
    if (args.filter === 'indexed' && !container.indexed) return { variables: [] };
    const paging = session.client.supportsVariablePaging && args.count ? [args.start ?? 0, args.count] : [];
    const rows = container.rows(...(paging as [number?, number?]));
    return { variables: rows.map((row) => protocolVariable(debuggee, row)) };
  },
});
