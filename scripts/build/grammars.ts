/** Writes the TextMate grammars of `syntaxes/` to dist/: the words in them come from the assembler's tables. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gasGrammar } from '../../syntaxes/gas.ts';
import { wordsOfTables } from '../../syntaxes/grammar.ts';
import { inlineAssemblyGrammar } from '../../syntaxes/inline-assembly.ts';
import { traceGrammar } from '../../syntaxes/trace.ts';

/** @param folder where `syntaxes/` is made */
export async function buildGrammars(folder: string): Promise<void> {
  const words = wordsOfTables();
  const grammars = { gas: gasGrammar(words), 'inline-assembly': inlineAssemblyGrammar(words), trace: traceGrammar() };
  await mkdir(join(folder, 'syntaxes'), { recursive: true });
  for (const [name, grammar] of Object.entries(grammars))
    await writeFile(join(folder, 'syntaxes', `${name}.tmLanguage.json`), `${JSON.stringify(grammar)}\n`);
}
