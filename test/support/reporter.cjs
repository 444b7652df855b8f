// Mocha's dots, the slowest files, and the closing line that tells how many tests passed.
const Mocha = require('mocha');

const SLOWEST_SHOWN = 5;

module.exports = class Reporter extends Mocha.reporters.Dot {
  constructor(runner, options) {
    super(runner, options);
    const byFile = new Map();
    runner.on('test end', ({ file, duration }) => byFile.set(file, (byFile.get(file) ?? 0) + (duration ?? 0)));
    runner.once('end', () => {
      const { passes, failures, pending } = this.stats;
      const slow = [...byFile].sort((a, b) => b[1] - a[1]).slice(0, SLOWEST_SHOWN);
      for (const [file, ms] of slow)
        console.log(`${(ms / 1000).toFixed(1).padStart(7)} s  ${file?.replace(`${process.cwd()}/`, '')}`);
      console.log(`\n${passes} passed, ${failures} failed${pending ? `, ${pending} skipped` : ''}`);
    });
  }
};
