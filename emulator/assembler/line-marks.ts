/** Which rows the line table gets: one for each instruction of a source without `.loc`, else what `.loc` says (GNU as manual, ".loc"). */
import type { LineMark } from './model.ts';
import type { Sections } from './sections.ts';
import type { Statement } from './source.ts';

/** The registers of the line-number state machine that `.loc` sets (DWARF 5 section 6.2.2). Those it does not name stay as they were. */
export interface Location {
  file: number;
  /** Counts from 1; 0 makes no row. */
  line: number;
  column: number;
  isStatement: boolean;
  isa: number;
  // Of the next row only:
  basicBlock: boolean;
  prologueEnd: boolean;
  epilogueBegin: boolean;
  discriminator: number;
}

const ONCE = { basicBlock: false, prologueEnd: false, epilogueBegin: false, discriminator: 0 };

/** Files of `.file N` (DWARF 5 section 6.2.4). */
export class FileTable {
  /** The compilation's directory, of which `.file 0` tells, then those of other files. */
  readonly directories: (string | undefined)[] = [undefined];
  readonly files: ({ readonly name: string; readonly directory: number; readonly md5: bigint | undefined } | undefined)[] = []; // prettier-ignore

  /** `.file 0` and checksums came with DWARF 5. */
  get version(): 3 | 5 {
    return this.files[0] || this.files.some((file) => file?.md5 !== undefined) ? 5 : 3;
  }
  /** False if the number is taken by another file. */
  add(number: number, directory: string | undefined, path: string, md5: bigint | undefined): boolean {
    if (number === 0) this.directories[0] = directory;
    const isSplit = number === 0 || directory === undefined;
    const slash = isSplit ? path.lastIndexOf('/') : -1;
    const name = path.slice(slash + 1);
    const folder = slash >= 0 ? path.slice(0, slash) || '/' : isSplit ? undefined : directory;
    const file = { name, directory: folder === undefined ? 0 : this.#directory(folder), md5 };
    const known = this.files[number];
    if (known && (known.name !== file.name || known.directory !== file.directory)) return false;
    this.files[number] = file;
    return true;
  }
  #directory(folder: string): number {
    const index = this.directories.indexOf(folder);
    return index >= 0 ? index : this.directories.push(folder) - 1;
  }
}

export class LineMarks {
  /** Sources of a file without `.loc`: their numbers are one more than their places. */
  readonly sources: string[] = [];
  readonly table = new FileTable();
  readonly location: Location = { file: 1, line: 0, column: 0, isStatement: true, isa: 0, ...ONCE };
  /** Whether lines of the source get rows where no `.loc` asks for any. */
  marksSource = true;
  /** A `.loc` was met: the line table is the compiler's. */
  isOwn = false;
  /** A `.loc` waits for its instruction. */
  #waits = false;
  #last: { readonly mark: LineMark; readonly view: number } | undefined;

  constructor(readonly sections: Sections) {}

  /** Before an instruction is written. */
  instruction({ from, line, file }: Statement): void {
    if (this.#waits) this.flush();
    if (this.isOwn || !this.marksSource) return;
    Object.assign(this.location, { file: this.#source(from?.file ?? file), line: (from?.line ?? line) + 1 });
    this.#mark();
  }
  #source(file: string): number {
    const index = this.sources.indexOf(file);
    return index >= 0 ? index + 1 : this.sources.push(file);
  }

  /** `.loc`: a row at the next instruction. */
  loc(location: Partial<Location>): void {
    // Of two in a row the first one counts here.
    if (this.#waits) this.flush();
    if (!this.isOwn) this.sections.all.forEach(({ lines }) => (lines.length = 0));
    this.isOwn = true;
    Object.assign(this.location, location);
    this.#waits = true;
  }
  /**
   * Makes the row that waits, here and now; answers its view number, that is how many rows stand before it at its address.
   * @param restart it is to be 0 in any case
   */
  flush(restart = false): number {
    this.#waits = false;
    const before = this.#last;
    const mark = this.#mark(restart);
    Object.assign(this.location, ONCE);
    if (!mark) return 0;
    const isSamePlace = before?.mark.fragment === mark.fragment && before.mark.offset === mark.offset;
    this.#last = { mark, view: isSamePlace && !restart ? before.view + 1 : 0 };
    return this.#last.view;
  }
  #mark(restart = false): LineMark | undefined {
    if (this.location.line === 0) return undefined;
    const fragment = this.sections.data();
    const mark: LineMark = { ...this.location, fragment, offset: fragment.bytes.length, restart };
    this.sections.current.section.lines.push(mark);
    return mark;
  }
}
