/**
 * Runs the command's bundle with what V8 compiled of it in an earlier run (Node 20 has no module.enableCompileCache). Compiling takes a third of a short
 * program's time. The bundle is named by its content, so what is kept beside it is never that of another; V8 refuses what another version
 * of V8 or other flags have made.
 */
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { Script } from 'node:vm';
import { optimiseLate } from '../debug-adapter/hosting/node/tiering.ts';

/** File name of the bundle beside this one; the build says it. */
declare const BUNDLE: string;

/** V8 forgets in the long run what it compiled for the start; what a longer run leaves is not worth keeping. Milliseconds. */
const LONGEST_RUN = 3000;

function readKept(path: string): Buffer | undefined {
  try {
    return readFileSync(path);
  } catch {
    return undefined;
  }
}

/** Whole or not at all: another process may start meanwhile. A folder that cannot be written is no error. */
function keep(path: string, data: Uint8Array): void {
  try {
    const unfinished = `${path}.${process.pid}`;
    writeFileSync(unfinished, data);
    renameSync(unfinished, path);
  } catch {
    // Every start compiles, then.
  }
}

optimiseLate();
const bundle = fileURLToPath(new URL(BUNDLE, import.meta.url));
const kept = `${bundle}.cache`;
const cachedData = readKept(kept);
const source = `(function (require, __filename) {${readFileSync(bundle, 'utf8')}\n})`;
const script = new Script(source, { filename: bundle, ...(cachedData ? { cachedData } : {}) });
if (!cachedData || script.cachedDataRejected)
  process.once('exit', () => {
    if (process.argv[2] === 'run' && performance.now() < LONGEST_RUN) keep(kept, script.createCachedData());
  });
const command = script.runInThisContext() as (require: NodeJS.Require, filename: string) => void;
command(createRequire(bundle), bundle);
