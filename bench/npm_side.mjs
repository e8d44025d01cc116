// The npm side of the comparison: reads commands from stdin, one JSON object a line, and answers each with one line.
// bench/python_side.py speaks the same protocol for this project.
//
//   argument: {"directory", "port"}          port 0: library calls; otherwise the package's own endpoint listens there
//   {"do": "save" | "read" | "update", "file", "count"}   →  {"ms": [time of each call]}
//   {"do": "record", "file"}                              →  {"id", "token", "proof"} of a newly saved image

import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { customEndpointHelper, initPixstoreBackend, saveImage, updateImage } from 'pixstore/backend/index.js'

const { directory, port } = JSON.parse(process.argv[2])

console.log = () => {} // the package announces its endpoint, and stdout is for answers

// The package is published with the defaults of its own tests, so nothing is left to them.
initPixstoreBackend({
  imageFormats: ['png', 'webp', 'jpg', 'jpeg'],
  imageRootDir: `${directory}/images`,
  databasePath: `${directory}/images.sqlite`,
  statelessKeyWindowLength: 300_000,
  defaultEndpointEnabled: port !== 0,
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

// One image per file, which reads and updates go to.
const images = new Map()
const image = async (name) => {
  if (!images.has(name)) images.set(name, await saveImage(bytes(name)))
  return images.get(name)
}

const operations = {
  save: (name) => saveImage(bytes(name)),
  read: async (name) => {
    const { id, token, statelessProof } = await image(name)
    return customEndpointHelper(id, token, statelessProof)
  },
  update: async (name) => {
    const { id } = await image(name)
    images.set(name, await updateImage(id, bytes(name)))
  },
}

const time = async (operation, name, count) => {
  await image(name)
  const ms = []
  for (let i = 0; i < count; i++) {
    const start = performance.now()
    await operation(name)
    ms.push(performance.now() - start)
  }
  return { ms }
}

for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line)
  let answer
  if (command.do === 'record') {
    const { id, token, statelessProof } = await image(command.file)
    answer = { id, token, proof: statelessProof }
  } else {
    answer = await time(operations[command.do], command.file, command.count)
  }
  process.stdout.write(JSON.stringify(answer) + '\n')
}
