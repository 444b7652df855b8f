/** Log messages of event breakpoints: `{fact}` is replaced by the fact, `{summary}` by the event in words. */
import type { MachineEvent } from '../../emulator/machine/events.ts';

export function interpolateFacts(message: string, event: MachineEvent): string {
  return message.replace(/\{(\w+)\}/g, (whole, name: string) => {
    if (name === 'summary') return event.summary;
    const value = event.facts[name] ?? (event as unknown as Record<string, unknown>)[name];
    if (value === undefined) return whole;
    return typeof value === 'bigint' ? `0x${value.toString(16)}` : String(value);
  });
}
