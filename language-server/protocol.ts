/** What server and client say to each other beyond LSP. */
import type { EncodingHints } from './annotations.ts';

/** Request of the server: `{ uri }` of a file to its bytes in base64, or null. */
export const READ_FILE = 'dune/readFile';

/** Also what `workspace/didChangeConfiguration` brings. */
export interface InitializationOptions {
  /** Text of libdune/dune.h. */
  readonly libduneHeader?: string;
  readonly encodingHints?: EncodingHints;
  /** Folders where included files are looked for after the one of what includes them: URIs that end in `/`. */
  readonly includeFolders?: readonly string[];
}
