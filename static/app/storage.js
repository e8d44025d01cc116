/** Shows how many pictures this browser has cached, and a button that clears the cache. */
import { cacheUsage, clearCache } from '../pixstore/index.js'

/** @param {HTMLElement} panel */
export async function showStorage(panel) {
  const status = document.createElement('p')
  status.setAttribute('role', 'status')
  const button = document.createElement('button')
  button.type = 'button'
  button.className = 'button'
  button.textContent = 'Clear'
  button.addEventListener('click', async () => {
    button.disabled = true
    await clearCache()
    await refresh()
  })
  await refresh()
  panel.replaceChildren(status, button)

  async function refresh() {
    const usage = await cacheUsage()
    status.textContent = usage ? describe(usage) : 'This browser keeps no pictures.'
    button.disabled = !usage?.images
  }
}

/** @param {{ images: number, bytes: number }} usage */
function describe({ images, bytes }) {
  if (!images) return 'None at the moment. Pictures you look at are kept until you log out.'
  const size = (bytes / 1e6).toLocaleString('en', { maximumFractionDigits: 1, minimumFractionDigits: 1 })
  return `${images} ${images === 1 ? 'image' : 'images'}, ${size} MB, decrypted, until you log out.`
}
