/** Functions of libdune for completion and hovers, read from its header. */

export interface LibrarySymbol {
  readonly name: string;
  readonly prototype: string;
  readonly comment: string;
}

const PROTOTYPE = /^(?!static|typedef|#|\s)([A-Za-z_][\w\s*]*?[\s*])([a-z_]\w*)\(([^;{]*)\);/gm;

/** @param header text of libdune/dune.h */
export function librarySymbols(header: string): ReadonlyMap<string, LibrarySymbol> {
  const symbols = new Map<string, LibrarySymbol>();
  for (const { 0: prototype, 2: name, index } of header.matchAll(PROTOTYPE)) {
    const above = /\/\*((?:(?!\*\/)[^])*)\*\/\s*$/.exec(header.slice(0, index))?.[1] ?? '';
    const comment = above.replace(/\s*\n\s*\*?\s*/g, ' ').trim();
    symbols.set(name!, {
      name: name!,
      prototype: prototype.replace(/\s+/g, ' '),
      comment: /^-{3,}/.test(comment) ? '' : comment,
    });
  }
  return symbols;
}
