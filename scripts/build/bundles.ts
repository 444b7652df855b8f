/** Bundles the command, the debug adapter and the extension with esbuild. */
import { readdir, readFile, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { build, type BuildOptions, type Plugin } from 'esbuild';

/**
 * iced-x86 reads its wasm with Node's fs and finds it beside itself. This embeds the bytes instead, so that a bundle is
 * complete and also runs in a browser worker.
 */
const portableIced: Plugin = {
  name: 'portable-iced',
  setup({ onLoad }) {
    onLoad({ filter: /iced_x86\.js$/ }, async ({ path }) => {
      const source = await readFile(path, 'utf8');
      const wasm = await readFile(join(dirname(path), 'iced_x86_bg.wasm'));
      const contents = source
        .replace(/const path = require\('path'\).*\n/, '')
        .replace(
          /const bytes = require\('fs'\).*\n/,
          `const bytes = Uint8Array.from(atob('${wasm.toString('base64')}'), (c) => c.charCodeAt(0));\n`,
        )
        .replace(/const \{ TextDecoder, TextEncoder \} = require\(`util`\);\n/, '');
      if (/^(?! *\*).*require\(/m.test(contents)) throw new Error('iced-x86 has changed: see scripts/build/bundles.ts');
      return { contents, loader: 'js' };
    });
  },
};

const common: BuildOptions = {
  bundle: true,
  sourcemap: 'linked',
  target: 'es2022',
  logLevel: 'warning',
  legalComments: 'none',
  plugins: [portableIced],
};

export interface BundleOptions {
  readonly minify?: boolean;
  /** Default: dist/ of the project. */
  readonly outdir?: string;
}

export async function buildBundles(root: string, options: BundleOptions = {}): Promise<void> {
  const { minify = false, outdir: dist = join(root, 'dist') } = options;
  // CommonJS dependencies inside an ES module need a `require` for Node's own modules.
  const nodeModule: BuildOptions = {
    ...common,
    minify,
    platform: 'node',
    format: 'esm',
    splitting: true,
    outdir: dist,
    outExtension: { '.js': '.mjs' },
    chunkNames: 'chunks/[name]-[hash]',
    banner: { js: "import { createRequire as __cr } from 'node:module'; const require = __cr(import.meta.url);" },
  };
  const command = await buildCommand(root, dist, minify);
  const [modules] = await Promise.all([
    build({
      ...nodeModule,
      metafile: true,
      define: { BUNDLE: JSON.stringify(`chunks/${basename(command)}`) },
      entryPoints: {
        cli: join(root, 'cli/launcher.ts'),
        adapter: join(root, 'debug-adapter/hosting/stdio.ts'),
      },
    }),
    build({
      ...common,
      minify,
      platform: 'neutral',
      mainFields: ['main'],
      format: 'cjs',
      entryPoints: [join(root, 'emulator/cpu/disassemble.ts')],
      outfile: join(dist, 'disassembler.cjs'),
    }),
    build({
      ...common,
      minify,
      platform: 'node',
      format: 'cjs',
      external: ['vscode'],
      entryPoints: {
        extension: join(root, 'extension/extension.ts'),
        'language-server': join(root, 'language-server/hosting/node.ts'),
      },
      outdir: dist,
      outExtension: { '.js': '.cjs' },
    }),
    build({
      ...common,
      minify,
      platform: 'browser',
      format: 'cjs',
      external: ['vscode'],
      entryPoints: { extension: join(root, 'extension/browser.ts') },
      outdir: join(dist, 'web'),
    }),
    // Scripts of workers.
    build({
      ...common,
      minify,
      platform: 'browser',
      format: 'iife',
      mainFields: ['browser', 'main'],
      entryPoints: {
        adapter: join(root, 'debug-adapter/hosting/worker/worker.ts'),
        'language-server': join(root, 'language-server/hosting/worker.ts'),
      },
      outdir: join(dist, 'web'),
    }),
  ]);
  await removeOldChunks(join(dist, 'chunks'), [...Object.keys(modules.metafile.outputs), command, `${command}.map`]);
}

/** The command in one script, named by its content (cli/launcher.ts); answers its path. */
async function buildCommand(root: string, dist: string, minify: boolean): Promise<string> {
  const { metafile } = await build({
    ...common,
    minify,
    metafile: true,
    platform: 'node',
    format: 'cjs',
    entryPoints: { command: join(root, 'cli/main.ts') },
    entryNames: '[name]-[hash]',
    outdir: join(dist, 'chunks'),
    outExtension: { '.js': '.cjs' },
    define: { 'import.meta.url': 'bundleUrl' },
    banner: { js: "const bundleUrl = require('node:url').pathToFileURL(__filename).href;" },
  });
  return Object.keys(metafile.outputs).find((path) => path.endsWith('.cjs'))!;
}

/** Chunks are named by their content: those of earlier builds would pile up. */
async function removeOldChunks(folder: string, outputs: readonly string[]): Promise<void> {
  const made = new Set(outputs.map((path) => basename(path)));
  const old = (await readdir(folder).catch(() => [])).filter((name) => !made.has(name.replace(/\.cache$/, '')));
  await Promise.all(old.map((name) => rm(join(folder, name))));
}
