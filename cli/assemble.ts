/** `dune-debug as`: assembles sources, and links them unless the output is an object. */
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, isAbsolute, join, resolve } from 'node:path';
import { loadLibdune } from '../debug-adapter/hosting/node/assets.ts';
import { assembleObject } from '../emulator/assembler/index.ts';
import type { Diagnostic } from '../emulator/assembler/index.ts';
import { link, LinkError } from '../emulator/linker/link.ts';
import type { LinkInput } from '../emulator/linker/link.ts';
import { UsageError } from './options.ts';

const STATUS_FAILED = 1;
const STATUS_USAGE = 2;
const TEXT = new TextDecoder();
/** The archive that comes with the program. */
const LIBDUNE = '-ldune';
const SOURCE = /\.(s|S|asm)$/;

const HELP = `Use: dune-debug as [-o OUT] [-I FOLDER]... [--defsym NAME=VALUE]... SOURCE.s... [OBJECT.o | ARCHIVE.a]... [-ldune]

Assembles GNU assembly for x86-64 (AT&T or Intel syntax) and links it to a static program with debug information.
-ldune is libdune for programs without a C library. An OUT that ends in .o is left as an object. Without -o the program is called as the first source without its ending.
`;

interface Options {
  readonly out: string;
  readonly inputs: readonly string[];
  readonly includes: readonly string[];
  readonly symbols: Readonly<Record<string, bigint>>;
}

function parse(argv: readonly string[]): Options {
  let out: string | undefined;
  const inputs: string[] = [];
  const includes: string[] = [];
  const symbols: Record<string, bigint> = {};
  for (let i = 0; i < argv.length; i++) {
    const argument = argv[i]!;
    const value = (): string => argv[++i] ?? usage(`${argument} needs a value.`);
    if (argument === '-o') out = value();
    else if (argument === '-I') includes.push(value());
    else if (argument === '--defsym') {
      const definition = value();
      const found =
        /^([A-Za-z_.$][\w.$]*)=(0x[0-9a-f]+|\d+)$/i.exec(definition) ??
        usage(`--defsym takes NAME=NUMBER, not "${definition}".`);
      symbols[found[1]!] = BigInt(found[2]!);
    } else if (argument === LIBDUNE) inputs.push(argument);
    else if (argument.startsWith('-')) usage(`as knows no option ${argument}; see "dune-debug as --help".`);
    else inputs.push(argument);
  }
  const [first] = inputs;
  if (first === undefined) usage('name a source to assemble; see "dune-debug as --help".');
  out ??= SOURCE.test(first) ? first.replace(SOURCE, '') : usage('name the output by -o.');
  if (out.endsWith('.o') && (inputs.length > 1 || !SOURCE.test(first)))
    usage('an object is made of one source: name a program by -o to link.');
  return { out, inputs, includes, symbols };
}
function usage(message: string): never {
  throw new UsageError(message);
}

function read(path: string): Uint8Array {
  try {
    return readFileSync(path);
  } catch (error) {
    return usage(`${path} cannot be read: ${(error as NodeJS.ErrnoException).code ?? String(error)}.`);
  }
}

/** A file that a source names: beside the source, then in the folders of -I. */
function find(
  path: string,
  from: string,
  includes: readonly string[],
): { path: string; bytes: Uint8Array } | undefined {
  for (const folder of isAbsolute(path) ? [''] : [dirname(from), ...includes]) {
    const at = join(folder, path);
    try {
      return { path: at, bytes: readFileSync(at) };
    } catch {
      // The next one may have it.
    }
  }
  return undefined;
}

function print({ file, line, column, severity, message }: Diagnostic): void {
  console.error(`${file}:${line + 1}:${column + 1}: ${severity}: ${message}`);
}

/** Returns the process's exit status. */
export function assemble(argv: readonly string[]): number {
  if (argv.includes('--help')) {
    process.stdout.write(HELP);
    return 0;
  }
  try {
    return build(parse(argv));
  } catch (error) {
    if (!(error instanceof UsageError || error instanceof LinkError)) throw error;
    console.error(`dune-debug: ${error.message}`);
    return error instanceof UsageError ? STATUS_USAGE : STATUS_FAILED;
  }
}

function build({ out, inputs, includes, symbols }: Options): number {
  let failed = false;
  const objects = inputs.map((path): LinkInput => {
    if (path === LIBDUNE) return { name: 'libdune', bytes: loadLibdune() ?? usage('libdune has not been built.') };
    const bytes = read(path);
    if (!SOURCE.test(path)) return { name: path, bytes };
    const { object, diagnostics } = assembleObject(path, TEXT.decode(bytes), {
      include: (name, from) => {
        const found = find(name, from, includes);
        return found && { path: found.path, text: TEXT.decode(found.bytes) };
      },
      incbin: (name, from) => find(name, from, includes)?.bytes,
      symbols,
      debugDirectory: resolve('.'),
    });
    diagnostics.forEach(print);
    failed ||= object === undefined;
    return { name: path, bytes: object ?? new Uint8Array() };
  });
  if (failed) return STATUS_FAILED;
  if (out.endsWith('.o')) writeFileSync(out, objects[0]!.bytes);
  else {
    writeFileSync(out, link(objects));
    chmodSync(out, 0o755);
  }
  return 0;
}
