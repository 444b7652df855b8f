/** An instruction for people: forms, flags, ring, exceptions, VM exits, where the manual has it. */
import type { Dialect } from '../emulator/assembler/match.ts';
import { candidatesOf, sizesOf, type Candidate } from '../emulator/assembler/mnemonics.ts';
import { ringRule } from '../emulator/cpu/table/rings.ts';
import type { OpcodeRow } from '../emulator/cpu/table/row.ts';
import { conditionFlags, instructionSummary, manualSection, rowNotation } from '../emulator/describe/instructions.ts';
import { exitReason } from '../emulator/vmx/exit-reasons.ts';
import { exitsOfInstruction } from '../emulator/vmx/instruction-exits.ts';

/** Forms listed in a hover. */
const MOST_FORMS = 8;
const FLAG_NAMES: Readonly<Record<string, string>> = { o: 'OF', s: 'SF', z: 'ZF', a: 'AF', p: 'PF', c: 'CF' };

const flags = (letters: string | undefined): string =>
  [...(letters ?? '')].flatMap((letter) => FLAG_NAMES[letter] ?? []).join(' ') || 'none';

/** "Intel mnemonic: what it does". */
export function summary(name: string, { row }: Candidate): string {
  const mnemonic = row.mnemonic ?? row.op;
  const text = instructionSummary(mnemonic) ?? '';
  const shown = mnemonic.replace('cc', '');
  return name === mnemonic || mnemonic.endsWith('cc') ? text : `${shown}: ${text}`;
}

function exceptions(row: OpcodeRow): string {
  const found: string[] = [];
  const rule = ringRule(row);
  if (rule) found.push(`${rule.fault} outside ${rule.needs}`);
  if (row.feature && !['sse', 'sse2'].includes(row.feature)) found.push(`#UD without ${row.feature.toUpperCase()}`);
  const operands = row.operands ?? [];
  if (
    operands.some((code) => /^([EMOXYWQ]|Ry$)/.test(code) && !/^[R]/.test(code)) ||
    /^(push|pop|call|ret|iret)/.test(row.op)
  )
    found.push('#PF, #GP, #SS and #AC of its memory operand');
  if (/^i?div$/.test(row.op)) found.push('#DE');
  if (operands.some((code) => /^[VWUHL]|^xmm/.test(code))) found.push('#NM with CR0.TS, #UD without CR4.OSFXSR');
  if (/^f/.test(row.op) && !row.vex && row.op !== 'fxsave' && row.op !== 'fxrstor') found.push('#NM with CR0.TS, #MF');
  if (row.lock === undefined && row.system) found.push('#UD with LOCK');
  return found.join('; ') || 'none';
}

function exitsText(row: OpcodeRow): string | undefined {
  const exits = exitsOfInstruction(row.op);
  if (exits.length === 0) return undefined;
  return exits
    .map(({ reason, control, when }) => {
      const { name } = exitReason(reason)!;
      if (!control && !when) return `${name} (${reason}), always`;
      return `${name} (${reason}) ${[control && `with "${control}"`, when].filter(Boolean).join(' ')}`;
    })
    .join('; ');
}

/** Markdown about a mnemonic; about one row of it if that is known. */
export function instructionText(name: string, { syntax, bits }: Dialect, chosen?: OpcodeRow): string | undefined {
  const candidates = candidatesOf(name.toLowerCase(), syntax, bits);
  const first = candidates?.find(({ row }) => row === chosen) ?? candidates?.[0];
  if (!candidates || !first) return undefined;
  const { row } = first;
  const forms = new Set(
    candidates.flatMap(({ row: form, size }) =>
      (size === undefined ? sizesOf(form, bits) : [size]).map(
        (bytes) => `${rowNotation(form, bytes).replace('cc', name.replace(/^(j|set|cmov)/, ''))}`,
      ),
    ),
  );
  const shown = [...forms].slice(0, MOST_FORMS);
  if (forms.size > shown.length) shown.push(`… ${forms.size - shown.length} more`);
  const rule = ringRule(row);
  const exits = exitsText(row);
  const lines = [
    `**${name}** - ${summary(name, first)}`,
    ['```', ...shown, '```'].join('\n'),
    `Flags read: ${flags(first.condition === undefined ? row.reads : conditionFlags(first.condition))}; written: ${flags(row.writes)}`,
    `Ring: ${rule ? rule.needs : 'any'}`,
    `Exceptions: ${exceptions(row)}`,
    ...(exits ? [`VM exits in Dune mode: ${exits}`] : []),
    `Manual: ${manualSection(row)}, ${(row.mnemonic ?? row.op).toUpperCase().replace('CC', 'cc')}`,
  ];
  return lines.join('\n\n');
}
