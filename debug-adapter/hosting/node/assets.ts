/** Loads what the build made for the machine, from the folder the running script stands in or from `dist/` of the source tree. */
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Disassemble, MachineAssets } from '../../../emulator/machine/api.ts';
import { compileInterpreter } from './tiering.ts';

/** Throws with one sentence when the build has not been run. */
export function loadAssets(directory = assetsDirectory()): MachineAssets {
  const read = (name: string): BufferSource => readFileSync(join(directory, name));
  return {
    core: new WebAssembly.Module(read('core.wasm')),
    interpreter: compileInterpreter(read('interpreter.wasm')),
    forms: JSON.parse(readFileSync(join(directory, 'forms.json'), 'utf8')),
    disassembler: () =>
      (createRequire(import.meta.url)(join(directory, 'disassembler.cjs')) as { disassemble: Disassemble }).disassemble,
  };
}

/** libdune for programs without a C library; undefined if there was no compiler to build it. */
export function loadLibdune(directory = assetsDirectory()): Uint8Array | undefined {
  const path = join(directory, 'libdune/libdune-nolibc.a');
  return existsSync(path) ? readFileSync(path) : undefined;
}

function assetsDirectory(): string {
  const here = dirname(fileURLToPath(import.meta.url));
  for (const candidate of [here, join(here, '..'), join(here, '../../../dist')])
    if (existsSync(join(candidate, 'interpreter.wasm'))) return candidate;
  throw new Error('The emulator has not been built: run "npm run build".');
}
