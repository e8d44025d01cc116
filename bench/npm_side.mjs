// The npm side of the comparison: the documented calls of npm's pixstore behind the protocol of side_loop.py.
//
//   argument: {"directory", "port"}          port 0: library calls; otherwise the package's own endpoint listens there

import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import {
  customEndpointHelper,
  deleteImage,
  getImageRecord,
  initPixstoreBackend,
  saveImage,
  updateImage,
} from 'pixstore/backend/index.js'

const { directory, port } = JSON.parse(process.argv[2])

console.log = () => {} // the package announces its endpoint, and stdout is for answers

// The package is published with the defaults of its own tests, so nothing is left to them.
initPixstoreBackend({
  imageFormats: ['png', 'webp', 'jpg', 'jpeg'],
  imageRootDir: `${directory}/images`,
  databasePath: `${directory}/images.sqlite`,
  statelessKeyWindowLength: 300_000,
  defaultEndpointEnabled: Boolean(port),
  defaultEndpointRoute: '/pixstore-image',
  defaultEndpointListenHost: '127.0.0.1',
  defaultEndpointListenPort: port || 1,
  accessControlAllowOrigin: '*',
  errorHandlingMode: 'throw',
})

const files = new Map()
const bytes = (name) => {
  if (!files.has(name)) files.set(name, readFileSync(name))
  return files.get(name)
}

const made = new Map() // ids that save, update and delete go through
const held = new Map() // records that payloads are asked for
const of = (map, name) => map.get(name) ?? map.set(name, []).get(name)
let known = []

const operations = {
  save: async (name) => of(made, name).push((await saveImage(bytes(name))).id),
  update: (name, number) => updateImage(of(made, name)[number], bytes(name)),
  delete: (name) => deleteImage(of(made, name).pop()),
  look: (_, number) => getImageRecord(known[number % known.length]),
  payload: (name, number) => {
    const { id, token, statelessProof } = of(held, name)[number % of(held, name).length]
    return customEndpointHelper(id, token, statelessProof)
  },
}

const commands = {
  hold: async ({ file, count }) => {
    const records = of(held, file)
    while (records.length < count) records.push(await saveImage(bytes(file)))
    records.forEach(({ id }, number) => { records[number] = getImageRecord(id) })
    const shown = records.map(({ id, token, statelessProof }) => ({ id, token, proof: statelessProof }))
    return { records: shown.slice(0, count) }
  },
  know: ({ ids }) => {
    known = ids
    return {}
  },
}

const now = () => (performance.timeOrigin + performance.now()) / 1000

const timed = async ({ do: operation, file, count, callers, at }) => {
  if (file) bytes(file)
  await new Promise((resolve) => setTimeout(resolve, Math.max(0, (at - now()) * 1000)))
  let next = 0
  const call = async () => {
    while (next < count) await operations[operation](file, next++)
  }
  const [processor, start] = [process.cpuUsage(), now()]
  await Promise.all(Array.from({ length: callers }, call))
  const end = now()
  const { user, system } = process.cpuUsage(processor)
  return { start, end, processor: (user + system) / 1e6 }
}

for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line)
  const answer = command.do in commands ? await commands[command.do](command) : await timed(command)
  process.stdout.write(JSON.stringify(answer) + '\n')
}
