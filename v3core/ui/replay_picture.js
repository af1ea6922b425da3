// A small picture that plays a replay again and again, while it is on the screen. Streamlit calls the default export again
// whenever the page is drawn.

const PAUSE_MS = 1000 // at the end, before it begins again

const shown = new WeakMap() // Streamlit's container -> picture

class Picture {
  constructor(root) {
    this.link = root.querySelector("a")
    this.canvas = root.querySelector("canvas")
    this.frames = new Frames(() => this.wake())
    this.watching = new IntersectionObserver((entries) => {
      this.near = entries.at(-1).isIntersecting
      this.wake()
    })
    this.watching.observe(this.link)
    this.onVisible = () => this.wake()
    document.addEventListener("visibilitychange", this.onVisible)
  }

  update(data) {
    if (this.data?.frames.url !== data.frames.url) {
      this.frames.remove()
      this.frames = new Frames(() => this.wake())
      this.began = undefined
    }
    this.data = data
    this.frames.update(data.frames)
    this.link.href = data.href
    this.link.title = data.label
    this.canvas.setAttribute("aria-label", data.label)
    this.wake()
  }

  // Whoever asks for less motion sees the first frame.
  wake() {
    if (this.isPlaying || this.gone || !this.near || document.hidden || !this.data) return
    const first = this.frames.get(0)
    if (!first) return
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) return this.draw(first, 0)
    this.isPlaying = true
    requestAnimationFrame((now) => this.tick(now))
  }

  tick(now) {
    if (this.gone || !this.near || document.hidden) {
      this.isPlaying = false
      return
    }
    this.began ??= now
    const last = Math.min(this.data.steps, this.frames.total - 1)
    const frame = Math.floor(((now - this.began) / 1000) * this.data.framesPerSecond)
    const picture = this.frames.get(Math.min(frame, last))
    if (picture) this.draw(picture, Math.min(frame, last))
    else this.began = now - (1000 * Number(this.canvas.dataset.frame ?? 0)) / this.data.framesPerSecond // it waits
    if (now - this.began > (1000 * last) / this.data.framesPerSecond + PAUSE_MS) this.began = now
    requestAnimationFrame((later) => this.tick(later))
  }

  draw(picture, frame) {
    if (this.canvas.dataset.frame === String(frame)) return
    if (this.canvas.width !== picture.width || this.canvas.height !== picture.height) {
      ;[this.canvas.width, this.canvas.height] = [picture.width, picture.height]
    }
    this.canvas.getContext("2d").drawImage(picture, 0, 0)
    this.canvas.dataset.frame = frame
  }

  remove() {
    this.gone = true
    this.frames.remove()
    this.watching.disconnect()
    document.removeEventListener("visibilitychange", this.onVisible)
  }
}

export default function ({ data, parentElement }) {
  let picture = shown.get(parentElement)
  if (!picture) {
    picture = new Picture(parentElement)
    shown.set(parentElement, picture)
  }
  picture.update(data)
  return () => {
    picture.remove()
    shown.delete(parentElement)
  }
}
