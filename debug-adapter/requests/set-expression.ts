/** Assigns to an expression of the watch view. */
import type { DebugProtocol } from '@vscode/debugprotocol';
import { evaluate } from '../expressions/evaluate.ts';
import { unfolding } from '../presentation/protocol-variable.ts';
import { valueRow } from '../presentation/values.ts';
import { defineRequest } from '../request.ts';
import { scopeOf } from './evaluate.ts';

export const setExpression = defineRequest<
  DebugProtocol.SetExpressionArguments,
  DebugProtocol.SetExpressionResponse['body']
>({
  command: 'setExpression',
  capabilities: { supportsSetExpression: true },
  run(session, args) {
    const { debuggee } = session;
    const scope = scopeOf(session, args.frameId);
    const { value } = evaluate(`${args.expression} = (${args.value})`, scope);
    const row = valueRow(args.expression, value, scope, args.expression);
    session.event('invalidated', { areas: ['variables', 'stacks'] });
    return { value: row.value, type: row.type, ...unfolding(debuggee, row) };
  },
});
