/**
 * `npm run realassembly [-- PACKAGE...]`: assembles what Debian's sources of musl, OpenSSL, libgcrypt and glibc have for x86-64, by this assembler and by
 * GNU as, and compares sections and relocations. Sources come by apt and stay in dist/real. What GNU as refuses for a processor without AVX-512 is
 * counted apart: the emulated processor has none either.
 */
import { GnuAs } from '../emulator/assembler/gnu-test-support.ts';
import type { GnuSections } from '../emulator/assembler/gnu-test-support.ts';
import { assembleObject } from '../emulator/assembler/index.ts';
import { CORPORA } from '../test/real/assembly.ts';

/** AVX2, BMI, SHA; no AVX-512, no transactions. */
const PROCESSOR = '-march=znver2';
const SHOWN = 3;
const wanted = process.argv.slice(2);
const gnu = new GnuAs();

function object(text: string): GnuSections | undefined {
  try {
    return gnu.object(text, PROCESSOR);
  } catch {
    return undefined;
  }
}

function differences(text: string, theirs: GnuSections): string[] {
  const { object: image, diagnostics } = assembleObject('source.s', text);
  const source = text.split('\n');
  if (!image)
    return diagnostics
      .filter(({ severity }) => severity === 'error')
      .map(({ line, message }) => `${line + 1}: ${message}: ${source[line]?.trim()}`);
  const ours = gnu.sectionsOf(image);
  const found: string[] = [];
  for (const [name, want] of theirs) {
    // Made by GNU as of the instructions it saw.
    if (name === '.note.gnu.property') continue;
    const got = ours.get(name);
    if (!got) found.push(`${name} is missing`);
    else if (Buffer.compare(want.bytes, got.bytes)) {
      const at = want.bytes.findIndex((byte, index) => byte !== got.bytes[index]);
      found.push(`${name} differs at ${at.toString(16)}`);
    }
    const relocations = [...(got?.relocations ?? [])].sort();
    const other = [...want.relocations].sort().find((relocation, index) => relocation !== relocations[index]);
    if (other !== undefined || relocations.length !== want.relocations.length)
      found.push(`relocations of ${name}: ${other ?? 'too many'}`);
  }
  return found;
}

for (const { name: corpus, texts } of CORPORA.filter(({ name }) => wanted.length === 0 || wanted.includes(name))) {
  const count = { same: 0, different: 0, beyond: 0, lines: 0 };
  let milliseconds = 0;
  for (const { name, text } of texts()) {
    const theirs = object(text);
    if (!theirs) {
      count.beyond++;
      continue;
    }
    const start = performance.now();
    const found = differences(text, theirs);
    milliseconds += performance.now() - start;
    count.lines += text.split('\n').length;
    count[found.length > 0 ? 'different' : 'same']++;
    if (found.length > 0) console.log([`${corpus}: ${name}`, ...found.slice(0, SHOWN)].join('\n    '));
  }
  const { same, different, beyond, lines } = count;
  console.log(
    `${corpus}: ${same} the same, ${different} not, ${beyond} beyond the processor; ${lines} lines in ${(milliseconds / 1000).toFixed(1)} s`,
  );
  if (different > 0) process.exitCode = 1;
}
gnu.dispose();
