/** The breakpoints the client has set, bound to the program that is being debugged. They outlive a restart. */
import type { DebugProtocol } from '@vscode/debugprotocol';
import type { Debuggee } from '../debuggee.ts';
import { protocolSource } from '../frames.ts';
import type { Session } from '../session.ts';
import { AddressBreakpoint } from './breakpoint.ts';

export class SessionBreakpoints {
  #nextId = 1;
  readonly #bySource = new Map<string, AddressBreakpoint[]>();
  #functions: AddressBreakpoint[] = [];
  #instructions: AddressBreakpoint[] = [];
  /** Addresses the present plan stops at for its own purposes. */
  #temporary: ReadonlySet<bigint> = new Set();

  constructor(readonly session: Session) {}

  setSource(path: string, wanted: readonly DebugProtocol.SourceBreakpoint[]): AddressBreakpoint[] {
    const made = wanted.map((spec) => {
      const breakpoint = new AddressBreakpoint(this.#nextId++, 'source', spec);
      if (!breakpoint.refused) this.#bindLine(breakpoint, path, spec.line);
      return breakpoint;
    });
    this.#bySource.set(path, made);
    this.apply();
    return made;
  }

  #bindLine(breakpoint: AddressBreakpoint, path: string, line: number): void {
    const bound = this.session.debuggee.images.all.flatMap((symbols) => {
      const found = symbols.sourceToAddresses(path, line);
      return found ? [{ ...found, image: symbols.path }] : [];
    });
    // An image that has code for the line itself goes before one that only has code for a later one.
    const actual = Math.min(...bound.map(({ actualLine }) => actualLine));
    const nearest = bound.filter(({ actualLine }) => actualLine === actual);
    breakpoint.addresses = nearest.flatMap(({ addresses }) => addresses);
    breakpoint.images = nearest.map(({ image }) => image);
    breakpoint.path = path;
    breakpoint.line = nearest[0]?.actualLine ?? line;
    if (nearest.length === 0) breakpoint.message = 'No code of the program comes from this line or a later one.';
  }

  setFunctions(wanted: readonly DebugProtocol.FunctionBreakpoint[]): AddressBreakpoint[] {
    const { all } = this.session.debuggee.images;
    this.#functions = wanted.map((spec) => {
      const breakpoint = new AddressBreakpoint(this.#nextId++, 'function', spec);
      if (breakpoint.refused) return breakpoint;
      const holders = all.filter((symbols) => symbols.functionsByName(spec.name).length > 0);
      const found = holders.flatMap((symbols) => symbols.functionsByName(spec.name));
      breakpoint.addresses = [...new Set(found.map((one) => one.breakpoint))];
      breakpoint.images = holders.map((symbols) => symbols.path);
      const [address] = breakpoint.addresses;
      const position = address === undefined ? undefined : holders[0]?.addressToSource(address);
      breakpoint.path = position?.path;
      breakpoint.line = position?.line;
      if (address === undefined) breakpoint.message = `The program has no function '${spec.name}'.`;
      return breakpoint;
    });
    this.apply();
    return this.#functions;
  }

  setInstructions(wanted: readonly DebugProtocol.InstructionBreakpoint[]): AddressBreakpoint[] {
    this.#instructions = wanted.map((spec) => {
      const breakpoint = new AddressBreakpoint(this.#nextId++, 'instruction', spec);
      if (breakpoint.refused) return breakpoint;
      const base = parseAddress(spec.instructionReference);
      if (base === undefined) breakpoint.message = `'${spec.instructionReference}' is not an address.`;
      else breakpoint.addresses = [BigInt.asUintN(64, base + BigInt(spec.offset ?? 0))];
      return breakpoint;
    });
    this.apply();
    return this.#instructions;
  }

  *#all(): Generator<AddressBreakpoint> {
    for (const list of this.#bySource.values()) yield* list;
    yield* this.#functions;
    yield* this.#instructions;
  }

  at(gva: bigint): AddressBreakpoint[] {
    return [...this.#all()].filter(({ addresses }) => addresses.includes(gva));
  }

  isTemporary(gva: bigint): boolean {
    return this.#temporary.has(gva);
  }
  setTemporary(addresses: ReadonlySet<bigint>): void {
    this.#temporary = addresses;
    this.apply();
  }

  /** Gives the machine every address it must stop at. */
  apply(): void {
    const debuggee = this.session.launched;
    if (!debuggee) return;
    const addresses = new Set(this.#temporary);
    for (const breakpoint of this.#all()) for (const address of breakpoint.addresses) addresses.add(address);
    debuggee.machine.setBreakpoints(addresses);
  }

  /** For a fresh run of the same program. */
  restart(): void {
    for (const breakpoint of this.#all()) breakpoint.restart();
    this.#temporary = new Set();
    this.apply();
  }

  protocol(debuggee: Debuggee, breakpoint: AddressBreakpoint): DebugProtocol.Breakpoint {
    return breakpoint.protocol(breakpoint.path === undefined ? undefined : protocolSource(debuggee, breakpoint.path));
  }
}

/** '0x401000' or a decimal number. */
export function parseAddress(text: string): bigint | undefined {
  return /^(0x[0-9a-f]+|\d+)$/i.test(text) ? BigInt.asUintN(64, BigInt(text)) : undefined;
}
