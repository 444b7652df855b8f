/** Polls a state of the page until it holds. False when it does not within `milliseconds`. */
export async function until(holds: () => Promise<boolean>, milliseconds = 30_000): Promise<boolean> {
  const deadline = Date.now() + milliseconds;
  for (;;) {
    if (await holds()) return true;
    if (Date.now() > deadline) return false;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** The same, failing with what was wanted. */
export async function waitFor(what: string, holds: () => Promise<boolean>, milliseconds?: number): Promise<void> {
  if (!(await until(holds, milliseconds))) throw new Error(`Waited in vain for ${what}.`);
}
