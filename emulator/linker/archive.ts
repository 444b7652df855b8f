/** Unix archives of objects (System V "ar" format with a symbol index, or without one). */
import { isObject } from './elf-read.ts';
import { LinkError } from './model.ts';

export interface ArchiveMember {
  readonly name: string;
  readonly bytes: Uint8Array;
}

const MAGIC = '!<arch>\n';
const HEADER = 60;
const ASCII = new TextDecoder('latin1');

export function isArchive(image: Uint8Array): boolean {
  return ASCII.decode(image.subarray(0, MAGIC.length)) === MAGIC;
}

/** The objects of an archive, in its order. */
export function readArchive(image: Uint8Array, path: string): ArchiveMember[] {
  const members: ArchiveMember[] = [];
  let longNames = '';
  for (let at = MAGIC.length; at + HEADER <= image.length;) {
    const header = ASCII.decode(image.subarray(at, at + HEADER));
    const size = Number(header.slice(48, 58).trim());
    const start = at + HEADER;
    if (header.slice(58) !== '`\n' || !Number.isInteger(size) || start + size > image.length)
      throw new LinkError(`${path}: the archive is damaged at byte ${at}`);
    const bytes = image.subarray(start, start + size);
    const field = header.slice(0, 16).trim();
    const long = /^\/(\d+)$/.exec(field)?.[1];
    if (field === '//') longNames = ASCII.decode(bytes);
    else if (isObject(bytes)) {
      const name = long === undefined ? field.replace(/\/$/, '') : nameAt(longNames, Number(long));
      members.push({ name, bytes });
    }
    at = start + size + (size & 1);
  }
  return members;
}

function nameAt(names: string, offset: number): string {
  const end = names.indexOf('/\n', offset);
  return names.slice(offset, end < 0 ? undefined : end);
}
