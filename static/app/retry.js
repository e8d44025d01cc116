/** In the gallery a picture is a link. A click on "Try again" in a picture that failed must not follow that link. */
export function keepRetryFromFollowingLinks() {
  document.addEventListener('click', (event) => {
    const isRetry = event.composedPath().some((node) => node instanceof HTMLElement && 'retry' in node.dataset)
    if (isRetry) event.preventDefault()
  })
}
