/** A server on a port of this machine: each connection is a session of its own. */
import { createServer, type Server } from 'node:net';
import { serve } from './node/serve.ts';

export function listen(port: number, ready: (port: number) => void): Server {
  const server = createServer((socket) => {
    socket.on('error', () => socket.destroy());
    serve(socket, socket, () => socket.end());
  });
  server.listen(port, '127.0.0.1', () => {
    const address = server.address();
    ready(typeof address === 'object' && address ? address.port : port);
  });
  return server;
}
