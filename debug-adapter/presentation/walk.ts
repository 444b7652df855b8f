/** What a page-fault error code says was attempted (SDM 3A 4.7). */
export function accessOfFault(errorCode: number): { access: 'read' | 'write' | 'execute'; user: boolean } {
  const access = errorCode & 16 ? 'execute' : errorCode & 2 ? 'write' : 'read';
  return { access, user: (errorCode & 4) !== 0 };
}
