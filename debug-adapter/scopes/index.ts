/** All scopes, in the order the client shows them. */
import { globals } from './globals.ts';
import { lastExit } from './last-exit.ts';
import { locals } from './locals.ts';
import { pageWalk } from './page-walk.ts';
import { parameters } from './arguments.ts';
import { privilege } from './privilege.ts';
import { registers } from './registers.ts';
import { systemCall } from './system-call.ts';
import { vmcs } from './vmcs.ts';
import type { ScopeDefinition } from './scope.ts';

export const SCOPES: readonly ScopeDefinition[] = [
  locals,
  parameters,
  globals,
  registers,
  privilege,
  vmcs,
  pageWalk,
  lastExit,
  systemCall,
];
