/** While an assembly source is debugged: values of registers at the ends of lines, and of what is under the mouse. */
import * as vscode from 'vscode';

const LANGUAGES = ['gas'];
/** Lines around the place of the stop that show values. */
const LINES_BEFORE = 3;
const REGISTER = /%(r(?:[abcd]x|[sbi]p|[sd]i|\d+[dwb]?)|e(?:[abcd]x|[sb]p|[sd]i)|cr[0-8]|dr[0-7])\b/gi;
/** `disp(base, index, scale)` in AT&T syntax with a numeric displacement. */
const MEMORY = /(-?(?:0x[0-9a-f]+|\d+))?\(\s*%(\w+)\s*(?:,\s*%(\w+)\s*(?:,\s*([1248])\s*)?)?\)/gi;

/** The text of a line before its comment. */
function codeOf(document: vscode.TextDocument, line: number): string {
  return document.lineAt(line).text.replace(/(#|\/\/).*$/, '');
}

const inlineValues: vscode.InlineValuesProvider = {
  provideInlineValues(document, visible, { stoppedLocation }) {
    const values: vscode.InlineValue[] = [];
    const last = Math.min(stoppedLocation.end.line, visible.end.line);
    for (let line = Math.max(visible.start.line, last - LINES_BEFORE); line <= last; line++) {
      const seen = new Set<string>();
      for (const { 0: text, 1: name, index } of codeOf(document, line).matchAll(REGISTER)) {
        if (seen.has(name!.toLowerCase())) continue;
        seen.add(name!.toLowerCase());
        const range = new vscode.Range(line, index, line, index + text.length);
        values.push(new vscode.InlineValueEvaluatableExpression(range, `$${name!.toLowerCase()}`));
      }
    }
    return values;
  },
};

/** `symbol(%rip)`, and a symbol with a displacement. */
const RELATIVE = /([A-Za-z_.$][\w.$]*)\s*((?:[+-]\s*(?:0x[0-9a-f]+|\d+)\s*)*)\(\s*%rip\s*\)/gi;
/** Of Intel syntax. */
const BRACKETS = /\[([^\]]+)\]/g;
const INTEL_REGISTER = /\b(r(?:[abcd]x|[sbi]p|[sd]i|\d+[dwb]?)|e(?:[abcd]x|[sb]p|[sd]i)|cr[0-8]|dr[0-7])\b/gi;

const hovers: vscode.EvaluatableExpressionProvider = {
  provideEvaluatableExpression(document, { line, character }) {
    const code = codeOf(document, line);
    const under = (pattern: RegExp): RegExpMatchArray | undefined =>
      [...code.matchAll(pattern)].find(
        ({ 0: text, index }) => index! <= character && character <= index! + text.length,
      );
    const range = ({ 0: text, index }: RegExpMatchArray): vscode.Range =>
      new vscode.Range(line, index!, line, index! + text.length);
    const isIntel = /^\s*\.intel_syntax/m.test(document.getText());
    const at = (found: RegExpMatchArray, address: string): vscode.EvaluatableExpression =>
      new vscode.EvaluatableExpression(range(found), `*(unsigned long *)(${address})`);
    const register = under(isIntel ? INTEL_REGISTER : REGISTER);
    if (register) return new vscode.EvaluatableExpression(range(register), `$${register[1]!.toLowerCase()}`);
    const brackets = isIntel ? under(BRACKETS) : undefined;
    if (brackets)
      return at(
        brackets,
        brackets[1]!.replace(INTEL_REGISTER, (name) => `$${name.toLowerCase()}`),
      );
    const relative = under(RELATIVE);
    if (relative) return at(relative, `(unsigned long)&${relative[1]!} ${relative[2]!}`);
    const memory = under(MEMORY);
    if (!memory || memory[2]!.toLowerCase() === 'rip') return undefined;
    const [, displacement, base, index, scale] = memory;
    const address = [
      `$${base!}`,
      ...(index ? [`$${index} * ${scale ?? 1}`] : []),
      ...(displacement ? [displacement] : []),
    ];
    return at(memory, address.join(' + '));
  },
};

export function showAssemblyValues(): vscode.Disposable {
  return vscode.Disposable.from(
    vscode.languages.registerInlineValuesProvider(LANGUAGES, inlineValues),
    vscode.languages.registerEvaluatableExpressionProvider(LANGUAGES, hovers),
  );
}
