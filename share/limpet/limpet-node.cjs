// Why: some clients' sockets do not tell a Node application their own story: a relay of Limpet has ended their TLS, or a
// PROXY protocol header said who they are. Limpet says it beside Node's own cluster message, and here it becomes what the
// application looks at: socket.remoteAddress, socket.encrypted, socket.alpnProtocol. With tls_at = worker the TLS itself
// ends here, before the application's server sees the client. Limpet loads this file by --require in NODE_OPTIONS; where
// Limpet says nothing it does nothing. Source: Node's lib/net.js, lib/_tls_wrap.js, lib/internal/cluster/child.js and
// lib/internal/child_process.js, Node 16-24.
// SPDX-License-Identifier: ISC
'use strict'

const { isMainThread } = require('worker_threads')

// Mozilla's recommendations 5.8; the same as those of the relays.
const SUITES = 'TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256'
const CIPHERS = 'ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:' +
  'ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305'
const GROUPS = 'X25519:P-256:P-384'
const TICKET_LIFE_S = 12 * 3600
const NO_RENEGOTIATION = 0x40000000 // SSL_OP_NO_RENEGOTIATION; not every version of Node names it

// --- What Limpet says of a client

const told = new WeakMap() // handle -> the member "limpet" of its message
let ticketKeys = null
let sections = null

// This word in NODE_OPTIONS is for this process alone, not for those that the application starts.
function forgetOwnWord () {
  const word = process.env.LIMPET_PRELOAD
  const options = process.env.NODE_OPTIONS
  delete process.env.LIMPET_PRELOAD
  if (!word || !options) return
  const rest = ` ${options} `.replace(` ${word} `, ' ').trim()
  if (rest) process.env.NODE_OPTIONS = rest
  else delete process.env.NODE_OPTIONS
}

// net.Socket asks its handle only when somebody wants to know.
function nameHandle (handle, client) {
  if (client.peer) handle.getpeername = (out) => { Object.assign(out, client.peer); return 0 }
  if (client.sock) handle.getsockname = (out) => { Object.assign(out, client.sock); return 0 }
}

function onInternalMessage (message, handle) {
  if (message === null || typeof message !== 'object') return
  if (message.cmd === 'NODE_LIMPET') {
    if (typeof message.ticketKeys === 'string') ticketKeys = Buffer.from(message.ticketKeys, 'hex')
  } else if (handle && message.cmd === 'NODE_CLUSTER' && message.act === 'newconn' && message.limpet) {
    told.set(handle, message.limpet)
    nameHandle(handle, message.limpet)
  }
}

// --- What the application's socket tells then

// As far as it makes sense, what a tls.TLSSocket has.
function describe (socket, client) {
  if (!client.tls) return
  const subject = client.clientName ? { subject: { CN: client.clientName } } : {}
  const cipher = { name: client.cipher, standardName: client.cipher, version: client.version }
  socket.encrypted = true
  socket.alpnProtocol = client.alpn || false
  socket.servername = client.servername || false
  socket.authorized = Boolean(client.authorized)
  socket.authorizationError = null
  socket.getProtocol = () => client.version || null
  socket.getCipher = () => cipher
  socket.getPeerCertificate = () => subject
}

function onConnection (server, socket, client) {
  told.delete(socket._handle)
  describe(socket, client)
  if (client.tlsAt !== 'worker') return false
  const section = sections && sections.get(client.section)
  if (section && section.materials) section.decrypt(server, socket)
  else socket.destroy() // why was said when the section was loaded
  return true
}

// Every server's 'connection', before the server itself hears of it. The parent's emit is looked up at each call, since
// others (domain, tracing) may replace it later.
function watchServers () {
  const prototype = require('net').Server.prototype
  const parent = Object.prototype.hasOwnProperty.call(prototype, 'emit')
    ? { emit: prototype.emit }
    : Object.getPrototypeOf(prototype)

  function emit (name, socket) {
    if (name === 'connection' && socket && socket._handle) {
      const client = told.get(socket._handle)
      if (client !== undefined && onConnection(this, socket, client)) return true
    }
    return Reflect.apply(parent.emit, this, arguments)
  }
  Object.defineProperty(prototype, 'emit', { value: emit, writable: true, configurable: true, enumerable: false })
}

// --- TLS that ends here (tls_at = worker)

function complain (name, text) {
  try {
    require('fs').writeSync(2, `limpet: [tls:${name}] ${text}\n`)
  } catch {} // nobody listens
}

function ignore () {}

// Host names of a certificate: DNS names, or the common name where there is none. Lower case; letters, digits, hyphens,
// and a whole first label "*".
function namesOf (certificate) {
  let names = String(certificate.subjectAltName || '').split(', ')
    .filter((name) => name.startsWith('DNS:')).map((name) => name.slice(4))
  if (names.length === 0) {
    const common = /(?:^|\n)CN=([^\n]+)/.exec(certificate.subject || '')
    names = common ? [common[1]] : []
  }
  return names.map((name) => name.toLowerCase()).filter((name) => /^(\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*$/.test(name))
}

// A certificate with its key; throws a sentence.
function readPair (certificatePath, keyPath) {
  const crypto = require('crypto')
  const read = (path) => require('fs').readFileSync(path)
  const pair = { cert: read(certificatePath), key: read(keyPath) }
  const certificate = new crypto.X509Certificate(pair.cert)
  const key = crypto.createPrivateKey(pair.key)
  if (!certificate.checkPrivateKey(key)) throw new Error(`${keyPath} is not the key of ${certificatePath}`)
  pair.names = namesOf(certificate)
  pair.type = key.asymmetricKeyType
  pair.print = certificate.fingerprint256
  return pair
}

const HELLO_MAX = 16384 // bytes of a ClientHello that are looked at; OpenSSL judges it, not we

// The handshake message in the records of `bytes`; a part of it where not all is here; null: this is no handshake.
function handshakeIn (bytes) {
  const parts = []
  for (let at = 0; at < bytes.length;) {
    if (bytes[at] !== 22) return null
    if (bytes.length - at < 5) break
    const end = at + 5 + bytes.readUInt16BE(at + 3)
    parts.push(bytes.subarray(at + 5, end))
    at = end
  }
  return Buffer.concat(parts)
}

// The host name in a ClientHello (RFC 8446 4.1.2, RFC 6066 3), "" where there is none or it makes no sense; undefined:
// more bytes must come first.
function serverName (bytes) {
  const hello = handshakeIn(bytes)
  if (hello === null || (hello.length > 0 && hello[0] !== 1)) return ''
  if (hello.length < 4 || hello.length < 4 + hello.readUIntBE(1, 3)) return bytes.length < HELLO_MAX ? undefined : ''
  try {
    let at = 4 + 2 + 32 // version, random
    at += 1 + hello.readUInt8(at) // session id
    at += 2 + hello.readUInt16BE(at) // cipher suites
    at += 1 + hello.readUInt8(at) // compression
    const end = at + 2 + hello.readUInt16BE(at)
    for (at += 2; at < end; at += 4 + hello.readUInt16BE(at + 2)) {
      if (hello.readUInt16BE(at) !== 0) continue
      const length = hello.readUInt16BE(at + 7)
      return hello.readUInt8(at + 6) === 0 ? hello.toString('latin1', at + 9, at + 9 + length).toLowerCase() : ''
    }
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
  }
  return ''
}

// Calls `done` with the host name that the client asks for, and leaves all bytes in the socket.
function peekName (socket, timeout, done) {
  const chunks = []
  const timer = setTimeout(() => socket.destroy(), timeout)

  function stop () {
    clearTimeout(timer)
    socket.removeListener('readable', onReadable).removeListener('end', onEnd).removeListener('close', stop)
    setImmediate(() => socket.removeListener('error', ignore))
  }
  function onEnd () {
    socket.destroy()
  }
  function onReadable () {
    for (let chunk; (chunk = socket.read()) !== null;) chunks.push(chunk)
    const bytes = Buffer.concat(chunks)
    const name = serverName(bytes)
    if (name === undefined) return
    stop()
    socket.unshift(bytes)
    done(name)
  }
  socket.on('error', ignore).on('close', stop).on('end', onEnd).on('readable', onReadable)
}

class Section {
  constructor (name, config) {
    this.name = name
    this.config = config
    this.materials = null // host name ("": any other) -> options of tls.createServer; null: nothing works yet
    this.servers = new WeakMap() // the application's server -> ours, which shake hands for it, by their options
    this.complaint = ''
    this.seen = this.stamp()
    this.load()
    if (config.watchInterval > 0) setInterval(() => this.watch(), config.watchInterval).unref()
  }

  directoryFiles () {
    const { directory } = this.config
    if (!directory) return []
    return require('fs').readdirSync(directory).filter((name) => /^[^.].*\.pem$/.test(name)).sort()
      .map((name) => require('path').join(directory, name))
  }

  // What would change with the files.
  stamp () {
    const { statSync } = require('fs')
    const { certificates, keys, clientCa, crl } = this.config
    try {
      return JSON.stringify([...certificates, ...keys, clientCa, crl, ...this.directoryFiles()].filter(Boolean)
        .map((path) => {
          const { ino, size, mtimeMs, ctimeMs } = statSync(path)
          return [path, ino, size, mtimeMs, ctimeMs]
        }))
    } catch (error) {
      return error.message
    }
  }

  // A section without anything that works is tried each time: a right of the file system shows in no stamp.
  watch () {
    const now = this.stamp()
    if (now === this.seen && this.materials) return
    this.seen = now
    this.load()
  }

  pairs () {
    const { certificates, keys, directory } = this.config
    const pairs = certificates.map((path, i) => readPair(path, keys[i]))
      .concat(this.directoryFiles().map((path) => readPair(path, path)))
    if (pairs.length === 0) throw new Error(`there is no *.pem in ${directory}`)
    return pairs
  }

  // What all certificates have in common.
  common () {
    const { config } = this
    const read = (path) => path ? require('fs').readFileSync(path) : undefined
    const is13Only = config.policy === 'modern' || config.minVersion === '1.3'
    const suites = config.ciphersuites || SUITES
    const alpn = config.alpn.split(' ').filter(Boolean)
    const options = {
      minVersion: is13Only ? 'TLSv1.3' : 'TLSv1.2',
      ciphers: is13Only ? suites : `${suites}:${config.ciphers || CIPHERS}`,
      ecdhCurve: config.groups || GROUPS,
      ca: read(config.clientCa),
      crl: read(config.crl),
      secureOptions: NO_RENEGOTIATION,
      honorCipherOrder: false,
      sessionTimeout: TICKET_LIFE_S,
      requestCert: config.verify !== 'off',
      rejectUnauthorized: config.verify === 'require',
      handshakeTimeout: config.handshakeTimeout
    }
    return alpn.length > 0 ? { ...options, ALPNProtocols: alpn } : options
  }

  // The certificates of this name, one of each kind of key (ECDSA and RSA side by side); without any, the first.
  choose (pairs, name) {
    const types = new Map()
    for (const pair of pairs) {
      if (pair.names.includes(name) && !types.has(pair.type)) types.set(pair.type, pair)
    }
    return types.size > 0 ? [...types.values()] : [pairs[0]]
  }

  // A session is resumed only under the rules and certificates under which it was made (RFC 8446 4.6.1, RFC 5077 5.6).
  material (common, chosen) {
    const rules = [this.name, common.minVersion, this.config.verify, chosen.map((pair) => pair.print)]
    return {
      ...common,
      cert: chosen.map((pair) => pair.cert),
      key: chosen.map((pair) => pair.key),
      sessionIdContext: require('crypto').createHash('sha256').update(JSON.stringify(rules))
        .update(common.ca || '').update(common.crl || '').digest('hex').slice(0, 32)
    }
  }

  // New material counts only when all of it is good.
  load () {
    const isFirst = this.materials === null
    try {
      const pairs = this.pairs()
      const common = this.common()
      const made = new Map() // several names of the same certificates share one
      const materials = new Map()
      const add = (name, chosen) => {
        const key = chosen.map((pair) => pair.print).join()
        if (!made.has(key)) {
          made.set(key, this.material(common, chosen))
          require('tls').createSecureContext(made.get(key))
        }
        materials.set(name, made.get(key))
      }
      add('', this.choose(pairs, pairs[0].names[0]))
      for (const name of new Set([].concat(...pairs.map((pair) => pair.names)))) add(name, this.choose(pairs, name))
      this.materials = materials
      this.isOne = made.size === 1
      this.complaint = ''
      if (!isFirst) complain(this.name, 'the new certificates are in use')
    } catch (error) {
      this.refuse(error.message)
    }
  }

  refuse (why) {
    if (why === this.complaint) return
    this.complaint = why
    complain(this.name, this.materials
      ? `the old certificates are kept: ${why}`
      : `its clients are refused, since this worker cannot use its files: ${why}`)
  }

  // Exact, then with "*" for the first label; else the first certificate, or undefined where that is not wanted.
  materialFor (name) {
    const { materials, config } = this
    return (name && (materials.get(name) || materials.get(name.replace(/^[^.]+/, '*')))) ||
      (config.sniStrict ? undefined : materials.get(''))
  }

  admits (socket) {
    if (this.config.verify !== 'optional' || socket.authorized) return true
    return Object.keys(socket.getPeerCertificate() || {}).length === 0
  }

  // A tls.Server that never listens: it gets the application's sockets one by one.
  newServer (server, material) {
    const own = require('tls').createServer(ticketKeys ? { ...material, ticketKeys } : material, (socket) => {
      if (!this.admits(socket)) {
        socket.destroy()
        return
      }
      // A broken record must not end an application that never heard of TLS.
      socket.on('error', ignore)
      if (server.pauseOnConnect) socket.pause()
      server.emit('connection', socket)
    })
    return own.on('tlsClientError', (error, socket) => { if (error) socket.destroy() })
  }

  // Ours with this material and the newest ticket keys.
  serverFor (server, material) {
    let all = this.servers.get(server)
    if (!all || all.materials !== this.materials) {
      all = { materials: this.materials, byMaterial: new Map() }
      this.servers.set(server, all)
    }
    let own = all.byMaterial.get(material)
    if (!own) {
      own = { tls: this.newServer(server, material), ticketKeys }
      all.byMaterial.set(material, own)
    }
    if (own.ticketKeys !== ticketKeys) own.tls.setTicketKeys(ticketKeys)
    own.ticketKeys = ticketKeys
    return own.tls
  }

  // A context of Node's cannot be exchanged whole during a handshake (one certificate of it can), so the name is read
  // before it begins.
  decrypt (server, socket) {
    const shakeHands = (name) => {
      const material = this.materialFor(name)
      if (material) this.serverFor(server, material).emit('connection', socket)
      else socket.destroy()
    }
    if (this.isOne && !this.config.sniStrict) shakeHands('')
    else peekName(socket, this.config.handshakeTimeout, shakeHands)
  }
}

function loadSections () {
  const text = process.env.LIMPET_TLS
  delete process.env.LIMPET_TLS
  if (!text) return null
  const loaded = new Map()
  for (const [name, config] of Object.entries(JSON.parse(text))) loaded.set(name, new Section(name, config))
  return loaded
}

if (isMainThread) {
  forgetOwnWord()
  process.prependListener('internalMessage', onInternalMessage)
  watchServers()
  sections = loadSections()
}
