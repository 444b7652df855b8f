/** Which of Dune's three windows an area of the process lies in. */
import { layoutOf, windowOfHva } from '../../emulator/dune/windows.ts';

interface Area {
  readonly start: bigint;
  readonly end: bigint;
  readonly name: string;
}

/** The layout follows from the process: windows are aligned to 1 GB, so the areas at their ends tell them. */
export function windowNames(areas: readonly Area[], physBits: number): (hva: bigint) => string {
  const stack = areas.find(({ name }) => name === '[stack]');
  if (!stack) return () => '';
  const mapped = areas.filter(({ end, name }) => end <= stack.start && !name.startsWith('[h'));
  const top = mapped.reduce((highest, { end }) => (end > highest ? end : highest), 0n);
  const layout = layoutOf(physBits, Number(top), Number(stack.end));
  return (hva) => windowOfHva(layout, hva)?.name ?? '';
}
