/** "Would this exit?": the answer for requests and for the console. */
import type { ExitPrediction } from '../../emulator/vmx/would-exit.ts';
import { processorOf } from '../../emulator/machine/levels.ts';
import type { Debuggee } from '../debuggee.ts';
import { evaluate } from '../expressions/evaluate.ts';
import { parseExitQuestion } from '../expressions/exit-question.ts';
import type { FrameScope } from '../expressions/scope.ts';
import type { WouldExitResponse } from '../protocol.ts';
import { strip } from '../symbols/dwarf/types.ts';
import type { Value } from '../symbols/values.ts';
import { isNonRoot } from './modes.ts';
import { parseNumber } from './registers.ts';
import { hex } from './tables.ts';

const LONGEST_INSTRUCTION = 15;

/** @param scope of the frame that expressions are about, if there is code in it */
export function askExit(
  { machine }: Debuggee,
  thread: number,
  text: string,
  scope: FrameScope | undefined,
): WouldExitResponse {
  const { asked, question } = parseExitQuestion(text, {
    evaluate: (expression) =>
      /^\s*(0x[0-9a-f]+|\d+)\s*$/i.test(expression) || !scope
        ? parseNumber(expression)
        : numberOf(evaluate(expression, scope).value),
    code: (gva) => machine.readMemory(thread, 'gva', gva, LONGEST_INSTRUCTION),
    disassemble: (gva) => machine.disassemble(thread, gva, 1)[0]?.text ?? 'the instruction',
    rip: machine.readRegister(thread, 'rip') ?? 0n,
    inGuest: isNonRoot(machine.threads().find(({ id }) => id === processorOf(thread))?.mode),
  });
  return body(asked, machine.wouldExit(thread, question));
}

/** A function stands for its address. */
function numberOf(value: Value): bigint {
  return strip(value.type).kind === 'function' && value.address !== undefined ? value.address : value.unsigned();
}

function body(asked: string, prediction: ExitPrediction): WouldExitResponse {
  const { exits, headline, reason, qualification, fault, decides, notes } = prediction;
  return {
    asked,
    exits,
    headline,
    reason,
    qualification: qualification === undefined ? undefined : hex(qualification),
    fault,
    decides: decides.map(({ text, field, bit, section }) => ({ text, encoding: field, bit, section })),
    notes: [...notes],
    text: [
      `${asked}: ${headline}`,
      ...decides.map(({ text, section }) => `  ${text} (${section})`),
      ...notes.map((note) => `  ${note}`),
    ],
  };
}
