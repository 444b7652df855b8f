/**
 * The part of package.json that is made from code: the launch attributes, out of debug-adapter/launch-options.ts.
 * `npx tsx scripts/build/manifest.ts` writes it; a test tells when that was forgotten.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { object } from 'valibot';
import { LAUNCH_ATTRIBUTES } from '../../debug-adapter/launch-options.ts';
import { jsonSchema, type JsonSchema } from './schema.ts';

interface Manifest {
  contributes: { debuggers: { configurationAttributes: { launch: JsonSchema } }[] };
}

const path = fileURLToPath(new URL('../../package.json', import.meta.url));

/** package.json as it is, and as it should be. */
export function manifest(): { readonly present: string; readonly generated: string } {
  const present = readFileSync(path, 'utf8');
  const content = JSON.parse(present) as Manifest;
  const { required, properties } = jsonSchema(object(LAUNCH_ATTRIBUTES));
  content.contributes.debuggers[0]!.configurationAttributes = { launch: { required, properties } };
  return { present, generated: `${JSON.stringify(content, null, 2)}\n` };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) writeFileSync(path, manifest().generated);
