/**
 * The debug adapter in a web worker. The worker knows paths; the editor knows URIs, and only the editor can read files: what a launch
 * needs is handed over before it.
 */
import * as vscode from 'vscode';
import type { HandedFile } from '../debug-adapter/hosting/worker/memory-files.ts';
import type { ToWorker, WorkerAssets } from '../debug-adapter/hosting/worker/messages.ts';
import { includedPaths } from './programs.ts';

/** Files of the program's folder that it can open; larger folders are handed over in part. */
const MOST_FILES = 2000;
const MOST_BYTES = 256 * 1024 * 1024;
const DEEPEST = 4;

interface LaunchArguments {
  program?: string;
  cwd?: string;
  stdin?: string;
  libraries?: string[];
  includePath?: string[];
  grants?: (string | { path: string; write?: boolean })[];
}

const isUri = (text: string): boolean => /^[a-z][\w+.-]+:\//i.test(text);

export async function readAssets(extension: vscode.Uri): Promise<WorkerAssets> {
  const read = (name: string): Thenable<Uint8Array> =>
    vscode.workspace.fs.readFile(vscode.Uri.joinPath(extension, 'dist', name));
  const [core, interpreter, forms] = await Promise.all([
    read('core.wasm'),
    read('interpreter.wasm'),
    read('forms.json'),
  ]);
  return { core, interpreter, forms: new TextDecoder().decode(forms) };
}

export class WorkerAdapter implements vscode.DebugAdapter {
  readonly #sent = new vscode.EventEmitter<vscode.DebugProtocolMessage>();
  readonly onDidSendMessage = this.#sent.event;
  /** Scheme and authority of everything the session names; a workspace has one file system. */
  #base: vscode.Uri;
  #queue: Promise<void>;

  constructor(
    readonly worker: Worker,
    assets: Promise<WorkerAssets>,
    base: vscode.Uri,
  ) {
    this.#base = base;
    worker.onmessage = ({ data }: { data: unknown }) =>
      this.#sent.fire(this.#renamed(data, (path) => this.#uriOf(path)) as vscode.DebugProtocolMessage);
    this.#queue = assets.then((of) => this.#post({ kind: 'assets', assets: of }));
  }

  handleMessage(message: vscode.DebugProtocolMessage): void {
    this.#queue = this.#queue.then(() => this.#forward(message as { command?: string; arguments?: LaunchArguments }));
  }
  dispose(): void {
    this.worker.terminate();
  }

  #post(message: ToWorker): void {
    this.worker.postMessage(message);
  }
  async #forward(message: { command?: string; arguments?: LaunchArguments }): Promise<void> {
    const { command, arguments: launch } = message;
    if (command !== 'launch' || !launch) return this.#post({ kind: 'dap', message: this.#renamed(message, pathOf) });
    const program = launch.program ?? '';
    if (isUri(program)) this.#base = vscode.Uri.parse(program);
    const files = await this.#filesOf(launch);
    this.#post({ kind: 'files', files });
    const path = (text: string): string => (isUri(text) ? vscode.Uri.parse(text).path : text);
    const grants = launch.grants?.map((grant) =>
      typeof grant === 'string' ? path(grant) : { ...grant, path: path(grant.path) },
    );
    const sent = {
      ...launch,
      program: path(program),
      cwd: path(launch.cwd ?? this.#base.with({ path: folderOf(path(program)) }).path),
      ...(launch.libraries ? { libraries: launch.libraries.map(path) } : {}),
      ...(launch.includePath ? { includePath: launch.includePath.map(path) } : {}),
      ...(grants ? { grants } : {}),
    };
    this.#post({ kind: 'dap', message: { ...message, arguments: sent } });
  }

  /** `path` of every `source` in a message. */
  #renamed(value: unknown, rename: (path: string) => string): unknown {
    if (Array.isArray(value)) return value.map((part) => this.#renamed(part, rename));
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(
      Object.entries(value).map(([key, part]: [string, unknown]) => {
        const source = part as { path?: unknown } | null;
        if (key === 'source' && typeof source === 'object' && source !== null && typeof source.path === 'string')
          return [key, { ...source, path: rename(source.path) }];
        return [key, this.#renamed(part, rename)];
      }),
    );
  }
  #uriOf(path: string): string {
    return this.#base.with({ path }).toString();
  }

  /** The program, what its source includes, libraries, and what its folder holds. */
  async #filesOf({
    program = '',
    libraries = [],
    includePath = [],
    grants = [],
    stdin = '',
  }: LaunchArguments): Promise<HandedFile[]> {
    const files = new Map<string, HandedFile>();
    let bytes = 0;
    const add = async (uri: vscode.Uri): Promise<Uint8Array | undefined> => {
      const known = files.get(uri.path);
      if (known || files.size >= MOST_FILES) return known?.bytes;
      try {
        const { size, mtime } = await vscode.workspace.fs.stat(uri);
        if (bytes + size > MOST_BYTES) return undefined;
        const content = await vscode.workspace.fs.readFile(uri);
        bytes += content.length;
        files.set(uri.path, { path: uri.path, bytes: content, mtime: Math.floor(mtime / 1000) });
        return content;
      } catch {
        return undefined; // Absent: the launch says so where it matters.
      }
    };
    const addSource = async (uri: vscode.Uri): Promise<void> => {
      if (files.has(uri.path)) return;
      const content = await add(uri);
      if (!content || !/\.(s|asm|inc|h)$/i.test(uri.path)) return;
      for (const path of includedPaths(new TextDecoder().decode(content)))
        for (const folder of [vscode.Uri.joinPath(uri, '..'), ...includePath.map(at)])
          await addSource(vscode.Uri.joinPath(folder, path));
    };
    const addFolder = async (uri: vscode.Uri, depth: number): Promise<void> => {
      const entries = await vscode.workspace.fs.readDirectory(uri).then(
        (of) => of,
        () => [],
      );
      for (const [name, type] of entries) {
        const entry = vscode.Uri.joinPath(uri, name);
        if (type & vscode.FileType.Directory) {
          if (depth < DEEPEST && name !== 'node_modules' && name !== '.git') await addFolder(entry, depth + 1);
        } else await add(entry);
      }
    };
    const at = (path: string): vscode.Uri =>
      isUri(path)
        ? vscode.Uri.parse(path)
        : path.startsWith('/')
          ? this.#base.with({ path })
          : vscode.Uri.joinPath(this.#base, '..', path);
    const main = at(program);
    await addSource(main);
    for (const path of [...libraries, ...(stdin === '' ? [] : [stdin])]) await add(at(path));
    for (const grant of grants) {
      const uri = at(typeof grant === 'string' ? grant : grant.path);
      await addFolder(uri, 0);
      await add(uri);
    }
    await addFolder(main.with({ path: folderOf(main.path) }), 1);
    return [...files.values()];
  }
}

const folderOf = (path: string): string => path.slice(0, path.lastIndexOf('/')) || '/';
const pathOf = (path: string): string => (isUri(path) ? vscode.Uri.parse(path).path : path);
