import assert from 'node:assert/strict';
import type { HostFiles, HostStat } from '../../machine/api.ts';
import { createBench } from '../test-support.ts';
import type { Bench } from '../test-support.ts';
import { readInode, writeInode } from './inode.ts';
import { create, flush, inodeAt, listDirectory, rename, resolve, unlink } from './tree.ts';

/** A host with a few files, which records what is done to it. */
function host(content: Record<string, string>): { files: HostFiles; log: string[] } {
  const log: string[] = [];
  const isDirectory = (path: string): boolean => Object.keys(content).some((name) => name.startsWith(`${path}/`));
  const files: HostFiles = {
    stat(path): HostStat | undefined {
      log.push(`stat ${path}`);
      if (path in content) return { type: 'file', size: content[path]!.length, mode: 0o644, mtime: 1, inode: 1 };
      return isDirectory(path) ? { type: 'directory', size: 0, mode: 0o755, mtime: 1, inode: 2 } : undefined;
    },
    readFile: (path) => (path in content ? new TextEncoder().encode(content[path]) : undefined),
    readDirectory: (path) =>
      Object.keys(content)
        .filter((name) => name.startsWith(`${path}/`))
        .map((name) => name.slice(path.length + 1).split('/')[0]!),
    writeFile: (path, data) => void log.push(`write ${path} ${new TextDecoder().decode(data)}`),
    remove: (path) => void log.push(`remove ${path}`),
    makeDirectory: (path) => void log.push(`mkdir ${path}`),
  };
  return { files, log };
}
const text = ({ linux, process }: Bench, path: string): string =>
  new TextDecoder().decode(readInode(linux, inodeAt(linux, process, path)!, 0, 100));

describe('The file tree', () => {
  const content = { '/data/a': 'A', '/data/sub/b': 'B', '/secret/key': 'K', '/out/old': 'O' };
  const grants = [
    { path: '/data', write: false },
    { path: '/out/', write: true },
  ];

  it('shows granted paths and nothing else', () => {
    const { files, log } = host(content);
    const bench = createBench(4 << 20, { files, grants });
    const { linux, process } = bench;
    assert.equal(text(bench, '/data/a'), 'A');
    assert.equal(resolve(linux, process, '/', '/secret/key'), -2n);
    assert.equal(resolve(linux, process, '/data', '../secret/key'), -2n);
    assert.deepEqual(listDirectory(linux, process, '/data'), ['a', 'sub']);
    assert.ok(!listDirectory(linux, process, '/').includes('secret'));
    assert.ok(!log.some((line) => line.includes('secret')), 'the host is not even asked');
  });

  it('keeps writes in the overlay', () => {
    const { files, log } = host(content);
    const bench = createBench(4 << 20, { files, grants });
    const { linux, process } = bench;
    const inode = inodeAt(linux, process, '/data/a')!;
    writeInode(linux, inode, 1, new TextEncoder().encode('B'));
    flush(linux, inode);
    create(linux, process, '/data/new', 'file', 0o644);
    unlink(linux, '/data/sub/b');
    rename(linux, process, '/data/a', '/data/sub/c');
    assert.equal(text(bench, '/data/sub/c'), 'AB');
    assert.deepEqual(listDirectory(linux, process, '/data'), ['new', 'sub']);
    assert.deepEqual(listDirectory(linux, process, '/data/sub'), ['c']);
    assert.deepEqual(
      log.filter((line) => !line.startsWith('stat')),
      [],
    );
  });

  it('writes through where that is granted', () => {
    const { files, log } = host(content);
    const { linux, process } = createBench(4 << 20, { files, grants });
    const made = create(linux, process, '/out/new', 'file', 0o644);
    assert.ok(typeof made !== 'bigint');
    writeInode(linux, made, 0, new TextEncoder().encode('N'));
    flush(linux, made);
    flush(linux, made);
    create(linux, process, '/out/dir', 'directory', 0o755);
    unlink(linux, '/out/old');
    assert.deepEqual(
      log.filter((line) => !line.startsWith('stat')),
      ['write /out/new N', 'mkdir /out/dir', 'remove /out/old'],
    );
  });

  it('stops writes at half of RAM', () => {
    const { linux, process } = createBench(4 << 20);
    const made = create(linux, process, '/tmp/big', 'file', 0o644);
    assert.ok(typeof made !== 'bigint');
    assert.equal(writeInode(linux, made, 0, new Uint8Array(1 << 20)), true);
    assert.equal(writeInode(linux, made, 3 << 20, new Uint8Array(1)), false);
  });

  it('follows symbolic links, and not for ever', () => {
    const { linux, process } = createBench();
    for (const [name, target] of [
      ['/tmp/up', '../tmp/file'],
      ['/tmp/loop', 'loop'],
    ] as const) {
      const made = create(linux, process, name, 'symlink', 0o777);
      assert.ok(typeof made !== 'bigint');
      made.target = target;
    }
    create(linux, process, '/tmp/file', 'file', 0o644);
    const found = resolve(linux, process, '/', '/tmp/up');
    assert.ok(typeof found !== 'bigint' && found.path === '/tmp/file');
    assert.equal(resolve(linux, process, '/', '/tmp/loop'), -40n);
    assert.equal(resolve(linux, process, '/', '/tmp/file/x'), -20n);
    assert.equal(resolve(linux, process, '/', '/tmp/file/'), -20n);
    assert.equal(resolve(linux, process, '/', '/nowhere/x'), -2n);
  });
});
