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
    /** Where files that are not beside a source are looked for: folders, as URIs that end in `/`. */
    readonly folders: () => readonly string[] = () => [],
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
      for (const uri of this.candidates(path, from)) {
        const text = this.files(uri);
        if (text !== undefined) return { path: uri, text };
      }
      return undefined;
    };
    const incbin: AssembleOptions['incbin'] = (path, from) => {
      for (const uri of this.candidates(path, from)) {
        const bytes = this.bytes(uri);
        if (bytes) return bytes;
      }
      return undefined;
    };
    return { include, incbin };
  }

  /** Where a file that is included may be: beside what names it, then in the folders. */
  candidates(path: string, from = this.uri): string[] {
    return [from, ...this.folders()].map((base) => resolvePath(base, path));
  }
  /** The source of an included file. */
  included(path: string): Source | undefined {
    for (const uri of this.candidates(path)) {
      const found = this.other(uri);
      if (found) return found;
    }
    return undefined;
  }

  /** This source and what it includes, each once. */
  get all(): Source[] {
    const found = new Map<string, Source>();
    const visit = (source: Source): void => {
      if (found.has(source.uri)) return;
      found.set(source.uri, source);
      for (const { path } of source.index.includes) {
        const other = source.included(path);
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
