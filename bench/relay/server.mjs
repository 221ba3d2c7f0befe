// What chatd is measured against: a Socket.IO server that passes messages on to everybody in a conversation's room,
// the sender included, acknowledges, and keeps nothing.
import { randomUUID } from 'node:crypto'
import { createServer } from 'node:http'
import { Server } from 'socket.io'

const http = createServer()
const io = new Server(http, { serveClient: false, transports: ['websocket'] })

io.on('connection', (socket) => {
  const { user } = socket.handshake.auth
  socket.join(`user:${user}`)

  socket.on('open', ({ with: other }, acknowledge) => {
    const conversation = [user, other].sort().join('+')
    io.in([`user:${user}`, `user:${other}`]).socketsJoin(`conversation:${conversation}`)
    acknowledge({ conversation })
  })

  socket.on('send', ({ conversation, clientId, body }, acknowledge) => {
    const message = { id: randomUUID(), conversation, sender: user, clientId, body, sentAt: new Date() }
    io.to(`conversation:${conversation}`).emit('message', message)
    acknowledge({ id: message.id })
  })
})

http.listen(0, '127.0.0.1', () => console.log(`listening on http://127.0.0.1:${http.address().port}`))
