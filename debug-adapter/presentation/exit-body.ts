/** An answer to "would this exit?" as a body of the protocol. */
import type { ExitPrediction } from '../../emulator/vmx/would-exit.ts';
import type { WouldExitResponse } from '../protocol.ts';
import { hex } from './tables.ts';

export function predictionBody(asked: string, prediction: ExitPrediction): WouldExitResponse {
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
