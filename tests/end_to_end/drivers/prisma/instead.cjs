// Loaded into the legacy command line: runs the Prisma named by PRISMA in place of its own, whose engine
// would have to be downloaded.
const Module = require('node:module')

const resolve = Module._resolveFilename
Module._resolveFilename = function (request, ...rest) {
  if (request === 'prisma' || request === 'prisma-v5') return process.env.PRISMA
  return resolve.call(this, request, ...rest)
}
