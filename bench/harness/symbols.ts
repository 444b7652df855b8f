/** Symbols of a program, by nm. */
import { execFileSync } from 'node:child_process';

/** Addresses of the functions whose names match. */
export function nmFunctions(program: string, names: RegExp): bigint[] {
  return execFileSync('nm', [program], { encoding: 'utf8', maxBuffer: 1 << 26 })
    .split('\n')
    .map((line) => line.split(' '))
    .filter(([, type, name]) => (type === 't' || type === 'T') && names.test(name!))
    .map(([address]) => BigInt(`0x${address}`));
}
