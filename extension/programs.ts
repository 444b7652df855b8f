/** Which files are programs, and which program belongs to a source. */
import * as vscode from 'vscode';

const SOURCE = /\.(c|cc|cpp|cxx|s|S)$/;
const ELF_MAGIC = [0x7f, 0x45, 0x4c, 0x46];
/** Offset of e_type's low byte in an ELF header: 2 is ET_EXEC, 3 is ET_DYN (static-PIE). */
const E_TYPE = 16;
const MULTIBOOT_MAGIC = 0x1badb002;
const MULTIBOOT_SEARCH = 8192;
/** Larger files are not looked into: there is no way to read only the first bytes. */
const LARGEST_PROGRAM = 64 * 1024 * 1024;

export function isSource(uri: vscode.Uri): boolean {
  return SOURCE.test(uri.path);
}

/** The program made of a source: the same path without the extension. */
export function programOf(source: vscode.Uri): vscode.Uri {
  return source.with({ path: source.path.replace(SOURCE, '') });
}

export function baseName(uri: vscode.Uri): string {
  return uri.path.slice(uri.path.lastIndexOf('/') + 1);
}

/** A plain path for files, else the whole URI: the adapter reads through the host it runs in. */
export function pathOf(uri: vscode.Uri): string {
  return uri.scheme === 'file' ? uri.fsPath : uri.toString();
}

/** The file in front, also when the editor cannot show it as text (a binary). */
export function activeFile(): vscode.Uri | undefined {
  const input = vscode.window.tabGroups.activeTabGroup.activeTab?.input as { uri?: vscode.Uri } | undefined;
  return input?.uri ?? vscode.window.activeTextEditor?.document.uri;
}

/** False also for a file that is absent. */
export async function isElfProgram(uri: vscode.Uri): Promise<boolean> {
  try {
    const stat = await vscode.workspace.fs.stat(uri);
    if ((stat.type & vscode.FileType.File) === 0 || stat.size <= E_TYPE || stat.size > LARGEST_PROGRAM) return false;
    const image = await vscode.workspace.fs.readFile(uri);
    const isExecutable = image[E_TYPE] === 2 || image[E_TYPE] === 3;
    return isExecutable && ELF_MAGIC.every((byte, index) => image[index] === byte);
  } catch {
    return false;
  }
}

/** A kernel for a bare machine: it has a Multiboot 1 header in its first 8 KB. */
export async function isMultibootKernel(uri: vscode.Uri): Promise<boolean> {
  try {
    const image = await vscode.workspace.fs.readFile(uri);
    const view = new DataView(image.buffer, image.byteOffset, Math.min(image.byteLength, MULTIBOOT_SEARCH));
    for (let at = 0; at + 12 <= view.byteLength; at += 4) {
      if (view.getUint32(at, true) !== MULTIBOOT_MAGIC) continue;
      if ((MULTIBOOT_MAGIC + view.getUint32(at + 4, true) + view.getUint32(at + 8, true)) >>> 0 === 0) return true;
    }
    return false;
  } catch {
    return false;
  }
}

/** An assembly source that has an entry point of its own: the debug adapter assembles and links it without any toolchain. */
export async function isWholeProgram(uri: vscode.Uri): Promise<boolean> {
  return /\.(s|S|asm)$/.test(uri.path) && hasEntry(uri, new Set());
}

/** In the source itself, or in what it includes. */
async function hasEntry(uri: vscode.Uri, seen: Set<string>): Promise<boolean> {
  if (seen.has(uri.toString())) return false;
  seen.add(uri.toString());
  const text = await textOf(uri);
  if (text === undefined) return false;
  if (/^[ \t]*_start[ \t]*:/m.test(text)) return true;
  for (const path of includedPaths(text)) if (await hasEntry(vscode.Uri.joinPath(uri, '..', path), seen)) return true;
  return false;
}

/** What `.include` and `.incbin` of an assembly source name. */
export function includedPaths(text: string): string[] {
  return [...text.matchAll(/^[ \t]*(?:\.inc(?:lude|bin)|#[ \t]*include)[ \t]+["<]([^">]+)[">]/gim)].map(
    (match) => match[1]!,
  );
}

/** As it stands in an editor, or in the file; undefined if there is none. */
export async function textOf(uri: vscode.Uri): Promise<string | undefined> {
  const open = vscode.workspace.textDocuments.find((document) => document.uri.toString() === uri.toString());
  if (open) return open.getText();
  return vscode.workspace.fs.readFile(uri).then(
    (bytes) => new TextDecoder().decode(bytes),
    () => undefined,
  );
}

export async function isNewer(a: vscode.Uri, b: vscode.Uri): Promise<boolean> {
  const [first, second] = await Promise.all([vscode.workspace.fs.stat(a), vscode.workspace.fs.stat(b)]);
  return first.mtime > second.mtime;
}

/** Programs of a folder, most likely ones first: those beside their source. */
export async function findPrograms(folder: vscode.WorkspaceFolder, most: number): Promise<vscode.Uri[]> {
  const files = await vscode.workspace.findFiles(
    new vscode.RelativePattern(folder, '**/*'),
    '**/node_modules/**',
    4000,
  );
  const sources = new Set(files.filter(isSource).map((file) => programOf(file).toString()));
  const candidates = files.filter((file) => !baseName(file).includes('.'));
  const [beside, others] = [true, false].map((wanted) =>
    candidates.filter((file) => sources.has(file.toString()) === wanted).sort((a, b) => (a.path < b.path ? -1 : 1)),
  );
  const programs: vscode.Uri[] = [];
  for (const file of [...beside!, ...others!].slice(0, 4 * most)) {
    if (programs.length === most) break;
    if (await isElfProgram(file)) programs.push(file);
  }
  return programs;
}
