/** The scopes of a frame. */
import type { DebugProtocol } from '@vscode/debugprotocol';
import { defineRequest } from '../request.ts';
import { referringRow } from '../presentation/spaces.ts';
import { SCOPES } from '../scopes/index.ts';

export const scopes = defineRequest<DebugProtocol.ScopesArguments, DebugProtocol.ScopesResponse['body']>({
  command: 'scopes',
  run({ debuggee }, args) {
    const frame = debuggee.frame(args.frameId);
    if (frame.kind === 'label') return { scopes: [] };
    return {
      scopes: SCOPES.filter((scope) => scope.available(debuggee, frame)).map((scope) => ({
        name: scope.name,
        presentationHint: scope.hint,
        expensive: scope.expensive,
        variablesReference: debuggee.variables.add({
          rows: () => scope.rows(debuggee, frame).map((row) => referringRow(debuggee.machine, frame.thread, row)),
        }),
      })),
    };
  },
});
