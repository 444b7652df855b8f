/** The shape of a DAP request's module: one request, one file. */
import type { DebugProtocol } from '@vscode/debugprotocol';
import type { Session } from './session.ts';

export interface Request<Arguments = never, Body = unknown> {
  readonly command: string;
  /** What the request adds to the answer of `initialize`: what is advertised is what exists. */
  readonly capabilities?: DebugProtocol.Capabilities;
  /** Returns the body of the response. Throws RequestError with one sentence for the user. */
  run(session: Session, args: Arguments): Body | Promise<Body>;
}

/** A request that cannot be answered: one sentence that says what is wrong and, where possible, what to do. */
export class RequestError extends Error {
  override readonly name = 'RequestError';
}

export function defineRequest<Arguments, Body = void>(request: Request<Arguments, Body>): Request<Arguments, Body> {
  return request;
}
