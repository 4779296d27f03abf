// Prisma's schema engine as WebAssembly, which comes with the npm package, talking through node-postgres:
// nothing else is downloaded. The SQL is the engine's own.
import { PrismaPg } from '@prisma/adapter-pg'
import pg from 'pg'
import { defineConfig } from 'prisma/config'

// The adapter does not know some types of the catalog ("char", name, oidvector and the like, and arrays
// of them): their values are text, and so they are called.
const TEXT = 25
const TEXT_ARRAY = 1009
const catalogTypes = { 18: TEXT, 19: TEXT, 22: TEXT, 24: TEXT, 28: TEXT, 30: TEXT, 194: TEXT, 2205: TEXT, 1002: TEXT_ARRAY, 1003: TEXT_ARRAY }

for (const type of [1002, 1003]) pg.types.setTypeParser(type, pg.types.getTypeParser(TEXT_ARRAY))

class Pool extends pg.Pool {
  async query(...query) {
    const results = await super.query(...query)
    for (const result of [results].flat())
      for (const field of result?.fields ?? []) field.dataTypeID = catalogTypes[field.dataTypeID] ?? field.dataTypeID
    return results
  }
}

export default defineConfig({
  experimental: { adapter: true },
  engine: 'js',
  schema: 'schema.prisma',
  adapter: async () =>
    new PrismaPg(new Pool({ connectionString: process.env.DATABASE_URL, allowExitOnIdle: true }), { disposeExternalPool: true })
})
