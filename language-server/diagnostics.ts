/** What the assembler says of a source, for clients: by file, with what is wrong with an included one shown where it is included, too. */
import { DiagnosticSeverity, DiagnosticTag, type Diagnostic, type Range } from 'vscode-languageserver-types';
import type { Diagnostic as AssemblerDiagnostic } from '../emulator/assembler/model.ts';
import type { Source } from './source.ts';

const SOURCE = 'dune';

const rangeOf = ({ line, column, length }: AssemblerDiagnostic): Range => ({
  start: { line, character: column },
  end: { line, character: column + length },
});

/** By URI; the source's own is always there. */
export function diagnosticsByFile(
  source: Source,
  diagnostics: readonly AssemblerDiagnostic[],
): ReadonlyMap<string, readonly Diagnostic[]> {
  const own = excluded(source);
  const files = new Map<string, Diagnostic[]>([[source.uri, own]]);
  for (const diagnostic of diagnostics) {
    const { file, severity, message } = diagnostic;
    const range = rangeOf(diagnostic);
    const common = {
      severity: severity === 'error' ? DiagnosticSeverity.Error : DiagnosticSeverity.Warning,
      source: SOURCE,
    };
    if (file === source.uri) own.push({ range, message, ...common });
    else {
      const of = files.get(file);
      if (of) of.push({ range, message, ...common });
      else files.set(file, [{ range, message, ...common }]);
      const shown = `${file.slice(file.lastIndexOf('/') + 1)}:${diagnostic.line + 1}: ${message}`;
      const relatedInformation = [{ location: { uri: file, range }, message }];
      own.push({ range: includeOf(source, file), message: shown, ...common, relatedInformation });
    }
  }
  return files;
}

/** Lines that the preprocessor leaves out. */
function excluded({ latestAnalysis, document }: Source): Diagnostic[] {
  return (latestAnalysis?.inactive ?? []).map(({ first, last }) => ({
    range: {
      start: { line: first, character: 0 },
      end: { line: last, character: document.lines[last]?.text.length ?? 0 },
    },
    message: 'A condition of the preprocessor leaves this out.',
    severity: DiagnosticSeverity.Hint,
    tags: [DiagnosticTag.Unnecessary],
    source: SOURCE,
  }));
}

/** The path, in the directive by which a source comes to include a file. */
function includeOf(source: Source, file: string): Range {
  const found = source.index.includes.find(({ path }) => source.included(path)?.all.some(({ uri }) => uri === file));
  const { line, token } = found ?? { line: 0, token: { start: 0, end: source.document.lines[0]?.text.length ?? 0 } };
  return { start: { line, character: token.start }, end: { line, character: token.end } };
}
