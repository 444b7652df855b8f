/** Path arithmetic: absolute, '/'-separated, no "." or ".." left. */
export function parentOf(path: string): string {
  const at = path.lastIndexOf('/');
  return at <= 0 ? '/' : path.slice(0, at);
}
export function baseName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}
export function join(directory: string, name: string): string {
  return directory === '/' ? `/${name}` : `${directory}/${name}`;
}
/** True if `path` is `directory` or lies below it. */
export function within(path: string, directory: string): boolean {
  return path === directory || directory === '/' || path.startsWith(`${directory}/`);
}
/** Drops a trailing slash. */
export function tidy(path: string): string {
  return path.length > 1 && path.endsWith('/') ? tidy(path.slice(0, -1)) : path;
}
