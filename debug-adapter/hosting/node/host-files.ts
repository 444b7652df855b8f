/** The host's files for the machine, by Node. The kernel personality decides which paths a program may see; this only reads and writes. */
import {
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmdirSync,
  unlinkSync,
  writeFileSync,
  type Stats,
} from 'node:fs';
import type { HostFiles, HostStat } from '../../../emulator/machine/api.ts';

/** ENOENT, EACCES and the like mean "absent" to the program. */
function orAbsent<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code) return undefined;
    throw error;
  }
}

function typeOf(stats: Stats): HostStat['type'] {
  if (stats.isFile()) return 'file';
  if (stats.isDirectory()) return 'directory';
  return stats.isSymbolicLink() ? 'symlink' : 'other';
}

export const nodeHostFiles: Required<HostFiles> = {
  stat: (path) =>
    orAbsent(() => {
      const stats = lstatSync(path);
      return {
        type: typeOf(stats),
        size: stats.size,
        mode: stats.mode & 0o7777,
        mtime: Math.floor(stats.mtimeMs / 1000),
        inode: stats.ino,
      };
    }),
  readFile: (path) => orAbsent(() => new Uint8Array(readFileSync(path))),
  readDirectory: (path) => orAbsent(() => readdirSync(path).sort()),
  readLink: (path) => orAbsent(() => readlinkSync(path)),
  writeFile: (path, data) => writeFileSync(path, data),
  remove: (path) => orAbsent(() => (lstatSync(path).isDirectory() ? rmdirSync(path) : unlinkSync(path))),
  makeDirectory: (path) => void mkdirSync(path, { recursive: true }),
};
