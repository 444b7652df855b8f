/** An initial RAM file system in the "newc" cpio format (Linux, Documentation/driver-api/early-userspace/buffer-format). */

export interface ArchiveEntry {
  readonly path: string;
  /** File type and permissions, as in stat(2). */
  readonly mode: number;
  readonly data: Uint8Array;
  /** Major and minor number of a device. */
  readonly device?: readonly [number, number];
}

const hex = (value: number): string => value.toString(16).padStart(8, '0');
const padding = (length: number): Buffer => Buffer.alloc((4 - (length & 3)) & 3);

function entry({ path, mode, data, device = [0, 0] }: ArchiveEntry, inode: number): Buffer[] {
  const name = Buffer.from(`${path}\0`);
  const fields = [inode, mode, 0, 0, 1, 0, data.length, 0, 0, device[0], device[1], name.length, 0];
  const header = Buffer.from(`070701${fields.map(hex).join('')}`);
  return [header, name, padding(header.length + name.length), Buffer.from(data), padding(data.length)];
}

export function newcArchive(entries: readonly ArchiveEntry[]): Buffer {
  const trailer = { path: 'TRAILER!!!', mode: 0, data: new Uint8Array() };
  return Buffer.concat([...entries, trailer].flatMap((each, index) => entry(each, index + 1)));
}
