/** `--trace`: events as JSON lines. */
import { closeSync, openSync } from 'node:fs';
import type { Machine } from '../emulator/machine/api.ts';
import type { MachineEvent } from '../emulator/machine/events.ts';
import { UsageError, type Trace } from './options.ts';
import { writeAll } from './write-all.ts';

const STDERR = 2;
/** Characters gathered before a write to a file. */
const CHUNK = 65536;

/** Returns the function that ends the trace. Throws UsageError if the file cannot be written. */
export function openTrace(machine: Machine, { kinds, file }: Trace): () => void {
  const fd = file === undefined ? STDERR : open(file);
  let gathered = '';
  const flush = (): void => {
    writeAll(fd, Buffer.from(gathered));
    gathered = '';
  };
  const unsubscribe = machine.events.subscribe(kinds, (event) => {
    gathered += traceLine(event);
    // On the terminal the lines stand between what the program writes.
    if (fd === STDERR || gathered.length > CHUNK) flush();
  });
  return () => {
    unsubscribe();
    flush();
    if (fd !== STDERR) closeSync(fd);
  };
}

function open(file: string): number {
  try {
    return openSync(file, 'w');
  } catch (error) {
    throw new UsageError(`--trace cannot write ${file}: ${(error as Error).message}.`);
  }
}

/** One JSON line; 64-bit numbers as 0x strings. */
export function traceLine(event: MachineEvent): string {
  return `${JSON.stringify(event, (_key, value) => (typeof value === 'bigint' ? `0x${value.toString(16)}` : value))}\n`;
}
