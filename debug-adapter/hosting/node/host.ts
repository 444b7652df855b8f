/** The adapter's host in a Node process. */
import type { Host } from '../../host.ts';
import { loadAssets, loadLibdune } from './assets.ts';
import { nodeHostFiles } from './host-files.ts';

export function nodeHost(): Host {
  return {
    assets: () => loadAssets(),
    libdune: () => loadLibdune(),
    files: nodeHostFiles,
    // Between two of these Node reads what has arrived on sockets and pipes.
    schedule: (task) => void setImmediate(task),
    now: () => performance.now(),
    directory: process.cwd(),
  };
}
