/** A launch of an assembly source: it is assembled and linked in memory, so that no toolchain is needed. */
import { assembleObject } from '../emulator/assembler/index.ts';
import { link, LinkError } from '../emulator/linker/link.ts';
import type { LinkInput } from '../emulator/linker/link.ts';
import type { HostFiles } from '../emulator/machine/api.ts';
import type { Host } from './host.ts';
import { RequestError } from './request.ts';
import { joinPath } from './symbols/path.ts';

/** Errors that are shown; the rest follow from them as a rule. */
const SHOWN = 5;
/** Name of the archive that comes with the debugger. */
const LIBDUNE = 'libdune';
const TEXT = new TextDecoder();

export function isAssemblySource(path: string): boolean {
  return /\.(s|S|asm)$/.test(path);
}

const folderOf = (path: string): string => path.slice(0, path.lastIndexOf('/')) || '/';

/**
 * The program made of a source and of further objects and archives. Throws RequestError with what is wrong and where.
 * @param path of the source, absolute, as the debugger's client knows it
 * @param includeFolders where included files are looked for that do not lie beside what includes them
 */
export function assembleProgram(
  files: HostFiles,
  path: string,
  source: Uint8Array,
  libraries: readonly LinkInput[],
  includeFolders: readonly string[] = [],
): Uint8Array {
  const find = (name: string, from: string): { path: string; bytes: Uint8Array } | undefined => {
    for (const folder of [folderOf(from), ...includeFolders]) {
      const at = joinPath(folder, name);
      const bytes = files.readFile(at);
      if (bytes) return { path: at, bytes };
    }
    return undefined;
  };
  const { object, diagnostics } = assembleObject(path, TEXT.decode(source), {
    debugDirectory: folderOf(path),
    include: (name, from) => {
      const found = find(name, from);
      return found && { path: found.path, text: TEXT.decode(found.bytes) };
    },
    incbin: (name, from) => find(name, from)?.bytes,
  });
  if (!object) {
    const errors = diagnostics.filter(({ severity }) => severity === 'error');
    const lines = errors
      .slice(0, SHOWN)
      .map(({ file, line, message }) => `${file.slice(file.lastIndexOf('/') + 1)}:${line + 1}: ${message}`);
    const more = errors.length > SHOWN ? `\n(and ${errors.length - SHOWN} more)` : '';
    throw new RequestError(`The source cannot be assembled.\n${lines.join('\n')}${more}`);
  }
  try {
    return link([{ name: path, bytes: object }, ...libraries]);
  } catch (error) {
    if (error instanceof LinkError) throw new RequestError(`The program cannot be linked: ${error.message}.`);
    throw error;
  }
}

/** The libraries of a launch: paths, or `libdune`. */
export async function readLibraries(host: Host, cwd: string, names: readonly string[]): Promise<LinkInput[]> {
  const libraries: LinkInput[] = [];
  for (const name of names) {
    const path = joinPath(cwd, name);
    const bytes = host.files.readFile(path) ?? (name === LIBDUNE ? await host.libdune?.() : undefined);
    if (!bytes) throw new RequestError(`The library ${path} does not exist or cannot be read: check "libraries".`);
    libraries.push({ name: path, bytes });
  }
  return libraries;
}
