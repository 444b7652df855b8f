/** "Would this exit?": the answer for requests and for the console. */
import { processorOf } from '../../emulator/machine/levels.ts';
import type { Debuggee } from '../debuggee.ts';
import { evaluate } from '../expressions/evaluate.ts';
import { parseExitQuestion } from '../expressions/exit-question.ts';
import type { FrameScope } from '../expressions/scope.ts';
import type { WouldExitResponse } from '../protocol.ts';
import { RequestError } from '../request.ts';
import { strip } from '../symbols/dwarf/types.ts';
import type { Value } from '../symbols/values.ts';
import { predictionBody } from './exit-body.ts';
import { askLine, guestOf } from './line-exits.ts';
import { isNonRoot } from './modes.ts';
import { parseNumber } from './registers.ts';

const LONGEST_INSTRUCTION = 15;

/** `line /a/b.c:12`, or `line /a/b.s:12 | rdmsr`: in other words where the line has no code of the guest's. */
const LINE = /^\s*line\s+(.+?):(\d+)(?:\s*\|\s*(.*\S))?\s*$/i;

/** @param scope of the frame that expressions are about, if there is code in it */
export function askExit(
  debuggee: Debuggee,
  thread: number,
  text: string,
  scope: FrameScope | undefined,
): WouldExitResponse {
  const { machine } = debuggee;
  const [, path, line, otherwise] = LINE.exec(text) ?? [];
  if (path !== undefined) {
    try {
      return askLine(debuggee, thread, { path, line: Number(line) });
    } catch (error) {
      if (!(error instanceof RequestError) || !otherwise) throw error;
      return askExit(debuggee, thread, otherwise, scope);
    }
  }
  const id = guestOf(debuggee, thread);
  const { asked, question } = parseExitQuestion(text, {
    evaluate: (expression) =>
      /^\s*(0x[0-9a-f]+|\d+)\s*$/i.test(expression) || !scope
        ? parseNumber(expression)
        : numberOf(evaluate(expression, scope).value),
    code: (gva) => machine.readMemory(id, 'gva', gva, LONGEST_INSTRUCTION),
    disassemble: (gva) => machine.disassemble(id, gva, 1)[0]?.text ?? 'the instruction',
    rip: machine.readRegister(thread, 'rip') ?? 0n,
    inGuest: isNonRoot(machine.threads().find(({ id }) => id === processorOf(thread))?.mode),
  });
  return predictionBody(asked, machine.wouldExit(thread, question));
}

/** A function stands for its address. */
function numberOf(value: Value): bigint {
  return strip(value.type).kind === 'function' && value.address !== undefined ? value.address : value.unsigned();
}
