// What npm's pixstore 3.2.1 does under the same kinds of test: `node tests/torture/npm_original.mjs`, after `make bench`
// has installed it. Prints one line for each test: how much was tried, and how much of it was lost, wrong or let through.

import { spawn } from 'node:child_process'
import { webcrypto } from 'node:crypto'
import { appendFileSync, copyFileSync, existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const bench = new URL('../../bench/', import.meta.url)
const { customEndpointHelper, deleteImage, getImageRecord, initPixstoreBackend, saveImage, updateImage } = await import(
  new URL('node_modules/pixstore/backend/index.js', bench)
)
const Database = createRequire(bench)('better-sqlite3')

const PIXEL = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg==', 'base64')
const IMAGES = 40

const init = (directory, port) =>
  initPixstoreBackend({
    imageFormats: ['png', 'webp', 'jpg', 'jpeg'],
    imageRootDir: join(directory, 'images'),
    databasePath: join(directory, 'images.sqlite'),
    statelessKeyWindowLength: 300_000,
    defaultEndpointEnabled: Boolean(port),
    defaultEndpointRoute: '/pixstore-image',
    defaultEndpointListenHost: '127.0.0.1',
    defaultEndpointListenPort: port ?? 1,
    accessControlAllowOrigin: '*',
    errorHandlingMode: 'throw',
  })

const labelled = (label, padding = 20_000) => Buffer.concat([PIXEL, Buffer.alloc(padding, label), Buffer.from(`|${label}`)])

// What a browser shows: the label, or a word for why it shows nothing.
const shown = async (id) => {
  const record = getImageRecord(id)
  if (!record) return 'missing'
  const payload = await customEndpointHelper(id, undefined, record.statelessProof)
  if (payload[0] !== 1) return `state ${payload[0]}`
  const [key, iv, tag, ciphertext] = [payload.slice(9, 41), payload.slice(41, 53), payload.slice(53, 69), payload.slice(69)]
  try {
    const imported = await webcrypto.subtle.importKey('raw', key, 'AES-GCM', false, ['decrypt'])
    const sealed = Buffer.concat([ciphertext, tag])
    const image = Buffer.from(await webcrypto.subtle.decrypt({ name: 'AES-GCM', iv }, imported, sealed))
    return image.subarray(image.lastIndexOf('|') + 1).toString()
  } catch {
    return 'undecryptable'
  }
}

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

const tally = (results) => JSON.stringify(results.reduce((sum, word) => ({ ...sum, [word]: (sum[word] ?? 0) + 1 }), {}))

// The child of the first test: updates for ever, and says what was acknowledged.
const write = async (directory) => {
  init(directory)
  const ids = readFileSync(join(directory, 'ids'), 'utf8').split('\n')
  for (let number = 0; ; number++) {
    const id = ids[number % ids.length]
    await updateImage(id, labelled(`${process.pid}.${number}`))
    appendFileSync(join(directory, 'acknowledged'), `${id} ${process.pid}.${number}\n`)
  }
}

const killed = async (directory) => {
  const ids = []
  for (let n = 0; n < IMAGES; n++) ids.push((await saveImage(labelled(`first ${n}`))).id)
  appendFileSync(join(directory, 'ids'), ids.join('\n'))
  const rounds = 50
  const bad = []
  for (let round = 0; round < rounds; round++) {
    const child = spawn(process.execPath, [fileURLToPath(import.meta.url), 'write', directory], { stdio: 'ignore' })
    await new Promise((resolve) => setTimeout(resolve, 250 + Math.random() * 100))
    child.kill('SIGKILL')
    await new Promise((resolve) => child.once('exit', resolve))
    for (const id of ids) {
      const word = await shown(id)
      if (!/^(missing|undecryptable|state)/.test(word)) continue
      bad.push(word)
      await updateImage(id, labelled('mended'))
    }
  }
  const lines = readFileSync(join(directory, 'acknowledged'), 'utf8').trim().split('\n').length
  return `kill -9: ${rounds} rounds, 1 process, ${lines} acknowledged updates of ${IMAGES} images: ${bad.length} unusable ${tally(bad)}`
}

const atOnce = async () => {
  const results = []
  for (let n = 0; n < 180; n++) {
    const { id } = await saveImage(labelled('first'))
    await Promise.allSettled([updateImage(id, labelled('one', 200_000)), updateImage(id, labelled('two', 100))])
    results.push(await shown(id))
  }
  const bad = results.filter((word) => word !== 'one' && word !== 'two')
  return `two updates at once: ${results.length} images: ${bad.length} unusable ${tally(bad)}`
}

const read = async () => {
  const { id } = await saveImage(labelled('0'))
  let acknowledged = 0
  let going = true
  const writer = (async () => {
    for (let n = 1; going; n++) {
      await updateImage(id, labelled(String(n)))
      acknowledged = n
      await sleep(Math.random() * 4)
    }
  })()
  const results = []
  for (let n = 0; n < 1000; n++) {
    await sleep(Math.random() * 4)
    const before = acknowledged
    const word = await shown(id)
    results.push(/^\d+$/.test(word) ? (Number(word) < before ? 'stale' : 'right') : word)
  }
  going = false
  await writer
  return `reads during updates: ${results.length} reads ${tally(results)}`
}

const busy = async (directory) => {
  const { id } = await saveImage(labelled('old'))
  const other = new Database(join(directory, 'images.sqlite'))
  other.exec('BEGIN IMMEDIATE')
  const outcome = await updateImage(id, labelled('new')).then(() => 'acknowledged', () => 'refused')
  other.exec('ROLLBACK')
  other.close()
  return `busy database: an update was ${outcome}; the image afterwards: ${await shown(id)}`
}

const swapped = async (directory) => {
  const [one, two] = [await saveImage(labelled('one')), await saveImage(labelled('two'))]
  const database = new Database(join(directory, 'images.sqlite'))
  const path = (id) => readdirSync(join(directory, 'images'), { recursive: true }).find((name) => name.includes(id.split(':').at(-1)))
  copyFileSync(join(directory, 'images', path(two.id)), join(directory, 'images', path(one.id)))
  database.prepare('UPDATE image_records SET meta = (SELECT meta FROM image_records WHERE id = ?) WHERE id = ?').run(two.id, one.id)
  database.close()
  return `row and file put in another's place: image one shows: ${await shown(one.id)}`
}

const outside = async (directory) => {
  const file = join(directory, 'other.pixstore-image')
  await saveImage(labelled('one')) // makes the folder of the images
  writeFileSync(file, 'an image of another store')
  await deleteImage('../other').catch(() => {})
  return `deleteImage('../other'): an image of another store is ${existsSync(file) ? 'there' : 'gone'}`
}

const restarted = async (directory) => {
  const { id, statelessProof } = await saveImage(labelled('kept'))
  const child = spawn(process.execPath, [fileURLToPath(import.meta.url), 'answer', directory, id, statelessProof])
  const state = Number(await new Promise((resolve) => child.stdout.once('data', resolve)))
  return `restart: a proof of a moment ago is ${state === 0 || state === 1 ? 'good' : `refused (state ${state})`}`
}

const atRest = async (directory) => {
  const { meta } = await saveImage(labelled('secret'))
  const files = readdirSync(directory).filter((name) => name.startsWith('images.sqlite'))
  const written = Buffer.concat(files.map((name) => readFileSync(join(directory, name))))
  const isThere = written.includes(meta.key) || written.includes(Buffer.from(meta.key, 'base64'))
  return `keys at rest: the key of an image is ${isThere ? '' : 'not '}readable in the database`
}

const oneRequest = async (directory) => {
  const port = 20_000 + Math.floor(Math.random() * 20_000)
  const child = spawn(process.execPath, [fileURLToPath(import.meta.url), 'serve', directory, port], { stdio: 'ignore' })
  const ended = new Promise((resolve) => child.once('exit', () => resolve('has ended')))
  const ask = (path) => fetch(`http://127.0.0.1:${port}/pixstore-image/${path}`).then(() => true, () => false)
  while (!(await ask('nobody'))) await sleep(50)
  await ask('%')
  const fate = await Promise.race([ended, sleep(2000).then(() => 'serves on')])
  child.kill('SIGKILL')
  return `GET /pixstore-image/%: the server ${fate}`
}

if (process.argv[2] === 'write') {
  await write(process.argv[3])
} else if (process.argv[2] === 'answer') {
  init(process.argv[3])
  process.stdout.write(String((await customEndpointHelper(process.argv[4], undefined, process.argv[5]))[0]))
} else if (process.argv[2] === 'serve') {
  init(process.argv[3], Number(process.argv[4]))
  setInterval(() => {}, 1000) // its endpoint alone keeps no process alive
} else {
  const directory = mkdtempSync(join(tmpdir(), 'npm-pixstore-'))
  console.warn = console.error = () => {}
  init(directory)
  for (const test of [killed, atOnce, read, busy, swapped, outside, restarted, atRest, oneRequest]) {
    try {
      console.log(await test(directory))
    } catch (error) {
      console.log(`${test.name}: ${error}`)
    }
  }
  rmSync(directory, { recursive: true })
}
