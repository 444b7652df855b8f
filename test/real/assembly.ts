/** Assembly of size from Debian source packages, as text for an assembler. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { basename, join, relative } from 'node:path';
import { source, work } from './workspace.ts';

export interface AssemblyText {
  readonly name: string;
  readonly text: string;
}

export interface AssemblyCorpus {
  readonly name: string;
  /** Fetches the package if it is not there. */
  readonly texts: () => Iterable<AssemblyText>;
}

const TEXT = { encoding: 'latin1', maxBuffer: 1 << 28 } as const;

function found(folder: string, pattern: RegExp): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((path) => pattern.test(path))
    .sort()
    .map((path) => join(folder, path));
}

/** Preprocessed by gcc; undefined where the headers of the package's own build are missing. */
function preprocessed(path: string, options: readonly string[]): string | undefined {
  const { status, stdout } = spawnSync('gcc', ['-E', ...options, path], TEXT);
  return status === 0 ? stdout : undefined;
}

function* musl(): Generator<AssemblyText> {
  const folder = source('musl');
  for (const path of found(folder, /\/x86_64\/.*\.[sS]$/)) {
    const text = path.endsWith('.S') ? preprocessed(path, []) : readFileSync(path, 'latin1');
    if (text !== undefined) yield { name: relative(folder, path), text };
  }
}

/** The generators write AVX-512 forms only for assemblers that they know to have them. */
function* openssl(): Generator<AssemblyText> {
  const folder = source('openssl');
  const out = join(work, 'openssl-assembly');
  mkdirSync(out, { recursive: true });
  // Asked for its version, this "compiler" is an assembler that has all of AVX2 and no AVX-512.
  const compiler = join(out, 'cc');
  writeFileSync(compiler, '#!/bin/sh\necho "GNU assembler version 2.24"\n', { mode: 0o755 });
  for (const path of found(join(folder, 'crypto'), /x86_64[^/]*\.pl$/)) {
    if (/perlasm|xlate/.test(path)) continue;
    const text = spawnSync('perl', [path, 'elf'], { ...TEXT, env: { ...process.env, CC: compiler } });
    if (text.status === 0 && text.stdout) yield { name: basename(path, '.pl'), text: text.stdout };
  }
}

function* libgcrypt(): Generator<AssemblyText> {
  const folder = source('libgcrypt20');
  const include = join(work, 'libgcrypt-config');
  mkdirSync(include, { recursive: true });
  const has = ['COMPATIBLE_GCC_AMD64_PLATFORM_AS', 'GCC_INLINE_ASM_SSSE3', 'GCC_INLINE_ASM_SSE41', 'GCC_INLINE_ASM_AVX', 'GCC_INLINE_ASM_AVX2', 'GCC_INLINE_ASM_BMI2', 'GCC_INLINE_ASM_PCLMUL', 'GCC_INLINE_ASM_SHAEXT', 'INTEL_SYNTAX_PLATFORM_AS', 'GCC_ASM_CFI_DIRECTIVES', 'GCC_ASM_ELF_DIRECTIVES'].map((name) => `#define HAVE_${name} 1`); // prettier-ignore
  const uses = ['AES', 'ARCFOUR', 'BLAKE2', 'BLOWFISH', 'CAMELLIA', 'CAST5', 'CHACHA20', 'CRC', 'DES', 'GCM', 'IDEA', 'POLY1305', 'RMD160', 'SALSA20', 'SEED', 'SERPENT', 'SHA1', 'SHA256', 'SHA512', 'SHA3', 'SM3', 'SM4', 'TWOFISH', 'WHIRLPOOL'].map((name) => `#define USE_${name} 1`); // prettier-ignore
  const support = ['ENABLE_AVX_SUPPORT', 'ENABLE_AVX2_SUPPORT', 'ENABLE_SHAEXT_SUPPORT', 'ENABLE_PCLMUL_SUPPORT'].map((name) => `#define ${name} 1`); // prettier-ignore
  writeFileSync(join(include, 'config.h'), [...has, ...uses, ...support, ''].join('\n'));
  for (const path of found(folder, /(amd64|x86-64)[^/]*\.S$/)) {
    const text = preprocessed(path, [`-I${include}`, `-I${join(folder, 'cipher')}`, `-I${join(folder, 'src')}`]);
    if (text !== undefined) yield { name: relative(folder, path), text };
  }
}

/** String and memory functions and what else needs no header that glibc's own build makes. */
function* glibc(): Generator<AssemblyText> {
  const folder = source('glibc');
  const include = join(work, 'glibc-config');
  mkdirSync(include, { recursive: true });
  writeFileSync(join(include, 'config.h'), '#define HAVE_ASM_SET_DIRECTIVE 1\n');
  writeFileSync(join(include, 'libc-modules.h'), '#define MODULE_libc 1\n#define MODULE_libm 2\n');
  const folders = ['include', 'sysdeps/unix/sysv/linux/x86_64/64', 'sysdeps/unix/sysv/linux/x86_64', 'sysdeps/unix/sysv/linux/x86', 'sysdeps/unix/sysv/linux', 'sysdeps/unix/x86_64', 'sysdeps/unix', 'sysdeps/x86_64/64', 'sysdeps/x86_64/fpu', 'sysdeps/x86_64', 'sysdeps/x86', 'sysdeps/ieee754/float128', 'sysdeps/generic', '.']; // prettier-ignore
  const options = [
    ...['-D_LIBC_REENTRANT', '-D__ASSEMBLER__', '-DMODULE_NAME=libc', '-DPIC', '-DSHARED', `-I${include}`],
    ...folders.map((name) => `-I${join(folder, name)}`),
    ...['-include', join(include, 'libc-modules.h'), '-include', join(folder, 'include/libc-symbols.h')],
  ];
  for (const path of found(join(folder, 'sysdeps/x86_64'), /\.S$/)) {
    const text = preprocessed(path, [`-I${join(path, '..')}`, ...options]);
    if (text !== undefined) yield { name: relative(folder, path), text };
  }
}

export const CORPORA: readonly AssemblyCorpus[] = [
  { name: 'musl', texts: musl },
  { name: 'openssl', texts: openssl },
  { name: 'libgcrypt', texts: libgcrypt },
  { name: 'glibc', texts: glibc },
];
