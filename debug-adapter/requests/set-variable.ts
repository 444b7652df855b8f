/** Sets a variable, register, VMCS field or bit under a scope. */
import type { DebugProtocol } from '@vscode/debugprotocol';
import { unfolding } from '../presentation/protocol-variable.ts';
import { defineRequest, RequestError } from '../request.ts';

export const setVariable = defineRequest<DebugProtocol.SetVariableArguments, DebugProtocol.SetVariableResponse['body']>(
  {
    command: 'setVariable',
    capabilities: { supportsSetVariable: true },
    run(session, args) {
      const { debuggee } = session;
      debuggee.requireStopped();
      const container = debuggee.variables.get(args.variablesReference);
      const find = () => container?.rows().find(({ name }) => name === args.name);
      const row = find();
      if (!row) throw new RequestError(`There is no variable '${args.name}' any more: the program has run since.`);
      if (!row.set) throw new RequestError(`'${args.name}' cannot be set.`);
      row.set(args.value);
      debuggee.stacks.clear();
      const changed = find() ?? row;
      // Frames hold registers as they were: let the client ask again.
      session.event('invalidated', { areas: ['stacks', 'variables'] });
      return { value: changed.value, type: changed.type, ...unfolding(debuggee, changed) };
    },
  },
);
