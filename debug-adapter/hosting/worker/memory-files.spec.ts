import assert from 'node:assert/strict';
import { MemoryFiles } from './memory-files.ts';

describe('files handed to a worker', () => {
  it('have folders, and are written and removed as those of a host', () => {
    const files = new MemoryFiles();
    files.hand({ path: '/mount/a/b.s', bytes: Uint8Array.of(1, 2), mtime: 7 });
    assert.deepEqual(files.readDirectory('/mount'), ['a']);
    assert.deepEqual(files.readFile('/mount/a/b.s'), Uint8Array.of(1, 2));
    assert.equal(files.readFile('/mount/a'), undefined);
    assert.equal(files.stat('/mount/a')?.type, 'directory');
    const { type, size, mtime } = files.stat('/mount/a/b.s')!;
    assert.deepEqual({ type, size, mtime }, { type: 'file', size: 2, mtime: 7 });
    assert.equal(files.stat('/mount/c'), undefined);
    files.writeFile('/mount/c', Uint8Array.of(3));
    files.remove('/mount/a');
    assert.deepEqual(files.readDirectory('/mount'), ['a', 'c'], 'a folder with files stays');
    files.remove('/mount/a/b.s');
    files.remove('/mount/a');
    assert.deepEqual(files.readDirectory('/mount'), ['c']);
  });
});
