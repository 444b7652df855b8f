/** The event trace that `dune-debug run --trace KINDS=FILE` writes: one JSON object a line. */
import { EVENT_KINDS } from '../emulator/machine/events.ts';
import type { Captures, Grammar } from './grammar.ts';

export function traceGrammar(): Grammar {
  const faults = ['page-fault', 'ept-violation', 'exception', 'diagnostic', 'signal'];
  const others = EVENT_KINDS.filter((kind) => !faults.includes(kind));
  const key = (names: string, scope: string, value: string): { match: string; captures: Captures } => ({
    match: `("(?:${names})")\\s*(:)\\s*(${value})`,
    captures: {
      1: { name: 'support.type.property-name.dune-trace' },
      2: { name: 'punctuation.separator.key-value.dune-trace' },
      3: { name: scope },
    },
  });
  return {
    scopeName: 'source.dune-trace',
    name: 'Dune Event Trace',
    patterns: [
      key('kind', 'invalid.fault.dune-trace', `"(?:${faults.join('|')})"`),
      key('kind', 'keyword.control.event.dune-trace', `"(?:${others.join('|')})"`),
      key('summary', 'string.quoted.double.summary.dune-trace', '"(?:[^"\\\\]|\\\\.)*"'),
      key('mode', 'entity.name.type.mode.dune-trace', '"(?:linux|dune|root|guest)"'),
      key('[^"]*', 'constant.numeric.address.dune-trace', '"0x[0-9a-f]+"'),
      {
        match: '("(?:[^"\\\\]|\\\\.)*")\\s*(:)',
        captures: {
          1: { name: 'support.type.property-name.dune-trace' },
          2: { name: 'punctuation.separator.key-value.dune-trace' },
        },
      },
      { name: 'constant.numeric.address.dune-trace', match: '"0x[0-9a-f]+"' },
      { name: 'constant.numeric.dune-trace', match: '-?\\b\\d+(?:\\.\\d+)?\\b' },
      { name: 'constant.language.dune-trace', match: '\\b(?:true|false|null)\\b' },
      { name: 'string.quoted.double.dune-trace', match: '"(?:[^"\\\\]|\\\\.)*"' },
    ],
    repository: {},
  };
}
