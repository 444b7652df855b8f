/**
 * Builds dist/core.wasm (the AssemblyScript core), dist/interpreter.wasm (generated from the instruction semantics) and dist/forms.json (the handler of each
 * form). Does nothing when its inputs are those of the last time. Runs alone too: `npx tsx scripts/build/emulator.ts`.
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import asc from 'assemblyscript/asc';

const root = fileURLToPath(new URL('../..', import.meta.url));
const dist = join(root, 'dist');
const STAMP = 'emulator.sha256';
const OUTPUTS = ['core.wasm', 'interpreter.wasm', 'forms.json'];

/** @param directory where the outputs go */
export async function buildEmulator(directory = dist): Promise<void> {
  mkdirSync(directory, { recursive: true });
  const stamp = join(directory, STAMP);
  const hash = hashInputs();
  const current = existsSync(stamp) && readFileSync(stamp, 'utf8') === hash;
  if (current && OUTPUTS.every((name) => existsSync(join(directory, name)))) return;

  const core = await compileCore();
  writeFileSync(join(directory, 'core.wasm'), core);

  // Imported late: the table and semantics cost time that an unchanged build need not spend.
  const { generateInterpreter } = await import('../../emulator/cpu/interpreter/generate.ts');
  const { exportedSignatures } = await import('../../emulator/cpu/wasm/module.ts');
  const { enumerateForms } = await import('../../emulator/cpu/table/forms.ts');
  const { table } = await import('../../emulator/cpu/table/index.ts');
  const { semantics } = await import('../../emulator/cpu/semantics/index.ts');
  const made = generateInterpreter(enumerateForms(table), (op) => semantics.get(op), exportedSignatures(core));
  const start = performance.now();
  // Throws with the function and offset if the module is not valid.
  new WebAssembly.Module(made.module as BufferSource);
  const compiled = performance.now() - start;
  writeFileSync(join(directory, 'interpreter.wasm'), made.module);
  writeFileSync(join(directory, 'forms.json'), JSON.stringify(made.handlers));
  writeFileSync(stamp, hash);
  const kilobytes = (bytes: number): string => `${Math.round(bytes / 1024)} KB`;
  console.error(
    `core ${kilobytes(core.length)}; interpreter ${kilobytes(made.module.length)}: ${made.hot} hot handlers in ${kilobytes(made.switchBytes)}, ` +
      `${Object.keys(made.handlers.handlers).length} in all; compiled in ${compiled.toFixed(0)} ms`,
  );
}

/** Everything under emulator/cpu and emulator/core but tests, this script, and the compiler's version. */
function hashInputs(): string {
  const hash = createHash('sha256');
  for (const folder of ['emulator/core', 'emulator/cpu', 'scripts/build']) {
    const names = readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' });
    for (const name of names.sort()) {
      if (!name.endsWith('.ts') || name.endsWith('.spec.ts')) continue;
      hash.update(name).update(readFileSync(join(root, folder, name)));
    }
  }
  return hash.update(readFileSync(join(root, 'node_modules/assemblyscript/package.json'))).digest('hex');
}

async function compileCore(): Promise<Uint8Array> {
  const { CORE_STATICS } = await import('../../emulator/cpu/layout.ts');
  const files = new Map<string, Uint8Array | string>();
  const options = [
    '--outFile',
    'core.wasm',
    '--runtime',
    'stub',
    '--importMemory',
    '--noAssert',
    '--use',
    'abort=',
    '-O3',
  ];
  const { error, stderr } = await asc.main(
    ['emulator/core/index.ts', '--baseDir', root, ...options, '--memoryBase', String(CORE_STATICS), '--enable', 'simd'],
    {
      readFile: (name, baseDirectory) => {
        const path = join(baseDirectory, name);
        return existsSync(path) ? readFileSync(path, 'utf8') : null;
      },
      writeFile: (name, contents) => void files.set(name, contents),
      listFiles: () => [],
    },
  );
  if (error) throw new Error(`AssemblyScript core: ${error.message}\n${stderr.toString()}`);
  return files.get('core.wasm') as Uint8Array;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await buildEmulator();
