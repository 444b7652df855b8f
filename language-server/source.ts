/** A document with all that is known of it. What is costly is made when it is first wanted, for the present version. */
import type { AssembleOptions, Included } from '../emulator/assembler/assembler.ts';
import { Analysis } from './analysis.ts';
import { Document } from './document.ts';
import { SymbolIndex, type MacroDefinition, type Occurrence } from './symbol-index.ts';

/** Files that sources include, by URI; loaded before they are wanted (workspace.ts). */
export type FileText = (uri: string) => string | undefined;
export type FileBytes = (uri: string) => Uint8Array | undefined;

export interface Found {
  readonly uri: string;
  readonly occurrence: Occurrence;
}

/** URI of a file as `.include` names it. */
export function resolvePath(from: string, path: string): string {
  return new URL(path.split('/').map(encodeURIComponent).join('/'), from).href;
}

export class Source {
  readonly document: Document;
  #index: { version: number; index: SymbolIndex } | undefined;
  #analysis: { version: number; analysis: Analysis } | undefined;

  constructor(
    readonly uri: string,
    readonly files: FileText,
    readonly bytes: FileBytes,
    /** The source of another document, open or not. */
    readonly other: (uri: string) => Source | undefined,
  ) {
    this.document = new Document(uri);
  }

  get index(): SymbolIndex {
    const { version } = this.document;
    if (this.#index?.version !== version) this.#index = { version, index: new SymbolIndex(this.document) };
    return this.#index.index;
  }
  get analysis(): Analysis {
    const { version } = this.document;
    if (this.#analysis?.version !== version) {
      const analysis = new Analysis(this.uri, this.document.text, this.#options());
      this.#analysis = { version, analysis };
    }
    return this.#analysis.analysis;
  }
  /** The last one, of this version or an older one. */
  get latestAnalysis(): Analysis | undefined {
    return this.#analysis?.analysis;
  }
  /** An included file has changed. */
  invalidate(): void {
    this.#analysis = undefined;
  }

  #options(): AssembleOptions {
    const include = (path: string, from: string): Included | undefined => {
      const uri = resolvePath(from, path);
      const text = this.files(uri);
      return text === undefined ? undefined : { path: uri, text };
    };
    return { include, incbin: (path, from) => this.bytes(resolvePath(from, path)) };
  }

  /** This source and what it includes, each once. */
  get all(): Source[] {
    const found = new Map<string, Source>();
    const visit = (source: Source): void => {
      if (found.has(source.uri)) return;
      found.set(source.uri, source);
      for (const { path } of source.index.includes) {
        const other = this.other(resolvePath(source.uri, path));
        if (other) visit(other);
      }
    };
    visit(this);
    return [...found.values()];
  }
  macro(name: string): { readonly uri: string; readonly macro: MacroDefinition } | undefined {
    for (const { uri, index } of this.all) {
      const macro = index.macros.get(name.toLowerCase());
      if (macro) return { uri, macro };
    }
    return undefined;
  }
  definition(name: string): Found | undefined {
    for (const { uri, index } of this.all) {
      const occurrence = index.definition(name);
      if (occurrence) return { uri, occurrence };
    }
    return undefined;
  }
}
