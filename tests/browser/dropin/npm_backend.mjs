// npm's backend in a process of its own: reads commands from stdin, one JSON object a line, answers each with one line.
//
//   argument: {"directory", "custom"}     custom: an endpoint of our own by customEndpointHelper, instead of the package's
//   first line out: {"port"}
//   {"do": "save", "image", "dir"}        →  the record        images are base64
//   {"do": "update", "id", "image"}       →  the new record
//   {"do": "delete", "id"}                →  true

import { createServer } from 'node:http'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  customEndpointHelper, deleteImage, getImageRecord, initPixstoreBackend, saveImage, updateImage,
} from 'pixstore/backend/index.js'

const { directory, custom } = JSON.parse(process.argv[2])

console.log = () => {} // the package announces its endpoint, and stdout is for answers
const say = (answer) => process.stdout.write(JSON.stringify(answer) + '\n')

/** Answers whoever names the class in a header: what a page hands to its fetcher as context. */
const customEndpoint = createServer(async (request, response) => {
  response.setHeader('access-control-allow-origin', '*')
  response.setHeader('access-control-allow-headers', 'x-class, x-proof, x-version')
  if (request.method === 'OPTIONS') return response.writeHead(204).end()
  if (request.headers['x-class'] !== '7b') return response.writeHead(403).end()
  const id = decodeURIComponent(request.url.replace('/pictures/', ''))
  const version = request.headers['x-version']
  const payload = await customEndpointHelper(id, version ? Number(version) : undefined, request.headers['x-proof'])
  return response.writeHead(200, { 'content-type': 'application/octet-stream' }).end(payload)
})

const listening = (server, port) => new Promise((resolve) => { server.listen(port, '127.0.0.1', resolve) })

/** The package wants to be told a port. */
async function freePort() {
  const probe = createServer()
  await listening(probe, 0)
  const { port } = probe.address()
  await new Promise((resolve) => { probe.close(resolve) })
  return port
}

const port = await freePort()
initPixstoreBackend({
  imageFormats: ['png', 'webp', 'jpg', 'jpeg'],
  imageExtension: '.pixstore-image',
  imageRootDir: `${directory}/images`,
  databasePath: `${directory}/images.sqlite`,
  statelessKeyWindowLength: 3_600_000,
  defaultEndpointEnabled: !custom,
  defaultEndpointRoute: '/pixstore-image',
  defaultEndpointListenHost: '127.0.0.1',
  defaultEndpointListenPort: port,
  accessControlAllowOrigin: '*',
  errorHandlingMode: 'throw',
})
if (custom) await listening(customEndpoint, port)

const commands = {
  save: ({ image, dir }) => saveImage(Buffer.from(image, 'base64'), dir),
  async update({ id, image }) {
    // Its version numbers are the clock's: two within a millisecond would be the same.
    while (Date.now() <= getImageRecord(id).token) await sleep(1)
    return updateImage(id, Buffer.from(image, 'base64'))
  },
  delete: ({ id }) => deleteImage(id),
}

say({ port })
for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line)
  say(await commands[command.do](command))
}
process.exit()
