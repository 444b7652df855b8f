/**
 * Golden transcripts. A missing one is written; a mismatch leaves `<name>.actual` beside it and fails; BLESS=1 accepts.
 * Addresses and register contents depend on the compiler, so transcripts have none: `0x…` stands for every one, `…` for long decimal numbers.
 */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const folder = join(dirname(fileURLToPath(import.meta.url)), 'golden');

export function assertGolden(name: string, transcript: string): void {
  const path = join(folder, `${name}.txt`);
  const actual = `${path}.actual`;
  const text = mask(transcript);
  if (!existsSync(path) || process.env.BLESS) {
    mkdirSync(folder, { recursive: true });
    writeFileSync(path, text);
    rmSync(actual, { force: true });
    return;
  }
  const wanted = readFileSync(path, 'utf8');
  if (text !== wanted) writeFileSync(actual, text);
  else rmSync(actual, { force: true });
  assert.equal(text, wanted, `${name}: the transcript differs from golden/${name}.txt (BLESS=1 accepts the new one)`);
}

function mask(text: string): string {
  return `${text
    .replace(/0x[0-9a-f]{3,}(\.\.0x[0-9a-f]+)?/gi, '0x…')
    .replace(/\b\d{5,}\b/g, '…')
    .replace(/\+0x…|\+0x[0-9a-f]{1,2}\b/g, '')}\n`;
}
