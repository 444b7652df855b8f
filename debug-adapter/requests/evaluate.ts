/** Watches, hovers and the debug console. In the console, text typed while the program runs is its standard input. */
import type { DebugProtocol } from '@vscode/debugprotocol';
import { evaluate as evaluateExpression } from '../expressions/evaluate.ts';
import type { FrameScope } from '../expressions/scope.ts';
import { processorOf } from '../../emulator/machine/levels.ts';
import { askExit } from '../presentation/exits.ts';
import { walkLine } from '../../emulator/mmu/walk-text.ts';
import { referenceTo, referringRow, spaceAddress, viewer, type SpaceAddress } from '../presentation/spaces.ts';
import { unfolding } from '../presentation/protocol-variable.ts';
import { valueRow } from '../presentation/values.ts';
import { registerRow } from '../presentation/registers.ts';
import { defineRequest, RequestError } from '../request.ts';
import type { Session } from '../session.ts';
import { formatValue } from '../symbols/format.ts';

type Body = DebugProtocol.EvaluateResponse['body'];

export const evaluate = defineRequest<DebugProtocol.EvaluateArguments, Body>({
  command: 'evaluate',
  capabilities: { supportsEvaluateForHovers: true, supportsClipboardContext: true },
  run(session, args) {
    const { debuggee } = session;
    const text = String(args.expression ?? '');
    if (debuggee.runner.running) {
      if (args.context !== 'repl') throw new RequestError('The program is running: pause it first.');
      debuggee.machine.input(new TextEncoder().encode(`${text}\n`));
      debuggee.runner.wake();
      return { result: '', variablesReference: 0 };
    }
    const question = EXIT_QUESTION.exec(text);
    if (question) return askedExit(session, args.frameId, question[1]!);
    const scope = scopeOf(session, args.frameId);
    if (args.context === 'hover') {
      const shown = operandHover(session, scopeThread(session, args.frameId), scope, text);
      if (shown) return shown;
    }
    const place = spaceAddress(text, scope);
    if (place) return readPlace(session, scopeThread(session, args.frameId), place);
    const system = /^\s*\$(\w+)\s*$/.exec(text);
    const register =
      system &&
      debuggee.machine
        .registers(scopeThread(session, args.frameId))
        .find(({ name }) => name.toLowerCase() === system[1]!.toLowerCase());
    const assigns = /(^|[^=!<>])=([^=]|$)|\+\+|--/.test(text);
    if (register && register.group !== 'general') {
      const row = registerRow(register, (name, value) =>
        debuggee.machine.writeRegister(scopeThread(session, args.frameId), name, value),
      );
      return { result: row.value, ...unfolding(debuggee, row), memoryReference: row.memoryReference };
    }
    const { value, format } = evaluateExpression(text, scope);
    const hex = format === 'x' || (format !== 'd' && args.format?.hex === true);
    const row = referringRow(
      debuggee.machine,
      scopeThread(session, args.frameId),
      valueRow(text, value, scope, text, { hex }),
    );
    if (assigns && args.context === 'repl') session.event('invalidated', { areas: ['variables', 'stacks'] });
    const result = args.context === 'clipboard' ? formatValue(value, { hex }) : row.value;
    return { result, type: row.type, memoryReference: row.memoryReference, ...unfolding(debuggee, row) };
  },
});

/** `exits? rdmsr 0xc0000080`: the question of `dune/wouldExit`. */
const EXIT_QUESTION = /^\s*exits\?\s*(.*)$/s;

function askedExit(session: Session, frameId: number | undefined, question: string): Body {
  const { debuggee } = session;
  debuggee.requireStopped();
  const thread = scopeThread(session, frameId);
  const frame = frameId === undefined ? debuggee.stacks.top(thread) : debuggee.frame(frameId);
  const { text } = askExit(debuggee, thread, question, frame?.kind === 'code' ? frame.scope : undefined);
  return { result: text.join('\n'), variablesReference: 0 };
}

/** What the extension asks for about a memory operand of assembly. */
const OPERAND = /^\*\(unsigned long \*\)\((.*)\)$/;

/** A memory operand of assembly under the mouse, and general registers: the value and, if it is an address, its walk in one line. */
function operandHover({ debuggee }: Session, thread: number, scope: FrameScope, text: string): Body | undefined {
  const operand = OPERAND.exec(text)?.[1];
  const register = /^\s*\$(r\w+)\s*$/i.test(text);
  if (operand === undefined && !register) return undefined;
  const { machine } = debuggee;
  const address = evaluateExpression(operand ?? text, scope).value.unsigned();
  const walk = machine.walk(thread, address, 'read');
  const hex = (value: bigint): string => `0x${value.toString(16).padStart(16, '0')}`;
  // Not every number in a register is an address.
  if (operand === undefined && walk.result.kind !== 'ok') return undefined;
  const bytes = operand === undefined ? undefined : machine.readMemory(thread, 'gva', address, 8);
  const word = bytes?.length === 8 ? new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true) : undefined;
  const value = operand === undefined ? hex(address) : word === undefined ? 'no memory' : hex(word);
  const memoryReference = referenceTo(debuggee, thread, address);
  const at = operand === undefined ? '' : `at 0x${address.toString(16)}: `;
  return { result: `${value}    ${at}${walkLine(walk)}`, variablesReference: 0, memoryReference };
}

function readPlace({ debuggee }: Session, thread: number, place: SpaceAddress): Body {
  const { space, address } = place;
  // A plain linear address is one of the frame's level.
  const id = place.level || space === 'gpa' ? viewer(debuggee, processorOf(thread), place) : thread;
  const bytes = debuggee.machine.readMemory(id, space, address, 8);
  const reference = space === 'gva' ? referenceTo(debuggee, id, address) : `${space}:0x${address.toString(16)}`;
  if (bytes.length < 8) throw new RequestError(`There is no memory at ${reference}.`);
  const word = new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true);
  return {
    result: `0x${word.toString(16).padStart(16, '0')}`,
    type: 'uint64_t',
    variablesReference: 0,
    memoryReference: reference,
  };
}

function scopeThread(session: Session, frameId: number | undefined): number {
  return frameId === undefined ? session.debuggee.runner.stoppedThread : session.debuggee.frame(frameId).thread;
}

/** The frame an expression is about: the one named, or the innermost of the thread that stopped. */
export function scopeOf(session: Session, frameId: number | undefined): FrameScope {
  const { debuggee } = session;
  debuggee.requireStopped();
  const frame = frameId === undefined ? debuggee.stacks.top(debuggee.runner.stoppedThread) : debuggee.frame(frameId);
  if (frame?.kind !== 'code') throw new RequestError('There is no code in this frame to evaluate in.');
  return frame.scope;
}
