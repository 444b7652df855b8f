/** Source paths as text: '/'-separated, `.` and `..` folded, because compilers write them as they were given. */

export function normalizePath(path: string): string {
  const absolute = path.startsWith('/');
  const parts: string[] = [];
  for (const part of path.split('/')) {
    if (part === '' || part === '.') continue;
    if (part === '..' && parts.length > 0 && parts[parts.length - 1] !== '..') parts.pop();
    else if (part !== '..' || !absolute) parts.push(part);
  }
  return (absolute ? '/' : '') + parts.join('/');
}

export function joinPath(directory: string, path: string): string {
  if (path.startsWith('/') || directory === '') return normalizePath(path);
  return normalizePath(`${directory}/${path}`);
}

/** How many trailing components two paths share: a program built elsewhere still finds its sources. */
export function commonTail(a: string, b: string): number {
  const left = a.split('/');
  const right = b.split('/');
  let count = 0;
  while (
    count < left.length &&
    count < right.length &&
    left[left.length - 1 - count] === right[right.length - 1 - count]
  )
    count++;
  return count;
}
