/** Writes to a file descriptor of the host, all of it. */
import { writeSync } from 'node:fs';

/** Exit status of a program that SIGPIPE ended, as a shell has it. */
const STATUS_BROKEN_PIPE = 141;

export function writeAll(fd: number, data: Uint8Array): void {
  for (let at = 0; at < data.length;)
    try {
      at += writeSync(fd, data, at);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      // Nobody reads any more, as after `| head`.
      if (code === 'EPIPE') process.exit(STATUS_BROKEN_PIPE);
      if (code !== 'EAGAIN') throw error;
    }
}
