/** "Would this exit?" of a line of a source: of each machine instruction that it became. */
import { isNonRoot } from './modes.ts';
import type { Debuggee } from '../debuggee.ts';
import type { WouldExitResponse } from '../protocol.ts';
import { RequestError } from '../request.ts';
import type { ProgramSymbols } from '../symbols/index.ts';
import { predictionBody } from './exit-body.ts';
import { hex } from './tables.ts';

export interface LineQuestion {
  readonly path: string;
  readonly line: number;
}

const LONGEST_INSTRUCTION = 15;
/** A line in many inlined copies has no end of instructions. */
const MOST_INSTRUCTIONS = 256;
const NOW = 'Registers are taken as they are now.';

interface Code {
  readonly symbols: ProgramSymbols;
  readonly ranges: readonly { readonly low: bigint; readonly high: bigint }[];
}

/** The id under which the code of the guest is read: of the thread, or of the level that does not run. */
export function guestOf({ machine }: Debuggee, thread: number): number {
  const other = machine.otherLevel(thread);
  return isNonRoot(other?.mode) ? other!.id : thread;
}

/** Throws RequestError where the line has no code of the guest's. */
export function askLine(debuggee: Debuggee, thread: number, question: LineQuestion): WouldExitResponse {
  const id = guestOf(debuggee, thread);
  const { ranges } = codeOf(debuggee, question);
  const name = `${question.path.slice(question.path.lastIndexOf('/') + 1)}:${question.line}`;
  const instructions = ranges.flatMap(({ low, high }) => instructionsIn(debuggee, id, low, high));
  if (instructions.length === 0) throw new RequestError(`The code of ${name} cannot be read: is the guest there yet?`);
  const asked = instructions.slice(0, MOST_INSTRUCTIONS).map(({ gva, text }) => {
    const prediction = debuggee.machine.wouldExit(thread, { kind: 'instruction', at: gva });
    return { ...predictionBody(`${text} at ${hex(gva)}`, prediction), address: hex(gva), instruction: text };
  });
  return answer(name, instructions.length, asked);
}

/** Of the guest's programs, if they are known apart from the hypervisor's. */
function codeOf({ images }: Debuggee, { path, line }: LineQuestion): Code {
  const found = images.all.flatMap((symbols): Code[] => {
    const code = symbols.codeOfLine(path, line);
    return code?.actualLine === line && code.ranges.length > 0 ? [{ symbols, ranges: code.ranges }] : [];
  });
  const [first] = found;
  if (!first) throw new RequestError(`Line ${line} of ${path} has no code.`);
  const ofGuest = found.find(({ symbols }) => symbols !== images.main);
  if (ofGuest) return ofGuest;
  if (images.guests.length > 0)
    throw new RequestError(`Line ${line} of ${path} is the hypervisor's: in VMX root operation nothing exits.`);
  return first;
}

interface Placed {
  readonly gva: bigint;
  readonly text: string;
}

function instructionsIn({ machine }: Debuggee, id: number, low: bigint, high: bigint): Placed[] {
  const found: Placed[] = [];
  for (let gva = low; gva < high && found.length <= MOST_INSTRUCTIONS;) {
    if (machine.readMemory(id, 'gva', gva, LONGEST_INSTRUCTION).length === 0) break;
    const [instruction] = machine.disassemble(id, gva, 1);
    if (!instruction || instruction.bytes.length === 0) break;
    found.push({ gva, text: instruction.text });
    gva += BigInt(instruction.bytes.length);
  }
  return found;
}

type Asked = WouldExitResponse & { readonly address: string; readonly instruction: string };

function answer(name: string, count: number, asked: readonly Asked[]): WouldExitResponse {
  const exiting = asked.filter(({ exits }) => exits);
  const [first] = exiting;
  const all = count === 1 ? 'its one instruction' : `its ${count} instructions`;
  const left = count > asked.length ? ` (the first ${asked.length} were looked at)` : '';
  const many = exiting.length === 1 ? '1 exits' : `${exiting.length} exit`;
  const headline = first
    ? `Of ${all} ${many}${left}; ${first.instruction} at ${first.address}: ${first.headline}`
    : `It does not exit: none of ${all} does${left}`;
  const notes = [...new Set([...asked.flatMap((one) => one.notes), ...(asked.length > 0 ? [NOW] : [])])];
  return {
    asked: name,
    exits: first !== undefined,
    headline,
    reason: first?.reason,
    qualification: first?.qualification,
    fault: first?.fault,
    decides: first?.decides ?? [],
    notes,
    instructions: asked.map(({ address, instruction, exits, headline: says }) => ({
      address,
      instruction,
      exits,
      headline: says,
    })),
    text: [`${name}: ${headline}`, ...asked.map(({ address, instruction, headline: says }) => `  ${address}  ${instruction}: ${says}`), ...notes.map((note) => `  ${note}`)], // prettier-ignore
  };
}
