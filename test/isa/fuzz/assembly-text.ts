/** Code as assembly, for messages. */
import * as iced from 'iced-x86';
import { CODE } from './layout.ts';

export function assemblyOf(code: readonly number[]): string {
  const decoder = new iced.Decoder(64, Uint8Array.from(code), iced.DecoderOptions.None);
  decoder.ip = BigInt(CODE);
  const formatter = new iced.Formatter(iced.FormatterSyntax.Intel);
  const lines: string[] = [];
  while (decoder.canDecode) lines.push(formatter.format(decoder.decode()));
  formatter.free();
  decoder.free();
  return lines.join('; ');
}
