// The frames of a replay, which the server sends as PNGs as they are made. The first part of replay_player.js and of
// replay_picture.js, as their modules put them together.

const CHUNK = 32 // frames that are fetched at once
const KEPT_BYTES = 64 << 20 // of PNGs
const KEPT_PICTURES = 64 // of them that are decoded
const DECODED_AHEAD = 8
const AGAIN_MS = 300 // until frames are asked for that were not made yet, or could not be fetched

function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties)
  made.append(...children)
  return made
}

class Frames {
  constructor(onArrival) {
    this.onArrival = onArrival
    this.files = new Map() // frame, from 0 -> Blob; the one used last is the last
    this.bytes = 0
    this.pictures = new Map() // frame -> ImageBitmap; the same
    this.decoding = new Set()
    this.asked = new Set() // chunks
    this.total = Infinity
  }

  // `count` is how many there are in the end; null while they are being made.
  update({ url, count }) {
    this.url = url
    this.total = count ?? Infinity
  }

  // A frame that is there; what is missing of it and of the next ones is fetched and decoded.
  get(frame) {
    if (!this.url) return undefined
    this.wanted = frame
    for (let next = frame; next <= frame + DECODED_AHEAD; next += 1) this.decode(next)
    if (!this.files.has(frame + CHUNK)) this.fetch(Math.floor(frame / CHUNK) + 1)
    return this.used(this.pictures, frame)
  }

  has(frame) {
    return this.pictures.has(frame)
  }

  used(held, frame) {
    const found = held.get(frame)
    if (found) {
      held.delete(frame)
      held.set(frame, found)
    }
    return found
  }

  async decode(frame) {
    if (frame >= this.total || this.pictures.has(frame) || this.decoding.has(frame)) return
    const file = this.used(this.files, frame)
    if (!file) return this.fetch(Math.floor(frame / CHUNK), frame === this.wanted)
    this.decoding.add(frame)
    const picture = await createImageBitmap(file)
    this.decoding.delete(frame)
    if (this.gone) return picture.close()
    this.pictures.set(frame, picture)
    for (const [other, old] of this.pictures) {
      if (this.pictures.size <= KEPT_PICTURES) break
      old.close()
      this.pictures.delete(other)
    }
    this.onArrival(frame)
  }

  // From the first frame of the chunk that is missing: the server sends fewer at once where they are large. It waits for
  // the frame that is looked at, but not for those after it: a browser has six connections for all that a page asks for.
  async fetch(chunk, waits = false) {
    let first = chunk * CHUNK
    while (this.files.has(first)) first += 1
    const last = Math.min((chunk + 1) * CHUNK, this.total)
    if (this.asked.has(chunk) || first >= last) return
    this.asked.add(chunk)
    let count = 0
    try {
      const answer = await fetch(`${this.url}&first=${first}&count=${last - first}${waits ? "&wait=1" : ""}`)
      if (answer.ok) count = this.take(await answer.arrayBuffer(), first)
    } catch {
      // No connection: asked for again below.
    }
    if (this.gone) return
    if (count > 0) {
      this.asked.delete(chunk)
      this.onArrival()
    } else setTimeout(() => this.asked.delete(chunk) && this.onArrival(), AGAIN_MS)
  }

  take(buffer, first) {
    const view = new DataView(buffer)
    let frame = first
    for (let at = 0; at + 4 <= buffer.byteLength; frame += 1) {
      const size = view.getUint32(at, true)
      if (!this.files.has(frame)) {
        this.files.set(frame, new Blob([new Uint8Array(buffer, at + 4, size)], { type: "image/png" }))
        this.bytes += size
      }
      at += 4 + size
    }
    for (const [other, file] of this.files) {
      if (this.bytes <= KEPT_BYTES) break
      this.bytes -= file.size
      this.files.delete(other)
    }
    return frame - first
  }

  remove() {
    this.gone = true
    this.pictures.forEach((picture) => picture.close())
  }
}
