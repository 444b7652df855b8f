/** Which objects take part, and which definition each name means. */
import { isArchive, readArchive } from './archive.ts';
import { readObject } from './elf-read.ts';
import { LinkError } from './model.ts';
import type { Definition, InputObject, InputSymbol } from './model.ts';

export interface LinkInput {
  readonly name: string;
  readonly bytes: Uint8Array;
}

interface Member {
  readonly name: string;
  readonly bytes: Uint8Array;
  taken: boolean;
  /** Global names that it defines; read when first wanted. */
  defines: ReadonlySet<string> | undefined;
}

export class Resolution {
  readonly objects: InputObject[] = [];
  readonly definitions = new Map<string, Definition>();
  /** Names that are wanted and not defined, and who wants them first. */
  readonly #wanted = new Map<string, InputObject>();
  readonly #groups = new Set<string>();

  constructor(inputs: readonly LinkInput[], entry: string) {
    const archives: Member[][] = [];
    this.#define(entry);
    for (const { name, bytes } of inputs) {
      if (!isArchive(bytes)) this.#add(readObject(bytes, name, this.#groups));
      else
        archives.push(
          readArchive(bytes, name).map((member) => ({
            ...member,
            name: `${name}(${member.name})`,
            taken: false,
            defines: undefined,
          })),
        );
    }
    // Members may want one another, in any order.
    while (archives.some((members) => this.#extract(members)));
  }

  #define(name: string): Definition {
    let known = this.definitions.get(name);
    if (!known) {
      known = { name, symbol: undefined, object: undefined, isWeak: false, address: undefined, commonAt: undefined };
      this.definitions.set(name, known);
    }
    return known;
  }
  #add(object: InputObject): void {
    this.objects.push(object);
    for (const symbol of object.symbols) {
      if (symbol.binding === 'local' || symbol.name === '') continue;
      const definition = this.#define(symbol.name);
      if (symbol.place === undefined || isDiscarded(symbol)) {
        if (!definition.symbol && symbol.binding === 'global' && !this.#wanted.has(symbol.name))
          this.#wanted.set(symbol.name, object);
        continue;
      }
      this.#choose(definition, symbol, object);
      this.#wanted.delete(symbol.name);
    }
  }
  #choose(definition: Definition, symbol: InputSymbol, object: InputObject): void {
    const old = definition.symbol;
    if (old && strength(old) > strength(symbol)) return;
    if (old && strength(old) === strength(symbol)) {
      if (symbol.binding === 'weak') return;
      if (symbol.place !== 'common')
        throw new LinkError(`${object.name}: \`${symbol.name}\` is defined here and in ${definition.object!.name}`);
      if (old.size >= symbol.size) return;
    }
    definition.symbol = symbol;
    definition.object = object;
    definition.isWeak = symbol.binding === 'weak';
  }
  #extract(members: readonly Member[]): boolean {
    let extracted = false;
    for (const member of members) {
      if (member.taken) continue;
      member.defines ??= definedBy(member);
      if (![...this.#wanted.keys(), ...this.#unmet()].some((name) => member.defines!.has(name))) continue;
      member.taken = true;
      this.#add(readObject(member.bytes, member.name, this.#groups));
      extracted = true;
    }
    return extracted;
  }
  /** The entry point, until somebody has it. */
  #unmet(): string[] {
    const [first] = this.definitions.values();
    return first && !first.symbol ? [first.name] : [];
  }

  /** Names that nobody defines, with who wants them. Weak references are not among them. */
  undefinedNames(): ReadonlyMap<string, InputObject> {
    return new Map(
      [...this.#wanted].filter(
        ([name]) =>
          this.definitions.get(name)?.symbol === undefined && this.definitions.get(name)?.address === undefined,
      ),
    );
  }
  /** The definition that a symbol of an object means. */
  definitionOf(symbol: InputSymbol): Definition | undefined {
    return symbol.binding === 'local' ? undefined : this.definitions.get(symbol.name);
  }
}

function isDiscarded({ place }: InputSymbol): boolean {
  return typeof place === 'object' && place.discarded;
}

/** A definition beats a common symbol, that a weak one. */
function strength(symbol: InputSymbol): number {
  if (symbol.binding === 'weak') return 0;
  return symbol.place === 'common' ? 1 : 2;
}

function definedBy({ bytes, name }: Member): ReadonlySet<string> {
  const { symbols } = readObject(bytes, name, new Set());
  return new Set(
    symbols.filter(({ binding, place }) => binding !== 'local' && place !== undefined).map((symbol) => symbol.name),
  );
}
