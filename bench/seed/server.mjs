// What chatd is measured against on MySQL: a Socket.IO server that keeps its messages in an app's tables, as one would
// write it with care: a pool of connections, prepared statements, one transaction a message, nothing logged.
import { randomUUID } from 'node:crypto'
import { createServer } from 'node:http'
import mysql from 'mysql2/promise'
import { Server } from 'socket.io'

const pool = mysql.createPool({ uri: process.env.DATABASE_URL, connectionLimit: 16, timezone: 'Z' })
const http = createServer()
const io = new Server(http, { serveClient: false, transports: ['websocket'] })

for (const table of [
  `User (id VARCHAR(191) PRIMARY KEY, name VARCHAR(191))`,
  `Conversation (id VARCHAR(191) PRIMARY KEY, updatedAt DATETIME(3) NOT NULL, lastMessageAt DATETIME(3))`,
  `ConversationParticipant (id VARCHAR(191) PRIMARY KEY, conversationId VARCHAR(191) NOT NULL,
    userId VARCHAR(191) NOT NULL, joinedAt DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3), leftAt DATETIME(3),
    unreadCount INT NOT NULL DEFAULT 0, isMuted BOOLEAN NOT NULL DEFAULT FALSE, isPinned BOOLEAN NOT NULL DEFAULT FALSE,
    UNIQUE KEY (conversationId, userId), KEY (userId))`,
  `Message (id VARCHAR(191) PRIMARY KEY, conversationId VARCHAR(191) NOT NULL, senderId VARCHAR(191) NOT NULL,
    content TEXT NOT NULL, status ENUM('SENT', 'DELIVERED', 'READ') NOT NULL DEFAULT 'SENT',
    createdAt DATETIME(3) NOT NULL, KEY (conversationId, createdAt))`,
]) await pool.query(`CREATE TABLE IF NOT EXISTS ${table} CHARACTER SET utf8mb4`)

async function open (user, other) {
  const id = [user, other].sort().join('+')
  await pool.execute('INSERT IGNORE INTO Conversation (id, updatedAt) VALUES (?, ?)', [id, new Date()])
  for (const participant of [user, other]) {
    await pool.execute('INSERT IGNORE INTO ConversationParticipant (id, conversationId, userId) VALUES (?, ?, ?)',
      [randomUUID(), id, participant])
  }
  return id
}

async function keep ({ id, conversation, sender, body, sentAt }) {
  const connection = await pool.getConnection()
  try {
    await connection.beginTransaction()
    await connection.execute('INSERT INTO Message (id, conversationId, senderId, content, createdAt) VALUES (?, ?, ?, ?, ?)',
      [id, conversation, sender, body, sentAt])
    await connection.execute('UPDATE Conversation SET updatedAt = ?, lastMessageAt = ? WHERE id = ?',
      [sentAt, sentAt, conversation])
    await connection.execute(
      'UPDATE ConversationParticipant SET unreadCount = unreadCount + 1 WHERE conversationId = ? AND userId <> ?',
      [conversation, sender])
    await connection.commit()
  } catch (error) {
    await connection.rollback()
    throw error
  } finally {
    connection.release()
  }
}

io.on('connection', (socket) => {
  const { user } = socket.handshake.auth
  socket.join(`user:${user}`)

  socket.on('open', async ({ with: other }, acknowledge) => {
    const conversation = await open(user, other)
    io.in([`user:${user}`, `user:${other}`]).socketsJoin(`conversation:${conversation}`)
    acknowledge({ conversation })
  })

  socket.on('send', async ({ conversation, clientId, body }, acknowledge) => {
    const [found] = await pool.execute(
      'SELECT 1 FROM ConversationParticipant WHERE conversationId = ? AND userId = ? AND leftAt IS NULL',
      [conversation, user])
    if (!found.length) return acknowledge({ error: 'not a participant' })
    const message = { id: randomUUID(), conversation, sender: user, clientId, body, sentAt: new Date() }
    await keep(message)
    io.to(`conversation:${conversation}`).emit('message', message)
    acknowledge({ id: message.id })
  })
})

http.listen(0, '127.0.0.1', () => console.log(`listening on http://127.0.0.1:${http.address().port}`))
