'use strict';
const { readFileSync } = require('node:fs');
const Module = require('node:module');
const { isModuleNamespaceObject } = require('node:util/types');

/**
 * What the package's doors are for `require`: the ES modules that `import` gives. tsx's require compiles ES modules to
 * CommonJS, which would be a second svc-comm beside the one that our own `import()` loads, with another router, another
 * default service and transactions that know nothing of each other; .cjs files it leaves as they are.
 * @param {string} file of the door
 * @param {() => object} plainly `require` of it, where a bundler finds it
 */
exports.load = (file, plainly) => {
  // In bundles, and in Jest, what `require` gives is not Node's to load.
  const isOfNode = module instanceof Module;
  if (!isOfNode || isModuleNamespaceObject(require('./probe.js'))) return plainly();
  const door = new Module(file, module);
  door.filename = file;
  // What Node's own require of ES modules calls: it shares them with import.
  door._compile(readFileSync(file, 'utf8'), file, 'module');
  return door.exports;
};
