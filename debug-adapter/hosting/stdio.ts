/** Entry of the debug adapter's process: DAP on the standard streams, or on a port with `--port N`. */
import { serve } from './node/serve.ts';
import { listen } from './tcp.ts';

const at = process.argv.indexOf('--port');
if (at >= 0) {
  const port = Number(process.argv[at + 1]);
  if (!Number.isInteger(port) || port < 0 || port > 65535) {
    console.error('dune-debug: --port takes a port number.');
    process.exit(2);
  }
  listen(port, (actual) => console.error(`dune-debug: listening on 127.0.0.1:${actual}`));
} else {
  serve(process.stdin, process.stdout, () => process.exit(0));
}
