/** Makes the .vsix from a staging folder that holds only what ships, and reports its size by part. */
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildBundles } from './build/bundles.ts';
import { buildEmulator } from './build/emulator.ts';
import { buildGrammars } from './build/grammars.ts';
import { buildPrograms } from './build/programs.ts';

/** The limit promised for the package, bytes. */
const LARGEST = 6 * 1024 * 1024;

const root = fileURLToPath(new URL('..', import.meta.url));
/** The unpacked package. */
export const stage = join(root, 'build/vsix');
/** What ships as it is, relative to the root. */
const COPIED = [
  'dist/core.wasm',
  'dist/interpreter.wasm',
  'dist/forms.json',
  'dist/libdune',
  'bin',
  'extension/media',
  'syntaxes/gas.language-configuration.json',
  'syntaxes/gas.snippets.json',
  'syntaxes/trace.language-configuration.json',
  'examples/prebuilt',
  'docs/images',
  'README.md',
  'CHANGELOG.md',
  'LICENSE',
];
/** Manifest entries of the repository that mean nothing in a package. */
const NOT_SHIPPED = ['scripts', 'devDependencies', 'dependencies', 'private', 'type'] as const;

export async function makePackage(): Promise<string> {
  await buildEmulator();
  buildPrograms(root);
  rmSync(stage, { recursive: true, force: true });
  mkdirSync(stage, { recursive: true });
  await buildBundles(root, { minify: true, outdir: join(stage, 'dist') });
  await buildGrammars(join(stage, 'dist'));
  for (const part of COPIED) {
    if (!existsSync(join(root, part))) throw new Error(`${part} is missing: the package would be incomplete.`);
    cpSync(join(root, part), join(stage, part), { recursive: true });
  }
  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Record<string, unknown>;
  for (const name of NOT_SHIPPED) delete manifest[name];
  writeFileSync(join(stage, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`);
  writeFileSync(join(stage, '.vscodeignore'), '**/*.map\n');
  const vsix = join(root, 'build', `dune-debug-${String(manifest.version)}.vsix`);
  const vsce = join(root, 'node_modules/@vscode/vsce/vsce');
  const args = [
    vsce,
    'package',
    '--no-dependencies',
    '--allow-missing-repository',
    '--skip-license',
    '--no-rewrite-relative-links',
    '--out',
    vsix,
  ];
  const made = spawnSync(process.execPath, args, { cwd: stage, encoding: 'utf8' });
  if (made.status !== 0) throw new Error(`vsce failed:\n${made.stdout}\n${made.stderr}`);
  return vsix;
}

function bytes(path: string): number {
  const stat = statSync(path);
  if (!stat.isDirectory()) return stat.size;
  const shipped = readdirSync(path).filter((name) => !name.endsWith('.map'));
  return shipped.reduce((sum, name) => sum + bytes(join(path, name)), 0);
}

function report(vsix: string): void {
  const kilobytes = (count: number): string => `${Math.ceil(count / 1024)} KB`.padStart(9);
  const shipped = ['dist', 'bin', 'docs', 'examples', 'extension'].flatMap((folder) =>
    readdirSync(join(stage, folder)).map((name) => join(folder, name)),
  );
  for (const part of shipped.filter((name) => !name.endsWith('.map')))
    console.log(`${kilobytes(bytes(join(stage, part)))}  ${part}`);
  const size = bytes(vsix);
  console.log(`${kilobytes(size)}  ${relative(root, vsix)} (compressed)`);
  if (size > LARGEST) throw new Error(`The package is larger than ${LARGEST / 1024 / 1024} MB.`);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) report(await makePackage());
