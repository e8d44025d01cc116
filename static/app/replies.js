/**
 * What htmx has to tell besides the new part of the page: how far an upload is, and that the server cannot be reached.
 * Errors that the server puts into words arrive in #problem by themselves.
 */

export function watchReplies() {
  const problem = document.getElementById('problem')
  document.body.addEventListener('htmx:beforeRequest', () => problem?.replaceChildren())
  document.body.addEventListener('htmx:sendError', () => {
    const words = document.createElement('p')
    words.className = 'notice warning'
    words.textContent = 'The server cannot be reached. Please try again.'
    problem?.replaceChildren(words)
  })
  document.body.addEventListener('htmx:xhr:progress', (event) => {
    const bar = event.target instanceof Element ? event.target.querySelector('progress') : null
    const { lengthComputable, loaded, total } = /** @type {CustomEvent<ProgressEvent>} */ (event).detail
    if (!bar || !lengthComputable) return
    bar.hidden = false
    bar.value = loaded / total
  })
  // "Try again" under a picture that failed stands inside the link to that picture.
  document.addEventListener('click', (event) => {
    const isRetry = event.composedPath().some((node) => node instanceof HTMLElement && 'retry' in node.dataset)
    if (isRetry) event.preventDefault()
  })
}
