// The app's side: runs calls of a Prisma client. Each line in is a call, ["message", "create", {...}]; each line out
// its result, {"ok": ...}, or {"error": "..."}.
import { createInterface } from 'node:readline'
import { PrismaMariaDb } from '@prisma/adapter-mariadb'

const { PrismaClient } = await import(process.env.PRISMA_CLIENT ?? '@prisma/client')

const { hostname, port, username, password, pathname } = new URL(process.env.DATABASE_URL)
const adapter = new PrismaMariaDb({
  host: hostname,
  port: Number(port),
  user: decodeURIComponent(username),
  password: decodeURIComponent(password),
  database: pathname.slice(1),
})
const prisma = new PrismaClient({ adapter })

for await (const line of createInterface({ input: process.stdin })) {
  const [model, action, given] = JSON.parse(line)
  try {
    console.log(JSON.stringify({ ok: await prisma[model][action](given) }))
  } catch (error) {
    console.log(JSON.stringify({ error: error.message }))
  }
}
await prisma.$disconnect()
