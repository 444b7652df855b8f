/** Open sources, what they include, and when they are assembled. Knows no transport. */
import type { Diagnostic } from 'vscode-languageserver-types';
import type { Diagnostic as AssemblerDiagnostic } from '../emulator/assembler/model.ts';
import { diagnosticsByFile } from './diagnostics.ts';
import type { Line } from './document.ts';
import { fastCheck, isPlain } from './fast-check.ts';
import type { Token } from './lexer.ts';
import { Source } from './source.ts';

export interface WorkspaceHost {
  /** Undefined if there is no such file. */
  readFile(uri: string): Promise<Uint8Array | undefined>;
  /** @param version of an open document */
  publish(uri: string, version: number | undefined, diagnostics: Diagnostic[]): void;
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
  /** Names that the preprocessor replaces. */
  defines: ReadonlySet<string>;
  /** Diagnostics for the client, of this source and of what it includes, by URI. */
  shown: ReadonlyMap<string, readonly Diagnostic[]>;
  cancel: (() => void) | undefined;
  loading: Promise<void>;
}

const TEXT = new TextDecoder();

export class Workspace {
  readonly #open = new Map<string, Open>();
  /** Files that are not open, by URI. */
  readonly #files = new Map<string, Uint8Array | undefined>();
  readonly #closed = new Map<string, Source>();

  #folders: readonly string[] = [];

  constructor(readonly host: WorkspaceHost) {}

  /** Where files are looked for that do not lie beside what includes them: URIs that end in `/`. */
  set folders(folders: readonly string[]) {
    if (folders.join('\n') === this.#folders.join('\n')) return;
    this.#folders = folders;
    for (const open of this.#open.values()) this.#reload(open);
  }

  get sources(): Source[] {
    return [...this.#open.values()].map(({ source }) => source);
  }

  open(uri: string, text: string, version: number): void {
    const source = this.#source(uri);
    source.document.update(text, version);
    this.#closed.delete(uri);
    const open: Open = {
      ...{ source, diagnostics: [], macros: new Set(), defines: new Set(), shown: new Map() },
      ...{ cancel: undefined, loading: Promise.resolve() },
    };
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
    const isDefined = (name: string): boolean => open.defines.has(name);
    const quick = analysis && fastCheck(document, change, gone, analysis, open.diagnostics, isMacro, isDefined);
    if (quick) {
      open.diagnostics = quick;
      this.#publish(open);
      this.#othersChanged(uri);
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
    for (const file of new Set([uri, ...(open?.shown.keys() ?? [])])) this.#publishFile(file);
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
      () => this.#folders,
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
      for (const uri of source.candidates(path)) {
        if (!this.#open.has(uri) && !this.#files.has(uri)) this.#files.set(uri, await this.host.readFile(uri));
        const isThere = this.#open.has(uri) || this.#files.get(uri) !== undefined;
        if (!isThere) continue;
        const other = seen.has(uri) || !/\.(s|asm|inc|h)$/i.test(uri) ? undefined : this.#other(uri);
        seen.add(uri);
        if (other) await this.#load(other, seen);
        break;
      }
    }
  }

  /** Sources that include another one are assembled anew. */
  #othersChanged(uri: string): void {
    for (const open of this.#open.values()) {
      const { source } = open;
      if (source.uri === uri) continue;
      const isUser = [source, ...source.all].some((of) =>
        included(of).some((path) => of.candidates(path).includes(uri)),
      );
      if (isUser) this.#reload(open);
    }
  }
  #reload(open: Open): void {
    open.loading = this.#load(open.source);
    open.source.invalidate();
    this.#later(open, PAUSE);
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
    open.defines = new Set(open.source.all.flatMap(({ index }) => [...index.defines]));
    this.#publish(open);
  }
  #publish(open: Open): void {
    const before = open.shown;
    open.shown = diagnosticsByFile(open.source, open.diagnostics);
    // The source itself comes last: then all of it has been said.
    const files = new Set([...before.keys(), ...open.shown.keys()]);
    files.delete(open.source.uri);
    for (const file of [...files, open.source.uri]) this.#publishFile(file);
  }
  /** What is wrong with a file by itself and as part of others; one that is only part of others is judged as such. */
  #publishFile(uri: string): void {
    const own = this.#open.get(uri);
    const users = [...this.#open.values()].filter((open) => open !== own && open.shown.has(uri));
    const isPart =
      !/\.(s|asm)$/i.test(uri) &&
      [...this.#open.values()].some(({ source }) => source.uri !== uri && source.all.some((of) => of.uri === uri));
    const all = [...(own && !isPart ? [own] : []), ...users].flatMap(({ shown }) => shown.get(uri) ?? []);
    const unique = new Map(
      all.map((of) => [`${of.range.start.line}:${of.range.start.character} ${of.message}`, of] as const),
    );
    this.host.publish(uri, own?.source.document.version, [...unique.values()]);
  }
}

const includedPaths = new WeakMap<readonly Line[], readonly string[]>();

/** Paths of `.include`, `.incbin` and `#include`. */
function included({ document: { lines } }: Source): readonly string[] {
  const known = includedPaths.get(lines);
  if (known) return known;
  const includes = ({ kind, name }: Token): boolean =>
    (kind === 'directive' && /^\.inc(lude|bin)$/i.test(name)) || (kind === 'preprocessor' && name === '#include');
  const paths = lines.flatMap(({ tokens }) =>
    tokens[0] && tokens.some(includes)
      ? tokens.filter(({ kind }) => kind === 'string').map(({ name }) => name.slice(1, -1))
      : [],
  );
  includedPaths.set(lines, paths);
  return paths;
}
