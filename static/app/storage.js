/** How much of the pictures this browser keeps, and a button that drops it. */
import { cacheUsage, clearCache } from '../pixstore/index.js'

/** @param {HTMLElement} panel */
export async function showStorage(panel) {
  const words = document.createElement('p')
  words.setAttribute('role', 'status')
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
  panel.replaceChildren(words, button)

  async function refresh() {
    const usage = await cacheUsage()
    words.textContent = usage ? describe(usage) : 'This browser keeps no pictures.'
    button.disabled = !usage?.images
  }
}

/** @param {{ images: number, bytes: number }} usage */
function describe({ images, bytes }) {
  if (!images) return 'None at the moment. Pictures you look at are kept until you log out.'
  const size = (bytes / 1e6).toLocaleString('en', { maximumFractionDigits: 1, minimumFractionDigits: 1 })
  return `${images} ${images === 1 ? 'image' : 'images'}, ${size} MB, decrypted, until you log out.`
}
