/** Open sources, what they include, and when they are assembled. Knows no transport. */
import { DiagnosticSeverity, type Diagnostic } from 'vscode-languageserver-types';
import type { Diagnostic as AssemblerDiagnostic } from '../emulator/assembler/model.ts';
import { fastCheck, isPlain } from './fast-check.ts';
import { resolvePath, Source } from './source.ts';

export interface WorkspaceHost {
  /** Undefined if there is no such file. */
  readFile(uri: string): Promise<Uint8Array | undefined>;
  publish(uri: string, version: number, diagnostics: Diagnostic[]): void;
  /** Runs a task later; returns what forgets it. */
  schedule(task: () => void, milliseconds: number): () => void;
}

/** After the last keystroke that a quick check could judge. */
const SETTLED = 400;
/** Sources of more lines are assembled only when typing pauses. */
const LARGE = 8000;
const PAUSE = 150;

interface Open {
  readonly source: Source;
  diagnostics: readonly AssemblerDiagnostic[];
  macros: ReadonlySet<string>;
  cancel: (() => void) | undefined;
  loading: Promise<void>;
}

const TEXT = new TextDecoder();

export class Workspace {
  readonly #open = new Map<string, Open>();
  /** Files that are not open, by URI. */
  readonly #files = new Map<string, Uint8Array | undefined>();
  readonly #closed = new Map<string, Source>();

  constructor(readonly host: WorkspaceHost) {}

  get sources(): Source[] {
    return [...this.#open.values()].map(({ source }) => source);
  }

  open(uri: string, text: string, version: number): void {
    const source = this.#source(uri);
    source.document.update(text, version);
    this.#closed.delete(uri);
    const open: Open = { source, diagnostics: [], macros: new Set(), cancel: undefined, loading: Promise.resolve() };
    this.#open.set(uri, open);
    open.loading = this.#load(source);
    void open.loading.then(() => this.#check(open));
    this.#othersChanged(uri);
  }

  change(uri: string, text: string, version: number): void {
    const open = this.#open.get(uri);
    if (!open) return this.open(uri, text, version);
    const { source } = open;
    const { document } = source;
    const old = document.lines;
    const analysis = source.latestAnalysis;
    const change = document.update(text, version);
    const gone = old.slice(change.first, change.first + change.removed);
    const isMacro = (name: string): boolean => open.macros.has(name.toLowerCase());
    const quick = analysis && fastCheck(document, change, gone, analysis, open.diagnostics, isMacro);
    if (quick) {
      open.diagnostics = quick;
      this.#publish(open);
      return this.#later(open, SETTLED);
    }
    const added = document.lines.slice(change.first, change.first + change.added);
    if (![...gone, ...added].every((line) => isPlain(line, () => false))) open.loading = this.#load(source);
    this.#later(open, document.lines.length > LARGE ? PAUSE : 0);
    this.#othersChanged(uri);
  }

  close(uri: string): void {
    const open = this.#open.get(uri);
    open?.cancel?.();
    this.#open.delete(uri);
    this.#files.delete(uri);
    this.host.publish(uri, 0, []);
  }

  /** A file was written, made or removed outside of the editor. */
  fileChanged(uri: string): void {
    if (this.#open.has(uri)) return;
    this.#files.delete(uri);
    this.#closed.delete(uri);
    this.#othersChanged(uri);
  }

  /** The source of an open document when all that it includes is there. */
  async ready(uri: string): Promise<Source | undefined> {
    const open = this.#open.get(uri);
    await open?.loading;
    return open?.source;
  }

  #source(uri: string): Source {
    return new Source(
      uri,
      (file) => this.#text(file),
      (file) => this.#files.get(file),
      (other) => this.#other(other),
    );
  }
  #text(uri: string): string | undefined {
    const open = this.#open.get(uri);
    if (open) return open.source.document.text;
    const bytes = this.#files.get(uri);
    return bytes && TEXT.decode(bytes);
  }
  #other(uri: string): Source | undefined {
    const open = this.#open.get(uri);
    if (open) return open.source;
    const known = this.#closed.get(uri);
    if (known) return known;
    const text = this.#text(uri);
    if (text === undefined) return undefined;
    const source = this.#source(uri);
    source.document.update(text, 0);
    this.#closed.set(uri, source);
    return source;
  }

  /** Reads what a source includes, and what that includes. */
  async #load(source: Source, seen = new Set<string>()): Promise<void> {
    seen.add(source.uri);
    for (const path of included(source)) {
      const uri = resolvePath(source.uri, path);
      if (seen.has(uri)) continue;
      seen.add(uri);
      if (!this.#open.has(uri) && !this.#files.has(uri)) this.#files.set(uri, await this.host.readFile(uri));
      const other = /\.(s|asm|inc)$/i.test(uri) ? this.#other(uri) : undefined;
      if (other) await this.#load(other, seen);
    }
  }

  /** Sources that include another one are assembled anew. */
  #othersChanged(uri: string): void {
    for (const open of this.#open.values()) {
      if (open.source.uri === uri || !included(open.source).some((path) => resolvePath(open.source.uri, path) === uri))
        continue;
      open.loading = this.#load(open.source);
      open.source.invalidate();
      this.#later(open, PAUSE);
    }
  }

  #later(open: Open, milliseconds: number): void {
    open.cancel?.();
    open.cancel = this.host.schedule(() => {
      open.cancel = undefined;
      void open.loading.then(() => this.#check(open));
    }, milliseconds);
  }

  #check(open: Open): void {
    if (this.#open.get(open.source.uri) !== open) return;
    open.diagnostics = open.source.analysis.diagnostics;
    open.macros = new Set(open.source.all.flatMap(({ index }) => [...index.macros.keys()]));
    this.#publish(open);
  }
  #publish({ source, diagnostics }: Open): void {
    this.host.publish(
      source.uri,
      source.document.version,
      diagnostics.map((diagnostic) => forClient(source, diagnostic)),
    );
  }
}

/** Paths of `.include` and `.incbin`. */
function included({ document }: Source): string[] {
  return document.lines.flatMap(({ tokens }) =>
    tokens[0] && tokens.some(({ kind, name }) => kind === 'directive' && /^\.inc(lude|bin)$/i.test(name))
      ? tokens.filter(({ kind }) => kind === 'string').map(({ name }) => name.slice(1, -1))
      : [],
  );
}

function forClient(source: Source, { file, line, column, length, severity, message }: AssemblerDiagnostic): Diagnostic {
  const common = {
    severity: severity === 'error' ? DiagnosticSeverity.Error : DiagnosticSeverity.Warning,
    source: 'dune',
  };
  if (file === source.uri) {
    const range = { start: { line, character: column }, end: { line, character: column + length } };
    return { range, message, ...common };
  }
  // In an included file: shown where it is included.
  const at = source.document.lines.findIndex(({ tokens }) =>
    tokens.some(({ name }) => name.toLowerCase() === '.include'),
  );
  const shown = Math.max(0, at);
  const range = {
    start: { line: shown, character: 0 },
    end: { line: shown, character: source.document.lines[shown]?.text.length ?? 0 },
  };
  return { range, message: `${file.slice(file.lastIndexOf('/') + 1)}:${line + 1}: ${message}`, ...common };
}
