/** Compiling the C programs beside this file for specs, each variant once per run. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { loadSymbols, type ProgramSymbols } from '../index.ts';

const here = dirname(fileURLToPath(import.meta.url));
let directory: string | undefined;
const built = new Map<string, string>();

export function outputDirectory(): string {
  if (!directory) {
    directory = mkdtempSync(join(tmpdir(), 'dune-symbols-'));
    process.on('exit', () => rmSync(directory!, { recursive: true, force: true }));
  }
  return directory;
}

export function hasCompiler(name: string): boolean {
  return (process.env.PATH ?? '').split(':').some((folder) => existsSync(join(folder, name)));
}

export function sourcePath(name: string): string {
  return join(here, name);
}

/** Path of the program built from sources of this folder. */
export function build(compiler: string, sources: readonly string[], flags: readonly string[]): string {
  const key = [compiler, ...sources, ...flags].join(' ');
  let path = built.get(key);
  if (!path) {
    path = join(outputDirectory(), `program${built.size}`);
    execFileSync(compiler, ['-g', '-w', ...flags, ...sources.map(sourcePath), '-o', path]);
    built.set(key, path);
  }
  return path;
}

export function symbolsOf(path: string): ProgramSymbols {
  return loadSymbols(new Uint8Array(readFileSync(path)), path);
}

export function run(command: string, args: readonly string[], input = ''): string {
  return execFileSync(command, args, {
    input,
    maxBuffer: 1 << 28,
    encoding: 'utf8',
    stdio: ['pipe', 'pipe', 'ignore'],
  });
}

/** Flags under which the readers are compared with binutils. */
export const VARIANTS: readonly { compiler: string; flags: readonly string[] }[] = [
  { compiler: 'gcc', flags: ['-O0', '-gdwarf-5'] },
  { compiler: 'gcc', flags: ['-O2', '-gdwarf-5'] },
  { compiler: 'gcc', flags: ['-O3', '-gdwarf-4'] },
  { compiler: 'gcc', flags: ['-O0', '-gdwarf-4', '-gz=zlib'] },
  { compiler: 'clang', flags: ['-O0', '-gdwarf-5'] },
  { compiler: 'clang', flags: ['-O2', '-gdwarf-4'] },
];

export function availableVariants(): typeof VARIANTS {
  return VARIANTS.filter(({ compiler }) => hasCompiler(compiler));
}
