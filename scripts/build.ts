/** Builds everything: emulator wasm, command, adapter, extension, libdune and the examples. `--minify` for packages. */
import './ensure-deps.mjs';
import { fileURLToPath } from 'node:url';
import { buildBundles } from './build/bundles.ts';
import { buildEmulator } from './build/emulator.ts';
import { buildGrammars } from './build/grammars.ts';
import { buildPrograms } from './build/programs.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const timed = async <T>(what: string, work: () => T | Promise<T>): Promise<T> => {
  const start = performance.now();
  const result = await work();
  console.error(`${what.padEnd(22)} ${((performance.now() - start) / 1000).toFixed(1)} s`);
  return result;
};

await timed('emulator', () => buildEmulator());
await timed('bundles', () => buildBundles(root, { minify: process.argv.includes('--minify') }));
await timed('grammars', () => buildGrammars(`${root}dist`));
const built = await timed('libdune and examples', () => buildPrograms(root));
if (!built) console.error('No C compiler (gcc and make) here: using the prebuilt program in examples/prebuilt/.');
