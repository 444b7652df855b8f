/** The language server as a process: the client chooses the channel by arguments (--stdio, --node-ipc). */
import { createConnection } from 'vscode-languageserver/node';
import { serve } from '../server.ts';
import { timers } from './timers.ts';

const connection = createConnection();
serve(connection, timers);
connection.listen();
