/** Exit qualification of an EPT violation, as far as the module looks at it (SDM 3C table 28-7). */
export const WRITE = 1 << 1;
export const FETCH = 1 << 2;
export const ADDRESS_WIDTH = 1 << 6;
export const LINEAR_VALID = 1 << 7;
