import type { Timers } from '../server.ts';

export const timers: Timers = {
  schedule(task, milliseconds) {
    const timer = setTimeout(task, milliseconds);
    return () => clearTimeout(timer);
  },
};
