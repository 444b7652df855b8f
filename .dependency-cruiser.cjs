/** Layers only look down (ARCHITECTURE.md, "Folders"). */
const notInSpecs = { pathNot: '(\\.spec|test-support)\\.ts$' };
module.exports = {
  forbidden: [
    {
      name: 'emulator-stands-alone',
      comment: 'emulator/ imports nothing outside itself but npm packages that run in Node and in a browser.',
      severity: 'error',
      from: { path: '^emulator/', ...notInSpecs },
      to: { path: '^(debug-adapter|language-server|syntaxes|extension|test|scripts|bench)/' },
    },
    {
      name: 'emulator-has-no-node',
      severity: 'error',
      from: { path: '^emulator/', ...notInSpecs },
      to: { dependencyTypes: ['core'] },
    },
    {
      name: 'adapter-knows-no-vscode',
      severity: 'error',
      from: { path: '^(emulator|debug-adapter)/' },
      to: { path: '^vscode$' },
    },
    {
      name: 'adapter-core-has-no-node',
      comment: 'Only debug-adapter/hosting/ may use Node.',
      severity: 'error',
      from: { path: '^debug-adapter/', pathNot: '(\\.spec\\.ts$|/testdata/|-support\\.ts$|^debug-adapter/hosting/)' },
      to: { dependencyTypes: ['core'] },
    },
    {
      name: 'language-server-stands-alone',
      comment: 'It reads the tables of emulator/ and knows neither editor nor adapter.',
      severity: 'error',
      from: { path: '^language-server/', ...notInSpecs },
      to: { path: '^(vscode$|(debug-adapter|extension|syntaxes|test|scripts|bench)/)' },
    },
    {
      name: 'language-server-core-has-no-transport',
      comment: 'Only language-server/hosting/ may use Node, workers or a connection; the rest knows their types.',
      severity: 'error',
      from: { path: '^language-server/', pathNot: '(\\.spec|test-support)\\.ts$|^language-server/hosting/' },
      to: { dependencyTypes: ['core'] },
    },
    {
      name: 'extension-talks-dap',
      comment:
        'The extension imports of the adapter only its hosting entry points and types, of the emulator only types.',
      severity: 'error',
      from: { path: '^extension/', ...notInSpecs },
      to: { path: '^emulator/', dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'no-cycles',
      severity: 'warn',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: 'emulator/core/' },
    tsConfig: { fileName: 'tsconfig.json' },
    tsPreCompilationDeps: true,
  },
};
