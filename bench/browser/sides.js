// Runs in the page: the three sides of the comparison behind the same few functions, and the functions that time them.
//
//   npm    npm's frontend        ours   static/pixstore/        floor  only one IndexedDB get for each image

const OPTIONS = {
  imageFormats: ['png', 'webp', 'jpg', 'jpeg'],
  frontendDbVersion: 1,
  imageStoreName: 'images',
  frontendImageCacheLimit: 1000,
  frontendCleanupBatch: 50,
  defaultEndpointConnectHost: location.hostname,
  defaultEndpointConnectPort: Number(location.port),
  defaultEndpointRoute: '/pixstore-image',
  errorHandlingMode: 'throw',
}

const SIDES = {
  async npm() {
    const { initPixstoreFrontend, getImage, cachedImageExists } = await import('/npm.js')
    initPixstoreFrontend({ ...OPTIONS, frontendDbName: 'npm' })
    return { get: getImage, isCached: cachedImageExists, show: (record) => showInImg(getImage, record) }
  },
  async ours() {
    const { initPixstoreFrontend, getImage, cachedImageExists } = await import('/static/pixstore/index.js')
    initPixstoreFrontend({ ...OPTIONS, frontendDbName: 'ours' })
    return { get: getImage, isCached: cachedImageExists, show: showInElement }
  },
  async floor() {
    const request = indexedDB.open('floor', 1)
    request.onupgradeneeded = () => request.result.createObjectStore('images')
    await settled(request)
    const store = (mode) => request.result.transaction('images', mode).objectStore('images')
    return {
      get: ({ id }) => settled(store('readonly').get(id)),
      isCached: async (id) => await settled(store('readonly').getKey(id)) !== undefined,
      put: ({ id }, blob) => settled(store('readwrite').put(blob, id)),
    }
  },
}

/** Fills the cache of a side: by asking for the images, or, at the floor, with the image given. */
export async function warm(name, records, image) {
  const side = await SIDES[name]()
  const blob = side.put && await (await fetch(image)).blob()
  for (const record of records) await (side.put ? side.put(record, blob) : side.get(record))
  for (const { id } of records) while (!await side.isCached(id)) await pause(20)
}

/** Times one image after the other, bytes in hand or, if not `read`, the Blob in hand. */
export function sequential(name, records, read) {
  return timed(name, async ({ get }) => {
    let bytes = 0
    for (const record of records) bytes += await size(await get(record), read)
    return bytes
  })
}

/** Times all images asked for at once. */
export function atOnce(name, records, read) {
  return timed(name, async ({ get }) => {
    const sizes = await Promise.all(records.map(async (record) => size(await get(record), read)))
    return sizes.reduce((sum, bytes) => sum + bytes, 0)
  })
}

/** Shows all images at once. Returns how long that took, and every task of the main thread over 50 ms. */
export async function showAll(name, records) {
  const side = await SIDES[name]()
  const tasks = []
  const observer = new PerformanceObserver((list) => tasks.push(...list.getEntries()))
  await pause(200) // do not count the loading of the page
  observer.observe({ type: 'longtask' })
  const start = performance.now()
  await Promise.all(records.map(side.show))
  const ms = performance.now() - start
  await pause(300) // writes to the cache come after the pictures, and may block as well
  observer.disconnect()
  return { ms, longTasks: tasks.map(({ duration }) => duration) }
}

async function timed(name, work) {
  const side = await SIDES[name]()
  const start = performance.now()
  const bytes = await work(side)
  return { ms: performance.now() - start, bytes }
}

const size = async (blob, read) => read ? (await blob.arrayBuffer()).byteLength : blob.size

const pause = (ms) => new Promise((resolve) => { setTimeout(resolve, ms) })

const settled = (request) => new Promise((resolve, reject) => {
  request.onsuccess = () => resolve(request.result)
  request.onerror = () => reject(request.error)
})

const loaded = (element) => new Promise((resolve, reject) => {
  element.addEventListener('load', resolve)
  element.addEventListener('error', () => reject(new Error('a picture was not shown')))
})

async function showInImg(getImage, record) {
  const img = document.createElement('img')
  img.width = 160
  img.height = 120
  document.body.append(img)
  const seen = loaded(img)
  img.src = URL.createObjectURL(await getImage(record))
  await seen
}

/** With the key left out of the page, as our element has it. */
function showInElement({ id, token, statelessProof }) {
  const element = document.createElement('pixstore-image')
  const attributes = { 'image-id': id, token, proof: statelessProof, width: 160, height: 120, alt: '' }
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value)
  const seen = loaded(element)
  document.body.append(element)
  return seen
}
