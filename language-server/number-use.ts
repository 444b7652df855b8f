/** What a number in an instruction is used as, by what stands around it. */
import type { Use } from './constants.ts';
import type { Line } from './document.ts';
import { REGISTERS } from '../emulator/assembler/registers.ts';
import type { Source } from './source.ts';

/** Instructions after a load that may use what was loaded. */
const LOOKED_AT = 8;

const mnemonicOf = (line: Line): string | undefined =>
  line.tokens.find(({ kind }) => kind === 'mnemonic')?.name.toLowerCase();
const registersOf = (line: Line): string[] =>
  line.tokens.filter(({ kind }) => kind === 'register').map(({ name }) => name);

/** The 64-bit register a name is part of, by number; other registers by name. */
function whole(name: string): string {
  const register = REGISTERS.get(name);
  return register && /^r(8|16|32|64)$/.test(register.class) && !register.high ? `r${register.number}` : name;
}

/** Uses of the number that stands in a line, likeliest first. */
export function usesOfNumber({ document }: Source, at: number): Use[] {
  const line = document.lines[at]!;
  const mnemonic = mnemonicOf(line);
  if (!mnemonic) return line.tokens.some(({ name }) => name === '.quad') ? ['page-table entry'] : [];
  const registers = registersOf(line);
  if (/^(ljmp|lcall)/.test(mnemonic)) return ['selector'];
  if (/^vm(read|write)/.test(mnemonic)) return ['vmcs field'];
  const target = registers.at(document.lines[at]!.before.syntax === 'att' ? -1 : 0);
  const uses: Use[] = [];
  const pushed = /^push/.test(mnemonic) && !target;
  for (let next = at + 1; next < document.lines.length && next <= at + LOOKED_AT; next++) {
    const following = document.lines[next]!;
    if (following.tokens.some(({ kind }) => kind === 'label')) break;
    const use = mnemonicOf(following);
    if (!use) continue;
    const operands = registersOf(following);
    if (pushed && /^(lret|retf|iret)/.test(use)) uses.push('selector');
    if (!target) continue;
    if (/^(rdmsr|wrmsr)$/.test(use) && whole(target) === 'r1') uses.push('msr');
    if (/^vm(read|write)/.test(use) && operands.some((name) => whole(name) === whole(target))) uses.push('vmcs field');
    if (/^mov/.test(use) && operands.some((name) => whole(name) === whole(target))) {
      for (const name of operands) {
        if (/^[c-gs]s$/.test(name)) uses.push('selector');
        if (name === 'cr0' || name === 'cr4') uses.push(name);
      }
      if (/^(or|and|bts|btr)/.test(mnemonic) && following.text.includes('(') && !uses.includes('page-table entry'))
        uses.push('page-table entry');
    }
    if (/^ltr|^lldt/.test(use) && operands.some((name) => whole(name) === whole(target))) uses.push('selector');
    // Another value in the register ends it.
    if (/^(mov|lea|xor|pop)/.test(use) && operands.at(-1) !== undefined && whole(operands.at(-1)!) === whole(target))
      break;
  }
  if (/^(or|and|mov|bts)q?$/.test(mnemonic) && uses.length === 0 && line.text.includes('('))
    uses.push('page-table entry');
  if (/^cmp/.test(mnemonic)) uses.push('exit reason');
  return [...new Set(uses)];
}
