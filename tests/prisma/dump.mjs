// A generator for `prisma generate`: writes what Prisma makes of a schema to the file that DUMP names, as JSON.
import { writeFileSync } from 'node:fs'
import { createInterface } from 'node:readline'

for await (const line of createInterface({ input: process.stdin })) {
  const { id, method, params } = JSON.parse(line)
  if (method === 'generate') writeFileSync(process.env.DUMP, JSON.stringify(params.dmmf.datamodel))
  const result = method === 'getManifest' ? { manifest: { prettyName: 'dump', defaultOutput: 'nothing' } } : null
  process.stderr.write(JSON.stringify({ jsonrpc: '2.0', id, result }) + '\n')
}
