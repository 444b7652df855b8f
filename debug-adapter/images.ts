/** The programs of a machine's processes and their symbols. */
import { PT } from '../emulator/elf/constants.ts';
import type { ExecutionMode, HostFiles, Machine } from '../emulator/machine/api.ts';
import { loadSymbols, SymbolError, type ProgramSymbols, type SourcePosition } from './symbols/index.ts';
import { isElf32, widenElf32 } from './symbols/elf32.ts';
import { joinPath } from './symbols/path.ts';

export interface GuestImage {
  readonly path: string;
  /** Run-time minus link-time address. */
  readonly bias: bigint;
}

export class Images {
  readonly #symbols = new Map<string, ProgramSymbols | undefined>();
  readonly #local = new Map<string, string | undefined>();

  constructor(
    readonly machine: Machine,
    readonly files: HostFiles,
    readonly program: { readonly path: string; readonly image: Uint8Array },
    readonly sourceMap: Readonly<Record<string, string>>,
    /** Programs that run as guests of a bare machine's hypervisor: their symbols hold in VMX non-root operation, in place of the hypervisor's. */
    readonly guests: readonly GuestImage[],
    /** Told once for each image whose symbols cannot be used. */
    readonly complain: (sentence: string) => void,
  ) {}

  /** Symbols of the first program, for what happens before it has run. */
  get main(): ProgramSymbols {
    const first = this.machine.threads()[0];
    const image = first && this.machine.images(first.id).find(({ path }) => path === this.program.path);
    return this.#load(this.program.path, image?.bias ?? 0n) ?? loadSymbols(this.program.image, this.program.path);
  }

  /** Symbols of the image a thread has at an address, in the mode it is in or was in. */
  at(thread: number, gva: bigint, mode?: ExecutionMode): ProgramSymbols | undefined {
    for (const { path, bias } of this.#mapped(thread, mode)) {
      const symbols = this.#load(path, bias);
      if (symbols && covers(symbols, gva)) return symbols;
    }
    return undefined;
  }

  #mapped(thread: number, mode?: ExecutionMode): readonly GuestImage[] {
    if (this.guests.length > 0 && (mode ?? this.machine.thread(thread)?.mode) === 'guest') return this.guests;
    return this.machine.images(thread);
  }

  /** Symbols of the first program and of guests: where breakpoints in sources are bound. */
  get all(): ProgramSymbols[] {
    return [this.main, ...this.guests.flatMap(({ path, bias }) => this.#load(path, bias) ?? [])];
  }

  #load(path: string, bias: bigint): ProgramSymbols | undefined {
    const key = `${path}@${bias}`;
    if (this.#symbols.has(key)) return this.#symbols.get(key);
    let symbols: ProgramSymbols | undefined;
    const file = path === this.program.path ? this.program.image : this.files.readFile(path);
    const image = file && isElf32(file) ? widenElf32(file) : file;
    try {
      symbols = image && loadSymbols(image, path, bias);
      if (symbols?.problem) this.complain(`${path}: its debugging information cannot be used: ${symbols.problem}`);
    } catch (error) {
      if (!(error instanceof SymbolError)) throw error;
      this.complain(`${path}: ${error.message}`);
    }
    this.#symbols.set(key, symbols);
    return symbols;
  }

  /** Where a source file is on this host: as the compiler wrote it, by the source map, or beside the program. */
  localSource(path: string): string | undefined {
    if (!this.#local.has(path)) this.#local.set(path, this.#find(path));
    return this.#local.get(path);
  }
  /** Sources of the programs that are on this host. */
  localSources(): string[] {
    return this.sources().flatMap((path) => this.localSource(path) ?? []);
  }
  sources(): string[] {
    return [...new Set(this.all.flatMap((symbols) => symbols.sources()))];
  }
  #find(path: string): string | undefined {
    const candidates = [path];
    for (const [from, to] of Object.entries(this.sourceMap))
      if (path.startsWith(from)) candidates.unshift(to + path.slice(from.length));
    const folder = this.program.path.slice(0, this.program.path.lastIndexOf('/'));
    const parts = path.split('/');
    for (const count of [1, 2]) candidates.push(joinPath(folder, parts.slice(-count).join('/')));
    return candidates.find((candidate) => this.files.stat(candidate)?.type === 'file');
  }

  /** `name+offset`, for addresses in text. */
  symbol(thread: number, gva: bigint, mode?: ExecutionMode): string | undefined {
    const symbols = this.at(thread, gva, mode);
    const found = symbols?.symbolAt(gva);
    const name = symbols?.inlineChain(gva)[0]?.name ?? found?.name;
    if (name === undefined) return undefined;
    return found && found.offset > 0 && found.name === name ? `${name}+0x${found.offset.toString(16)}` : name;
  }

  source(thread: number, gva: bigint): SourcePosition | undefined {
    return this.at(thread, gva)?.addressToSource(gva);
  }
}

function covers(symbols: ProgramSymbols, gva: bigint): boolean {
  const address = symbols.linkAddress(gva);
  return symbols.elf.segments.some(
    ({ type, address: start, memorySize }) => type === PT.load && address >= start && address < start + memorySize,
  );
}
