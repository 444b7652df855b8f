/** Files that the client handed over: a worker has no other way to read them at once. */
import type { HostFiles, HostStat } from '../../../emulator/machine/api.ts';

export interface HandedFile {
  /** Absolute, '/'-separated. */
  readonly path: string;
  readonly bytes: Uint8Array;
  /** Seconds. */
  readonly mtime: number;
}

interface Node {
  readonly type: 'file' | 'directory';
  bytes: Uint8Array;
  mtime: number;
  readonly inode: number;
  readonly entries: Set<string>;
}

export class MemoryFiles implements Required<Omit<HostFiles, 'readLink'>> {
  readonly #nodes = new Map<string, Node>();
  #inodes = 1;

  constructor() {
    this.#add('/', 'directory');
  }

  stat(path: string): HostStat | undefined {
    const node = this.#nodes.get(path);
    if (!node) return undefined;
    const { type, bytes, mtime, inode } = node;
    return { type, size: bytes.length, mode: 0o755, mtime, inode };
  }
  readFile(path: string): Uint8Array | undefined {
    const node = this.#nodes.get(path);
    return node?.type === 'file' ? node.bytes : undefined;
  }
  readDirectory(path: string): readonly string[] | undefined {
    const node = this.#nodes.get(path);
    return node?.type === 'directory' ? [...node.entries].sort() : undefined;
  }
  writeFile(path: string, data: Uint8Array): void {
    this.hand({ path, bytes: data, mtime: this.#nodes.get(path)?.mtime ?? 0 });
  }
  remove(path: string): void {
    const node = this.#nodes.get(path);
    if (!node || node.entries.size > 0) return;
    this.#nodes.delete(path);
    this.#nodes.get(parentOf(path))?.entries.delete(nameOf(path));
  }
  makeDirectory(path: string): void {
    if (!this.#nodes.has(path)) this.#add(path, 'directory');
  }

  hand({ path, bytes, mtime }: HandedFile): void {
    const node = this.#nodes.get(path) ?? this.#add(path, 'file');
    node.bytes = bytes;
    node.mtime = mtime;
  }

  #add(path: string, type: Node['type']): Node {
    const node: Node = { type, bytes: new Uint8Array(), mtime: 0, inode: this.#inodes++, entries: new Set() };
    this.#nodes.set(path, node);
    if (path !== '/') {
      const parent = this.#nodes.get(parentOf(path)) ?? this.#add(parentOf(path), 'directory');
      parent.entries.add(nameOf(path));
    }
    return node;
  }
}

const parentOf = (path: string): string => path.slice(0, path.lastIndexOf('/')) || '/';
const nameOf = (path: string): string => path.slice(path.lastIndexOf('/') + 1);
